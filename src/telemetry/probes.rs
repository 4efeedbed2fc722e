//! How far a connection came that asked to be remembered, for a minute: a browser hides from a page why its WebSocket
//! failed, so the page asks here afterwards. Owns what is remembered and for how long; knows nothing of what it means.
//! Start at [`Probes::begin`].

use std::{
    borrow::Cow,
    collections::VecDeque,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// How long after its last note a probe is remembered.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);

/// Probes remembered at once. Each of 16 notes of 300 bytes: 5 MB at most. Beyond that the oldest is forgotten.
const MAX_PROBES: usize = 1024;

/// Probes that begin within one second: whoever floods us needs ten seconds to make us forget somebody else's.
const MAX_BEGINNINGS: u32 = 100;

/// Notes of one probe: four attempts under the same name. Beyond that the oldest is forgotten.
const MAX_NOTES: usize = 16;

/// Bytes of a sentence.
const MAX_DETAIL: usize = 240;

/// The name somebody has chosen for a connection of theirs: 8 to 64 letters, digits and `-`. Whoever knows it may ask,
/// so it is to be hard to guess; `crypto.randomUUID()` is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProbeId(Arc<str>);

/// Everything that is remembered.
#[derive(Debug, Default)]
pub struct Probes(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    /// In the order in which they began.
    entries: VecDeque<Entry>,
    second: Option<Instant>,
    beginnings: u32,
}

#[derive(Debug)]
struct Entry {
    id: ProbeId,
    began: Instant,
    last: Instant,
    notes: VecDeque<Note>,
}

/// One thing that happened to a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Note {
    /// How far it had come.
    pub stage: Stage,
    /// It went on from there.
    pub ok: bool,
    /// For programs, in kebab case.
    pub code: Cow<'static, str>,
    /// For people, a sentence.
    pub detail: String,
    /// Since the probe began.
    pub after: Duration,
}

/// What a connection goes through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stage {
    /// An HTTP request came.
    Request,
    /// It was to become a WebSocket.
    Upgrade,
    /// CONNECT was answered.
    Connect,
    /// It ended.
    Closed,
}

/// One connection that is to be remembered; whoever handles it notes what happens to it.
#[derive(Debug)]
pub struct Probe {
    probes: Arc<Probes>,
    id: ProbeId,
}

impl ProbeId {
    /// `None` where the text is no name for a probe.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        ((8..=64).contains(&text.len()) && text.bytes().all(is_letter)).then(|| Self(text.into()))
    }

    /// The name in the query of a URL: `probe=` and the name.
    #[must_use]
    pub fn in_query(query: &str) -> Option<Self> {
        let mut parts = query.split('&');
        Self::parse(parts.find_map(|part| part.strip_prefix("probe="))?)
    }
}

impl Probes {
    /// Somebody wants to be remembered. `None` where too many do just now.
    #[must_use]
    pub fn begin(self: &Arc<Self>, id: ProbeId, now: Instant) -> Option<Arc<Probe>> {
        let mut remembered = self.0.lock();
        remembered.forget(now);
        let is_known = remembered.entries.iter().any(|entry| entry.id == id);
        if !is_known {
            if !remembered.may_begin(now) {
                return None;
            }
            remembered.entry(&id, now);
        }
        drop(remembered);
        let probes = self.clone();
        Some(Arc::new(Probe { probes, id }))
    }

    /// What has happened under this name, in order; `None` where nothing was seen of it lately.
    #[must_use]
    pub fn seen(&self, id: &ProbeId, now: Instant) -> Option<Vec<Note>> {
        let mut remembered = self.0.lock();
        remembered.forget(now);
        let entry = remembered.entries.iter().find(|entry| entry.id == *id)?;
        Some(entry.notes.iter().cloned().collect())
    }
}

impl Remembered {
    fn forget(&mut self, now: Instant) {
        self.entries
            .retain(|entry| now.saturating_duration_since(entry.last) < REMEMBERED_FOR);
    }

    fn may_begin(&mut self, now: Instant) -> bool {
        let is_over = |second| now.saturating_duration_since(second) >= Duration::from_secs(1);
        if self.second.is_none_or(is_over) {
            self.second = Some(now);
            self.beginnings = 0;
        }
        self.beginnings += 1;
        self.beginnings <= MAX_BEGINNINGS
    }

    fn entry(&mut self, id: &ProbeId, now: Instant) -> &mut Entry {
        let known = self.entries.iter().position(|entry| entry.id == *id);
        let at = known.unwrap_or_else(|| {
            if self.entries.len() >= MAX_PROBES {
                self.entries.pop_front();
            }
            self.entries.push_back(Entry {
                id: id.clone(),
                began: now,
                last: now,
                notes: VecDeque::new(),
            });
            self.entries.len() - 1
        });
        &mut self.entries[at]
    }
}

