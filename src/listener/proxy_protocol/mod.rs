//! The source address behind a load balancer: PROXY protocol, versions 1 and 2, as HAProxy specifies it
//! (`proxy-protocol.txt`). Decides without I/O, from what has come so far. Start at [`parse`].

#[cfg(test)]
mod tests;

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use super::ProxyProtocol;

/// What version 2 begins with (2.2).
pub const SIGNATURE_V2: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// What version 1 begins with (2.1).
const SIGNATURE_V1: &[u8] = b"PROXY ";

/// The longest line of version 1, its end included (2.1).
const MAX_V1: usize = 107;

/// Signature, version and command, family, length.
const FIXED_V2: usize = 16;

/// Bytes after the fixed part of version 2 that are taken. Addresses need 216 at most; what clouds add are names and
/// numbers, and HAProxy the subject of a certificate: a few hundred.
const MAX_V2_REST: usize = 4096;

/// What the bytes at the beginning of a stream say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Parsed {
    /// They may become a header; more are needed. At most 4112 bytes are.
    Incomplete,
    /// They are no PROXY header.
    NotProxy,
    /// A whole header.
    Header(Header),
}

/// What a PROXY header says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header {
    /// Where the client comes from. `None` where the proxy speaks for itself (`LOCAL`: health checks) or knows no
    /// internet address (`UNKNOWN`, Unix sockets).
    pub source: Option<SocketAddr>,
    /// The client came to the proxy over TLS (`PP2_TYPE_SSL`).
    pub is_tls: bool,
    /// Bytes of the header; the stream of the client follows.
    pub length: usize,
}

/// What a PROXY header does wrong. Such a connection is dropped without an answer (2.2): a proxy reads none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HeaderError {
    /// Version 1: no CRLF within 107 bytes, or a line end that is none.
    LineEnd,
    /// Version 1: not `TCP4`, `TCP6` or `UNKNOWN`.
    Protocol,
    /// Version 1: not two addresses of the protocol and two ports.
    Addresses,
    /// Version 2: another version in the upper four bits.
    Version(u8),
    /// Version 2: neither `LOCAL` nor `PROXY`.
    Command(u8),
    /// Version 2: a family or transport that is not assigned.
    Family(u8),
    /// Version 2: shorter than the addresses of its family.
    TooShort(usize),
    /// Version 2: longer than is taken.
    TooLong(usize),
    /// Version 2: a field after the addresses that ends behind the header, or is shorter than its type.
    Field(u8),
    /// Version 2: the checksum is another.
    Checksum,
}

/// What is expected of the first bytes of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expectation {
    /// No header; one that comes is a foreign protocol.
    Never,
    /// A header, or the client itself.
    Maybe,
    /// A header before anything else.
    Always,
    /// Nothing: this peer may not connect here.
    Refused,
}

impl ProxyProtocol {
    /// What is expected of a peer. Only a trusted one is believed.
    #[must_use]
    pub const fn expects(self, is_trusted: bool) -> Expectation {
        match (self, is_trusted) {
            (Self::Off, _) | (Self::Optional, false) => Expectation::Never,
            (Self::Optional, true) => Expectation::Maybe,
            (Self::Required, true) => Expectation::Always,
            (Self::Required, false) => Expectation::Refused,
        }
    }
}

/// Reads the header at the beginning of a stream.
///
/// # Errors
/// It begins as one and is wrong: the connection is to be dropped.
pub fn parse(first: &[u8]) -> Result<Parsed, HeaderError> {
    if first.starts_with(SIGNATURE_V1) {
        parse_v1(first)
    } else if first.starts_with(&SIGNATURE_V2) {
        parse_v2(first)
    } else if SIGNATURE_V1.starts_with(first) || SIGNATURE_V2.starts_with(first) {
        Ok(Parsed::Incomplete)
    } else {
        Ok(Parsed::NotProxy)
    }
}

fn parse_v1(first: &[u8]) -> Result<Parsed, HeaderError> {
    let window = &first[..first.len().min(MAX_V1)];
    let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
        return if first.len() < MAX_V1 {
            Ok(Parsed::Incomplete)
        } else {
            Err(HeaderError::LineEnd)
        };
    };
    let line = window[SIGNATURE_V1.len()..end]
        .strip_suffix(b"\r")
        .ok_or(HeaderError::LineEnd)?;
    let line = std::str::from_utf8(line).map_err(|_| HeaderError::Addresses)?;
    let (protocol, addresses) = line.split_once(' ').unwrap_or((line, ""));
    let source = match protocol {
        "TCP4" => Some(source_v1::<Ipv4Addr>(addresses)?),
        "TCP6" => Some(source_v1::<Ipv6Addr>(addresses)?),
        // What follows is to be ignored (2.1).
        "UNKNOWN" => None,
        _ => return Err(HeaderError::Protocol),
    };
    Ok(Parsed::Header(Header {
        source,
        is_tls: false,
        length: end + 1,
    }))
}

/// `source destination port port`, one space between them.
fn source_v1<Address: FromStr + Into<IpAddr>>(addresses: &str) -> Result<SocketAddr, HeaderError> {
    let mut words = addresses.split(' ');
    let mut word = || words.next().ok_or(HeaderError::Addresses);
    let address = |text: &str| text.parse::<Address>().map_err(|_| HeaderError::Addresses);
    let source = address(word()?)?;
    address(word()?)?;
    let source_port = port_v1(word()?)?;
    port_v1(word()?)?;
    if words.next().is_some() {
        return Err(HeaderError::Addresses);
    }
    Ok(SocketAddr::new(source.into(), source_port))
}

