//! One object of a line, field by field: what is taken is checked, and what is left at the end is unknown. Every mistake
//! names the field, what was found and what is expected.

use std::{
    fmt::Write as _,
    ops::RangeInclusive,
    time::{Duration, SystemTime},
};

use data_encoding::BASE64;
use serde_json::{Map, Value};

/// What is wrong with a line, in words.
pub(super) type Problem = String;

/// A User Property.
pub(super) type Pair = (Box<str>, Box<str>);

/// Characters of a value that are shown where it is wrong.
const SHOWN: usize = 60;

/// The largest number that JavaScript and jq keep as it is.
pub(super) const MAX_NUMBER: u64 = (1 << 53) - 1;

/// The longest text of a packet.
const MAX_TEXT: usize = 65_535;

/// An object that is being read.
pub(super) struct Fields {
    values: Map<String, Value>,
    /// Before the name of each field: `will.`, or nothing.
    path: &'static str,
    /// What was asked for.
    known: Vec<&'static str>,
}

impl Fields {
    pub(super) fn parse(line: &[u8]) -> Result<Self, Problem> {
        match serde_json::from_slice(line) {
            Ok(Value::Object(values)) => Ok(Self::new(values, "")),
            Ok(other) => Err(format!(
                "{} found, expected an object as in {{\"type\":\"retained\",\"topic\":\"a\",\"payload\":\"b\"}}",
                shown(&other)
            )),
            Err(error) => {
                let text = error.to_string();
                // Each line is parsed alone: its number is another.
                let what = text.split(" at line ").next().unwrap_or_default();
                let column = error.column();
                Err(format!(
                    "it is no JSON from column {column} on: {what}; expected one object on each line"
                ))
            }
        }
    }

    const fn new(values: Map<String, Value>, path: &'static str) -> Self {
        Self {
            values,
            path,
            known: Vec::new(),
        }
    }

