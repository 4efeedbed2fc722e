//! PROXY headers, and what else a stream may begin with: no panic, and an answer that more bytes do not change.

#![no_main]

use gatemq::listener::{
    detect::{Detected, detect},
    proxy_protocol::{Parsed, parse},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let answer = parse(bytes);
    match answer {
        Ok(Parsed::Header(header)) => {
            assert!(header.length <= bytes.len());
            assert_eq!(parse(&bytes[..header.length]), answer);
            assert_eq!(detect(bytes), Detected::Proxy);
        }
        Ok(Parsed::NotProxy) => assert_ne!(detect(bytes), Detected::Proxy),
        Ok(Parsed::Incomplete) => assert!(bytes.len() < 16 + 4096),
        Err(_) => {}
    }
    for length in 0..bytes.len().min(300) {
        let earlier = parse(&bytes[..length]);
        assert!(earlier == Ok(Parsed::Incomplete) || earlier == answer);
    }
});
