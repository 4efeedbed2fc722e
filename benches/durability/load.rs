//! Publishers in a closed loop: each has so many messages under way, and sends the next when one is acknowledged.
//! Latency is from the write of a PUBLISH to the PUBACK that was read.

use std::{
    cell::{Cell, RefCell},
    io,
    rc::Rc,
    time::Duration,
};

use hdrhistogram::Histogram;
use tokio::{task::JoinSet, time::Instant};

use crate::{
    connection::{Connection, for_each, within},
    wire::{Packet, Template},
};

/// The longest latency that is told apart from longer ones, in microseconds.
const MAX_LATENCY: u64 = 120_000_000;

/// Who publishes what.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) publishers: usize,
    /// Messages that each has under way.
    pub(crate) window: u16,
    pub(crate) payload_bytes: usize,
    /// The number in the first payload; the next has the next.
    pub(crate) first: u64,
    pub(crate) until: Until,
}

/// When it ends.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    /// What is acknowledged after the warm-up and within the time is counted.
    Elapsed {
        warm_up: Duration,
        measured: Duration,
    },
    /// After so many messages in all, each of them counted.
    Sent(u64),
}

/// What came of it. All that was sent is acknowledged.
pub(crate) struct Outcome {
    /// Messages that were counted.
    pub(crate) counted: u64,
    /// All messages.
    pub(crate) sent: u64,
    /// Those of each publisher.
    pub(crate) sent_by: Vec<u64>,
    pub(crate) elapsed: Duration,
    /// In microseconds.
    pub(crate) latency: Histogram<u64>,
}

/// What the publishers share; they are tasks of one thread.
struct Shared {
    first: u64,
    sent: Cell<u64>,
    latency: RefCell<Histogram<u64>>,
    /// Latencies are recorded from then on.
    from: Instant,
    until: Until,
}

impl Load {
    /// Publishes to `PREFIX/0`, `PREFIX/1` and so on, a topic for each publisher. To be called within a `LocalSet`.
    pub(crate) async fn run(self, port: u16, prefix: &str) -> io::Result<Outcome> {
        let client = |number: usize| format!("{}-publisher-{number}", prefix.replace('/', "-"));
        let open = |number| {
            let client_id = client(number);
            async move { Ok((number, Connection::open(port, &client_id, true).await?)) }
        };
        let connections = for_each(self.publishers, open).await?;
        let warm_up = match self.until {
            Until::Elapsed { warm_up, .. } => warm_up,
            Until::Sent(_) => Duration::ZERO,
        };
        let begin = Instant::now();
        let histogram = Histogram::new_with_max(MAX_LATENCY, 3).map_err(io::Error::other)?;
        let shared = Rc::new(Shared {
            first: self.first,
            sent: Cell::new(0),
            latency: RefCell::new(histogram),
            from: begin + warm_up,
            until: self.until,
        });
        let mut running = JoinSet::new();
        for (number, connection) in connections {
            let template = Template::new(&format!("{prefix}/{number}"), self.payload_bytes);
            let publisher = Publisher {
                connection,
                template,
                shared: shared.clone(),
                begun: vec![None; usize::from(self.window)],
                sent: 0,
            };
            running.spawn_local(async move { publisher.run().await.map(|sent| (number, sent)) });
        }
        let mut sent_by = vec![0; self.publishers];
        while let Some(ended) = running.join_next().await {
            let (number, sent) = ended.map_err(io::Error::other)??;
            sent_by[number] = sent;
        }
        let latency = shared.latency.borrow().clone();
        Ok(Outcome {
            counted: latency.len(),
            sent: shared.sent.get(),
            sent_by,
            elapsed: match self.until {
                Until::Elapsed { measured, .. } => measured,
                Until::Sent(_) => begin.elapsed(),
            },
            latency,
        })
    }
}

impl Outcome {
    /// Messages acknowledged in a second.
    pub(crate) fn rate(&self) -> f64 {
        self.counted as f64 / self.elapsed.as_secs_f64()
    }

    /// A percentile of the latency, in milliseconds.
    pub(crate) fn latency_ms(&self, percentile: f64) -> f64 {
        self.latency.value_at_quantile(percentile / 100.0) as f64 / 1000.0
    }
}

impl Shared {
    /// The number of the next message, unless there is none.
    fn next(&self) -> Option<u64> {
        let sent = self.sent.get();
        let is_over = match self.until {
            Until::Elapsed { measured, .. } => self.from.elapsed() >= measured,
            Until::Sent(count) => sent >= count,
        };
        if is_over {
            return None;
        }
        self.sent.set(sent + 1);
        Some(self.first + sent)
    }

    fn record(&self, begun: Instant) {
        let now = Instant::now();
        let is_counted = match self.until {
            Until::Elapsed { measured, .. } => now >= self.from && now < self.from + measured,
            Until::Sent(_) => true,
        };
        if is_counted {
            let micros = u64::try_from((now - begun).as_micros()).unwrap_or(MAX_LATENCY);
            self.latency.borrow_mut().saturating_record(micros);
        }
    }
}

struct Publisher {
    connection: Connection,
    template: Template,
    shared: Rc<Shared>,
    /// When each of its messages left, by packet identifier less one; peers may acknowledge in any order.
    begun: Vec<Option<Instant>>,
    sent: u64,
}

impl Publisher {
    /// How many it has sent, all of which are acknowledged.
    async fn run(mut self) -> io::Result<u64> {
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            self.write(&mut bytes);
            if !bytes.is_empty() {
                self.connection.write(&bytes).await?;
            } else if self.begun.iter().all(Option::is_none) {
                return Ok(self.sent);
            }
            let first = puback(&within(self.connection.next()).await?)?;
            self.acknowledged(first)?;
            while let Some(packet) = self.connection.ready()? {
                let packet_id = puback(&packet)?;
                self.acknowledged(packet_id)?;
            }
        }
    }

    /// As many as are free to leave, for one write.
    fn write(&mut self, bytes: &mut Vec<u8>) {
        for (packet_id, begun) in (1..).zip(&mut self.begun) {
            if begun.is_none() {
                let Some(number) = self.shared.next() else {
                    return;
                };
                self.template.write(packet_id, number, bytes);
                *begun = Some(Instant::now());
                self.sent += 1;
            }
        }
    }

    fn acknowledged(&mut self, packet_id: u16) -> io::Result<()> {
        let place = usize::from(packet_id).checked_sub(1);
        let begun = place.and_then(|place| self.begun.get_mut(place)?.take());
        let begun =
            begun.ok_or_else(|| io::Error::other(format!("PUBACK {packet_id} of nothing")))?;
        self.shared.record(begun);
        Ok(())
    }
}

/// Its packet identifier. A publisher is sent nothing else.
fn puback(packet: &Packet<'_>) -> io::Result<u16> {
    match packet {
        Packet::PubAck(packet_id) => Ok(*packet_id),
        Packet::ConnAck(_) | Packet::SubAck(_) | Packet::Publish { .. } => {
            Err(io::Error::other(format!("{packet:?} is no PUBACK")))
        }
    }
}
