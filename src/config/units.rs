//! Amounts as they are written: `"30s"`, `"64KiB"`, `1000`, `"off"`, `"never"`.

use std::{fmt, time::Duration};

use super::{
    document::Scalar,
    section::{FromScalar, Wrong},
};

/// How many.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Count(pub u64);

/// Bytes: `"64KiB"` (1024 each), `"10MB"` (1,000,000 each), or a plain number.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Size(pub u64);

/// A time: `"500ms"`, `"30s"`, `"5m"`, `"12h"`, `"7d"`, `"2w"`, or several of them as in `"1h30m"`. A unit is needed, but
/// for `0`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Period(pub Duration);

/// A time, or `"off"`, which is also what 0 means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct OrOff(pub Option<Duration>);

/// A time, or `"never"`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct OrNever(pub Option<Duration>);

impl FromScalar for Count {
    const EXPECTED: &'static str = "a whole number";

    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        match scalar {
            Scalar::Integer(number) => match u64::try_from(*number) {
                Ok(number) => Ok(Self(number)),
                Err(_) => Err(negative(number)),
            },
            Scalar::Word(word) => match digits(word.trim()) {
                Some(number) => Ok(Self(number)),
                None => Err(Wrong::new(format!(
                    "expected {}, found \"{word}\"",
                    Self::EXPECTED
                ))),
            },
            Scalar::Text(text) => {
                let wrong = Wrong::kind(Self::EXPECTED, scalar.kind());
                Err(match digits(text) {
                    Some(number) => wrong.meant(&format!("{number}, without quotes")),
                    None => wrong,
                })
            }
            Scalar::Boolean(_) | Scalar::Other(_) => {
                Err(Wrong::kind(Self::EXPECTED, scalar.kind()))
            }
        }
    }
}

impl FromScalar for Size {
    const EXPECTED: &'static str = "a size";

    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        match scalar {
            Scalar::Integer(number) => match u64::try_from(*number) {
                Ok(number) => Ok(Self(number)),
                Err(_) => Err(negative(number)),
            },
            Scalar::Text(text) => size(text),
            Scalar::Word(word) => size(word),
            Scalar::Boolean(_) | Scalar::Other(_) => Err(Wrong::kind(
                "a size like \"64KiB\" or a number of bytes",
                scalar.kind(),
            )),
        }
    }
}

impl FromScalar for Period {
    const EXPECTED: &'static str = "a time like \"30s\"";

    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        match scalar {
            Scalar::Text(text) => period(text),
            Scalar::Word(word) => period(word),
            Scalar::Integer(0) => Ok(Self(Duration::ZERO)),
            Scalar::Integer(number) if *number < 0 => Err(negative(number)),
            Scalar::Integer(number) => Err(no_unit(&number.to_string())),
            Scalar::Boolean(_) | Scalar::Other(_) => {
                Err(Wrong::kind(Self::EXPECTED, scalar.kind()))
            }
        }
    }
}

impl FromScalar for OrOff {
    const EXPECTED: &'static str = "a time like \"30s\", or \"off\"";

    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        match scalar {
            Scalar::Text(text) if text == "off" => Ok(Self(None)),
            Scalar::Word(word) if &**word == "off" => Ok(Self(None)),
            Scalar::Boolean(false) => {
                Err(Wrong::kind(Self::EXPECTED, scalar.kind()).meant("\"off\""))
            }
            Scalar::Boolean(true) | Scalar::Other(_) => {
                Err(Wrong::kind(Self::EXPECTED, scalar.kind()))
            }
            Scalar::Text(_) | Scalar::Word(_) | Scalar::Integer(_) => {
                let Period(period) = Period::from_scalar(scalar)?;
                Ok(Self(Some(period).filter(|period| !period.is_zero())))
            }
        }
    }
}

impl FromScalar for OrNever {
    const EXPECTED: &'static str = "a time like \"7d\", or \"never\"";

    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        match scalar {
            Scalar::Text(text) if text == "never" => Ok(Self(None)),
            Scalar::Word(word) if &**word == "never" => Ok(Self(None)),
            Scalar::Boolean(_) | Scalar::Other(_) => {
                Err(Wrong::kind(Self::EXPECTED, scalar.kind()))
            }
            Scalar::Text(_) | Scalar::Word(_) | Scalar::Integer(_) => {
                Ok(Self(Some(Period::from_scalar(scalar)?.0)))
            }
        }
    }
}

