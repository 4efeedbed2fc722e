//! The header of a frame (RFC 6455, 5.2), close codes (7.4), and what a peer may do wrong with either.

use std::fmt;

/// The longest frame that is taken: twice the longest MQTT packet. Its payload is passed on as it comes, so that a
/// limit saves no memory; but whoever announces more does not speak MQTT.
pub const MAX_FRAME: u64 = 512 * 1024 * 1024;

/// The longest payload of a control frame (5.5).
pub(super) const MAX_CONTROL: usize = 125;

/// The longest reason that fits a Close frame behind its code.
pub(super) const MAX_REASON: usize = MAX_CONTROL - 2;

/// Two bytes, eight of length, four of mask.
const MAX_HEADER: usize = 14;

/// What a frame is (5.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Opcode {
    Continuation = 0x0,
    Text = 0x1,
    Binary = 0x2,
    Close = 0x8,
    Ping = 0x9,
    Pong = 0xA,
}

/// The header of a frame from a client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Header {
    pub(super) is_final: bool,
    pub(super) opcode: Opcode,
    pub(super) mask: [u8; 4],
    pub(super) length: u64,
}

/// A header of which more is to come.
#[derive(Debug, Default)]
pub(super) struct PartialHeader {
    bytes: [u8; MAX_HEADER],
    length: u8,
}

/// How a peer broke RFC 6455. [`close_code`](Self::close_code) is what it is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Violation {
    /// A client must mask every frame (5.1).
    Unmasked,
    /// A reserved bit, though no extension was negotiated (5.2).
    ReservedBits,
    /// An opcode without a meaning (5.2).
    ReservedOpcode(u8),
    /// A control frame in fragments (5.5).
    FragmentedControl,
    /// A control frame of more than 125 bytes (5.5).
    LongControl,
    /// A length in more bytes than it needs (5.2).
    LengthNotMinimal,
    /// A length with its most significant bit set (5.2).
    LengthOutOfRange,
    /// A frame longer than [`MAX_FRAME`].
    FrameTooLong(u64),
    /// MQTT comes in binary frames only [MQTT-6.0.0-1].
    Text,
    /// A continuation of nothing (5.4).
    Continuation,
    /// A new message before the one in fragments has ended (5.4).
    Interleaved,
    /// A Close frame with half a code (5.5.1).
    CloseLength,
    /// A code that may not stand in a Close frame (7.4).
    CloseCode(u16),
    /// A reason that is not UTF-8 (5.5.1).
    CloseReason,
}

