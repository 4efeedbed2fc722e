//! HTTP becomes a WebSocket: on the path that was asked for, on those that others use, with a sub-protocol and without.

use super::{
    advice, http,
    http::Host,
    report::{Failure, Finding},
    request::{self, Answer, Asked, Upgraded},
    way::Way,
};
use crate::client::Target;

/// The sub-protocol that clients offer.
pub(super) const SUBPROTOCOL: &str = "mqtt";

/// Where brokers listen. The first that opens is the one that is recommended: `/` is where pages are.
const PATHS: [&str; 3] = ["/mqtt", "/ws", "/"];

/// What one path has answered.
#[derive(Debug)]
enum Outcome {
    Open {
        subprotocol: Option<String>,
        is_accepted: bool,
    },
    Refused(Answer),
    Unanswered(Finding),
}

/// The path on which a WebSocket opens, where there is one.
pub(super) async fn examine(
    way: &Way,
    host: Host,
    origin: Option<&str>,
) -> (Vec<Finding>, Option<String>) {
    let wanted = way.target.path.as_str();
    let id = format!("{:032x}", rand::random::<u128>());
    let outcome = open(way, &with_probe(wanted, &id), origin).await;
    let stripped = match (&outcome, host) {
        (Outcome::Refused(answer), _) if says_stripped(answer) => true,
        (Outcome::Refused(_), Host::GateMq) => is_stripped(way, &id).await,
        _ => false,
    };
    let mut others = Vec::new();
    for path in PATHS {
        if path != wanted.split('?').next().unwrap_or_default() {
            others.push((path, open(way, path, origin).await));
        }
    }
    let open_elsewhere: Vec<&str> = others
        .iter()
        .filter(|(_, outcome)| matches!(outcome, Outcome::Open { .. }))
        .map(|(path, _)| *path)
        .collect();
    let mut findings = judge(way, host, outcome, stripped, &open_elsewhere);
    let is_open = findings.iter().any(is_open);
    if is_open {
        if !open_elsewhere.is_empty() {
            let detail = format!("the paths {} open one, too", open_elsewhere.join(" and "));
            findings.push(Finding::good("other-paths", detail));
        }
        findings.push(without_subprotocol(way, wanted, origin).await);
        return (findings, Some(wanted.to_owned()));
    }
    // The rest is examined on a path that does work.
    let elsewhere = open_elsewhere.first().map(|path| (*path).to_owned());
    (findings, elsewhere)
}

fn is_open(finding: &Finding) -> bool {
    matches!(
        finding.code,
        "open" | "subprotocol-dropped" | "wrong-accept"
    )
}

async fn open(way: &Way, path: &str, origin: Option<&str>) -> Outcome {
    let asked = Asked {
        path,
        subprotocol: Some(SUBPROTOCOL),
        origin,
    };
    match request::upgrade(way, asked).await {
        Ok(Ok(Upgraded {
            subprotocol,
            is_accepted,
            ..
        })) => Outcome::Open {
            subprotocol,
            is_accepted,
        },
        Ok(Err(answer)) => Outcome::Refused(answer),
        Err(no_answer) => Outcome::Unanswered(http::unanswered(way, no_answer).await),
    }
}

/// The broker remembers under this name how far the request came.
fn with_probe(path: &str, id: &str) -> String {
    let separator = if path.contains('?') { '&' } else { '?' };
    format!("{path}{separator}probe={id}")
}

/// In a GateMQ's words, where a proxy passes on this path only, so that nothing else can be asked.
fn says_stripped(answer: &Answer) -> bool {
    let text = answer.text();
    let is_ours = [
        "MQTT over WebSocket endpoint",
        "a proxy on the way may have",
    ];
    answer.status != 404 && is_ours.iter().any(|words| text.contains(words))
}

/// As the broker remembers it, whatever the proxy has made of its answer.
async fn is_stripped(way: &Way, id: &str) -> bool {
    let seen = request::get(way, &format!("/api/v1/probe/{id}")).await;
    seen.is_ok_and(|seen| seen.status == 200 && seen.text().contains("\"upgrade-missing\""))
}

fn judge(
    way: &Way,
    host: Host,
    outcome: Outcome,
    stripped: bool,
    open_elsewhere: &[&str],
) -> Vec<Finding> {
    let path = way.target.path.as_str();
    match outcome {
        Outcome::Unanswered(finding) => vec![finding],
        Outcome::Refused(answer) => {
            vec![refused(way, host, &answer, stripped, open_elsewhere)]
        }
        Outcome::Open {
            is_accepted: false, ..
        } => {
            let detail = "the answer 101 does not belong to the request (Sec-WebSocket-Accept)";
            let fault = Finding::fault(Failure::Refused, "wrong-accept", detail);
            vec![fault.fix("a cache or proxy on the way answers for the broker: let it pass Upgrade requests through")]
        }
        Outcome::Open {
            subprotocol: Some(subprotocol),
            ..
        } if subprotocol.eq_ignore_ascii_case(SUBPROTOCOL) => {
            let detail = format!("{path} opens a WebSocket with the sub-protocol {subprotocol}");
            vec![Finding::good("open", detail)]
        }
        Outcome::Open { subprotocol, .. } => vec![dropped(path, subprotocol.as_deref())],
    }
}

fn dropped(path: &str, subprotocol: Option<&str>) -> Finding {
    let answered = subprotocol.map_or_else(|| "none".to_owned(), |other| format!("{other:?}"));
    let detail = format!(
        "{path} opens a WebSocket, but the sub-protocol mqtt was offered and {answered} is answered: browsers and most clients give up"
    );
    Finding::fault(Failure::Refused, "subprotocol-dropped", detail).fixes(advice::SUBPROTOCOL)
}