/// Decimal, without leading zeros (2.1).
fn port_v1(text: &str) -> Result<u16, HeaderError> {
    let is_canonical =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if !is_canonical {
        return Err(HeaderError::Addresses);
    }
    text.parse().map_err(|_| HeaderError::Addresses)
}

fn parse_v2(first: &[u8]) -> Result<Parsed, HeaderError> {
    let Some(&[version_command, family, high, low]) = first.get(SIGNATURE_V2.len()..FIXED_V2)
    else {
        return Ok(Parsed::Incomplete);
    };
    if version_command >> 4 != 2 {
        return Err(HeaderError::Version(version_command >> 4));
    }
    let command = version_command & 0x0f;
    if command > 1 {
        return Err(HeaderError::Command(command));
    }
    let rest = usize::from(u16::from_be_bytes([high, low]));
    if rest > MAX_V2_REST {
        return Err(HeaderError::TooLong(rest));
    }
    let length = FIXED_V2 + rest;
    let mut header = Header {
        source: None,
        is_tls: false,
        length,
    };
    // LOCAL: the rest is to be discarded, whatever its family (2.2).
    let is_local = command == 0;
    let addresses = if is_local { 0 } else { addresses_v2(family)? };
    if rest < addresses {
        return Err(HeaderError::TooShort(rest));
    }
    let Some(whole) = first.get(..length) else {
        return Ok(Parsed::Incomplete);
    };
    if !is_local {
        header.source = source_v2(&whole[FIXED_V2..FIXED_V2 + addresses]);
        header.is_tls = read_fields(whole, FIXED_V2 + addresses)?;
    }
    Ok(Parsed::Header(header))
}

/// Bytes of the addresses of a family.
const fn addresses_v2(family: u8) -> Result<usize, HeaderError> {
    match (family >> 4, family & 0x0f) {
        // Family or transport unspecified: the addresses, if any, are not known.
        (0, 0..=2) => Ok(0),
        (1, 0..=2) => Ok(12),
        (2, 0..=2) => Ok(36),
        (3, 0..=2) => Ok(216),
        _ => Err(HeaderError::Family(family)),
    }
}

/// The source of `source destination port port`; none of a Unix socket.
fn source_v2(addresses: &[u8]) -> Option<SocketAddr> {
    let (address, port): (IpAddr, _) = match addresses.len() {
        12 => (
            <[u8; 4]>::try_from(&addresses[..4]).ok()?.into(),
            &addresses[8..10],
        ),
        36 => (
            <[u8; 16]>::try_from(&addresses[..16]).ok()?.into(),
            &addresses[32..34],
        ),
        _ => return None,
    };
    Some(SocketAddr::new(
        address,
        u16::from_be_bytes([port[0], port[1]]),
    ))
}

const TYPE_CRC32C: u8 = 0x03;
const TYPE_SSL: u8 = 0x20;
const CLIENT_SSL: u8 = 0x01;

/// Checks the fields after the addresses, those of unknown type too for their length; whether the client used TLS.
fn read_fields(header: &[u8], start: usize) -> Result<bool, HeaderError> {
    let mut is_tls = false;
    let mut at = start;
    while at < header.len() {
        let field_type = header[at];
        let error = HeaderError::Field(field_type);
        let Some(&[high, low]) = header.get(at + 1..at + 3) else {
            return Err(error);
        };
        let value_at = at + 3;
        let end = value_at + usize::from(u16::from_be_bytes([high, low]));
        let value = header.get(value_at..end).ok_or(error)?;
        match field_type {
            TYPE_CRC32C => {
                let sum = <[u8; 4]>::try_from(value).map_err(|_| error)?;
                if u32::from_be_bytes(sum) != crc32c_without(header, value_at) {
                    return Err(HeaderError::Checksum);
                }
            }
            // One byte of flags, four of the result of verification, and fields of its own.
            TYPE_SSL if value.len() < 5 => return Err(error),
            TYPE_SSL => is_tls |= value[0] & CLIENT_SSL != 0,
            _ => {}
        }
        at = end;
    }
    Ok(is_tls)
}

/// CRC-32C (RFC 9260, appendix A) with the four bytes of the sum itself as zeros (2.2.4).
fn crc32c_without(header: &[u8], sum_at: usize) -> u32 {
    let mut crc = u32::MAX;
    for (at, byte) in header.iter().enumerate() {
        let is_sum = (sum_at..sum_at + 4).contains(&at);
        crc ^= u32::from(if is_sum { 0 } else { *byte });
        // Bit by bit: one short header for each connection is not worth a table.
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LineEnd => write!(f, "PROXY header without CRLF in its first {MAX_V1} bytes"),
            Self::Protocol => f.write_str("PROXY header names neither TCP4, TCP6 nor UNKNOWN"),
            Self::Addresses => {
                f.write_str("PROXY header without two addresses of its protocol and two ports")
            }
            Self::Version(version) => write!(f, "PROXY header of version {version}"),
            Self::Command(command) => write!(f, "PROXY header with unknown command {command}"),
            Self::Family(family) => {
                write!(f, "PROXY header with unknown address family 0x{family:02x}")
            }
            Self::TooShort(length) => {
                write!(
                    f,
                    "PROXY header too short for its addresses: {length} bytes"
                )
            }
            Self::TooLong(length) => {
                write!(f, "PROXY header of {length} bytes, more than {MAX_V2_REST}")
            }
            Self::Field(field) => {
                write!(
                    f,
                    "PROXY header with a malformed field of type 0x{field:02x}"
                )
            }
            Self::Checksum => f.write_str("PROXY header with a wrong checksum"),
        }
    }
}

impl std::error::Error for HeaderError {}
