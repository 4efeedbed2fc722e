//! Format strings as mosquitto_sub(1) describes them: `%` for what a message says, `@` for the time, `\` for what is
//! awkward to type. Start at [`Format::parse`].

use std::io::Write as _;

use gatemq::message::MessageProperties;
use jiff::ZonedDateTime;

use super::{json, received::Received};

/// The widest field: a line of a large screen several times over.
const MAX_WIDTH: usize = 10_000;

/// What takes flags and a width.
const PADDED: &str = "ACEFIlmpRStxX";

/// What is cut at a maximum width.
const CUT: &str = "CIRt";

/// What zeroes may be put in front of.
const ZEROED: &str = "AEFlmSxX";

/// A format string, understood.
#[derive(Clone, Debug)]
pub(crate) struct Format(Vec<Item>);

#[derive(Clone, Debug)]
enum Item {
    Text(Vec<u8>),
    Field {
        letter: char,
        padding: Padding,
    },
    /// A letter of strftime.
    Time(String),
    Nanoseconds,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Padding {
    zeros: bool,
    left: bool,
    width: usize,
    maximum: Option<usize>,
}

impl Format {
    /// Understands a format string, or says what in it has no meaning.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut items: Vec<Item> = Vec::new();
        let mut letters = text.chars().peekable();
        while let Some(letter) = letters.next() {
            let item = match letter {
                '%' => field(&mut letters)?,
                '@' => time(letters.next())?,
                '\\' => Item::Text(vec![escape(letters.next())?]),
                letter => Item::Text(letter.to_string().into_bytes()),
            };
            match (items.last_mut(), item) {
                (Some(Item::Text(before)), Item::Text(more)) => before.extend(more),
                (_, item) => items.push(item),
            }
        }
        Ok(Self(items))
    }

    /// Appends what it makes of a message; what is wrong with the message where it asks for JSON that is none.
    pub(super) fn write(
        &self,
        received: &Received,
        out: &mut Vec<u8>,
        pretty: bool,
    ) -> Result<(), String> {
        for item in &self.0 {
            match item {
                Item::Text(text) => out.extend(text),
                Item::Field { letter, padding } => {
                    let value = value(*letter, *padding, received, pretty)?;
                    pad(&value, *letter, *padding, out);
                }
                Item::Time(letter) => {
                    out.extend(received.at.strftime(letter).to_string().into_bytes());
                }
                Item::Nanoseconds => {
                    let _ = write!(out, "{:09}", received.at.subsec_nanosecond());
                }
            }
        }
        Ok(())
    }
}

