//! A store from JSON lines: of an export, or written by hand. Each line is checked and put beside the place of the store,
//! which it becomes when the last one has been found right: the lines are read once, and may come out of a pipe.
//!
//! A line refers to what comes before it: whoever a subscription belongs to, the message that is queued.

mod fields;
mod values;

use std::{
    collections::HashMap,
    io::{BufRead, Read},
    path::Path,
    sync::Arc,
    time::SystemTime,
};

use self::fields::{Fields, MAX_NUMBER, Problem, shown_text};
use super::{
    engine::{Key, Table},
    export::{MAX_LINE, VERSION},
    fill::Filling,
    numbers::Numbers,
    record::{self, Entry, Moment, Options},
    stage,
};
use crate::{
    message::{ClientId, Message},
    router::Delivery,
    storage::{FillError, Imported, SessionId, StorageError},
};

/// The longest first line: what is no export is refused before much of it is read.
const MAX_HEADER: usize = 64 * 1024;

/// The kinds of lines, as they are named.
const KINDS: [&str; 8] = [
    "message",
    "session",
    "subscription",
    "received",
    "queued",
    "released",
    "retained",
    "end",
];

pub(super) fn import(from: &mut dyn BufRead, store: &Path) -> Result<Imported, FillError> {
    let mut lines = Lines { from, number: 0 };
    let header = lines.next(MAX_HEADER)?;
    header_is_known(header.as_deref()).map_err(|problem| lines.wrong(problem))?;
    let mut import = Import {
        filling: Filling::begin(store)?,
        moment: Moment::epoch(),
        sessions: HashMap::new(),
        queued: Numbers::default(),
        counts: [0; KINDS.len()],
    };
    let mut has_ended = false;
    while let Some(line) = lines.next(MAX_LINE)? {
        if has_ended {
            return Err(lines.wrong("it comes after the end line, expected nothing".to_owned()));
        }
        has_ended = import.line(&line).map_err(|mistake| match mistake {
            Mistake::Line(problem) => lines.wrong(problem),
            Mistake::Storage(error) => error.into(),
        })?;
    }
    if !has_ended {
        let text = "the file ends here, expected a last line {\"type\":\"end\"}: it was cut, or that line was forgotten";
        return Err(lines.wrong(text.to_owned()));
    }
    import.finish()
}

fn header_is_known(line: Option<&[u8]>) -> Result<(), Problem> {
    let expected =
        format!("{{\"type\":\"gatemq-export\",\"version\":{VERSION}}} as the first line");
    let Some(line) = line else {
        return Err(format!("nothing is there, expected {expected}"));
    };
    if line.starts_with(b"GateMQ backup") {
        return Err("it is a backup, which is for `gatemq restore`".to_owned());
    }
    let not_one = |problem| format!("{problem}; expected {expected}");
    let mut fields = Fields::parse(line).map_err(not_one)?;
    let kind = fields.text("type", "\"gatemq-export\"").map_err(not_one)?;
    if kind != "gatemq-export" {
        return Err(format!(
            "type is {}, expected {expected}",
            shown_text(&kind)
        ));
    }
    let version = fields.number("version", 0..=MAX_NUMBER).map_err(not_one)?;
    if version != VERSION {
        return Err(format!(
            "version is {version}, expected {VERSION}, which is what GateMQ {} reads: \
             import it with the version that has written it",
            env!("CARGO_PKG_VERSION")
        ));
    }
    fields.optional_text("gatemq", "the version that wrote it")?;
    fields.finish()
}

/// Lines of a file that may be none.
struct Lines<'a> {
    from: &'a mut dyn BufRead,
    number: u64,
}

impl Lines<'_> {
    /// The next one that is not empty.
    fn next(&mut self, longest: usize) -> Result<Option<Vec<u8>>, FillError> {
        loop {
            self.number += 1;
            let mut line = Vec::new();
            let mut limited = (&mut *self.from).take(longest as u64 + 1);
            let read = limited.read_until(b'\n', &mut line);
            if read.map_err(FillError::Input)? == 0 {
                return Ok(None);
            }
            if line.len() > longest && line.last() != Some(&b'\n') {
                let text = format!("it is longer than {longest} bytes: is this an export?");
                return Err(self.wrong(text));
            }
            if !line.trim_ascii().is_empty() {
                return Ok(Some(line));
            }
        }
    }

    const fn wrong(&self, problem: Problem) -> FillError {
        FillError::Line {
            number: self.number,
            problem,
        }
    }
}

/// Why a line is not taken.
enum Mistake {
    Line(Problem),
    Storage(StorageError),
}

impl From<Problem> for Mistake {
    fn from(problem: Problem) -> Self {
        Self::Line(problem)
    }
}