impl PartialHeader {
    /// Takes bytes of a header; the header once it is whole.
    pub(super) fn push(&mut self, input: &mut &[u8]) -> Result<Option<Header>, Violation> {
        loop {
            let have = usize::from(self.length);
            let needed = if have < 2 {
                2
            } else {
                header_length(self.bytes[1])
            };
            let taken = input.len().min(needed - have);
            let (bytes, rest) = input.split_at(taken);
            self.bytes[have..have + taken].copy_from_slice(bytes);
            self.length += taken as u8;
            *input = rest;
            if have + taken < needed {
                return Ok(None);
            }
            if have < 2 {
                // What is wrong already need not be waited for.
                check_start(self.bytes[0], self.bytes[1])?;
            } else {
                self.length = 0;
                return parse(&self.bytes[..needed]).map(Some);
            }
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.length == 0
    }
}

/// Bytes of a header, by its second byte.
const fn header_length(second: u8) -> usize {
    match second & 0x7f {
        // Only a Pong, which is short.
        _ if second & 0x80 == 0 => 2,
        126 => 8,
        127 => MAX_HEADER,
        _ => 6,
    }
}

fn check_start(first: u8, second: u8) -> Result<(), Violation> {
    let opcode = opcode(first)?;
    if first & 0x70 != 0 {
        return Err(Violation::ReservedBits);
    }
    // Paho Python answers every Ping with a Pong without mask. To insist on 5.1 there would cut it off at the first Ping,
    // and protect nobody: masks keep scripts of pages from choosing the bytes, and no script sends a Pong.
    if second & 0x80 == 0 && !matches!(opcode, Opcode::Pong) {
        return Err(Violation::Unmasked);
    }
    match opcode {
        Opcode::Close | Opcode::Ping | Opcode::Pong if first & 0x80 == 0 => {
            Err(Violation::FragmentedControl)
        }
        Opcode::Close | Opcode::Ping | Opcode::Pong if usize::from(second & 0x7f) > MAX_CONTROL => {
            Err(Violation::LongControl)
        }
        Opcode::Continuation
        | Opcode::Text
        | Opcode::Binary
        | Opcode::Close
        | Opcode::Ping
        | Opcode::Pong => Ok(()),
    }
}

const fn opcode(first: u8) -> Result<Opcode, Violation> {
    match first & 0x0f {
        0x0 => Ok(Opcode::Continuation),
        0x1 => Ok(Opcode::Text),
        0x2 => Ok(Opcode::Binary),
        0x8 => Ok(Opcode::Close),
        0x9 => Ok(Opcode::Ping),
        0xA => Ok(Opcode::Pong),
        reserved => Err(Violation::ReservedOpcode(reserved)),
    }
}

/// A whole header whose first two bytes were found right.
fn parse(bytes: &[u8]) -> Result<Header, Violation> {
    let is_masked = bytes[1] & 0x80 != 0;
    let mask_length = if is_masked { 4 } else { 0 };
    let (extended, mask) = bytes[2..].split_at(bytes.len() - 2 - mask_length);
    let extended = extended
        .iter()
        .fold(0, |length, byte| length << 8 | u64::from(*byte));
    let length = match bytes[1] & 0x7f {
        126 if extended < 126 => return Err(Violation::LengthNotMinimal),
        127 if extended <= u64::from(u16::MAX) => return Err(Violation::LengthNotMinimal),
        127 if extended >> 63 != 0 => return Err(Violation::LengthOutOfRange),
        126 | 127 => extended,
        short => u64::from(short),
    };
    if length > MAX_FRAME {
        return Err(Violation::FrameTooLong(length));
    }
    Ok(Header {
        is_final: bytes[0] & 0x80 != 0,
        opcode: opcode(bytes[0])?,
        // Zeros change nothing.
        mask: mask.try_into().unwrap_or_default(),
        length,
    })
}

/// Masks or unmasks (5.3), and turns the mask so that it fits the byte that follows.
pub(super) fn apply_mask(bytes: &mut [u8], mask: &mut [u8; 4]) {
    let [a, b, c, d] = *mask;
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for bytes in words {
        *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    mask.rotate_left(bytes.len() % 4);
}

/// Reads the payload of a Close frame: its code, if it has one.
pub(super) fn parse_close(payload: &[u8]) -> Result<Option<u16>, Violation> {
    let (code, reason) = match *payload {
        [] => return Ok(None),
        [_] => return Err(Violation::CloseLength),
        [high, low, ref reason @ ..] => (u16::from_be_bytes([high, low]), reason),
    };
    // 1004 to 1006 and 1015 are never sent; 1012 to 1014 were registered later (IANA).
    match code {
        1000..=1003 | 1007..=1014 | 3000..=4999 => {}
        _ => return Err(Violation::CloseCode(code)),
    }
    match std::str::from_utf8(reason) {
        Ok(_) => Ok(Some(code)),
        Err(_) => Err(Violation::CloseReason),
    }
}

/// The payload of a Close frame; a reason that is too long is cut between two letters.
pub(super) fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    let reason = &reason[..reason.floor_char_boundary(MAX_REASON)];
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

impl Violation {
    /// The close code (7.4.1) that the peer is sent.
    #[must_use]
    pub const fn close_code(self) -> u16 {
        match self {
            Self::Unmasked
            | Self::ReservedBits
            | Self::ReservedOpcode(_)
            | Self::FragmentedControl
            | Self::LongControl
            | Self::LengthNotMinimal
            | Self::LengthOutOfRange
            | Self::Continuation
            | Self::Interleaved
            | Self::CloseLength
            | Self::CloseCode(_) => 1002,
            Self::Text => 1003,
            Self::CloseReason => 1007,
            Self::FrameTooLong(_) => 1009,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unmasked => f.write_str("frame without mask"),
            Self::ReservedBits => f.write_str("reserved bits set, but no extension was negotiated"),
            Self::ReservedOpcode(opcode) => write!(f, "reserved opcode 0x{opcode:X}"),
            Self::FragmentedControl => f.write_str("control frame in fragments"),
            Self::LongControl => write!(f, "control frame of more than {MAX_CONTROL} bytes"),
            Self::LengthNotMinimal => f.write_str("frame length in more bytes than it needs"),
            Self::LengthOutOfRange => f.write_str("frame length of more than 63 bits"),
            Self::FrameTooLong(length) => {
                write!(f, "frame of {length} bytes, more than {MAX_FRAME}")
            }
            Self::Text => f.write_str("text frame; MQTT comes in binary frames"),
            Self::Continuation => f.write_str("continuation of no message"),
            Self::Interleaved => f.write_str("new message before the last fragment of another"),
            Self::CloseLength => f.write_str("close frame with half a close code"),
            Self::CloseCode(code) => write!(f, "close code {code} may not be sent"),
            Self::CloseReason => f.write_str("close reason that is not UTF-8"),
        }
    }
}

impl std::error::Error for Violation {}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header is the same whether it comes whole or a byte at a time.
    #[track_caller]
    fn check(bytes: &[u8], expected: Result<Header, Violation>) {
        let mut input = bytes;
        let whole = PartialHeader::default().push(&mut input);
        assert_eq!(whole, expected.map(Some), "{bytes:02x?}");
        let mut partial = PartialHeader::default();
        let pieces = bytes
            .iter()
            .map(|byte| partial.push(&mut std::slice::from_ref(byte)))
            .find(|answer| *answer != Ok(None));
        assert_eq!(pieces, Some(whole), "{bytes:02x?}");
    }

    fn header(opcode: Opcode, length: u64) -> Result<Header, Violation> {
        Ok(Header {
            is_final: true,
            opcode,
            mask: [1, 2, 3, 4],
            length,
        })
    }

    /// RFC 6455, 5.2: the three forms of a length, each with the least and the most it may say.
    #[test]
    fn lengths() {
        check(&[0x82, 0x80, 1, 2, 3, 4], header(Opcode::Binary, 0));
        check(&[0x82, 0xfd, 1, 2, 3, 4], header(Opcode::Binary, 125));
        check(
            &[0x82, 0xfe, 0, 126, 1, 2, 3, 4],
            header(Opcode::Binary, 126),
        );
        check(
            &[0x82, 0xfe, 0xff, 0xff, 1, 2, 3, 4],
            header(Opcode::Binary, 65_535),
        );
        check(
            &[0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4],
            header(Opcode::Binary, 65_536),
        );
        check(
            &[0x82, 0xff, 0, 0, 0, 0, 0x20, 0, 0, 0, 1, 2, 3, 4],
            header(Opcode::Binary, MAX_FRAME),
        );
    }

    /// RFC 6455, 5.2: "the minimal number of bytes MUST be used", "the most significant bit MUST be 0".
    #[test]
    fn wrong_lengths() {
        check(
            &[0x82, 0xfe, 0, 125, 1, 2, 3, 4],
            Err(Violation::LengthNotMinimal),
        );
        check(
            &[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4],
            Err(Violation::LengthNotMinimal),
        );
        check(
            &[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4],
            Err(Violation::LengthOutOfRange),
        );
        check(
            &[0x82, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4],
            Err(Violation::FrameTooLong(1 << 62)),
        );
        check(
            &[0x82, 0xff, 0, 0, 0, 0, 0x20, 0, 0, 1, 1, 2, 3, 4],
            Err(Violation::FrameTooLong(MAX_FRAME + 1)),
        );
    }

    /// Known from two bytes, nothing more is waited for.
    #[test]
    fn wrong_beginnings() {
        for bits in [0x40, 0x20, 0x10, 0x70] {
            check(&[0x82 | bits, 0x80], Err(Violation::ReservedBits));
            check(&[0x89 | bits, 0x80], Err(Violation::ReservedBits));
        }
        for opcode in [3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf] {
            check(
                &[0x80 | opcode, 0x80],
                Err(Violation::ReservedOpcode(opcode)),
            );
        }
        check(&[0x82, 0x05], Err(Violation::Unmasked));
        for opcode in [0x8, 0x9] {
            check(&[0x80 | opcode, 0x00], Err(Violation::Unmasked));
        }
        for opcode in [0x8, 0x9, 0xA] {
            check(&[opcode, 0x80], Err(Violation::FragmentedControl));
            check(&[0x80 | opcode, 0xfe], Err(Violation::LongControl));
            check(&[0x80 | opcode, 0xff], Err(Violation::LongControl));
        }
    }

    #[test]
    fn opcodes() {
        for opcode in [
            Opcode::Continuation,
            Opcode::Text,
            Opcode::Binary,
            Opcode::Close,
            Opcode::Ping,
            Opcode::Pong,
        ] {
            check(
                &[0x80 | opcode as u8, 0xfd, 1, 2, 3, 4],
                header(opcode, 125),
            );
        }
    }

    /// RFC 6455, 5.3, whatever the pieces are.
    #[test]
    fn masking() {
        let plain: Vec<u8> = (0..100).collect();
        let masked: Vec<u8> = plain
            .iter()
            .enumerate()
            .map(|(at, byte)| byte ^ [7, 77, 177, 217][at % 4])
            .collect();
        for split in 0..plain.len() {
            let mut bytes = masked.clone();
            let mut mask = [7, 77, 177, 217];
            let (first, second) = bytes.split_at_mut(split);
            apply_mask(first, &mut mask);
            apply_mask(second, &mut mask);
            assert_eq!(bytes, plain, "split at {split}");
        }
    }

    /// RFC 6455, 5.5.1 and 7.4.
    #[test]
    fn close_payloads() {
        assert_eq!(parse_close(b""), Ok(None));
        assert_eq!(parse_close(b"\x03"), Err(Violation::CloseLength));
        for code in [
            1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999,
            4000, 4999,
        ] {
            assert_eq!(
                parse_close(&close_payload(code, "gr\u{fc}n")),
                Ok(Some(code))
            );
        }
        for code in [
            0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535,
        ] {
            assert_eq!(
                parse_close(&close_payload(code, "")),
                Err(Violation::CloseCode(code))
            );
        }
        assert_eq!(parse_close(b"\x03\xe8\xff"), Err(Violation::CloseReason));
        assert_eq!(
            parse_close(b"\x03\xe8\xce\xba\xed\xa0\x80"),
            Err(Violation::CloseReason)
        );
    }

    #[test]
    fn a_long_reason_is_cut_between_letters() {
        let payload = close_payload(1008, &"\u{fc}".repeat(100));
        assert_eq!(payload.len(), 2 + 122);
        assert_eq!(parse_close(&payload), Ok(Some(1008)));
        assert_eq!(close_payload(1008, &"x".repeat(123)).len(), MAX_CONTROL);
        assert_eq!(close_payload(1008, &"x".repeat(124)).len(), MAX_CONTROL);
    }

    #[test]
    fn every_violation_fits_a_close_frame() {
        for violation in [
            Violation::FrameTooLong(u64::MAX),
            Violation::ReservedBits,
            Violation::LongControl,
        ] {
            assert!(violation.to_string().len() <= MAX_REASON);
        }
    }
}
