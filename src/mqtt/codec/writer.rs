//! The data types of MQTT 5, 1.5, as they are written.

/// The largest variable byte integer (MQTT 5, 1.5.5), which bounds every packet.
pub(super) const MAX_VARIABLE: u32 = 268_435_455;

/// Appends a variable byte integer of at most [`MAX_VARIABLE`].
pub(super) fn variable(out: &mut Vec<u8>, mut value: u32) {
    loop {
        let low = (value & 0x7F) as u8;
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// How many bytes a variable byte integer has.
pub(super) const fn variable_len(value: usize) -> usize {
    match value {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 4,
    }
}

/// Appends binary data or a string behind its length. What is longer than a length can say does not come here: topics
/// and client identifiers were checked, Reason Strings were cut, and what peers sent had such a length itself.
pub(super) fn binary(out: &mut Vec<u8>, value: &[u8]) {
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    out.extend(length.to_be_bytes());
    out.extend(&value[..usize::from(length)]);
}