impl From<StorageError> for Mistake {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

struct Import {
    filling: Filling,
    moment: Moment,
    sessions: HashMap<ClientId, Session>,
    /// The messages that are queued for anybody.
    queued: Numbers,
    /// Lines of each kind.
    counts: [u64; KINDS.len()],
}

/// What is known of a session while it is read.
#[derive(Clone, Copy)]
struct Session {
    id: SessionId,
    /// The place after the last one.
    next_place: u64,
}

impl Import {
    /// Takes a line; whether it is the last.
    fn line(&mut self, line: &[u8]) -> Result<bool, Mistake> {
        let mut fields = Fields::parse(line)?;
        let expected = format!("one of {}", KINDS.join(", "));
        let kind = fields.text("type", &expected)?;
        let index = KINDS.iter().position(|it| *it == kind);
        let index = index.ok_or_else(|| fields.wrong("type", &shown_text(&kind), &expected))?;
        match KINDS[index] {
            "message" => self.message(fields)?,
            "session" => self.session(fields)?,
            "subscription" => self.subscription(fields)?,
            "received" => self.received(fields)?,
            "queued" => self.queued(fields)?,
            "released" => self.released(fields)?,
            "retained" => self.retained(fields)?,
            _ => {
                self.end(fields)?;
                return Ok(true);
            }
        }
        self.counts[index] += 1;
        Ok(false)
    }

    fn message(&mut self, mut fields: Fields) -> Result<(), Mistake> {
        let id = fields.number("id", 0..=MAX_NUMBER)?;
        let message = values::message(&mut fields, false, self.moment)?;
        fields.finish()?;
        let key = stage::message_key(id);
        let value = record::encode_message(&key, &message, self.moment);
        let twice = || format!("id is {id}, which another message has, expected an id of its own");
        self.put_once(Table::Messages, key, value, twice)
    }

    fn session(&mut self, mut fields: Fields) -> Result<(), Mistake> {
        let id = SessionId(self.sessions.len() as u64 + 1);
        let record = values::session(&mut fields, id, self.moment)?;
        fields.finish()?;
        let session = Session { id, next_place: 0 };
        if self
            .sessions
            .insert(record.client_id.clone(), session)
            .is_some()
        {
            let client_id = shown_text(&record.client_id);
            let text = format!(
                "client_id is {client_id}, which another session has, expected each session once"
            );
            return Err(text.into());
        }
        let key = stage::session_key(id);
        let value = record::encode_session(&key, &record, self.moment);
        Ok(self.filling.put(Table::Sessions, key, value)?)
    }

    /// Whose line it is.
    fn owner(&mut self, fields: &mut Fields) -> Result<&mut Session, Problem> {
        let client_id = values::client_id(fields)?;
        self.sessions.get_mut(&client_id).ok_or_else(|| {
            let found = format!("{}, which has no session yet", shown_text(&client_id));
            fields.wrong("client_id", &found, "a session on a line before")
        })
    }

    fn subscription(&mut self, mut fields: Fields) -> Result<(), Mistake> {
        let id = self.owner(&mut fields)?.id;
        let (filter, options) = values::subscription(&mut fields)?;
        fields.finish()?;
        let key = stage::subscription_key(id, &filter);
        let value = record::encode_subscription(&key, &filter, options);
        let twice = || {
            let filter = shown_text(filter.as_str());
            format!("filter is {filter}, which this session has already, expected each filter once")
        };
        self.put_once(Table::Subscriptions, key, value, twice)
    }

    fn received(&mut self, mut fields: Fields) -> Result<(), Mistake> {
        let id = self.owner(&mut fields)?.id;
        let packet_id = values::packet_id(&mut fields)?;
        fields.finish()?;
        let key = stage::received_key(id, packet_id);
        let value = record::encode_received(&key);
        let twice = || {
            format!("packet_id is {packet_id}, which this session has already, expected each once")
        };
        self.put_once(Table::Received, key, value, twice)
    }

    fn queued(&mut self, mut fields: Fields) -> Result<(), Mistake> {
        let (id, place) = self.place(&mut fields)?;
        let body = self.body(&mut fields)?;
        let queued_at = fields.time("queued_at")?.unwrap_or_else(SystemTime::now);
        let identifiers = fields.numbers("subscription_identifiers", &(1..=268_435_455))?;
        let qos = values::qos(&mut fields, "qos")?;
        let retain = fields.flag("retain", false)?;
        let share = values::filter(&mut fields, "share")?;
        if let Some(filter) = share.as_ref().filter(|it| it.share_name().is_none()) {
            let found = shown_text(filter.as_str());
            let expected = "a shared subscription as in \"$share/NAME/FILTER\"";
            return Err(fields.wrong("share", &found, expected).into());
        }
        fields.finish()?;
        let (number, message) = body;
        let delivery = Delivery {
            message: Arc::new(message),
            qos,
            retain,
            queued_at: self.moment.to_instant(queued_at),
            subscription_identifiers: identifiers
                .into_iter()
                .filter_map(|it| u32::try_from(it).ok())
                .collect(),
            share,
        };
        let options = Options::of(&delivery, self.moment);
        let key = stage::queue_key(id, place);
        let value = match number {
            Some(number) => record::encode_entry(&key, &Entry::Elsewhere(number, options)),
            None => record::encode_here(&key, &delivery.message, &options, self.moment),
        };
        Ok(self.filling.put(Table::Queues, key, value)?)
    }

