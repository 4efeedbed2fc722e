//! Values as they lie on the disk: any bytes are read without a panic, and what was read is written as it was.

#![no_main]

use gatemq::storage::read_any;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&[u8], &[u8])| {
    let (key, content) = input;
    let _ = read_any(key, content);
});
