use proptest::prelude::*;

use super::*;

/// The whole says this, with what follows left alone; every beginning of it is incomplete.
#[track_caller]
fn check(header: &[u8], source: Option<&str>, is_tls: bool) {
    let expected = Header {
        source: source.map(|source| source.parse().expect("an address")),
        is_tls,
        length: header.len(),
    };
    for length in 0..header.len() {
        assert_eq!(parse(&header[..length]), Ok(Parsed::Incomplete), "{length}");
    }
    let stream = [header, b"\x10\n\r\n"].concat();
    assert_eq!(parse(&stream), Ok(Parsed::Header(expected)));
}

fn v2(version_command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).expect("a short header");
    let mut header = SIGNATURE_V2.to_vec();
    header.extend([version_command, family]);
    header.extend(length.to_be_bytes());
    header.extend(rest);
    header
}

const INET: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0xdc, 0x04, 0x01, 0xbb];

fn with_fields(fields: &[u8]) -> Vec<u8> {
    v2(0x21, 0x11, &[&INET[..], fields].concat())
}

#[test]
fn version_1() {
    check(
        b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n",
        Some("192.0.2.7:56324"),
        false,
    );
    check(
        b"PROXY TCP6 2001:db8::7 2001:db8::1 0 65535\r\n",
        Some("[2001:db8::7]:0"),
        false,
    );
    check(b"PROXY UNKNOWN\r\n", None, false);
    check(b"PROXY UNKNOWN ffff::1 what ever\r\n", None, false);
    let longest = "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535";
    check(format!("{longest:<105}\r\n").as_bytes(), None, false);
}

#[test]
fn malformed_version_1_is_refused() {
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(92));
    for (line, error) in [
        (
            "PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n",
            HeaderError::LineEnd,
        ),
        (long.as_str(), HeaderError::LineEnd),
        (
            "PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n",
            HeaderError::Protocol,
        ),
        (
            "PROXY tcp4 192.0.2.7 198.51.100.1 1 2\r\n",
            HeaderError::Protocol,
        ),
        (
            "PROXY  TCP4 192.0.2.7 198.51.100.1 1 2\r\n",
            HeaderError::Protocol,
        ),
        ("PROXY TCP4\r\n", HeaderError::Addresses),
        (
            "PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n",
            HeaderError::Addresses,
        ),
        (
            "PROXY TCP4 192.0.2.7 198.51.100.1 1 2 \r\n",
            HeaderError::Addresses,
        ),
        (
            "PROXY TCP4 192.0.2.7 198.51.100.1 1 65536\r\n",
            HeaderError::Addresses,
        ),
        (
            "PROXY TCP4 192.0.2.7 198.51.100.1 +1 2\r\n",
            HeaderError::Addresses,
        ),
        (
            "PROXY TCP4 192.0.2.7 198.51.100.1 01 2\r\n",
            HeaderError::Addresses,
        ),
        (
            "PROXY TCP4 192.0.2.7 198.51.100.1  2\r\n",
            HeaderError::Addresses,
        ),
        (
            "PROXY TCP4 192.0.02.7 198.51.100.1 1 2\r\n",
            HeaderError::Addresses,
        ),
        (
            "PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n",
            HeaderError::Addresses,
        ),
        (
            "PROXY TCP6 192.0.2.7 198.51.100.1 1 2\r\n",
            HeaderError::Addresses,
        ),
    ] {
        assert_eq!(parse(line.as_bytes()), Err(error), "{line}");
    }
}

#[test]
fn version_2() {
    check(&with_fields(b""), Some("192.0.2.7:56324"), false);
    let inet6 = [
        &[0x20, 1, 0x0d, 0xb8][..],
        &[0; 11],
        &[7],
        &[9; 16],
        &[0, 80, 1, 0],
    ]
    .concat();
    check(&v2(0x21, 0x21, &inet6), Some("[2001:db8::7]:80"), false);
    check(&v2(0x21, 0x31, &[b'/'; 216]), None, false);
    check(&v2(0x21, 0x00, b""), None, false);
    // LOCAL discards the rest, even one that would be malformed.
    check(&v2(0x20, 0xff, &[1, 2, 3]), None, false);
    check(&v2(0x20, 0x11, &[0; MAX_V2_REST]), None, false);
}

