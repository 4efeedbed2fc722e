//! CONNECT: whether it is accepted, and if not, what would make it so.

use std::io;

use bytes::Bytes;

use super::{
    Options,
    link::Link,
    report::{Failure, Finding},
    request::{self, Asked, NoAnswer},
    sniff::{self, Spoken},
    upgrade::SUBPROTOCOL,
    way::{Way, is_closed},
};
use crate::{
    client::reason,
    mqtt::packet::{ConnAck, Connect, Packet, ProtocolVersion, ReasonCode},
};

/// A link on which CONNECT was accepted.
pub(super) struct Connected {
    pub(super) link: Link,
}

/// Opens a link and says CONNECT, in the newest version that is spoken there.
pub(super) async fn examine(
    way: &Way,
    path: Option<&str>,
    options: &Options,
) -> (Vec<Finding>, Option<Connected>) {
    let mut findings: Vec<Finding> = in_the_clear(way, options).into_iter().collect();
    let (finding, connected) = attempt(way, path, options, ProtocolVersion::V5).await;
    if finding.code != "version" {
        findings.push(finding);
        return (findings, connected);
    }
    findings.push(Finding::note("version", "MQTT 5 is not spoken there"));
    let (finding, connected) = attempt(way, path, options, ProtocolVersion::V3_1_1).await;
    findings.push(finding);
    (findings, connected)
}

/// Everybody on the way can read it.
fn in_the_clear(way: &Way, options: &Options) -> Option<Finding> {
    let is_readable = options.password.is_some() && !way.target.tls && !way.addr.ip().is_loopback();
    let scheme = way.target.scheme();
    is_readable.then(|| {
        Finding::note("password-in-the-clear", "the password travels without TLS")
            .fix(format!("{scheme}s:// keeps it from whoever is on the way"))
    })
}

async fn attempt(
    way: &Way,
    path: Option<&str>,
    options: &Options,
    version: ProtocolVersion,
) -> (Finding, Option<Connected>) {
    let mut link = match open(way, path, options.origin.as_deref(), version).await {
        Ok(link) => link,
        Err(finding) => return (finding, None),
    };
    let packet = Packet::Connect(Box::new(connect_packet(options, version, 30)));
    let exchange = async {
        link.send(&packet).await?;
        link.receive().await
    };
    match way.patiently(exchange).await {
        Ok(Packet::ConnAck(answer)) if !answer.reason_code.is_error() => {
            let detail = format!("accepted, MQTT {}", version.as_str());
            (Finding::good("accepted", detail), Some(Connected { link }))
        }
        Ok(Packet::ConnAck(answer)) => (refused(&answer, options), None),
        Ok(packet) => {
            let detail = format!(
                "CONNECT is answered by {}, which is not MQTT",
                packet.name()
            );
            let fault = Finding::fault(Failure::Unreachable, "not-mqtt", detail);
            (
                fault.fix("see that the port belongs to an MQTT broker"),
                None,
            )
        }
        Err(error) => (unanswered(way, &link, &error, version).await, None),
    }
}

/// A link on which nothing has been said.
pub(super) async fn open(
    way: &Way,
    path: Option<&str>,
    origin: Option<&str>,
    version: ProtocolVersion,
) -> Result<Link, Finding> {
    let Some(path) = path else {
        return match way.open().await {
            Ok(stream) => Ok(Link::over_stream(stream, version)),
            Err(error) => Err(super::http::unanswered(way, NoAnswer::from(error)).await),
        };
    };
    let asked = Asked {
        path,
        subprotocol: Some(SUBPROTOCOL),
        origin,
    };
    match request::upgrade(way, asked).await {
        Ok(Ok(upgraded)) => Ok(Link::over_websocket(upgraded, version).await),
        Ok(Err(answer)) => {
            let detail = format!(
                "the WebSocket that opened before is now refused: {}",
                answer.says()
            );
            Err(Finding::fault(Failure::Refused, "unsteady", detail)
                .fix("ask again; where it stays so, a balancer in front has several brokers, and not all are well"))
        }
        Err(no_answer) => Err(super::http::unanswered(way, no_answer).await),
    }
}

