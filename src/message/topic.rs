//! Topic names and filters that cannot be wrong: parsed once, never checked again (MQTT 5, 4.7 and 4.8).

use std::{fmt, sync::Arc};

/// The longest topic: its length is a two-byte field [MQTT-4.7.3-3].
const MAX_BYTES: usize = 65_535;

/// A topic that messages are published to: not empty, no U+0000, no wildcard.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct TopicName(Arc<str>);

/// A filter as a client writes it, `$share/…` and `$queue/…` included, split into share name and pattern.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct TopicFilter {
    text: Arc<str>,
    /// Where the part that is matched with topic names begins; 0 unless the subscription is shared.
    pattern_start: u16,
}

/// The group that shares a subscription (MQTT 5, 4.8.2).
pub type ShareName = Box<str>;

/// Why a text is no topic name or filter. Reads as the end of a sentence that begins with the text itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InvalidTopic {
    /// At least one character is required [MQTT-4.7.3-1].
    Empty,
    /// Longer than 65,535 bytes [MQTT-4.7.3-3].
    TooLong,
    /// Contains U+0000 [MQTT-4.7.3-2].
    Null,
    /// A topic name contains `+` or `#` [MQTT-3.3.2-2].
    WildcardInName,
    /// `#` that is not the last character or does not fill its level [MQTT-4.7.1-1].
    MisplacedHash,
    /// `+` that does not fill its level [MQTT-4.7.1-2].
    MisplacedPlus,
    /// `$share/` without a share name, with a wildcard in it, or without a filter after it [MQTT-4.8.2-1, -2].
    ShareName,
}

impl TopicName {
    /// Checks a topic name.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, InvalidTopic> {
        // Without a branch, which looks at sixteen bytes at once: every PUBLISH comes by here.
        let is_suspect = text.bytes().fold(text.is_empty(), |is_suspect, byte| {
            is_suspect | (byte == 0) | (byte == b'+') | (byte == b'#')
        });
        if is_suspect || text.len() > MAX_BYTES {
            check(text)?;
            return Err(InvalidTopic::WildcardInName);
        }
        Ok(Self(text.into()))
    }

    /// The name as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its levels: `/a` has two, the first one empty.
    pub fn levels(&self) -> std::str::Split<'_, char> {
        self.0.split('/')
    }
}

impl TopicFilter {
    /// Checks a topic filter and splits off the share name, if it has one.
    ///
    /// `$queue/FILTER`, an older spelling that EMQX still knows, is one shared subscription without a name.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, InvalidTopic> {
        check(text)?;
        let pattern_start = pattern_start(text)?;
        check_wildcards(&text[pattern_start..])?;
        let pattern_start = u16::try_from(pattern_start).map_err(|_| InvalidTopic::TooLong)?;
        Ok(Self {
            text: text.into(),
            pattern_start,
        })
    }

    /// The filter as the client wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The part that is matched with topic names: all of it unless the subscription is shared.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.text[usize::from(self.pattern_start)..]
    }

    /// The group that shares this subscription: `g` of `$share/g/…`, `$queue` of `$queue/…`.
    #[must_use]
    pub fn share_name(&self) -> Option<&str> {
        let prefix = self.text[..usize::from(self.pattern_start)].strip_suffix('/')?;
        Some(prefix.strip_prefix("$share/").unwrap_or(prefix))
    }

    /// The levels of [`pattern`](Self::pattern), wildcards included.
    pub fn levels(&self) -> std::str::Split<'_, char> {
        self.pattern().split('/')
    }

    /// Whether it can match more than one topic name.
    #[must_use]
    pub fn has_wildcard(&self) -> bool {
        self.pattern()
            .bytes()
            .any(|byte| matches!(byte, b'+' | b'#'))
    }

    /// Whether a topic name matches, by the rules of MQTT 5, 4.7: the plain definition that the index is tested with.
    #[must_use]
    pub fn matches(&self, topic: &TopicName) -> bool {
        // A leading wildcard does not match names that begin with `$` [MQTT-4.7.2-1].
        if topic.as_str().starts_with('$') && self.pattern().starts_with(['+', '#']) {
            return false;
        }
        let mut names = topic.levels();
        for level in self.levels() {
            match (level, names.next()) {
                ("#", _) => return true,
                ("+", Some(_)) => {}
                (level, Some(name)) if level == name => {}
                (_, Some(_) | None) => return false,
            }
        }
        names.next().is_none()
    }
}

fn check(text: &str) -> Result<(), InvalidTopic> {
    if text.is_empty() {
        return Err(InvalidTopic::Empty);
    }
    if text.len() > MAX_BYTES {
        return Err(InvalidTopic::TooLong);
    }
    if text.contains('\0') {
        return Err(InvalidTopic::Null);
    }
    Ok(())
}

