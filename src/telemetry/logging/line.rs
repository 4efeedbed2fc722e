//! One log line: what an event and the spans around it say, as text or as JSON.

use std::fmt;

use serde_json::Value;
use tracing::{
    Level,
    field::{Field, Visit},
};

/// What is written of one event.
pub(super) struct Line<'a> {
    pub(super) time: String,
    pub(super) level: Level,
    pub(super) target: &'a str,
    pub(super) fields: Fields,
}

impl Line<'_> {
    /// `2026-01-31T12:00:00.000000Z INFO  listening addr=[::]:443 tls=true`; the target where somebody hunts an error.
    pub(super) fn text(&self, has_colours: bool) -> String {
        let (dim, colour, plain) = if has_colours {
            ("\x1b[2m", colour(self.level), "\x1b[0m")
        } else {
            ("", "", "")
        };
        let mut out = format!("{dim}{}{plain} {colour}{:<5}{plain}", self.time, self.level);
        if self.level > Level::INFO {
            out += &format!(" {dim}{}:{plain}", self.fields.target(self.target));
        }
        if let Some(message) = self.fields.text("message") {
            out.push(' ');
            push_on_one_line(&mut out, message);
        }
        for (name, value) in self.fields.named() {
            out += &format!(" {dim}{name}={plain}");
            match value.as_str().filter(|text| is_bare(text)) {
                Some(text) => out += text,
                None => out += &value.to_string(),
            }
        }
        out.push('\n');
        out
    }

    /// `{"ts":…,"level":…,"target":…,"code":…,"msg":…,…}`, these names first, in this order.
    pub(super) fn json(&self) -> String {
        let mut out = format!(
            "{{\"ts\":\"{}\",\"level\":\"{}\",\"target\":{}",
            self.time,
            self.level.as_str().to_ascii_lowercase(),
            Value::from(self.fields.target(self.target)),
        );
        let mut push = |name: &str, value: &Value| {
            out += &format!(",{}:{value}", Value::from(name));
        };
        if let Some(code) = self.fields.get("code") {
            push("code", code);
        }
        let message = self.fields.text("message").unwrap_or_default();
        push("msg", &Value::from(message));
        for (name, value) in self.fields.named() {
            match name {
                "code" => {}
                // A field must not pass for what the line itself says.
                "ts" | "level" | "target" | "msg" => push(&format!("field.{name}"), value),
                _ => push(name, value),
            }
        }
        out += "}\n";
        out
    }
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG => "\x1b[34m",
        Level::TRACE => "\x1b[35m",
    }
}

/// Whether a text can stand after `name=` without quotes.
fn is_bare(text: &str) -> bool {
    let needs_quotes = |letter: char| {
        letter.is_whitespace() || is_unprintable(letter) || matches!(letter, '"' | '=' | '\\')
    };
    !text.is_empty() && !text.contains(needs_quotes)
}

/// Control characters, and what turns the direction of writing around.
fn is_unprintable(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn push_on_one_line(out: &mut String, text: &str) {
    for letter in text.chars() {
        if is_unprintable(letter) {
            out.extend(letter.escape_unicode());
        } else {
            out.push(letter);
        }
    }
}

/// The fields of an event or a span, in the order they were given.
#[derive(Default)]
pub(super) struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    fn get(&self, name: &str) -> Option<&Value> {
        let found = self.0.iter().find(|(known, _)| *known == name)?;
        Some(&found.1)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    /// Without the message, and without what the `log` crate adds about itself.
    fn named(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        let fields = self.0.iter().map(|(name, value)| (*name, value));
        fields.filter(|(name, _)| *name != "message" && !name.starts_with("log."))
    }

    /// Where the event comes from: records of the `log` crate carry it in a field.
    fn target<'a>(&'a self, otherwise: &'a str) -> &'a str {
        self.text("log.target").unwrap_or(otherwise)
    }

    pub(super) fn add_missing(&mut self, outer: &Self) {
        for (name, value) in &outer.0 {
            if self.get(name).is_none() {
                self.0.push((name, value.clone()));
            }
        }
    }

    fn push(&mut self, field: &Field, value: Value) {
        match self.0.iter_mut().find(|(name, _)| *name == field.name()) {
            Some(known) => known.1 = value,
            None => self.0.push((field.name(), value)),
        }
    }
}

impl Visit for Fields {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.push(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            text += &format!(": {cause}");
            source = cause.source();
        }
        self.push(field, text.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.push(field, format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_surround_time_and_level_only() {
        let line = Line {
            time: "T".into(),
            level: Level::WARN,
            target: "t",
            fields: Fields::default(),
        };
        assert_eq!(line.text(true), "\x1b[2mT\x1b[0m \x1b[33mWARN \x1b[0m\n");
        assert_eq!(line.text(false), "T WARN \n");
    }
}
