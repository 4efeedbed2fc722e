//! A client comes back to a long queue: how long until all of it is there, each message acknowledged as it comes.

use std::{collections::HashSet, io};

use tokio::time::Instant;

use crate::{
    connection::{Connection, leave_session, within},
    figures::Figures,
    load::{Load, Until},
    peer::Peer,
    plan::Plan,
    statistics,
    wire::{self, Packet},
};

const PAYLOAD_BYTES: usize = 64;
const SESSION: &str = "drain";

pub(crate) async fn run(peer: &Peer, plan: &Plan, figures: &mut Figures) -> io::Result<()> {
    let (port, count) = (peer.port(), plan.drained);
    leave_session(port, SESSION, "drain/#").await?;
    let fill = Load {
        publishers: 50,
        window: 20,
        payload_bytes: PAYLOAD_BYTES,
        first: 0,
        until: Until::Sent(count),
    };
    fill.run(port, "drain").await?;
    let begin = Instant::now();
    let mut connection = Connection::open(port, SESSION, false).await?;
    drain(&mut connection, count).await?;
    let took = begin.elapsed().as_secs_f64();
    let messages = statistics::count(count);
    let mut record = |what: &str, value: f64| {
        figures.record(peer.kind, &format!("{messages} messages: {what}"), value);
    };
    record("seconds", took);
    record("messages/s", count as f64 / took);
    connection.disconnect().await
}

/// Receives and acknowledges messages until so many different ones were there.
pub(crate) async fn drain(connection: &mut Connection, count: u64) -> io::Result<()> {
    let mut seen = HashSet::new();
    let mut acknowledgements = Vec::new();
    while (seen.len() as u64) < count {
        acknowledgements.clear();
        let first = within(connection.next()).await.map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("after {} messages: {error}", seen.len()),
            )
        })?;
        take(&first, &mut seen, &mut acknowledgements)?;
        // What came with it is acknowledged with it.
        while let Some(packet) = connection.ready()? {
            take(&packet, &mut seen, &mut acknowledgements)?;
        }
        connection.write(&acknowledgements).await?;
    }
    Ok(())
}

fn take(
    packet: &Packet<'_>,
    seen: &mut HashSet<u64>,
    acknowledgements: &mut Vec<u8>,
) -> io::Result<()> {
    let Packet::Publish { packet_id, payload } = packet else {
        return Err(io::Error::other(format!("{packet:?} is no PUBLISH")));
    };
    wire::acknowledge(*packet_id, acknowledgements);
    seen.insert(wire::number(payload)?);
    Ok(())
}
