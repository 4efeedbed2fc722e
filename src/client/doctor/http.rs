//! HTTP: whether it is spoken at all, and whether the one who answers is a GateMQ.

use super::{
    advice, certificate,
    report::{Failure, Finding},
    request::{self, Answer, NoAnswer},
    sniff::{self, Spoken},
    way::Way,
};
use crate::client::{Presented, TlsFailure};

/// Whom HTTP has found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Host {
    /// A GateMQ, maybe behind a proxy that passes its pages on.
    GateMq,
    /// Another server, or a proxy that passes on only some paths.
    Other,
}

/// Asks for `/livez` and for what only a GateMQ says. `None` where no HTTP is spoken.
pub(super) async fn examine(way: &Way) -> (Vec<Finding>, Option<Host>) {
    let answer = match request::get(way, "/livez").await {
        Ok(answer) => answer,
        Err(no_answer) => return (vec![unanswered(way, no_answer).await], None),
    };
    if let Some(fault) = in_the_way(way, &answer) {
        return (vec![fault], None);
    }
    let known = request::get(way, "/.well-known/mqtt").await;
    // The names, wherever they stand: a proxy may have cut the body into chunks.
    let is_gatemq = known
        .is_ok_and(|known| known.status == 200 && known.text().contains("\"websocket_paths\""));
    let says = answer.says();
    if is_gatemq {
        let detail = format!("a GateMQ answers: /livez is {says}");
        let live = Finding::good("gatemq", detail);
        return (vec![live], Some(Host::GateMq));
    }
    let detail = format!("HTTP answers /livez with {says}, and does not say that it is a GateMQ");
    let finding = Finding::note("not-gatemq", detail)
        .fix("another broker, a proxy that passes on one path only, or another server altogether: the next stage tells");
    (vec![finding], Some(Host::Other))
}

/// Answers after which nothing else can be hoped for.
pub(super) fn in_the_way(way: &Way, answer: &Answer) -> Option<Finding> {
    let says = answer.says();
    match answer.status {
        502..=504 => {
            let detail = format!("a proxy answers {says}: it does not reach the broker behind it");
            let fault = Finding::fault(Failure::Unreachable, "bad-gateway", detail);
            Some(fault.fixes(advice::BAD_GATEWAY))
        }
        301 | 302 | 307 | 308 => {
            let location = answer.header("location").unwrap_or("elsewhere");
            let secure = location.strip_prefix("https://");
            let authority = secure.and_then(|rest| rest.split(['/', '?']).next());
            let port = |authority: &str| authority.ends_with(&format!(":{}", way.target.port));
            if way.tls.is_none() && authority.is_some_and(port) {
                return Some(tls_port(way));
            }
            let detail = format!("the server sends us on to {location} ({says})");
            let fault = Finding::fault(Failure::Refused, "redirected", detail);
            Some(match authority {
                Some(authority) if way.tls.is_none() => fault.fix(format!(
                    "use wss://{authority}{}: it wants TLS, and WebSocket clients do not follow",
                    way.target.path
                )),
                Some(_) | None => fault.fix("use that address: WebSocket clients do not follow"),
            })
        }
        400 if way.tls.is_none() && answer.text().contains("HTTPS port") => Some(tls_port(way)),
        _ => None,
    }
}

/// TLS is spoken where it was not asked for.
fn tls_port(way: &Way) -> Finding {
    let target = &way.target;
    let detail = format!(
        "this port speaks TLS, and was asked by {}://",
        target.scheme()
    );
    Finding::fault(Failure::Unreachable, "tls-port", detail)
        .fix(format!(
            "{}s://{}:{}{} for this port",
            target.scheme(),
            target.host,
            target.port,
            if target.scheme() == "ws" {
                target.path.as_str()
            } else {
                ""
            }
        ))
        .fix("or the port without TLS (1883, 8083), where the listener has tls = false")
}