fn field(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Item, String> {
    let mut padding = Padding::default();
    while let Some(flag) = letters.next_if(|letter| matches!(letter, '0' | '-')) {
        padding.zeros |= flag == '0';
        padding.left |= flag == '-';
    }
    padding.width = number(letters)?.unwrap_or_default();
    if letters.next_if_eq(&'.').is_some() {
        padding.maximum = Some(number(letters)?.unwrap_or_default());
    }
    match letters.next() {
        Some('%') => Ok(Item::Text(vec![b'%'])),
        Some(letter) if "ACDEFIJPRSUXjlmpqrtx".contains(letter) => {
            if padding != Padding::default() && !PADDED.contains(letter) {
                return Err(format!("%{letter} takes neither flags nor a width"));
            }
            Ok(Item::Field { letter, padding })
        }
        Some(letter) => Err(format!(
            "%{letter} means nothing; mosquitto_sub(1) lists what does, and %% is a %"
        )),
        None => Err("it ends in the middle of a %; %% is a % itself".to_owned()),
    }
}

fn number(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Option<usize>, String> {
    let mut digits = String::new();
    while let Some(digit) = letters.next_if(char::is_ascii_digit) {
        digits.push(digit);
    }
    if digits.is_empty() {
        return Ok(None);
    }
    let number = digits.parse().ok().filter(|number| *number <= MAX_WIDTH);
    number
        .map(Some)
        .ok_or_else(|| format!("the width {digits} is more than {MAX_WIDTH}"))
}

fn time(letter: Option<char>) -> Result<Item, String> {
    match letter {
        Some('@') => Ok(Item::Text(vec![b'@'])),
        Some('N') => Ok(Item::Nanoseconds),
        Some(letter) => {
            let format = format!("%{letter}");
            let tried = jiff::fmt::strtime::format(&format, &ZonedDateTime::now());
            tried.map_err(|_| format!("@{letter} is no letter of strftime(3); @@ is an @"))?;
            Ok(Item::Time(format))
        }
        None => Err("it ends in an @; @@ is an @ itself".to_owned()),
    }
}

fn escape(letter: Option<char>) -> Result<u8, String> {
    Ok(match letter {
        Some('\\') => b'\\',
        Some('0') => 0,
        Some('a') => 0x07,
        Some('e') => 0x1b,
        Some('n') => b'\n',
        Some('r') => b'\r',
        Some('t') => b'\t',
        Some('v') => 0x0b,
        Some(letter) => return Err(format!("\\{letter} means nothing; \\\\ is a \\")),
        None => return Err("it ends in a \\; \\\\ is a \\ itself".to_owned()),
    })
}

fn value(
    letter: char,
    padding: Padding,
    received: &Received,
    pretty: bool,
) -> Result<Vec<u8>, String> {
    let publish = &received.publish;
    let message = &publish.message;
    let absent = MessageProperties::default();
    let properties = message.properties.as_deref().unwrap_or(&absent);
    let text = match letter {
        'p' => return Ok(message.payload.to_vec()),
        'D' => {
            return Ok(properties
                .correlation_data
                .as_deref()
                .unwrap_or_default()
                .to_vec());
        }
        'x' => return Ok(hexadecimal(&message.payload, padding, b"0123456789abcdef")),
        'X' => return Ok(hexadecimal(&message.payload, padding, b"0123456789ABCDEF")),
        'j' => json::line(received, pretty),
        'J' => json::line_with_json(received, pretty)?,
        't' => message.topic.as_str().to_owned(),
        'q' => (publish.qos as u8).to_string(),
        'r' => u8::from(publish.retain).to_string(),
        'l' => message.payload.len().to_string(),
        'm' => publish
            .packet_id
            .map_or(0, |packet_id| packet_id.get())
            .to_string(),
        'C' => properties
            .content_type
            .as_deref()
            .unwrap_or_default()
            .to_owned(),
        'R' => properties
            .response_topic
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        'E' => publish
            .message_expiry_interval
            .map(|seconds| seconds.to_string())
            .unwrap_or_default(),
        'F' => properties
            .payload_is_utf8
            .map(|is_utf8| u8::from(is_utf8).to_string())
            .unwrap_or_default(),
        'S' => {
            let identifiers = publish
                .subscription_identifiers
                .iter()
                .map(ToString::to_string);
            identifiers.collect::<Vec<_>>().join(" ")
        }
        'P' => {
            let pairs = properties.user_properties.iter();
            pairs
                .map(|(name, value)| format!("{name}:{value}"))
                .collect::<Vec<_>>()
                .join(" ")
        }
        'I' => received.at.strftime("%Y-%m-%dT%H:%M:%S%z").to_string(),
        'U' => {
            let at = received.at.timestamp();
            format!("{}.{:09}", at.as_second(), at.subsec_nanosecond())
        }
        // %A: the topic alias is gone once the topic is known.
        _ => String::new(),
    };
    Ok(text.into_bytes())
}

/// Each byte of a payload may have a width of its own, as mosquitto has it.
fn hexadecimal(payload: &[u8], padding: Padding, digits: &[u8; 16]) -> Vec<u8> {
    let mut text = Vec::with_capacity(payload.len() * 2.max(padding.width));
    for byte in payload {
        let pair = [
            digits[usize::from(byte >> 4)],
            digits[usize::from(byte & 15)],
        ];
        fill(&pair, 'x', padding, &mut text);
    }
    text
}

fn pad(value: &[u8], letter: char, padding: Padding, out: &mut Vec<u8>) {
    if matches!(letter, 'x' | 'X') {
        out.extend(value);
        return;
    }
    match (padding.maximum, std::str::from_utf8(value)) {
        (Some(maximum), Ok(text)) if CUT.contains(letter) => {
            let cut: String = text.chars().take(maximum).collect();
            fill(cut.as_bytes(), letter, padding, out);
        }
        _ => fill(value, letter, padding, out),
    }
}

fn fill(value: &[u8], letter: char, padding: Padding, out: &mut Vec<u8>) {
    let length = std::str::from_utf8(value).map_or(value.len(), |text| text.chars().count());
    let missing = padding.width.saturating_sub(length);
    if padding.left {
        out.extend(value);
        out.extend(std::iter::repeat_n(b' ', missing));
        return;
    }
    let zeros = padding.zeros && ZEROED.contains(letter);
    out.extend(std::iter::repeat_n(
        if zeros { b'0' } else { b' ' },
        missing,
    ));
    out.extend(value);
}

#[cfg(test)]
mod tests {
    use super::{super::received::tests::received, *};

    fn formatted(format: &str) -> String {
        let mut out = Vec::new();
        let format = Format::parse(format).expect(format);
        format
            .write(&received(), &mut out, false)
            .expect("a message");
        String::from_utf8(out).expect("text")
    }

    fn refused(format: &str, words: &str) {
        let error = Format::parse(format).expect_err(format);
        assert!(error.contains(words), "{format}: {error}");
    }

    #[test]
    fn what_a_message_says() {
        assert_eq!(formatted("%t %p %q %r %l %m"), "a/b {\"n\": 1} 1 1 8 7");
        assert_eq!(formatted("%x %X"), "7b226e223a20317d 7B226E223A20317D");
        assert_eq!(formatted("%C %D %E %F %R %S"), "text/plain xx 50 1 r/t 5");
        assert_eq!(formatted("%P"), "a:b a:c");
        assert_eq!(formatted("100%% %A|"), "100% |");
        assert_eq!(formatted(r"a\tb\\\n\e"), "a\tb\\\n\u{1b}");
    }

    #[test]
    fn widths_and_flags() {
        assert_eq!(formatted("|%6t|%-6t|%06t|"), "|   a/b|a/b   |   a/b|");
        assert_eq!(formatted("|%04l|%-4l|%4.2t|%.1t|"), "|0008|8   |  a/|a|");
    }

    #[test]
    fn times() {
        assert_eq!(formatted("%I"), "2026-11-24T19:55:10+0100");
        assert_eq!(formatted("%U"), "1795546510.000000012");
        assert_eq!(
            formatted("@Y-@m-@d @H:@M:@S.@N @@"),
            "2026-11-24 19:55:10.000000012 @"
        );
    }

    #[test]
    fn what_means_nothing_is_named() {
        refused("%z", "%z means nothing");
        refused("%", "ends in the middle");
        refused("%5q", "takes neither");
        refused("%99999t", "more than 10000");
        refused("@", "ends in an @");
        refused("\\x", "\\x means nothing");
        refused("\\", "ends in a \\");
    }
}
