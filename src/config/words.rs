//! Values that are one of a few words, and texts that other libraries read: paths, log filters.

use std::path::PathBuf;

use tracing_subscriber::EnvFilter;

use super::{
    document::Scalar,
    section::{FromScalar, Wrong},
    suggestion,
};
use crate::{
    listener::{ClientCertificates, ProxyProtocol},
    router::WhenFull,
    telemetry::LogFormat,
};

/// A protocol that a listener may speak.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Protocol {
    Mqtt,
    WebSocket,
    Http,
}

/// What is logged, in the syntax of [`EnvFilter`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Filter(pub String);

/// A type whose values are words.
trait Choice: Copy + 'static {
    const CHOICES: &'static [(&'static str, Self)];
}

impl Choice for Protocol {
    const CHOICES: &'static [(&'static str, Self)] = &[
        ("mqtt", Self::Mqtt),
        ("websocket", Self::WebSocket),
        ("http", Self::Http),
    ];
}

impl Choice for ProxyProtocol {
    const CHOICES: &'static [(&'static str, Self)] = &[
        ("off", Self::Off),
        ("optional", Self::Optional),
        ("required", Self::Required),
    ];
}

impl Choice for ClientCertificates {
    const CHOICES: &'static [(&'static str, Self)] = &[
        ("off", Self::Off),
        ("optional", Self::Optional),
        ("required", Self::Required),
    ];
}

impl Choice for WhenFull {
    const CHOICES: &'static [(&'static str, Self)] = &[
        ("drop-oldest", Self::DropOldest),
        ("drop-newest", Self::DropNewest),
        ("disconnect", Self::Disconnect),
    ];
}

impl Choice for LogFormat {
    const CHOICES: &'static [(&'static str, Self)] = &[("text", Self::Text), ("json", Self::Json)];
}

impl<T: Choice> FromScalar for T {
    const EXPECTED: &'static str = "text";

    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        let word = match scalar {
            Scalar::Text(word) => word.as_str(),
            Scalar::Word(word) => word,
            Scalar::Boolean(false) if Self::CHOICES[0].0 == "off" => {
                return Err(Wrong::kind(Self::EXPECTED, scalar.kind()).meant("\"off\""));
            }
            Scalar::Integer(_) | Scalar::Boolean(_) | Scalar::Other(_) => "",
        };
        let chosen = Self::CHOICES.iter().find(|(choice, _)| *choice == word);
        if let Some((_, value)) = chosen {
            return Ok(*value);
        }
        let choices: Vec<_> = Self::CHOICES
            .iter()
            .map(|(choice, _)| format!("\"{choice}\""))
            .collect();
        let choices = choices.join(", ");
        Err(match scalar {
            Scalar::Text(_) | Scalar::Word(_) => {
                let wrong = Wrong::new(format!("\"{word}\" is none of {choices}"));
                match suggestion::for_word(word, Self::CHOICES.iter().map(|(choice, _)| *choice)) {
                    Some(choice) => wrong.meant(&format!("\"{choice}\"")),
                    None => wrong,
                }
            }
            Scalar::Integer(_) | Scalar::Boolean(_) | Scalar::Other(_) => {
                Wrong::kind(&format!("one of {choices}"), scalar.kind())
            }
        })
    }
}

impl FromScalar for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        match scalar {
            Scalar::Boolean(value) => Ok(*value),
            Scalar::Word(word) => match &**word {
                "true" => Ok(true),
                "false" => Ok(false),
                _ => {
                    let wrong = Wrong::new(format!("expected true or false, found \"{word}\""));
                    Err(match meaning(word) {
                        Some(value) => wrong.meant(&value.to_string()),
                        None => wrong,
                    })
                }
            },
            Scalar::Text(text) => {
                let wrong = Wrong::kind(Self::EXPECTED, scalar.kind());
                Err(match meaning(text) {
                    Some(value) => wrong.meant(&format!("{value}, without quotes")),
                    None => wrong,
                })
            }
            Scalar::Integer(_) | Scalar::Other(_) => {
                Err(Wrong::kind(Self::EXPECTED, scalar.kind()))
            }
        }
    }
}

/// What other programs take for true and false.
fn meaning(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// The text of a value that is written as text.
pub(super) fn text<'a>(scalar: &'a Scalar, expected: &str) -> Result<&'a str, Wrong> {
    match scalar {
        Scalar::Text(text) => Ok(text),
        Scalar::Word(word) => Ok(word),
        Scalar::Integer(_) | Scalar::Boolean(_) | Scalar::Other(_) => {
            Err(Wrong::kind(expected, scalar.kind()))
        }
    }
}

