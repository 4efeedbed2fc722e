//! Values as they lie on the disk: any bytes are read without a panic, and what was read is written as it was.

#![no_main]

use gatemq::storage::read_any;
use libfuzzer_sys::fuzz_target;

// The length of the key, the key, the content behind its checksum: as fuzz/seeds has them from a store that was in use.
fuzz_target!(|input: &[u8]| {
    let Some((length, rest)) = input.split_first() else {
        return;
    };
    let (key, content) = rest.split_at(rest.len().min(usize::from(*length)));
    let _ = read_any(key, content);
});