    /// The message that is queued: by the id of a line before, or as it stands there.
    fn body(&mut self, fields: &mut Fields) -> Result<(Option<u64>, Message), Mistake> {
        const EXPECTED: &str = "the id of a message on a line before, or an object with a topic";
        if fields.is_object("message") {
            let Some(mut within) = fields.object("message", "message.")? else {
                return Err(fields.missing("message", EXPECTED).into());
            };
            let message = values::message(&mut within, false, self.moment)?;
            within.finish()?;
            return Ok((None, message));
        }
        let number = fields.number("message", 0..=MAX_NUMBER)?;
        let key = stage::message_key(number);
        let message = match self.filling.get(Table::Messages, &key)? {
            Some(value) => record::decode_message(&key, &value, self.moment).ok(),
            None => None,
        };
        let Some(message) = message else {
            let found = format!("{number}, which is none");
            return Err(fields.wrong("message", &found, EXPECTED).into());
        };
        self.queued.insert(number);
        Ok((Some(number), message))
    }

    fn released(&mut self, mut fields: Fields) -> Result<(), Mistake> {
        let (id, place) = self.place(&mut fields)?;
        fields.finish()?;
        let key = stage::queue_key(id, place);
        let value = record::encode_entry(&key, &Entry::Released);
        Ok(self.filling.put(Table::Queues, key, value)?)
    }

    /// The session and place of a delivery: as it says, or the next one.
    fn place(&mut self, fields: &mut Fields) -> Result<(SessionId, u64), Mistake> {
        let place = fields.optional_number("place", 0..=MAX_NUMBER)?;
        let session = self.owner(fields)?;
        let next = session.next_place;
        let place = place.unwrap_or(next);
        if place < next {
            let expected = format!("at least {next}: places of a session ascend");
            return Err(fields.wrong("place", &place.to_string(), &expected).into());
        }
        session.next_place = place + 1;
        Ok((session.id, place))
    }

    fn retained(&mut self, mut fields: Fields) -> Result<(), Mistake> {
        let message = values::message(&mut fields, true, self.moment)?;
        if message.payload.is_empty() {
            let text = "payload is empty, expected something: an empty retained message is none, leave the line out";
            return Err(text.to_owned().into());
        }
        fields.finish()?;
        let key = stage::text_key(message.topic.as_str());
        let value = record::encode_message(&key, &message, self.moment);
        let twice = || {
            let topic = shown_text(message.topic.as_str());
            format!(
                "topic is {topic}, which has a retained message already, expected each topic once"
            )
        };
        self.put_once(Table::Retained, key, value, twice)
    }

    fn put_once(
        &mut self,
        table: Table,
        key: Key,
        value: Vec<u8>,
        twice: impl FnOnce() -> Problem,
    ) -> Result<(), Mistake> {
        if self.filling.get(table, &key)?.is_some() {
            return Err(twice().into());
        }
        Ok(self.filling.put(table, key, value)?)
    }

    /// What it says of how much there is must be so.
    fn end(&self, mut fields: Fields) -> Result<(), Mistake> {
        const COUNTED: [&str; KINDS.len() - 1] = [
            "messages",
            "sessions",
            "subscriptions",
            "received",
            "queued",
            "released",
            "retained",
        ];
        for (name, counted) in COUNTED.into_iter().zip(self.counts) {
            let said = fields.optional_number(name, 0..=MAX_NUMBER)?;
            if let Some(said) = said.filter(|said| *said != counted) {
                let expected = format!(
                    "{counted}, as there are: lines are missing or were added; leave the number out where that is \
                     meant"
                );
                return Err(fields.wrong(name, &said.to_string(), &expected).into());
            }
        }
        Ok(fields.finish()?)
    }

    fn finish(mut self) -> Result<Imported, FillError> {
        // Whoever has taken sessions out of an export has left their messages.
        let queued = &self.queued;
        self.filling.discard(Table::Messages, |key| {
            let number = key.first_chunk::<8>().copied().map(u64::from_be_bytes);
            !number.is_some_and(|number| queued.contains(number))
        })?;
        let [_, sessions, subscriptions, _, queued, _, retained, _] = self.counts;
        self.filling.finish()?;
        Ok(Imported {
            sessions,
            subscriptions,
            queued,
            retained,
        })
    }
}
