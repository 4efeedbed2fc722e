//! The tree of what was written, each value with its place. Knows TOML, and no key by name. Start at [`parse`].

use std::{collections::BTreeMap, ops::Range, rc::Rc};

use toml::de::{DeTable, DeValue, Error};

use super::diagnostics::{Place, Problems, Source};

/// Keys and what they were set to.
pub(super) type Table = BTreeMap<String, Entry>;

/// What one key was set to, or one element of a list.
#[derive(Debug)]
pub(super) struct Entry {
    /// Where the key stands; the value itself in a list.
    pub key: Place,
    /// Where the value stands; of a section, its heading.
    pub place: Place,
    /// The value.
    pub node: Node,
}

/// A value as it was written.
#[derive(Debug)]
pub(super) enum Node {
    /// One value.
    Scalar(Scalar),
    /// Values, or sections in double brackets.
    List(Vec<Entry>),
    /// A section.
    Table(Table),
}

/// A single value as it was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Scalar {
    /// Text in quotes.
    Text(String),
    /// A variable of the environment, which has no type: whoever reads it decides.
    Word(Rc<str>),
    /// A whole number, as far as it fits.
    Integer(i64),
    /// `true` or `false`.
    Boolean(bool),
    /// A kind of value that no key has.
    Other(&'static str),
}

/// How much of a file could be understood.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Understood {
    /// All of it.
    Whole,
    /// It has errors; every key is in its section all the same, but for those on broken lines.
    Recovered,
    /// A heading is broken: keys may seem to be in other sections than they are.
    Lost,
}

impl Scalar {
    /// What to call it.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) | Self::Word(_) => "text",
            Self::Integer(_) => "a number",
            Self::Boolean(_) => "true or false",
            Self::Other(kind) => kind,
        }
    }
}

/// Reads TOML; what is none is a problem, and the rest is read all the same.
pub(super) fn parse(source: &Source, problems: &mut Problems) -> (Table, Understood) {
    let mut text = source.text.clone();
    let mut stops = Vec::new();
    let (root, errors) = loop {
        let (root, errors) = DeTable::parse_recoverable(&text);
        let stop = errors
            .iter()
            .find(|error| error.message().starts_with(STOP));
        match stop.and_then(|stop| Some((stop.clone(), without_line(&text, stop.span()?)?))) {
            Some((stop, rest)) if stops.len() < MAX_STOPS => {
                drop((root, errors));
                stops.push(stop);
                text = rest;
            }
            Some(_) | None => break (table(root.into_inner()), errors),
        }
    };
    let mut understood = Understood::Whole;
    for error in stops.iter().chain(&errors) {
        if problems.is_full() {
            break;
        }
        let span = clip(error.span().unwrap_or(0..0), &source.text);
        let place = Place::File(span.clone());
        let line = source.line_of(&place).unwrap_or_default();
        let line = source.text.lines().nth(line).unwrap_or_default();
        let heading = line.trim_start().starts_with('[') && error.message() != "duplicate key";
        understood = match understood {
            Understood::Lost => Understood::Lost,
            Understood::Whole | Understood::Recovered if heading => Understood::Lost,
            Understood::Whole | Understood::Recovered => Understood::Recovered,
        };
        let (message, suggestion) = plain_words(error, &source.text[span], line);
        problems.add_syntax(&place, message, suggestion);
    }
    (root, understood)
}

/// The one error after which the parser skips the rest of the file.
const STOP: &str = "key with no value";
/// Each costs another look at the file. Who has more of them is writing another format.
const MAX_STOPS: usize = 20;

/// The text with spaces in place of the line that a span begins on: every other place stays what it is. `None` where the
/// line is blank already.
fn without_line(text: &str, span: Range<usize>) -> Option<String> {
    let at = clip(span, text).start;
    let begin = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[at..]
        .find('\n')
        .map_or(text.len(), |newline| at + newline);
    let line = &text[begin..end];
    if line.trim().is_empty() {
        return None;
    }
    let blank = " ".repeat(line.len());
    Some([&text[..begin], &blank, &text[end..]].concat())
}

