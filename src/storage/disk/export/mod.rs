//! A store as JSON lines, for scripts and for other brokers: README.md describes them, `lines` is their shape, and
//! `import` reads them. Of a running store as it is at one moment.
//!
//! Messages come first, each once but for those that lie in one queue, then the sessions, each followed by what belongs
//! to it, then what is retained. What belongs to sessions that are over, or is damaged, is left out; without it the same
//! store gives the same bytes.

mod lines;

pub(super) use self::lines::VERSION;

use std::io::Write;

use self::lines::{Body, Counts, Line, Message, Session, Subscription};
use super::{
    engine::{Engine, Table, View},
    load::{self, SHORT_KEY},
    numbers::Numbers,
    record::{self, Corrupt, Entry, Moment},
    stage::{complain, message_key, session_key},
};
use crate::{
    message::ClientId,
    storage::{Copied, CopyError, SessionId},
    telemetry::Metrics,
};

/// The longest line there is: the payload of the largest packet, 256 MiB, in base64, and what is beside it.
pub(super) const MAX_LINE: usize = 400 * 1024 * 1024;

pub(super) fn write(engine: &Engine, to: &mut dyn Write) -> Result<Copied, CopyError> {
    let view = engine.view();
    let mut export = Export {
        view: &view,
        to,
        line: Vec::new(),
        lines: 0,
        counts: Counts::default(),
        metrics: Metrics::default(),
        moment: Moment::epoch(),
    };
    export.put(&Line::Header {
        version: VERSION,
        gatemq: env!("CARGO_PKG_VERSION"),
    })?;
    let queued = export.queued()?;
    let written = export.messages(&queued)?;
    export.sessions(&written)?;
    export.retained()?;
    let counts = export.counts;
    export.put(&Line::End(counts))?;
    Ok(Copied {
        rows: export.lines,
        damaged: u64::try_from(export.metrics.store_corrupt.get()).unwrap_or_default(),
    })
}

struct Export<'a> {
    view: &'a View<'a>,
    to: &'a mut dyn Write,
    /// What is being written, kept for its room.
    line: Vec<u8>,
    lines: u64,
    counts: Counts,
    /// Counts what is damaged.
    metrics: Metrics,
    moment: Moment,
}