/// CONNECT as the doctor says it: clean start, no will.
pub(super) fn connect_packet(
    options: &Options,
    version: ProtocolVersion,
    keep_alive: u16,
) -> Connect {
    let client_id = format!("gatemq-doctor-{:08x}", rand::random::<u32>());
    Connect {
        version,
        client_id: client_id.into(),
        clean_start: true,
        keep_alive,
        username: options.username.as_deref().map(Into::into),
        password: options.password.clone().map(Bytes::from),
        will: None,
        session_expiry_interval: 0,
        receive_maximum: u16::MAX,
        maximum_packet_size: None,
        topic_alias_maximum: 0,
        request_response_information: false,
        request_problem_information: true,
        authentication: None,
        user_properties: Vec::new(),
    }
}

fn refused(answer: &ConnAck, options: &Options) -> Finding {
    let code = answer.reason_code;
    let why = match &answer.reason_string {
        Some(why) => format!(": {why}"),
        None => String::new(),
    };
    let detail = format!("refused, {}{why}", reason::words(code));
    let fault = |code| Finding::fault(Failure::Refused, code, &detail);
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the others say in their reason what they are about"
    )]
    match code {
        ReasonCode::UnsupportedProtocolVersion => fault("version")
            .fix("a broker that speaks neither MQTT 5 nor 3.1.1: choose the version in the client"),
        ReasonCode::BadUserNameOrPassword => fault("bad-credentials")
            .fix("user name and password: -u USER and --password-file FILE, or -P PASSWORD")
            .fix("in a URL, / ? # @ : and % of a password are written %2F %3F %23 %40 %3A %25"),
        ReasonCode::NotAuthorized if options.username.is_none() => fault("not-authorized")
            .fix("say who you are: -u USER and --password-file FILE, or -P PASSWORD")
            .fix("or let in everybody: allow_anonymous = true in [mqtt]"),
        ReasonCode::NotAuthorized => fault("not-authorized")
            .fix("this user may not connect here: see the permissions of the user, and the broker's log")
            .fix("GateMQ has no users yet: allow_anonymous = true in [mqtt] lets in everybody"),
        ReasonCode::ServerUnavailable | ReasonCode::ServerBusy | ReasonCode::QuotaExceeded => fault("full")
            .fix("the broker is full or stops: connect later, or raise [limits] and max_sessions in [mqtt]"),
        ReasonCode::ClientIdentifierNotValid => fault("client-id")
            .fix("the broker has rules for client identifiers, and ours (gatemq-doctor-…) does not follow them"),
        _ => fault("connect-refused").fix("the broker's log says why, under code=client.disconnected"),
    }
}

/// No CONNACK.
async fn unanswered(
    way: &Way,
    link: &Link,
    error: &io::Error,
    version: ProtocolVersion,
) -> Finding {
    if let Some((code, reason)) = &link.close {
        return closed_with(*code, reason);
    }
    if error.kind() == io::ErrorKind::TimedOut {
        let detail = format!("CONNECT is not answered within {:?}", way.patience);
        return Finding::fault(Failure::TimedOut, "no-connack", detail).fix(
            "see that the port belongs to an MQTT broker, and that its machine is not overloaded",
        );
    }
    if !link.is_websocket()
        && !way.target.tls
        && (is_closed(error) || error.kind() == io::ErrorKind::InvalidData)
    {
        match sniff::spoken(way).await {
            Spoken::Tls => return super::http::unanswered(way, NoAnswer::Tls).await,
            Spoken::Http => return http_only(way),
            Spoken::Mqtt | Spoken::Nothing => {}
        }
    } else if !link.is_websocket() && request::get(way, "/livez").await.is_ok() {
        return http_only(way);
    }
    let is_other = is_closed(error) || error.kind() == io::ErrorKind::InvalidData;
    if version == ProtocolVersion::V5 && is_other {
        // Brokers of old refuse in the words of 3.1.1 a version that they do not know, or without a word.
        return Finding::fault(Failure::Refused, "version", "no CONNACK of MQTT 5");
    }
    let detail = format!("CONNECT is not answered: {error}");
    Finding::fault(Failure::Refused, "no-connack", detail)
        .fix("the broker's log has a line for each connection that ends, with its reason")
        .fix("a listener with proxy_protocol = \"required\" answers nobody but the proxy")
}

