//! What is wrong with a configuration: where, in which words, and what was probably meant. Start at [`Errors`].

use std::{fmt, ops::Range, rc::Rc};

use serde::Serialize;

/// Everything that is wrong with a configuration, in the order of the file, then of the environment, then of the flags.
///
/// Displayed, each problem takes a line of its own, followed by what was written, a caret below it, and a suggestion.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Errors {
    /// At least one.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Problem {
    /// Where it was written.
    #[serde(flatten)]
    pub location: Location,
    /// What was written there.
    #[serde(flatten)]
    pub excerpt: Option<Excerpt>,
    /// What is wrong with it: lower case, no full stop.
    pub message: String,
    /// What to do instead, a sentence of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
}

/// Where something was written.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Location {
    /// In the configuration file.
    Line {
        /// Its path, as it was given.
        file: String,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
    },
    /// The configuration file itself.
    File {
        /// Its path, as it was given.
        file: String,
    },
    /// In the environment.
    Variable {
        /// Its name.
        variable: String,
    },
    /// On the command line.
    Flag {
        /// Its name.
        flag: &'static str,
    },
}

/// The line that something was written on.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Excerpt {
    /// The line, or what stands around the place where the line is long; without control characters.
    pub text: String,
    /// Characters of `text` before the place.
    #[serde(skip)]
    pub offset: usize,
    /// Characters of the place, at least one.
    pub length: usize,
}

/// A place while problems are collected.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Place {
    /// Bytes of the file.
    File(Range<usize>),
    /// Bytes of `NAME=value`.
    Variable(Rc<str>, Range<usize>),
    /// A flag.
    Flag(&'static str),
}

/// The text that [`Place::File`] points into.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// The path, as it was given.
    pub name: String,
    /// All of it.
    pub text: String,
}

/// Collects problems.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: Vec<Found>,
}

#[derive(Debug)]
struct Found {
    place: Place,
    message: String,
    suggestion: Option<String>,
    /// The file's text is no TOML here: whatever else is said of this line follows from it.
    syntax: bool,
}

impl Problems {
    /// More than anybody reads at once; what comes after is not recorded.
    const MOST: usize = 100;

    /// Records a problem.
    pub(super) fn add(
        &mut self,
        place: &Place,
        message: impl Into<String>,
        suggestion: Option<String>,
    ) {
        self.record(place, message.into(), suggestion, false);
    }

    /// Records that the file is no TOML there.
    pub(super) fn add_syntax(
        &mut self,
        place: &Place,
        message: String,
        suggestion: Option<String>,
    ) {
        self.record(place, message, suggestion, true);
    }

    /// Whether there is none.
    pub(super) const fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Whether no more are recorded.
    pub(super) const fn is_full(&self) -> bool {
        self.found.len() >= Self::MOST
    }

    fn record(&mut self, place: &Place, message: String, suggestion: Option<String>, syntax: bool) {
        if !self.is_full() {
            let place = place.clone();
            self.found.push(Found {
                place,
                message,
                suggestion,
                syntax,
            });
        }
    }

    /// All of them in order. A line that is no TOML is reported once, by its first error.
    pub(super) fn into_errors(mut self, source: &Source) -> Errors {
        self.found.sort_by_key(|found| {
            let (rank, at) = match &found.place {
                Place::File(span) => (0, span.start),
                Place::Variable(..) => (1, 0),
                Place::Flag(_) => (2, 0),
            };
            (rank, at, !found.syntax)
        });
        let broken: Vec<usize> = (self.found.iter())
            .filter(|found| found.syntax)
            .filter_map(|found| source.line_of(&found.place))
            .collect();
        let mut reported = None;
        self.found.retain(|found| {
            let line = source.line_of(&found.place);
            if !line.is_some_and(|line| broken.contains(&line)) {
                return true;
            }
            let first = found.syntax && reported != line;
            if first {
                reported = line;
            }
            first
        });
        let problems = self.found.into_iter().map(|found| {
            let (location, excerpt) = source.locate(&found.place);
            Problem {
                location,
                excerpt,
                message: found.message,
                suggestion: found.suggestion,
            }
        });
        Errors {
            problems: problems.collect(),
        }
    }
}

impl Errors {
    /// The file cannot be used at all.
    pub(super) fn unreadable(file: String, message: String, suggestion: Option<String>) -> Self {
        let problem = Problem {
            location: Location::File { file },
            excerpt: None,
            message,
            suggestion,
        };
        Self {
            problems: vec![problem],
        }
    }
}

impl Source {
    /// The line a place in the file is on, from 0.
    pub(super) fn line_of(&self, place: &Place) -> Option<usize> {
        match place {
            Place::File(span) => {
                let before = self.text.get(..span.start).unwrap_or(&self.text);
                Some(before.bytes().filter(|byte| *byte == b'\n').count())
            }
            Place::Variable(..) | Place::Flag(_) => None,
        }
    }

    fn locate(&self, place: &Place) -> (Location, Option<Excerpt>) {
        match place {
            Place::File(span) => {
                let before = self.text.get(..span.start).unwrap_or(&self.text);
                let begin = before.rfind('\n').map_or(0, |newline| newline + 1);
                let line = self.text[begin..].lines().next().unwrap_or_default();
                let within = span.start - begin..span.end.max(span.start) - begin;
                let location = Location::Line {
                    file: self.name.clone(),
                    line: before.bytes().filter(|byte| *byte == b'\n').count() + 1,
                    column: before[begin..]
                        .trim_start_matches('\u{feff}')
                        .chars()
                        .count()
                        + 1,
                };
                (location, Some(Excerpt::of(line, &within)))
            }
            Place::Variable(assignment, span) => {
                let variable = assignment.split('=').next().unwrap_or_default().to_owned();
                let excerpt = Excerpt::of(assignment, span);
                (Location::Variable { variable }, Some(excerpt))
            }
            Place::Flag(flag) => (Location::Flag { flag }, None),
        }
    }
}