    /// `null` is as good as nothing.
    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.values.remove(name).filter(|value| !value.is_null())
    }

    /// A mistake in a field.
    pub(super) fn wrong(&self, name: &str, found: &str, expected: &str) -> Problem {
        format!("{}{name} is {found}, expected {expected}", self.path)
    }

    pub(super) fn missing(&self, name: &str, expected: &str) -> Problem {
        match self.values.keys().find(|key| is_alike(key, name)) {
            Some(key) => {
                let (path, key) = (self.path, key.escape_debug());
                format!("{path}{key} is unknown, did you mean {path}{name}?")
            }
            None => format!("{}{name} is missing, expected {expected}", self.path),
        }
    }

    pub(super) fn optional_text(
        &mut self,
        name: &'static str,
        expected: &str,
    ) -> Result<Option<String>, Problem> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(name, &shown(&other), expected)),
        }
    }

    pub(super) fn text(&mut self, name: &'static str, expected: &str) -> Result<String, Problem> {
        let text = self.optional_text(name, expected)?;
        text.ok_or_else(|| self.missing(name, expected))
    }

    /// A text as a packet may have it.
    pub(super) fn short_text(&mut self, name: &'static str) -> Result<Option<String>, Problem> {
        let text = self.optional_text(name, "a text")?;
        if let Some(text) = &text {
            self.check_short(name, text)?;
        }
        Ok(text)
    }

    fn check_short(&self, name: &str, text: &str) -> Result<(), Problem> {
        if text.len() <= MAX_TEXT && !text.contains('\0') {
            return Ok(());
        }
        let found = shown_text(text);
        let expected = format!("at most {MAX_TEXT} bytes without U+0000");
        Err(self.wrong(name, &found, &expected))
    }

    pub(super) fn optional_number(
        &mut self,
        name: &'static str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<u64>, Problem> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        match value.as_u64() {
            Some(number) if range.contains(&number) => Ok(Some(number)),
            Some(_) | None => Err(self.wrong(name, &shown(&value), &a_number(&range))),
        }
    }

    pub(super) fn number(
        &mut self,
        name: &'static str,
        range: RangeInclusive<u64>,
    ) -> Result<u64, Problem> {
        let number = self.optional_number(name, range.clone())?;
        number.ok_or_else(|| self.missing(name, &a_number(&range)))
    }

    pub(super) fn flag(&mut self, name: &'static str, default: bool) -> Result<bool, Problem> {
        match self.take(name) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(other) => Err(self.wrong(name, &shown(&other), "true or false")),
        }
    }

    pub(super) fn time(&mut self, name: &'static str) -> Result<Option<SystemTime>, Problem> {
        const EXPECTED: &str = "a time since 1970 as in \"2026-01-31T18:00:00Z\"";
        let Some(text) = self.optional_text(name, EXPECTED)? else {
            return Ok(None);
        };
        let milliseconds = text
            .parse::<jiff::Timestamp>()
            .ok()
            .and_then(|at| u64::try_from(at.as_millisecond()).ok());
        match milliseconds {
            Some(after) => Ok(Some(SystemTime::UNIX_EPOCH + Duration::from_millis(after))),
            None => Err(self.wrong(name, &shown_text(&text), EXPECTED)),
        }
    }

    /// Bytes, as text or in base64.
    pub(super) fn bytes(
        &mut self,
        name: &'static str,
        name_base64: &'static str,
    ) -> Result<Option<Vec<u8>>, Problem> {
        let text = self.optional_text(name, "a text")?;
        let Some(base64) = self.optional_text(name_base64, "base64")? else {
            return Ok(text.map(String::into_bytes));
        };
        if text.is_some() {
            let path = self.path;
            return Err(format!(
                "{path}{name} and {path}{name_base64} are both there, expected one of them"
            ));
        }
        let decoded = BASE64.decode(base64.as_bytes());
        decoded.map(Some).map_err(|error| {
            let found = format!("{} (at character {})", shown_text(&base64), error.position + 1);
            let expected = "base64 with the characters A-Z, a-z, 0-9, + and /, filled up with = to a multiple of 4";
            self.wrong(name_base64, &found, expected)
        })
    }

    /// Whether there is one.
    pub(super) fn is_object(&self, name: &str) -> bool {
        self.values.get(name).is_some_and(Value::is_object)
    }

    /// An object within.
    pub(super) fn object(
        &mut self,
        name: &'static str,
        path: &'static str,
    ) -> Result<Option<Self>, Problem> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Object(values)) => Ok(Some(Self::new(values, path))),
            Some(other) => Err(self.wrong(name, &shown(&other), "an object")),
        }
    }

    fn list(&mut self, name: &'static str, expected: &str) -> Result<Vec<Value>, Problem> {
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => Ok(values),
            Some(other) => Err(self.wrong(name, &shown(&other), expected)),
        }
    }

    pub(super) fn numbers(
        &mut self,
        name: &'static str,
        range: &RangeInclusive<u64>,
    ) -> Result<Vec<u64>, Problem> {
        let expected = format!(
            "an array of numbers from {} to {}",
            range.start(),
            range.end()
        );
        let numbers = self.list(name, &expected)?.into_iter().map(|value| {
            let number = value.as_u64().filter(|number| range.contains(number));
            number.ok_or_else(|| self.wrong_within(name, &value, &expected))
        });
        numbers.collect()
    }

    /// Pairs of texts.
    pub(super) fn pairs(&mut self, name: &'static str) -> Result<Vec<Pair>, Problem> {
        const EXPECTED: &str = "an array of pairs as in [[\"name\",\"value\"]]";
        let pairs = self.list(name, EXPECTED)?.into_iter().map(|value| {
            if let Value::Array(pair) = &value
                && let [Value::String(first), Value::String(second)] = &pair[..]
            {
                self.check_short(name, first)?;
                self.check_short(name, second)?;
                return Ok((first.as_str().into(), second.as_str().into()));
            }
            Err(self.wrong_within(name, &value, EXPECTED))
        });
        pairs.collect()
    }

    fn wrong_within(&self, name: &str, found: &Value, expected: &str) -> Problem {
        let (path, found) = (self.path, shown(found));
        format!("{path}{name} has {found} in it, expected {expected}")
    }

    /// Nothing else may be there.
    pub(super) fn finish(self) -> Result<(), Problem> {
        let Some((name, _)) = self.values.iter().find(|(name, _)| *name != "type") else {
            return Ok(());
        };
        let path = self.path;
        let mut text = format!("{path}{} is unknown", name.escape_debug());
        match self.known.iter().find(|known| is_alike(name, known)) {
            Some(known) => {
                let _ = write!(text, ", did you mean {path}{known}?");
            }
            None => {
                let _ = write!(text, ", expected one of {}", self.known.join(", "));
            }
        }
        Err(text)
    }
}

/// Whether one was probably meant where the other stands.
fn is_alike(found: &str, known: &str) -> bool {
    found.len() <= 2 * known.len() && strsim::damerau_levenshtein(found, known) <= 2
}

fn a_number(range: &RangeInclusive<u64>) -> String {
    let (first, last) = (range.start(), range.end());
    if last - first < 4 {
        let numbers: Vec<_> = range.clone().map(|it| it.to_string()).collect();
        return match numbers.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, others)) => format!("{} or {last}", others.join(", ")),
            None => String::new(),
        };
    }
    format!("a whole number from {first} to {last}")
}

/// A value as it was found, shortened.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => shown_text(text),
        Value::Array(values) if values.is_empty() => "an empty array".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// A text in quotes, shortened; control characters do not reach a terminal.
pub(super) fn shown_text(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(SHOWN)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(SHOWN).is_some() {
        let _ = write!(shown, "… ({} bytes)", text.len());
    }
    format!("\"{shown}\"")
}
