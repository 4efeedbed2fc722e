//! Publish to PUBACK, where what is published waits for a session whose client is away: before the acknowledgement the
//! message has to be on the disk, by those who promise that. Beside it what the disk needs for one fdatasync.

use std::{io, time::Duration};

use crate::{
    connection::leave_session,
    disk::Syncs,
    figures::Figures,
    load::{Load, Until},
    metrics::Store,
    peer::{Kind, Peer},
    plan::Plan,
    usage::Usage,
};

const PAYLOAD_BYTES: usize = 64;

pub(crate) async fn run(peer: &Peer, plan: &Plan, figures: &mut Figures) -> io::Result<()> {
    let syncs = Syncs::measure(peer.folder(), plan.syncs)?;
    let kind = peer.kind;
    figures.record(kind, "4 KiB and fdatasync, p50 ms", syncs.ms(50.0));
    figures.record(kind, "4 KiB and fdatasync, p99 ms", syncs.ms(99.0));
    for (number, (publishers, window)) in plan.loads.iter().copied().enumerate() {
        let load = Load {
            publishers,
            window,
            payload_bytes: PAYLOAD_BYTES,
            first: 0,
            until: Until::Elapsed {
                warm_up: plan.warm_up,
                measured: plan.measured,
            },
        };
        // A session and topics of its own: what is in store from before is in nobody's way.
        let prefix = format!("load{number}");
        leave_session(peer.port(), &prefix, &format!("{prefix}/#")).await?;
        measure(peer, load, &prefix, figures).await?;
    }
    Ok(())
}

async fn measure(peer: &Peer, load: Load, prefix: &str, figures: &mut Figures) -> io::Result<()> {
    let cpu = cpu(peer)?;
    let store = store(peer).await?;
    let outcome = load.run(peer.port(), prefix).await?;
    let cpu = self::cpu(peer)?.saturating_sub(cpu);
    let label = |what: &str| format!("{}: {what}", title(load));
    let mut record = |what: &str, value: f64| figures.record(peer.kind, &label(what), value);
    record("messages/s", outcome.rate());
    record("p50 ms", outcome.latency_ms(50.0));
    record("p99 ms", outcome.latency_ms(99.0));
    let sent = outcome.sent.max(1) as f64;
    record("broker's CPU, µs each", cpu.as_secs_f64() * 1e6 / sent);
    if let (Some(before), Some(after)) = (store, self::store(peer).await?) {
        let syncs = (after.syncs - before.syncs).max(1);
        record("messages for each fdatasync", sent / syncs as f64);
    }
    Ok(())
}

fn cpu(peer: &Peer) -> io::Result<Duration> {
    let usage = Usage::of(peer.pid()).map_err(io::Error::other)?;
    Ok(usage.cpu)
}

/// GateMQ counts them; with the others one would have to watch each call.
async fn store(peer: &Peer) -> io::Result<Option<Store>> {
    match peer.kind {
        Kind::GateMq => Store::of(peer.port()).await.map(Some),
        Kind::Mosquitto | Kind::RabbitMq => Ok(None),
    }
}

fn title(load: Load) -> String {
    let Load {
        publishers, window, ..
    } = load;
    let publishers = match publishers {
        1 => "1 publisher".to_owned(),
        many => format!("{many} publishers"),
    };
    match window {
        1 => publishers,
        more => format!("{publishers}, {more} under way"),
    }
}