impl Excerpt {
    /// What fits a terminal.
    const WIDTH: usize = 100;

    /// The characters of a line, `span` of its bytes marked.
    fn of(line: &str, span: &Range<usize>) -> Self {
        // A byte order mark takes no room; control characters could do anything to a terminal.
        let shown = |text: &str| -> Vec<char> {
            text.chars()
                .filter(|letter| *letter != '\u{feff}')
                .map(|letter| match letter {
                    '\t' => ' ',
                    _ if letter.is_control() => char::REPLACEMENT_CHARACTER,
                    _ => letter,
                })
                .collect()
        };
        let mut text = shown(line);
        let mut offset = shown(line.get(..span.start).unwrap_or(line)).len();
        let end = shown(line.get(..span.end).unwrap_or(line)).len();
        let mut length = end.saturating_sub(offset).max(1);
        if text.len() > Self::WIDTH {
            let begin = offset.saturating_sub(Self::WIDTH / 4);
            text = text.into_iter().skip(begin).take(Self::WIDTH).collect();
            offset -= begin;
            length = length.min(Self::WIDTH - offset);
        }
        Self {
            text: text.into_iter().collect::<String>().trim_end().to_owned(),
            offset,
            length,
        }
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, problem) in self.problems.iter().enumerate() {
            if place > 0 {
                writeln!(f)?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.location, self.message)?;
        if let Some(Excerpt {
            text,
            offset,
            length,
        }) = &self.excerpt
        {
            write!(f, "\n    {text}\n    {:offset$}{:^<length$}", "", "")?;
        }
        match &self.suggestion {
            Some(suggestion) => write!(f, "\n    {suggestion}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::File { file } => f.write_str(file),
            Self::Variable { variable } => f.write_str(variable),
            Self::Flag { flag } => f.write_str(flag),
        }
    }
}

impl std::error::Error for Errors {}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, span: Range<usize>, expected: &str) {
        let source = Source {
            name: "f".to_owned(),
            text: text.to_owned(),
        };
        let mut problems = Problems::default();
        problems.add(&Place::File(span), "m", Some("s".to_owned()));
        assert_eq!(problems.into_errors(&source).to_string(), expected);
    }

    #[test]
    fn the_caret_stands_below_what_is_meant() {
        check(
            "a = 1\n  b = 2\n",
            12..13,
            "f:2:7: m\n      b = 2\n          ^\n    s",
        );
        check(
            "é = 'ü' # x",
            5..9,
            "f:1:5: m\n    é = 'ü' # x\n        ^^^\n    s",
        );
        check("\tb = 2", 1..2, "f:1:2: m\n     b = 2\n     ^\n    s");
    }

    #[test]
    fn a_place_at_the_end_of_the_line_or_the_file_has_its_caret() {
        check("a =\nb", 3..3, "f:1:4: m\n    a =\n       ^\n    s");
        check("a =", 3..3, "f:1:4: m\n    a =\n       ^\n    s");
        check("", 0..0, "f:1:1: m\n    \n    ^\n    s");
    }

    #[test]
    fn a_place_over_several_lines_is_marked_on_its_first() {
        check(
            "a = [1,\n2]",
            4..10,
            "f:1:5: m\n    a = [1,\n        ^^^\n    s",
        );
    }

    #[test]
    fn a_byte_order_mark_takes_no_column() {
        check("\u{feff}a = 1", 3..4, "f:1:1: m\n    a = 1\n    ^\n    s");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        check(
            "a\u{1b}[2J",
            0..1,
            "f:1:1: m\n    a\u{fffd}[2J\n    ^\n    s",
        );
    }

    #[test]
    fn a_long_line_is_shown_around_the_place() {
        let line = "x".repeat(1000);
        let excerpt = Excerpt::of(&line, &(500..900));
        assert_eq!(excerpt.text.len(), Excerpt::WIDTH);
        assert_eq!((excerpt.offset, excerpt.length), (25, 75));
    }

    #[test]
    fn a_broken_line_is_reported_once_and_others_stay() {
        let source = Source {
            name: "f".to_owned(),
            text: "a\nb\n".to_owned(),
        };
        let mut problems = Problems::default();
        problems.add(&Place::File(0..1), "follows from it", None);
        problems.add_syntax(&Place::File(0..1), "first".to_owned(), None);
        problems.add_syntax(&Place::File(1..1), "second".to_owned(), None);
        problems.add(&Place::File(2..3), "other", None);
        let errors = problems.into_errors(&source);
        let messages: Vec<_> = errors.problems.iter().map(|p| p.message.as_str()).collect();
        assert_eq!(messages, ["first", "other"]);
    }

    #[test]
    fn a_problem_as_json_names_its_place() {
        let source = Source {
            name: "f".to_owned(),
            text: "a = 1".to_owned(),
        };
        let mut problems = Problems::default();
        problems.add(&Place::File(0..1), "m", None);
        problems.add(&Place::Variable("GATEMQ_A=1".into(), 9..10), "m", None);
        problems.add(&Place::Flag("-p"), "m", Some("s".to_owned()));
        let json = serde_json::to_string(&problems.into_errors(&source)).unwrap();
        assert_eq!(
            json,
            r#"[{"file":"f","line":1,"column":1,"text":"a = 1","length":1,"message":"m"},"#
                .to_owned()
                + r#"{"variable":"GATEMQ_A","text":"GATEMQ_A=1","length":1,"message":"m"},"#
                + r#"{"flag":"-p","message":"m","suggestion":"s"}]"#
        );
    }
}