/// Where the pattern of a filter begins, behind `$share/NAME/` or `$queue/`.
fn pattern_start(text: &str) -> Result<usize, InvalidTopic> {
    if let Some(rest) = text.strip_prefix("$share/") {
        let (name, pattern) = rest.split_once('/').ok_or(InvalidTopic::ShareName)?;
        if name.is_empty() || pattern.is_empty() || name.contains(['+', '#']) {
            return Err(InvalidTopic::ShareName);
        }
        return Ok(text.len() - pattern.len());
    }
    match text.strip_prefix("$queue/") {
        Some("") => Err(InvalidTopic::ShareName),
        Some(pattern) => Ok(text.len() - pattern.len()),
        None if text == "$share" => Err(InvalidTopic::ShareName),
        None => Ok(0),
    }
}

fn check_wildcards(pattern: &str) -> Result<(), InvalidTopic> {
    let mut levels = pattern.split('/').peekable();
    while let Some(level) = levels.next() {
        let is_last = levels.peek().is_none();
        match level {
            "#" if is_last => {}
            "+" => {}
            level if level.contains('#') => return Err(InvalidTopic::MisplacedHash),
            level if level.contains('+') => return Err(InvalidTopic::MisplacedPlus),
            _ => {}
        }
    }
    Ok(())
}

impl fmt::Display for InvalidTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "is empty",
            Self::TooLong => "is longer than 65535 bytes",
            Self::Null => "contains U+0000",
            Self::WildcardInName => "contains a wildcard, which only filters may",
            Self::MisplacedHash => "has a # that is not its last level",
            Self::MisplacedPlus => "has a + that does not fill its level",
            Self::ShareName => "is not of the form $share/NAME/FILTER",
        })
    }
}

impl std::error::Error for InvalidTopic {}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(filter: &str, topic: &str, expected: bool) {
        let parsed = TopicFilter::parse(filter).expect(filter);
        let name = TopicName::parse(topic).expect(topic);
        assert_eq!(parsed.matches(&name), expected, "{filter} against {topic}");
    }

    #[test]
    fn wildcards() {
        check("a/+/c", "a/b/c", true);
        check("a/+/c", "a/b/d", false);
        check("a/#", "a", true);
        check("a/#", "a/b/c", true);
        check("a/#", "ab", false);
        check("+", "/a", false);
        check("+/+", "/a", true);
        check("/+", "/a", true);
        check("a/+", "a", false);
        check("a/+", "a/", true);
        check("#", "a/b", true);
        check("a/b", "a/B", false);
        check("$share/g/a/+", "a/b", true);
    }

    #[test]
    fn leading_wildcards_do_not_match_dollar_topics() {
        check("#", "$SYS/uptime", false);
        check("+/uptime", "$SYS/uptime", false);
        check("$SYS/#", "$SYS/uptime", true);
        check("$SYS/+", "$SYS/uptime", true);
    }

    #[test]
    fn share_names() {
        let filter = TopicFilter::parse("$share/group/a/#").expect("valid");
        assert_eq!(
            (filter.share_name(), filter.pattern()),
            (Some("group"), "a/#")
        );
        let filter = TopicFilter::parse("$queue/a").expect("valid");
        assert_eq!(
            (filter.share_name(), filter.pattern()),
            (Some("$queue"), "a")
        );
        let filter = TopicFilter::parse("$shared/a").expect("valid");
        assert_eq!((filter.share_name(), filter.pattern()), (None, "$shared/a"));
    }

    #[test]
    fn invalid_filters() {
        for (text, expected) in [
            ("", InvalidTopic::Empty),
            ("a\0", InvalidTopic::Null),
            ("a/#/b", InvalidTopic::MisplacedHash),
            ("a#", InvalidTopic::MisplacedHash),
            ("a+/b", InvalidTopic::MisplacedPlus),
            ("$share/g", InvalidTopic::ShareName),
            ("$share//a", InvalidTopic::ShareName),
            ("$share/g+/a", InvalidTopic::ShareName),
            ("$share/g/", InvalidTopic::ShareName),
            ("$queue/", InvalidTopic::ShareName),
        ] {
            assert_eq!(TopicFilter::parse(text), Err(expected), "{text:?}");
        }
        assert_eq!(
            TopicFilter::parse(&"a".repeat(65_536)),
            Err(InvalidTopic::TooLong)
        );
        assert!(TopicFilter::parse(&"a".repeat(65_535)).is_ok());
    }

    #[test]
    fn invalid_names() {
        assert_eq!(TopicName::parse(""), Err(InvalidTopic::Empty));
        assert_eq!(TopicName::parse("a/+"), Err(InvalidTopic::WildcardInName));
        assert_eq!(TopicName::parse("a\0b"), Err(InvalidTopic::Null));
        assert!(TopicName::parse("/").is_ok());
    }
}