impl Export<'_> {
    /// Writes a line; whether it is one that can be read again.
    fn put(&mut self, line: &Line<'_>) -> Result<bool, CopyError> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, line)
            .map_err(|error| CopyError::Output(error.into()))?;
        if self.line.len() > MAX_LINE {
            return Ok(false);
        }
        self.line.push(b'\n');
        self.to.write_all(&self.line).map_err(CopyError::Output)?;
        self.lines += 1;
        Ok(true)
    }

    /// Each row, or what is wrong with it.
    fn each(
        &mut self,
        table: Table,
        prefix: &[u8],
        mut read: impl FnMut(&mut Self, &[u8], &[u8]) -> Result<Result<(), Corrupt>, CopyError>,
    ) -> Result<(), CopyError> {
        let view = self.view;
        view.scan(table, prefix, |key, value| {
            if let Err(corrupt) = read(self, key, value)? {
                complain(&self.metrics, table, key, corrupt);
            }
            Ok(())
        })
    }

    /// The messages that are queued for anybody: a session that is over leaves its places to be swept.
    fn queued(&self) -> Result<Numbers, CopyError> {
        let mut found = Numbers::default();
        let (mut current, mut is_there) = (None, false);
        self.view.scan(Table::Queues, &[], |key, value| {
            let Ok(id) = load::id_of(key) else {
                return Ok::<_, CopyError>(());
            };
            if current != Some(id) {
                current = Some(id);
                is_there = self.view.get(Table::Sessions, &session_key(id))?.is_some();
            }
            if is_there && let Ok(Entry::Elsewhere(number, _)) = record::decode_entry(key, value) {
                found.insert(number);
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Writes them; which of them could be.
    fn messages(&mut self, queued: &Numbers) -> Result<Numbers, CopyError> {
        let mut written = Numbers::default();
        self.each(Table::Messages, &[], |this, key, value| {
            let Some((number, _)) = key.split_first_chunk::<8>() else {
                return Ok(Err(SHORT_KEY));
            };
            let id = u64::from_be_bytes(*number);
            if !queued.contains(id) {
                return Ok(Ok(()));
            }
            let message = match record::decode_message(key, value, this.moment) {
                Ok(message) => message,
                Err(corrupt) => return Ok(Err(corrupt)),
            };
            let message = Message::of(&message, false, this.moment);
            if !this.put(&Line::Message { id, message })? {
                return Ok(Err(TOO_LONG));
            }
            written.insert(id);
            this.counts.messages += 1;
            Ok(Ok(()))
        })?;
        Ok(written)
    }

    fn sessions(&mut self, written: &Numbers) -> Result<(), CopyError> {
        self.each(Table::Sessions, &[], |this, key, value| {
            let decoded = load::id_of(key).and_then(|id| {
                let record = record::decode_session(id, key, value, this.moment)?;
                Ok((id, record))
            });
            let (id, record) = match decoded {
                Ok(decoded) => decoded,
                Err(corrupt) => return Ok(Err(corrupt)),
            };
            let session = Box::new(Session::of(&record, this.moment));
            if !this.put(&Line::Session(session))? {
                return Ok(Err(TOO_LONG));
            }
            this.counts.sessions += 1;
            this.subscriptions(id, &record.client_id)?;
            this.received(id, &record.client_id)?;
            this.queue(id, &record.client_id, written)?;
            Ok(Ok(()))
        })
    }

    fn subscriptions(&mut self, id: SessionId, client_id: &ClientId) -> Result<(), CopyError> {
        self.each(
            Table::Subscriptions,
            &session_key(id),
            |this, key, value| match record::decode_subscription(key, value) {
                Ok((filter, options)) => {
                    let line = Subscription::of(client_id, &filter, options);
                    this.put(&Line::Subscription(line))?;
                    this.counts.subscriptions += 1;
                    Ok(Ok(()))
                }
                Err(corrupt) => Ok(Err(corrupt)),
            },
        )
    }

    fn received(&mut self, id: SessionId, client_id: &ClientId) -> Result<(), CopyError> {
        self.each(Table::Received, &session_key(id), |this, key, value| {
            match record::decode_received(key, value) {
                Ok(packet_id) => {
                    let packet_id = packet_id.get();
                    this.put(&Line::Received {
                        client_id,
                        packet_id,
                    })?;
                    this.counts.received += 1;
                    Ok(Ok(()))
                }
                Err(corrupt) => Ok(Err(corrupt)),
            }
        })
    }

    fn queue(
        &mut self,
        id: SessionId,
        client_id: &ClientId,
        written: &Numbers,
    ) -> Result<(), CopyError> {
        self.each(Table::Queues, &session_key(id), |this, key, value| {
            let Some((_, place)) = key.split_last_chunk::<8>() else {
                return Ok(Err(SHORT_KEY));
            };
            let place = u64::from_be_bytes(*place);
            match record::decode_entry(key, value) {
                Ok(Entry::Released) => {
                    this.put(&Line::Released { client_id, place })?;
                    this.counts.released += 1;
                }
                Ok(Entry::Here(message, options)) => {
                    let message = match message.message(this.moment) {
                        Ok(message) => message,
                        Err(corrupt) => return Ok(Err(corrupt)),
                    };
                    let message = Body::Here(Message::of(&message, false, this.moment));
                    this.put(&lines::queued(client_id, place, message, &options))?;
                    this.counts.queued += 1;
                }
                Ok(Entry::Elsewhere(message, options)) if written.contains(message) => {
                    let message = Body::Elsewhere(message);
                    this.put(&lines::queued(client_id, place, message, &options))?;
                    this.counts.queued += 1;
                }
                // That was said of the message already, unless there is none.
                Ok(Entry::Elsewhere(message, _)) => {
                    let key = message_key(message);
                    if this.view.get(Table::Messages, &key)?.is_none() {
                        return Ok(Err(Corrupt::MISSING));
                    }
                }
                Err(corrupt) => return Ok(Err(corrupt)),
            }
            Ok(Ok(()))
        })
    }

    fn retained(&mut self) -> Result<(), CopyError> {
        self.each(Table::Retained, &[], |this, key, value| {
            let message = match record::decode_message(key, value, this.moment) {
                Ok(message) => message,
                Err(corrupt) => return Ok(Err(corrupt)),
            };
            if !this.put(&Line::Retained(Message::of(&message, true, this.moment)))? {
                return Ok(Err(TOO_LONG));
            }
            this.counts.retained += 1;
            Ok(Ok(()))
        })
    }
}

const TOO_LONG: Corrupt = Corrupt::new("it is too long for a line");