fn refused(
    way: &Way,
    host: Host,
    answer: &Answer,
    stripped: bool,
    open_elsewhere: &[&str],
) -> Finding {
    let path = way.target.path.as_str();
    let says = answer.says();
    if stripped {
        let detail = format!(
            "the broker got the request for {path} without its Upgrade: a proxy on the way takes it away ({says})"
        );
        return Finding::fault(Failure::Refused, "upgrade-stripped", detail).fixes(advice::UPGRADE);
    }
    if let Some(fault) = http::in_the_way(way, answer) {
        return fault;
    }
    if let Some(right) = open_elsewhere.first() {
        let detail =
            format!("{path} is not a path that opens a WebSocket here ({says}); {right} is");
        let url = Target {
            path: (*right).to_owned(),
            ..way.target.clone()
        };
        return Finding::fault(Failure::Refused, "wrong-path", detail).fix(format!("use {url}"));
    }
    let detail = format!("{path} opens no WebSocket: {says}{}", first_line(answer));
    let fault = |code| Finding::fault(Failure::Refused, code, &detail);
    match (answer.status, host) {
        (401 | 403, _) => fault("forbidden")
            .fix("a proxy asks for a login or refuses the address: let /mqtt through without (auth_basic off; allow)"),
        (429, _) => fault("too-many").fix("a proxy limits requests: raise limit_req, or connect again later"),
        (426 | 200 | 400, Host::Other) => fault("upgrade-ignored")
            .fix("what answers does not take WebSocket upgrades at this path, or a proxy on the way takes Upgrade away:")
            .fixes(advice::UPGRADE),
        (404 | 405 | 200..=299, Host::Other) => fault("not-a-broker")
            .fix("this is a web server without a broker behind these paths: see host and port")
            .fix("nginx: location /mqtt { proxy_pass http://ADDRESS_OF_THE_BROKER; } with the Upgrade headers of nginx-example.conf"),
        _ => fault("upgrade-refused").fix("the broker's log says why, under code=websocket.rejected"),
    }
}

/// GateMQ says in words what is wrong; a web server, a page of HTML.
fn first_line(answer: &Answer) -> String {
    let text = answer.text();
    match text.lines().next().map(str::trim) {
        Some(line) if !line.is_empty() && !line.starts_with('<') && !line.starts_with('{') => {
            format!(", {line}")
        }
        Some(_) | None => String::new(),
    }
}

async fn without_subprotocol(way: &Way, path: &str, origin: Option<&str>) -> Finding {
    let asked = Asked {
        path,
        subprotocol: None,
        origin,
    };
    match request::upgrade(way, asked).await {
        Ok(Ok(_)) => Finding::good("no-subprotocol", "without a sub-protocol it opens, too"),
        Ok(Err(answer)) => Finding::note(
            "no-subprotocol",
            format!(
                "without a sub-protocol it is refused ({}): clients must offer mqtt",
                answer.says()
            ),
        ),
        Err(_) => Finding::note(
            "no-subprotocol",
            "without a sub-protocol it is not answered: clients must offer mqtt",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn way() -> Way {
        Way {
            target: Target::parse("ws://a/other").unwrap(),
            addr: "127.0.0.1:1".parse().unwrap(),
            patience: Duration::from_secs(1),
            tls: None,
            is_trusted: true,
        }
    }

    fn refusal(status: u16, host: Host, stripped: bool, elsewhere: &[&str]) -> Finding {
        let answer = Answer {
            status,
            ..Answer::default()
        };
        let mut findings = judge(&way(), host, Outcome::Refused(answer), stripped, elsewhere);
        findings.remove(0)
    }

    #[test]
    fn each_refusal_has_its_name_and_its_advice() {
        let check = |finding: Finding, code: &str, advice: &str| {
            assert_eq!(finding.code, code);
            assert!(finding.fix.join("\n").contains(advice), "{finding:?}");
        };
        check(
            refusal(426, Host::GateMq, true, &[]),
            "upgrade-stripped",
            "proxy_http_version 1.1",
        );
        check(
            refusal(404, Host::GateMq, false, &["/mqtt"]),
            "wrong-path",
            "use ws://a/mqtt",
        );
        check(
            refusal(404, Host::Other, false, &[]),
            "not-a-broker",
            "proxy_pass",
        );
        check(
            refusal(502, Host::Other, false, &[]),
            "bad-gateway",
            "proxy_pass",
        );
        check(
            refusal(200, Host::Other, false, &[]),
            "upgrade-ignored",
            "Upgrade $http_upgrade",
        );
        check(
            refusal(401, Host::Other, false, &[]),
            "forbidden",
            "auth_basic off",
        );
    }

    #[test]
    fn a_subprotocol_that_is_lost_is_a_fault() {
        let outcome = |subprotocol: Option<&str>| Outcome::Open {
            subprotocol: subprotocol.map(str::to_owned),
            is_accepted: true,
        };
        let code = |outcome| judge(&way(), Host::GateMq, outcome, false, &[])[0].code;
        assert_eq!(code(outcome(Some("mqtt"))), "open");
        assert_eq!(code(outcome(None)), "subprotocol-dropped");
        assert_eq!(code(outcome(Some("soap"))), "subprotocol-dropped");
    }

    #[test]
    fn probes_join_the_query() {
        assert_eq!(with_probe("/mqtt", "x"), "/mqtt?probe=x");
        assert_eq!(with_probe("/mqtt?a=b", "x"), "/mqtt?a=b&probe=x");
    }
}