/// Why HTTP, or whatever else was asked in, was not answered.
pub(super) async fn unanswered(way: &Way, no_answer: NoAnswer) -> Finding {
    match no_answer {
        NoAnswer::Tls => tls_port(way),
        NoAnswer::Silent => {
            let detail = format!("nothing comes within {:?} of asking", way.patience);
            Finding::fault(Failure::TimedOut, "no-answer", detail)
                .fix("see that this port belongs to the broker: ss -ltnp on its machine")
                .fix("a listener with proxy_protocol = \"required\" waits for a PROXY header: ask the proxy's port instead")
        }
        NoAnswer::Foreign(bytes) => {
            let shown: String = String::from_utf8_lossy(&bytes).chars().take(40).collect();
            let detail = format!("what answers speaks neither HTTP nor MQTT: {shown:?}");
            Finding::fault(Failure::Unreachable, "foreign-protocol", detail)
                .fix("another service has this port: see ss -ltnp on its machine, and where the broker listens: gatemq status")
        }
        NoAnswer::Failed(error) => {
            let failure = TlsFailure::of(&error, &way.target, &Presented::default());
            if matches!(failure, TlsFailure::ClientCertificate(_)) {
                return certificate::client_certificate(&failure);
            }
            Finding::fault(Failure::Unreachable, "no-answer", failure)
                .fix("the broker's log says its side of it")
        }
        NoAnswer::Closed => closed(way, sniff::spoken(way).await),
    }
}

fn closed(way: &Way, spoken: Spoken) -> Finding {
    let target = &way.target;
    match spoken {
        Spoken::Tls => tls_port(way),
        Spoken::Mqtt => {
            let scheme = if target.tls { "mqtts" } else { "mqtt" };
            let detail = "this port takes MQTT only, and no WebSocket";
            Finding::fault(Failure::Refused, "mqtt-only", detail)
                .fix(format!("{scheme}://{}:{} for clients that are no browsers", target.host, target.port))
                .fix("or \"websocket\" in protocols of this [[listener]]; 8083, 8084, 8443 and 443 take it without a configuration")
        }
        Spoken::Http | Spoken::Nothing => {
            let detail = "the connection is closed without an answer";
            Finding::fault(Failure::Unreachable, "closed", detail)
                .fix("the broker's log has a line for each connection that ends, with its reason")
                .fix("a listener with proxy_protocol = \"required\" answers nobody but the proxy")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::client::Target;

    fn way(url: &str) -> Way {
        Way {
            target: Target::parse(url).unwrap(),
            addr: "127.0.0.1:1".parse().unwrap(),
            patience: Duration::from_secs(1),
            tls: None,
            is_trusted: true,
        }
    }

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
        let header = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Answer {
            status,
            headers: headers.iter().map(header).collect(),
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn answers_that_end_the_search() {
        let way = way("ws://a:8443/mqtt");
        let check = |answer: Answer, code: &str, advice: &str| {
            let finding = in_the_way(&way, &answer).unwrap();
            assert_eq!(finding.code, code);
            assert!(finding.fix.join("\n").contains(advice), "{finding:?}");
        };
        check(
            answer(502, &[("Server", "nginx")], ""),
            "bad-gateway",
            "proxy_pass",
        );
        let moved = answer(308, &[("location", "https://a:8443/livez")], "");
        check(moved, "tls-port", "wss://a:8443/mqtt");
        let moved = answer(301, &[("Location", "https://a/livez")], "");
        check(moved, "redirected", "wss://a/mqtt");
        let nginx = "The plain HTTP request was sent to HTTPS port";
        check(answer(400, &[], nginx), "tls-port", "wss://a:8443/mqtt");
        assert_eq!(in_the_way(&way, &answer(404, &[], "")), None);
    }

    #[test]
    fn a_listener_for_mqtt_only_is_told_from_silence() {
        let way = way("ws://a:1883");
        let finding = closed(&way, Spoken::Mqtt);
        assert!(finding.fix[0].starts_with("mqtt://a:1883"), "{finding:?}");
        assert_eq!(closed(&way, Spoken::Nothing).code, "closed");
    }
}