#[test]
fn fields_of_version_2() {
    let source = Some("192.0.2.7:56324");
    let ssl = |flags| [&[0x20, 0, 8, flags, 0, 0, 0, 0][..], &[0x21, 0, 0]].concat();
    check(&with_fields(&ssl(0x01)), source, true);
    check(&with_fields(&ssl(0x06)), source, false);
    // ALPN, NOOP, and a type of Amazon's, skipped.
    check(
        &with_fields(b"\x01\0\x04mqtt\x04\0\0\xea\0\x03\x01vp"),
        source,
        false,
    );
}

/// The polynomial's published check value, then a header without and with a flipped bit.
#[test]
fn a_checksum_is_checked() {
    assert_eq!(crc32c_without(b"123456789", 9), 0xe306_9283);
    let mut header = with_fields(b"\x03\0\x04\0\0\0\0");
    let sum_at = header.len() - 4;
    let sum = crc32c_without(&header, sum_at);
    header[sum_at..].copy_from_slice(&sum.to_be_bytes());
    check(&header, Some("192.0.2.7:56324"), false);
    header[FIXED_V2] ^= 1;
    assert_eq!(parse(&header), Err(HeaderError::Checksum));
}

#[test]
fn malformed_version_2_is_refused() {
    let mut long = v2(0x21, 0x11, b"");
    long[14..].copy_from_slice(&[0x10, 0x01]);
    for (header, error) in [
        (v2(0x11, 0x11, &INET), HeaderError::Version(1)),
        (v2(0x22, 0x11, &INET), HeaderError::Command(2)),
        (v2(0x21, 0x41, &INET), HeaderError::Family(0x41)),
        (v2(0x21, 0x13, &INET), HeaderError::Family(0x13)),
        (v2(0x21, 0x11, &INET[1..]), HeaderError::TooShort(11)),
        (v2(0x21, 0x21, &INET), HeaderError::TooShort(12)),
        (long, HeaderError::TooLong(4097)),
        (with_fields(b"\x05"), HeaderError::Field(5)),
        (with_fields(b"\x05\0\x02x"), HeaderError::Field(5)),
        (with_fields(b"\x03\0\x02xx"), HeaderError::Field(3)),
        (
            with_fields(b"\x20\0\x04\x01\0\0\0"),
            HeaderError::Field(0x20),
        ),
    ] {
        assert_eq!(parse(&header), Err(error), "{}", header.escape_ascii());
    }
}

#[test]
fn everything_else_is_no_header() {
    for first in [
        "GET / HTTP/1.1",
        "\x10",
        "\r\n\r\nGET",
        "PROXYING / HTTP/1.1",
    ] {
        assert_eq!(parse(first.as_bytes()), Ok(Parsed::NotProxy), "{first}");
    }
}

#[test]
fn only_trusted_peers_are_believed() {
    use Expectation::{Always, Maybe, Never, Refused};
    for (mode, trusted, untrusted) in [
        (ProxyProtocol::Off, Never, Never),
        (ProxyProtocol::Optional, Maybe, Never),
        (ProxyProtocol::Required, Always, Refused),
    ] {
        assert_eq!(
            (mode.expects(true), mode.expects(false)),
            (trusted, untrusted)
        );
    }
}

proptest! {
    #[test]
    fn any_bytes_have_an_answer(
        version in prop_oneof![Just(SIGNATURE_V1.to_vec()), Just(v2(0x21, 0x11, b""))],
        rest in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut bytes = version;
        bytes.extend(rest);
        if let Ok(Parsed::Header(header)) = parse(&bytes) {
            prop_assert!(header.length <= bytes.len());
        }
    }

    #[test]
    fn what_a_proxy_writes_is_read(source: SocketAddr, destination: std::net::Ipv6Addr, port: u16) {
        let (protocol, destination) = match source {
            SocketAddr::V4(_) => ("TCP4", "192.0.2.1".to_owned()),
            SocketAddr::V6(_) => ("TCP6", destination.to_string()),
        };
        let (address, source_port) = (source.ip(), source.port());
        let line = format!("PROXY {protocol} {address} {destination} {source_port} {port}\r\n");
        let Ok(Parsed::Header(header)) = parse(line.as_bytes()) else {
            return Err(TestCaseError::fail(line));
        };
        let read = header.source.expect("a source");
        prop_assert_eq!((read.ip(), read.port()), (address, source_port));
    }
}
