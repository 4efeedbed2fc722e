//! Silence: whether anybody on the way cuts a connection on which nothing is said, and after how long.

use std::{io, time::Duration};

use tokio::time::{Instant, timeout};

use super::{
    Options, advice,
    connect::{connect_packet, open},
    link::Link,
    report::{Failure, Finding},
    way::Way,
};
use crate::mqtt::packet::{Packet, ProtocolVersion};

/// Holds a connection without keep alive and says nothing on it; PINGs of WebSocket are answered, as all clients do.
pub(super) async fn examine(
    way: &Way,
    path: Option<&str>,
    options: &Options,
    idle: Duration,
) -> Vec<Finding> {
    // A broker may tell clients of MQTT 5 to speak more often; a client of 3.1.1 may be silent.
    let version = ProtocolVersion::V3_1_1;
    let mut link = match open(way, path, options.origin.as_deref(), version).await {
        Ok(link) => link,
        Err(finding) => return vec![finding],
    };
    let packet = Packet::Connect(Box::new(connect_packet(options, version, 0)));
    let connecting = async {
        link.send(&packet).await?;
        link.receive().await
    };
    match way.patiently(connecting).await {
        Ok(Packet::ConnAck(answer)) if !answer.reason_code.is_error() => {}
        Ok(_) | Err(_) => {
            let detail = "a second connection, of MQTT 3.1.1 without keep alive, is not accepted";
            let finding = Finding::note("idle-not-tried", detail);
            return vec![
                finding.fix("the broker asks for a keep alive: choose one below a minute"),
            ];
        }
    }
    let begin = Instant::now();
    let ended = timeout(idle, silence(&mut link)).await;
    vec![judge(ended.ok(), begin.elapsed(), idle, &link)]
}

/// Until somebody ends it.
async fn silence(link: &mut Link) -> io::Error {
    loop {
        if let Err(error) = link.receive().await {
            return error;
        }
    }
}

fn judge(ended: Option<io::Error>, after: Duration, idle: Duration, link: &Link) -> Finding {
    let pings = match (link.is_websocket(), link.pings) {
        (false, _) => String::new(),
        (true, 0) => "; no PING of the broker's came in that time".to_owned(),
        (true, 1) => "; one PING of the broker's came in that time".to_owned(),
        (true, count) => format!("; {count} PINGs of the broker's came in that time"),
    };
    let Some(error) = ended else {
        let detail = format!(
            "nobody cut a silent connection within {} s{pings}",
            idle.as_secs()
        );
        return Finding::good("idle-kept", detail);
    };
    let after = after.as_secs_f64();
    if let Some((code, reason)) = &link.close {
        let detail = format!(
            "the broker itself closed the silent connection after {after:.1} s with {code} {reason}"
        );
        return Finding::fault(Failure::Refused, "idle-closed", detail)
            .fix("the broker's log says why, under code=client.disconnected");
    }
    let detail =
        format!("a silent connection was cut after {after:.1} s without a word ({error}){pings}");
    Finding::fault(Failure::TimedOut, "idle-cut", detail)
        .fix("a proxy, load balancer or firewall on the way has an idle limit of about that:")
        .fixes(advice::IDLE)
        .fix(format!(
            "clients: a keep alive of {:.0} s or less",
            (after / 2.0).max(1.0).floor()
        ))
}