/// A span within the text, on the borders of its characters: then it may be cut out.
fn clip(span: Range<usize>, text: &str) -> Range<usize> {
    let border = |at: usize| {
        let at = at.min(text.len());
        (0..=at)
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(0)
    };
    let start = border(span.start);
    start..border(span.end).max(start)
}

fn table(written: DeTable<'_>) -> Table {
    let entries = written.into_iter().map(|(key, value)| {
        let entry = Entry {
            key: Place::File(key.span()),
            place: Place::File(value.span()),
            node: node(value.into_inner()),
        };
        (key.into_inner().into_owned(), entry)
    });
    entries.collect()
}

fn node(value: DeValue<'_>) -> Node {
    Node::Scalar(match value {
        DeValue::String(text) => Scalar::Text(text.into_owned()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Scalar::Other("a number of that size"), Scalar::Integer),
        DeValue::Float(_) => Scalar::Other("a number with a fraction"),
        DeValue::Boolean(value) => Scalar::Boolean(value),
        DeValue::Datetime(_) => Scalar::Other("a date or a time"),
        DeValue::Array(values) => {
            let entries = values.into_iter().map(|value| Entry {
                key: Place::File(value.span()),
                place: Place::File(value.span()),
                node: node(value.into_inner()),
            });
            return Node::List(entries.collect());
        }
        DeValue::Table(values) => return Node::Table(table(values)),
    })
}

/// The parser's error in the words of somebody who has never read the grammar.
fn plain_words(error: &Error, written: &str, line: &str) -> (String, Option<String>) {
    /// The parser's words, up to where they vary, and ours.
    const WORDS: &[(&str, &str, Option<&str>)] = &[
        (
            "invalid basic string, expected `\"`",
            "the closing quote is missing",
            None,
        ),
        (
            "invalid literal string, expected `'`",
            "the closing quote is missing",
            None,
        ),
        ("unclosed table", "the closing ] is missing", None),
        ("unclosed array table", "the closing ]] is missing", None),
        (
            "unclosed array",
            "the closing ] of the list is missing",
            None,
        ),
        ("unclosed inline table", "the closing } is missing", None),
        (
            "missing comma between array elements",
            "a comma is missing in the list",
            None,
        ),
        (
            "missing escaped value",
            "\\ begins an escape sequence in double quotes",
            Some("write a path that has \\ in single quotes"),
        ),
        (
            "unexpected leading zero",
            "a number does not begin with 0",
            None,
        ),
        (
            "unexpected key or value, expected newline",
            "only a comment may follow a value",
            None,
        ),
        (
            STOP,
            "there is no = after the key",
            Some("every line is key = value or [section]"),
        ),
    ];
    let message = error.message();
    if message.starts_with("string values must be quoted") || message.starts_with("invalid boolean")
    {
        return unquoted(written);
    }
    if message == "duplicate key" {
        let what = if line.trim_start().starts_with('[') {
            format!("the section {} was there before", line.trim())
        } else {
            format!("{written} is set a second time")
        };
        return (what, None);
    }
    for (theirs, ours, suggestion) in WORDS {
        if message.starts_with(theirs) {
            return ((*ours).to_owned(), suggestion.map(str::to_owned));
        }
    }
    (message.to_owned(), None)
}