fn negative(number: &i64) -> Wrong {
    Wrong::new(format!("{number} is below zero"))
}

fn no_unit(number: &str) -> Wrong {
    Wrong::new(format!("{number} has no unit")).meant(&format!("\"{number}s\""))
}

/// A number of nothing but digits.
fn digits(text: &str) -> Option<u64> {
    let only_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| only_digits)
}

fn size(text: &str) -> Result<Size, Wrong> {
    let written = text.trim();
    let number_ends = written.find(|letter: char| !letter.is_ascii_digit());
    let (number, unit) = written.split_at(number_ends.unwrap_or(written.len()));
    let unknown = || {
        Wrong::new(format!("\"{text}\" is not a size"))
            .hint("write it like \"64KiB\" (1024 each), \"10MB\" (1000000 each) or 65536")
    };
    if number.is_empty() {
        return Err(unknown());
    }
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        unit @ ("k" | "m" | "g") => {
            let letter = unit.to_uppercase();
            return Err(Wrong::new(format!("\"{text}\" may mean two sizes")).hint(&format!(
                "did you mean \"{number}{letter}iB\" (1024 each) or \"{number}{letter}B\" (1000 each)?"
            )));
        }
        _ => return Err(unknown()),
    };
    let bytes = digits(number).and_then(|number| number.checked_mul(factor));
    bytes
        .map(Size)
        .ok_or_else(|| Wrong::new(format!("\"{text}\" is more than there is anywhere")))
}