impl FromScalar for PathBuf {
    const EXPECTED: &'static str = "a path in quotes";

    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        match text(scalar, Self::EXPECTED)? {
            "" => Err(Wrong::new("the path is empty")),
            path if path.contains('\0') => Err(Wrong::new("no path has a zero byte")),
            path => Ok(path.into()),
        }
    }
}

impl FromScalar for Filter {
    const EXPECTED: &'static str = "text like \"info\" or \"info,gatemq=debug\"";

    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
        let filter = text(scalar, Self::EXPECTED)?;
        if filter.trim().is_empty() {
            return Err(Wrong::new("the filter is empty").hint("\"off\" writes no logs"));
        }
        // To the library a word that is no level is a target, and everything else goes silent.
        for part in filter.split(',').map(str::trim) {
            let word = part.bytes().all(|byte| byte.is_ascii_alphabetic());
            if word && !LEVELS.contains(&part.to_ascii_lowercase().as_str()) {
                let wrong = Wrong::new(format!("\"{part}\" is no level"));
                return Err(match suggestion::for_word(part, LEVELS.into_iter()) {
                    Some(level) => wrong.meant(&format!("\"{level}\"")),
                    None => wrong.hint("levels are off, error, warn, info, debug and trace; for one part of the program, gatemq::mqtt=debug"),
                });
            }
        }
        match EnvFilter::try_new(filter) {
            Ok(_) => Ok(Self(filter.to_owned())),
            Err(error) => Err(Wrong::new(format!("\"{filter}\" is not a filter: {error}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: FromScalar + PartialEq + std::fmt::Debug>(
        scalar: &Scalar,
        expected: Result<T, (&str, Option<&str>)>,
    ) {
        let expected = expected.map_err(|(message, suggestion)| Wrong {
            message: message.to_owned(),
            suggestion: suggestion.map(str::to_owned),
        });
        assert_eq!(T::from_scalar(scalar), expected);
    }

    fn quoted(text: &str) -> Scalar {
        Scalar::Text(text.to_owned())
    }

    #[test]
    fn one_of_a_few_words() {
        check(&quoted("drop-newest"), Ok(WhenFull::DropNewest));
        check(&Scalar::Word("json".into()), Ok(LogFormat::Json));
        check::<WhenFull>(
            &quoted("drop_oldest"),
            Err((
                "\"drop_oldest\" is none of \"drop-oldest\", \"drop-newest\", \"disconnect\"",
                Some("did you mean \"drop-oldest\"?"),
            )),
        );
        check::<LogFormat>(
            &Scalar::Integer(1),
            Err(("expected one of \"text\", \"json\", found a number", None)),
        );
        check::<ProxyProtocol>(
            &Scalar::Boolean(false),
            Err((
                "expected text, found true or false",
                Some("did you mean \"off\"?"),
            )),
        );
    }

    #[test]
    fn true_and_false() {
        check(&Scalar::Boolean(true), Ok(true));
        check(&Scalar::Word("false".into()), Ok(false));
        check::<bool>(
            &quoted("yes"),
            Err((
                "expected true or false, found text",
                Some("did you mean true, without quotes?"),
            )),
        );
        check::<bool>(
            &Scalar::Word("1".into()),
            Err((
                "expected true or false, found \"1\"",
                Some("did you mean true?"),
            )),
        );
        check::<bool>(
            &Scalar::Word("x".into()),
            Err(("expected true or false, found \"x\"", None)),
        );
    }

    #[test]
    fn log_filters() {
        for filter in [
            "info",
            "WARN",
            "info,gatemq=debug",
            "gatemq::mqtt=trace,off",
            "gatemq[span]=info",
        ] {
            check(&quoted(filter), Ok(Filter(filter.to_owned())));
        }
        check::<Filter>(
            &quoted("inof"),
            Err(("\"inof\" is no level", Some("did you mean \"info\"?"))),
        );
        check::<Filter>(
            &quoted(" "),
            Err(("the filter is empty", Some("\"off\" writes no logs"))),
        );
        check::<Filter>(
            &quoted("gatemq=loud"),
            Err((
                "\"gatemq=loud\" is not a filter: error parsing level filter: expected one of \"off\", \"error\", \"warn\", \"info\", \"debug\", \"trace\", or a number 0-5",
                None,
            )),
        );
    }

    #[test]
    fn paths() {
        check(&quoted("a/b"), Ok(PathBuf::from("a/b")));
        check::<PathBuf>(&quoted(""), Err(("the path is empty", None)));
        check::<PathBuf>(&quoted("a\0b"), Err(("no path has a zero byte", None)));
        check::<PathBuf>(
            &Scalar::Integer(1),
            Err(("expected a path in quotes, found a number", None)),
        );
    }
}
