//! One message for many sessions whose clients are away: stored once, or as often as there are sessions.

use std::io;

use crate::{
    connection::{for_each, leave_session},
    figures::Figures,
    load::{Load, Until},
    peer::Peer,
    plan::Plan,
    process::written_bytes,
    statistics,
};

const PAYLOAD_BYTES: usize = 1024;

pub(crate) async fn run(peer: &Peer, plan: &Plan, figures: &mut Figures) -> io::Result<()> {
    let port = peer.port();
    let leave = |number| async move {
        leave_session(port, &format!("fan-out-{number}"), "fan-out/#").await
    };
    for_each(plan.sessions, leave).await?;
    let load = Load {
        publishers: 1,
        window: 1,
        payload_bytes: PAYLOAD_BYTES,
        first: 0,
        until: Until::Sent(plan.fan_outs),
    };
    let before = written_bytes(peer.pid())?;
    let outcome = load.run(port, "fan-out").await?;
    peer.save().await?;
    let written = written_bytes(peer.pid())?.saturating_sub(before);
    let sessions = statistics::count(plan.sessions as u64);
    let mut record = |what: &str, value: f64| {
        figures.record(
            peer.kind,
            &format!("{sessions} sessions, 1 KiB: {what}"),
            value,
        );
    };
    record("p50 ms to PUBACK", outcome.latency_ms(50.0));
    record("p99 ms to PUBACK", outcome.latency_ms(99.0));
    record("bytes written each", written as f64 / outcome.sent as f64);
    Ok(())
}