fn period(text: &str) -> Result<Period, Wrong> {
    let unknown = || {
        Wrong::new(format!("\"{text}\" is not a time"))
            .hint("write it like \"500ms\", \"30s\", \"5m\", \"12h\" or \"7d\"")
    };
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(Period(Duration::ZERO));
    }
    if digits(rest).is_some() {
        return Err(no_unit(rest));
    }
    let mut milliseconds = 0_u64;
    while !rest.is_empty() {
        let number_ends = rest
            .find(|letter: char| !letter.is_ascii_digit())
            .ok_or_else(unknown)?;
        let (number, after) = rest.split_at(number_ends);
        let after = after.trim_start();
        let unit_ends = after
            .find(|letter: char| !letter.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_ends);
        rest = after.trim_start();
        let factor: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return Err(unknown()),
        };
        if number.is_empty() {
            return Err(unknown());
        }
        milliseconds = digits(number)
            .and_then(|number| number.checked_mul(factor))
            .and_then(|more| milliseconds.checked_add(more))
            .ok_or_else(|| Wrong::new(format!("\"{text}\" is longer than anything lasts")))?;
    }
    if text.trim().is_empty() {
        return Err(unknown());
    }
    Ok(Period(Duration::from_millis(milliseconds)))
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 6] = [
            (1 << 30, "GiB"),
            (1 << 20, "MiB"),
            (1 << 10, "KiB"),
            (1_000_000_000, "GB"),
            (1_000_000, "MB"),
            (1_000, "kB"),
        ];
        let exact = UNITS
            .iter()
            .find(|(unit, _)| self.0 >= *unit && self.0.is_multiple_of(*unit));
        match exact {
            Some((unit, name)) => write!(f, "{}{name}", self.0 / unit),
            None if self.0 == 0 => f.write_str("0"),
            None => write!(f, "{} bytes", self.0),
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u128, &str); 4] = [
            (86_400_000, "d"),
            (3_600_000, "h"),
            (60_000, "m"),
            (1_000, "s"),
        ];
        let milliseconds = self.0.as_millis();
        let exact = (UNITS.iter())
            .find(|(unit, _)| milliseconds >= *unit && milliseconds.is_multiple_of(*unit));
        match exact {
            Some((unit, name)) => write!(f, "{}{name}", milliseconds / unit),
            None if milliseconds == 0 => f.write_str("0s"),
            None => write!(f, "{milliseconds}ms"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read<T: FromScalar>(text: &str) -> Result<T, String> {
        T::from_scalar(&Scalar::Text(text.to_owned())).map_err(|wrong| {
            let suggestion = wrong.suggestion.map(|suggestion| format!("; {suggestion}"));
            wrong.message + &suggestion.unwrap_or_default()
        })
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("64", 64),
            ("64B", 64),
            ("64KiB", 65_536),
            ("64 KiB", 65_536),
            ("1kib", 1_024),
            ("10kB", 10_000),
            ("10KB", 10_000),
            ("1MiB", 1 << 20),
            ("10MB", 10_000_000),
            ("2GiB", 2 << 30),
            ("3GB", 3_000_000_000),
            (" 1MiB ", 1 << 20),
        ] {
            assert_eq!(read(text), Ok(Size(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_says_what_one_looks_like() {
        let hint = "write it like \"64KiB\" (1024 each), \"10MB\" (1000000 each) or 65536";
        for text in [
            "", "MiB", "1.5MiB", "1 TiB", "-1", "1MiB 2", "0x10", "1_000",
        ] {
            assert_eq!(
                read::<Size>(text),
                Err(format!("\"{text}\" is not a size; {hint}")),
                "{text}"
            );
        }
        assert_eq!(
            read::<Size>("64k"),
            Err("\"64k\" may mean two sizes; did you mean \"64KiB\" (1024 each) or \"64KB\" (1000 each)?".to_owned())
        );
        assert_eq!(
            read::<Size>("99999999999GiB"),
            Err("\"99999999999GiB\" is more than there is anywhere".to_owned())
        );
    }

    #[test]
    fn times() {
        for (text, milliseconds) in [
            ("0", 0),
            ("0s", 0),
            ("500ms", 500),
            ("30s", 30_000),
            ("30 s", 30_000),
            ("5m", 300_000),
            ("5min", 300_000),
            ("12h", 43_200_000),
            ("7d", 604_800_000),
            ("1w", 604_800_000),
            ("1h30m", 5_400_000),
            ("1m 500ms", 60_500),
        ] {
            assert_eq!(
                read(text),
                Ok(Period(Duration::from_millis(milliseconds))),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_time_says_what_one_looks_like() {
        let hint = "write it like \"500ms\", \"30s\", \"5m\", \"12h\" or \"7d\"";
        for text in [
            "", "s", "30x", "1.5s", "-30s", "1h30", "30S", "never", "1h-2m",
        ] {
            assert_eq!(
                read::<Period>(text),
                Err(format!("\"{text}\" is not a time; {hint}")),
                "{text}"
            );
        }
        assert_eq!(
            read::<Period>("30"),
            Err("30 has no unit; did you mean \"30s\"?".to_owned())
        );
        assert_eq!(
            read::<Period>("99999999999999w"),
            Err("\"99999999999999w\" is longer than anything lasts".to_owned())
        );
    }

    #[test]
    fn off_and_never() {
        assert_eq!(read("off"), Ok(OrOff(None)));
        assert_eq!(read("0"), Ok(OrOff(None)));
        assert_eq!(read("10s"), Ok(OrOff(Some(Duration::from_secs(10)))));
        assert_eq!(read("never"), Ok(OrNever(None)));
        assert_eq!(read("0s"), Ok(OrNever(Some(Duration::ZERO))));
        assert!(read::<OrOff>("never").is_err());
        assert!(read::<OrNever>("off").is_err());
    }

    #[test]
    fn amounts_are_shown_in_their_largest_unit() {
        for (bytes, text) in [
            (0, "0"),
            (1_000, "1kB"),
            (1_024, "1KiB"),
            (1_025, "1025 bytes"),
            (256 << 20, "256MiB"),
        ] {
            assert_eq!(Size(bytes).to_string(), text);
        }
        for (milliseconds, text) in [
            (0, "0s"),
            (1, "1ms"),
            (1_500, "1500ms"),
            (90_000, "90s"),
            (604_800_000, "7d"),
        ] {
            assert_eq!(
                Period(Duration::from_millis(milliseconds)).to_string(),
                text
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".*") {
            let _ = (read::<Size>(&text), read::<Period>(&text), read::<OrOff>(&text), read::<OrNever>(&text));
        }

        #[test]
        fn what_is_shown_is_read_again(milliseconds in 0_u64..1 << 50) {
            let period = Period(Duration::from_millis(milliseconds));
            prop_assert_eq!(read(&period.to_string()), Ok(period));
        }
    }
}
