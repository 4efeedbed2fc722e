//! Whether a client survives a Ping (RFC 6455, 5.5.2). Paho Java (1.2.5, both versions of the protocol) takes every frame
//! that is neither binary nor Close for the end of the connection: with a Ping every 25 seconds it would lose it as
//! often. It names itself nowhere, but its Sec-WebSocket-Key is the first 16 letters of a random UUID, where everybody
//! else has 16 random bytes.

use data_encoding::BASE64;
use hyper::{HeaderMap, header::SEC_WEBSOCKET_KEY};

/// Whether Pings may be sent to who asks with these headers.
pub(super) fn is_taken(headers: &HeaderMap) -> bool {
    let key = headers.get(SEC_WEBSOCKET_KEY);
    let decoded = key.and_then(|key| BASE64.decode(key.as_bytes()).ok());
    !decoded.is_some_and(|key| begins_uuid(&key))
}

/// Whether this is `xxxxxxxx-xxxx-4x`, of hexadecimal digits: one in 10^17 of random keys is.
fn begins_uuid(key: &[u8]) -> bool {
    let fits = |(place, byte): (usize, &u8)| match place {
        8 | 13 => *byte == b'-',
        14 => *byte == b'4',
        _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    };
    key.len() == 16 && key.iter().enumerate().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &[u8], expected: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(SEC_WEBSOCKET_KEY, BASE64.encode(key).parse().unwrap());
        assert_eq!(is_taken(&headers), expected, "{key:?}");
    }

    #[test]
    fn paho_java_is_known_by_its_key() {
        check(b"0a1b2c3d-4e5f-4a", false);
        check(b"0a1b2c3d-4e5f-1a", true);
        check(b"0a1b2c3d_4e5f-4a", true);
        check(b"0a1b2c3d-4e5f-4", true);
        check(&[7; 16], true);
        assert!(is_taken(&HeaderMap::new()), "HTTP/2 has no key");
    }
}
