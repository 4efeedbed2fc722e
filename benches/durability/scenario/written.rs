//! Bytes that go to the disk for each message that is kept: a lone publisher has a commit for each, many share one.

use std::io;

use tokio::time::sleep;

use crate::{
    connection::{Connection, leave_session},
    figures::Figures,
    load::{Load, Until},
    peer::{Kind, Peer},
    plan::Plan,
    process::written_bytes,
};

const PAYLOADS: [(usize, &str); 2] = [(64, "64 B"), (1024, "1 KiB")];

pub(crate) async fn run(peer: &Peer, plan: &Plan, figures: &mut Figures) -> io::Result<()> {
    for (payload_bytes, payload) in PAYLOADS {
        for (publishers, messages) in plan.written {
            let prefix = format!("written{payload_bytes}-{publishers}");
            leave_session(peer.port(), &prefix, &format!("{prefix}/#")).await?;
            let load = Load {
                publishers,
                window: 1,
                payload_bytes,
                first: 0,
                until: Until::Sent(messages),
            };
            let before = written_bytes(peer.pid())?;
            let outcome = load.run(peer.port(), &prefix).await?;
            peer.save().await?;
            sleep(plan.settle).await;
            let written = written_bytes(peer.pid())?.saturating_sub(before);
            let who = match publishers {
                1 => "publisher",
                _ => "publishers",
            };
            let label = format!("{payload}, {publishers} {who}: bytes each");
            figures.record(peer.kind, &label, written as f64 / outcome.sent as f64);
            forget(peer, &prefix).await?;
        }
    }
    if peer.kind == Kind::Mosquitto {
        figures.note(
            "mosquitto writes nothing until its snapshot, which has everything each time: here one, made by SIGUSR1, \
             after each line and of its messages only."
                .to_owned(),
        );
    }
    Ok(())
}

/// Who writes everything each time is not to write the messages of this line with those of the next.
async fn forget(peer: &Peer, session: &str) -> io::Result<()> {
    match peer.kind {
        Kind::Mosquitto => {
            let connection = Connection::open(peer.port(), session, true).await?;
            connection.disconnect().await
        }
        // The others would write that they have forgotten.
        Kind::GateMq | Kind::RabbitMq => Ok(()),
    }
}
