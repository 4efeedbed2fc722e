//! Frames of a client: no panic, no more payload than bytes, and the same answer in any pieces.

#![no_main]

use bytes::BytesMut;
use gatemq::listener::websocket::{Decoder, Event, Violation};
use libfuzzer_sys::fuzz_target;

type Read = (Vec<u8>, Vec<Event>, Option<Violation>);

fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Read {
    let mut decoder = Decoder::default();
    let (mut payload, mut events, mut violation) = (BytesMut::new(), Vec::new(), None);
    for mut piece in pieces {
        while !piece.is_empty() {
            match decoder.decode(&mut piece, &mut payload) {
                Ok(event) => events.extend(event),
                Err(error) => {
                    assert!(violation.replace(error).is_none(), "a violation is the end");
                }
            }
        }
    }
    (payload.to_vec(), events, violation)
}

fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = input;
    let whole = read(std::iter::once(bytes));
    assert!(whole.0.len() <= bytes.len());
    assert_eq!(whole, read(bytes.chunks(usize::from(size) + 1)));
});