fn http_only(way: &Way) -> Finding {
    let scheme = if way.target.tls { "wss" } else { "ws" };
    Finding::fault(Failure::Refused, "http-only", "this port takes HTTP only, and no MQTT without WebSocket")
        .fix(format!("{scheme}://{}:{}/mqtt for this port", way.target.host, way.target.port))
        .fix("a proxy that ends TLS for HTTP cannot pass MQTT on: nginx-example.conf passes TLS through (stream, ssl_preread)")
        .fix("or \"mqtt\" in protocols of this [[listener]]")
}

/// The WebSocket was closed instead, with words.
fn closed_with(code: u16, reason: &str) -> Finding {
    let detail = format!("the WebSocket is closed with {code} {reason}");
    let fault = |code| Finding::fault(Failure::Refused, code, &detail);
    if reason.starts_with("origin ") {
        let origin = reason.split_whitespace().nth(1).unwrap_or("https://PAGE");
        return fault("origin-refused").fix(format!(
            "allowed_origins = [\"{origin}\"] in [websocket] lets pages from there in"
        ));
    }
    match code {
        1013 => fault("full").fix("the broker is full: connect later, or raise [limits]"),
        1001 => fault("stopping").fix("the broker is stopping: connect again in a moment"),
        _ => fault("closed").fix("the broker's log says why, under code=client.disconnected"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::client::{Target, Trust};

    fn options(username: Option<&str>) -> Options {
        Options {
            target: Target::parse("ws://a").unwrap(),
            trust: Trust::default(),
            username: username.map(str::to_owned),
            password: None,
            origin: None,
            topic: None,
            timeout: Duration::from_secs(1),
            idle: None,
        }
    }

    #[test]
    fn each_refusal_has_its_advice() {
        let check = |code: ReasonCode, username: Option<&str>, expected: &str, advice: &str| {
            let mut answer = ConnAck::new(false, code);
            answer.reason_string = Some("a reason".into());
            let finding = refused(&answer, &options(username));
            assert_eq!(finding.code, expected);
            assert!(finding.detail.ends_with(": a reason"), "{finding:?}");
            assert!(finding.fix.join("\n").contains(advice), "{finding:?}");
        };
        let wrong = ReasonCode::BadUserNameOrPassword;
        check(wrong, Some("me"), "bad-credentials", "--password-file");
        let denied = ReasonCode::NotAuthorized;
        check(denied, None, "not-authorized", "-u USER");
        check(denied, Some("me"), "not-authorized", "permissions");
        check(ReasonCode::ServerBusy, None, "full", "later");
        check(ReasonCode::Banned, None, "connect-refused", "log");
        let version = ReasonCode::UnsupportedProtocolVersion;
        check(version, None, "version", "version");
    }

    #[test]
    fn a_close_frame_says_why() {
        let check = |code: u16, reason: &str, expected: &str, advice: &str| {
            let finding = closed_with(code, reason);
            assert_eq!(finding.code, expected);
            assert!(finding.fix.join("\n").contains(advice), "{finding:?}");
        };
        let refused = "origin https://x is not in allowed_origins";
        check(1008, refused, "origin-refused", "[\"https://x\"]");
        check(1013, "", "full", "later");
        check(1001, "", "stopping", "again");
        check(1008, "banned", "closed", "log");
    }
}