impl Probe {
    /// Something has happened. A connection that lasted longer than it was remembered is remembered again, so that the
    /// reason of its end can be asked for.
    pub fn note(
        &self,
        stage: Stage,
        ok: bool,
        code: impl Into<Cow<'static, str>>,
        detail: impl fmt::Display,
        now: Instant,
    ) {
        let (code, detail) = (code.into(), sentence(&detail.to_string()));
        let mut remembered = self.probes.0.lock();
        remembered.forget(now);
        let entry = remembered.entry(&self.id, now);
        if entry.notes.len() >= MAX_NOTES {
            entry.notes.pop_front();
        }
        entry.last = now;
        entry.notes.push_back(Note {
            stage,
            ok,
            code,
            detail,
            after: now.saturating_duration_since(entry.began),
        });
    }
}

impl Stage {
    /// As it is written in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Upgrade => "upgrade",
            Self::Connect => "connect",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for ProbeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reasons read "more than 20 publishes in flight" in logs; here they stand alone.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let mut sentence = String::with_capacity(text.len().min(MAX_DETAIL) + 4);
    sentence.extend(letters.next().map(|first| first.to_ascii_uppercase()));
    for letter in letters {
        if sentence.len() + letter.len_utf8() > MAX_DETAIL {
            sentence.push('…');
            return sentence;
        }
        sentence.push(letter);
    }
    if !sentence.ends_with(['.', '!', '?']) {
        sentence.push('.');
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> ProbeId {
        ProbeId::parse(&format!("probe-{number:04}")).unwrap()
    }

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    #[test]
    fn names_of_probes() {
        let check = |text: &str, expected: bool| {
            assert_eq!(ProbeId::parse(text).is_some(), expected, "{text}");
        };
        check("12345678", true);
        check("1234567", false);
        check(&"a".repeat(64), true);
        check(&"a".repeat(65), false);
        check("3f0c6f2e-9d5c-4b1e-8a53-0f8f2f6f6d11", true);
        check("1234567_", false);
        check("12345678é", false);
        let in_query = |query: &str| ProbeId::in_query(query).map(|id| id.to_string());
        assert_eq!(in_query("a=b&probe=12345678"), Some("12345678".to_owned()));
        assert_eq!(in_query("probe=1234"), None);
        assert_eq!(in_query("xprobe=12345678"), None);
    }

    #[test]
    fn notes_are_kept_in_order_for_a_minute_after_the_last() {
        let (probes, start) = (Arc::new(Probes::default()), now());
        let probe = probes.begin(id(1), start).unwrap();
        let second = Duration::from_secs(1);
        probe.note(Stage::Request, true, "arrived", "it came", start);
        probe.note(Stage::Upgrade, false, "origin", "no", start + 30 * second);
        let seen = probes.seen(&id(1), start + 89 * second).unwrap();
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[0].detail, "It came.");
        assert_eq!(seen[1].after, 30 * second);
        assert_eq!(probes.seen(&id(1), start + 90 * second), None);
        // Its end comes late, and is known all the same.
        probe.note(
            Stage::Closed,
            false,
            "keep-alive",
            "late",
            start + 300 * second,
        );
        assert_eq!(
            probes.seen(&id(1), start + 301 * second).unwrap().len(),
            1,
            "the end alone"
        );
    }

    #[test]
    fn nothing_grows_without_bound() {
        let (probes, start) = (Arc::new(Probes::default()), now());
        for number in 0..=MAX_PROBES {
            // A tenth of a second apart: within the rate.
            let now = start + Duration::from_millis(number as u64 * 20);
            assert!(probes.begin(id(number), now).is_some(), "{number}");
        }
        assert_eq!(probes.0.lock().entries.len(), MAX_PROBES);
        let later = start + Duration::from_secs(22);
        assert_eq!(probes.seen(&id(0), later), None);
        assert!(probes.seen(&id(1), later).is_some());
        let probe = probes.begin(id(1), later).unwrap();
        for _ in 0..=MAX_NOTES {
            probe.note(Stage::Closed, false, "x", "é".repeat(MAX_DETAIL), later);
        }
        let seen = probes.seen(&id(1), later).unwrap();
        assert_eq!(seen.len(), MAX_NOTES);
        assert!(seen[0].detail.len() <= MAX_DETAIL + '…'.len_utf8());
    }

    #[test]
    fn a_flood_is_not_remembered() {
        let (probes, start) = (Arc::new(Probes::default()), now());
        let begun = (0..300).filter(|number| probes.begin(id(*number), start).is_some());
        assert_eq!(begun.count(), MAX_BEGINNINGS as usize);
        // Those who are known go on, and the next second has room again.
        assert!(probes.begin(id(0), start).is_some());
        let later = start + Duration::from_secs(1);
        assert!(probes.begin(id(299), later).is_some());
    }
}