/// A value that is neither a number nor `true` or `false`, and not in quotes.
fn unquoted(written: &str) -> (String, Option<String>) {
    if written.is_empty() {
        return ("there is no value after =".to_owned(), None);
    }
    let meant = match written.to_ascii_lowercase().as_str() {
        "true" | "yes" => "true".to_owned(),
        "false" | "no" => "false".to_owned(),
        _ => format!("\"{written}\""),
    };
    let message = format!("{written} is text without quotes");
    (message, Some(format!("did you mean {meant}?")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, understood: Understood, expected: &str) {
        let source = Source {
            name: "f".to_owned(),
            text: text.to_owned(),
        };
        let mut problems = Problems::default();
        assert_eq!(parse(&source, &mut problems).1, understood, "{text}");
        assert_eq!(problems.into_errors(&source).to_string(), expected);
    }

    #[test]
    fn what_is_not_finished_is_told_in_plain_words() {
        use Understood::{Lost, Recovered};
        check(
            "a = \"b\nc = 1",
            Recovered,
            "f:1:7: the closing quote is missing\n    a = \"b\n          ^",
        );
        check(
            "a = 'b\nc = 1",
            Recovered,
            "f:1:7: the closing quote is missing\n    a = 'b\n          ^",
        );
        check(
            "a =\nc = 1",
            Recovered,
            "f:1:4: there is no value after =\n    a =\n       ^",
        );
        check(
            "a = 30s",
            Recovered,
            "f:1:5: 30s is text without quotes\n    a = 30s\n        ^^^\n    did you mean \"30s\"?",
        );
        check(
            "a = True",
            Recovered,
            "f:1:5: True is text without quotes\n    a = True\n        ^^^^\n    did you mean true?",
        );
        check(
            "listener 1883",
            Recovered,
            "f:1:10: there is no = after the key\n    listener 1883\n             ^\n    every line is key = value or [section]",
        );
        check(
            "[mqtt\na = 1",
            Lost,
            "f:1:6: the closing ] is missing\n    [mqtt\n         ^",
        );
        check(
            "[[mqtt]\na = 1",
            Lost,
            "f:1:8: the closing ]] is missing\n    [[mqtt]\n           ^",
        );
        check(
            "a = [1, 2\n",
            Recovered,
            "f:1:10: the closing ] of the list is missing\n    a = [1, 2\n             ^",
        );
        check(
            "a = {b = 1\n",
            Recovered,
            "f:1:11: the closing } is missing\n    a = {b = 1\n              ^",
        );
    }

    #[test]
    fn other_syntax_errors_are_told_in_plain_words() {
        use Understood::Recovered;
        check(
            "a = ['x' 'y']",
            Recovered,
            "f:1:10: a comma is missing in the list\n    a = ['x' 'y']\n             ^",
        );
        check(
            "a = \"\\q\"",
            Recovered,
            "f:1:7: \\ begins an escape sequence in double quotes\n    a = \"\\q\"\n          ^\n    write a path that has \\ in single quotes",
        );
        check(
            "a = 07",
            Recovered,
            "f:1:5: a number does not begin with 0\n    a = 07\n        ^",
        );
        check(
            "a = 'x' b",
            Recovered,
            "f:1:9: only a comment may follow a value\n    a = 'x' b\n            ^",
        );
        check(
            "a = 1\na = 2",
            Recovered,
            "f:2:1: a is set a second time\n    a = 2\n    ^",
        );
        check(
            "[a]\n[a]",
            Recovered,
            "f:2:2: the section [a] was there before\n    [a]\n     ^",
        );
    }

    #[test]
    fn every_value_keeps_its_place() {
        let source = Source {
            name: String::new(),
            text: "[a]\nb = [1, 'x']\n".to_owned(),
        };
        let mut problems = Problems::default();
        let (root, _) = parse(&source, &mut problems);
        let Node::Table(a) = &root["a"].node else {
            panic!("a section")
        };
        let Node::List(b) = &a["b"].node else {
            panic!("a list")
        };
        assert_eq!(root["a"].place, Place::File(0..3));
        assert_eq!(a["b"].key, Place::File(4..5));
        assert_eq!(b[1].place, Place::File(12..15));
        assert!(matches!(&b[1].node, Node::Scalar(Scalar::Text(text)) if text == "x"));
    }
}
