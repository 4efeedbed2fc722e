//! Takes the frames of a client off its stream (RFC 6455, 5). Decides without I/O. Start at [`Decoder::decode`].

use std::mem;

use bytes::BytesMut;

use super::frame::{self, Header, Opcode, PartialHeader, Violation};

/// Where in its stream of frames a client is. Keeps a header, or the payload of one control frame, at most.
#[derive(Debug, Default)]
pub struct Decoder {
    header: PartialHeader,
    state: State,
    /// Between the first fragment of a message and its last.
    is_in_message: bool,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Header,
    /// Within a data frame.
    Data { remaining: u64, mask: [u8; 4] },
    /// Within a control frame, whose payload is taken whole.
    Control { header: Header, payload: Vec<u8> },
    /// A Close frame has come, or the peer broke the protocol: nothing after it counts (1.4, 7.1.7).
    Ended,
}

/// What a client says beside its payload. Pongs are taken and say nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// A Ping, to be answered with this payload (5.5.3).
    Ping(Vec<u8>),
    /// A Close frame, with its code if it has one (5.5.1). It is the last event.
    Close(Option<u16>),
}

impl Decoder {
    /// Takes bytes from `input` and appends what they carry to `payload`, up to the next event; none once `input` is
    /// empty.
    ///
    /// # Errors
    /// The peer broke the protocol; what came before counts, what comes after is ignored.
    pub fn decode(
        &mut self,
        input: &mut &[u8],
        payload: &mut BytesMut,
    ) -> Result<Option<Event>, Violation> {
        let answer = self.decode_until_event(input, payload);
        if matches!(answer, Err(_) | Ok(Some(Event::Close(_)))) {
            self.state = State::Ended;
        }
        answer
    }

    /// Whether the stream may end here without cutting a frame or a message.
    #[must_use]
    pub const fn is_between_messages(&self) -> bool {
        let is_between_frames = matches!(self.state, State::Header) && self.header.is_empty();
        (is_between_frames && !self.is_in_message) || matches!(self.state, State::Ended)
    }

    fn decode_until_event(
        &mut self,
        input: &mut &[u8],
        output: &mut BytesMut,
    ) -> Result<Option<Event>, Violation> {
        loop {
            match &mut self.state {
                State::Header => {
                    let Some(header) = self.header.push(input)? else {
                        return Ok(None);
                    };
                    self.state = self.begin(header)?;
                }
                State::Data { remaining: 0, .. } => self.state = State::Header,
                State::Data { .. } if input.is_empty() => return Ok(None),
                State::Data { remaining, mask } => {
                    let piece = take(input, *remaining);
                    *remaining -= piece.len() as u64;
                    if output.is_empty() {
                        // Enough for all that has come; headers make it a little too much.
                        output.reserve(piece.len() + input.len());
                    }
                    let start = output.len();
                    output.extend_from_slice(piece);
                    frame::apply_mask(&mut output[start..], mask);
                }
                State::Control { header, payload } => {
                    let missing = header.length - payload.len() as u64;
                    payload.extend_from_slice(take(input, missing));
                    if (payload.len() as u64) < header.length {
                        return Ok(None);
                    }
                    frame::apply_mask(payload, &mut header.mask);
                    let (opcode, payload) = (header.opcode, mem::take(payload));
                    self.state = State::Header;
                    match opcode {
                        Opcode::Ping => return Ok(Some(Event::Ping(payload))),
                        Opcode::Close => {
                            return Ok(Some(Event::Close(frame::parse_close(&payload)?)));
                        }
                        Opcode::Pong | Opcode::Continuation | Opcode::Text | Opcode::Binary => {}
                    }
                }
                State::Ended => {
                    *input = &[];
                    return Ok(None);
                }
            }
        }
    }

    /// The header of a frame is whole.
    fn begin(&mut self, header: Header) -> Result<State, Violation> {
        match header.opcode {
            Opcode::Continuation if !self.is_in_message => return Err(Violation::Continuation),
            Opcode::Text | Opcode::Binary if self.is_in_message => {
                return Err(Violation::Interleaved);
            }
            Opcode::Text => return Err(Violation::Text),
            Opcode::Continuation | Opcode::Binary => self.is_in_message = !header.is_final,
            Opcode::Close | Opcode::Ping | Opcode::Pong => {
                return Ok(State::Control {
                    header,
                    payload: Vec::new(),
                });
            }
        }
        Ok(State::Data {
            remaining: header.length,
            mask: header.mask,
        })
    }
}

/// The next bytes, as many as wanted or there are.
fn take<'a>(input: &mut &'a [u8], wanted: u64) -> &'a [u8] {
    let length = usize::try_from(wanted).map_or(input.len(), |wanted| wanted.min(input.len()));
    let (piece, rest) = input.split_at(length);
    *input = rest;
    piece
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame as a client sends it.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut mask = [0xa1, 0x5c, 0x33, 0xf0];
        let mut bytes = vec![first];
        match payload.len() {
            length @ 0..126 => bytes.push(0x80 | length as u8),
            length @ 126..65_536 => {
                bytes.push(0xfe);
                bytes.extend((length as u16).to_be_bytes());
            }
            length => {
                bytes.push(0xff);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend(mask);
        let start = bytes.len();
        bytes.extend(payload);
        frame::apply_mask(&mut bytes[start..], &mut mask);
        bytes
    }

    /// Payload, events, and whether all was right.
    #[derive(Debug, Default, PartialEq)]
    struct Read {
        payload: Vec<u8>,
        events: Vec<Event>,
        violation: Option<Violation>,
    }

    fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Read, Decoder) {
        let mut decoder = Decoder::default();
        let mut read = Read::default();
        for mut piece in pieces {
            let mut payload = BytesMut::new();
            while !piece.is_empty() {
                match decoder.decode(&mut piece, &mut payload) {
                    Ok(event) => read.events.extend(event),
                    Err(violation) => read.violation = Some(violation),
                }
            }
            read.payload.extend(payload);
        }
        (read, decoder)
    }

    /// In one piece and byte by byte.
    #[track_caller]
    fn check(frames: &[Vec<u8>], payload: &[u8], events: &[Event], violation: Option<Violation>) {
        let bytes = frames.concat();
        let expected = Read {
            payload: payload.to_vec(),
            events: events.to_vec(),
            violation,
        };
        assert_eq!(read([&bytes[..]]).0, expected);
        assert_eq!(read(bytes.chunks(1)).0, expected);
    }

    /// [MQTT-6.0.0-2] Packets need not keep to frames.
    #[test]
    fn payload_is_joined() {
        check(
            &[frame(0x82, b"ab"), frame(0x82, b"cd")],
            b"abcd",
            &[],
            None,
        );
        check(&[frame(0x82, b""), frame(0x82, b"x")], b"x", &[], None);
        let long = vec![7; 70_000];
        check(
            &[frame(0x82, &long[..126]), frame(0x82, &long)],
            &[7; 70_126],
            &[],
            None,
        );
    }

    /// RFC 6455, 5.4: control frames may stand between fragments.
    #[test]
    fn fragments() {
        check(
            &[
                frame(0x02, b"a"),
                frame(0x89, b"ping"),
                frame(0x00, b""),
                frame(0x8a, b"pong"),
                frame(0x80, b"b"),
                frame(0x82, b"c"),
            ],
            b"abc",
            &[Event::Ping(b"ping".to_vec())],
            None,
        );
        check(
            &[frame(0x80, b"a")],
            b"",
            &[],
            Some(Violation::Continuation),
        );
        check(
            &[frame(0x00, b"a")],
            b"",
            &[],
            Some(Violation::Continuation),
        );
        check(
            &[frame(0x82, b"a"), frame(0x80, b"b")],
            b"a",
            &[],
            Some(Violation::Continuation),
        );
        for second in [0x82, 0x02, 0x81] {
            check(
                &[frame(0x02, b"a"), frame(second, b"b")],
                b"a",
                &[],
                Some(Violation::Interleaved),
            );
        }
    }

    /// [MQTT-6.0.0-1]
    #[test]
    fn text_is_refused() {
        check(&[frame(0x81, b"a")], b"", &[], Some(Violation::Text));
        check(&[frame(0x01, b"")], b"", &[], Some(Violation::Text));
    }

    /// RFC 6455, 5.5.2 and 5.5.3.
    #[test]
    fn pings() {
        let longest = vec![9; 125];
        check(
            &[
                frame(0x89, b""),
                frame(0x89, &longest),
                frame(0x8a, &longest),
            ],
            b"",
            &[Event::Ping(Vec::new()), Event::Ping(longest)],
            None,
        );
    }

    /// RFC 6455, 5.5.1: nothing after Close counts, not even what would be wrong.
    #[test]
    fn close() {
        check(
            &[
                frame(0x82, b"a"),
                frame(0x88, b"\x03\xe9bye"),
                frame(0x82, b"b"),
                frame(0x83, b""),
            ],
            b"a",
            &[Event::Close(Some(1001))],
            None,
        );
        check(&[frame(0x88, b"")], b"", &[Event::Close(None)], None);
        check(
            &[frame(0x88, b"\x03")],
            b"",
            &[],
            Some(Violation::CloseLength),
        );
        check(
            &[frame(0x88, b"\x03\xee")],
            b"",
            &[],
            Some(Violation::CloseCode(1006)),
        );
        check(
            &[frame(0x88, b"\x03\xe8\xff")],
            b"",
            &[],
            Some(Violation::CloseReason),
        );
        // It may stand between fragments, of which no more are to be expected then.
        check(
            &[frame(0x02, b"a"), frame(0x88, b"")],
            b"a",
            &[Event::Close(None)],
            None,
        );
    }

    /// RFC 6455, 7.1.7: nothing is processed once the connection has failed.
    #[test]
    fn nothing_counts_behind_a_violation() {
        check(
            &[
                frame(0x82, b"a"),
                vec![0x82, 0x01, b'x'],
                frame(0x82, b"b"),
                frame(0x88, b""),
            ],
            b"a",
            &[],
            Some(Violation::Unmasked),
        );
    }

    #[test]
    fn a_cut_stream_is_noticed() {
        for (bytes, is_between) in [
            (vec![], true),
            (frame(0x82, b"ab"), true),
            (vec![0x82], false),
            (frame(0x82, b"ab")[..7].to_vec(), false),
            (frame(0x02, b"ab"), false),
            (frame(0x89, b"ab")[..7].to_vec(), false),
            ([frame(0x02, b"ab"), frame(0x88, b"")].concat(), true),
        ] {
            let (_, decoder) = read([&bytes[..]]);
            assert_eq!(decoder.is_between_messages(), is_between, "{bytes:02x?}");
        }
    }

    prop_compose! {
        /// A message in fragments, control frames between them.
        fn message()(
            fragments in proptest::collection::vec(
                (proptest::collection::vec(any::<u8>(), 0..300), any::<bool>()), 1..5,
            ),
        ) -> (Vec<u8>, Vec<u8>) {
            let mut bytes = Vec::new();
            let last = fragments.len() - 1;
            for (at, (payload, is_followed)) in fragments.iter().enumerate() {
                let opcode = if at == 0 { 0x02 } else { 0x00 };
                let is_final = if at == last { 0x80 } else { 0x00 };
                bytes.extend(frame(is_final | opcode, payload));
                if *is_followed {
                    bytes.extend(frame(0x89, b"p"));
                }
            }
            (bytes, fragments.into_iter().flat_map(|(payload, _)| payload).collect())
        }
    }

    proptest! {
        #[test]
        fn any_split_of_a_stream_reads_the_same(
            messages in proptest::collection::vec(message(), 1..4),
            size in 1usize..64,
        ) {
            let bytes: Vec<u8> = messages.iter().flat_map(|(bytes, _)| bytes).copied().collect();
            let payload: Vec<u8> = messages.into_iter().flat_map(|(_, payload)| payload).collect();
            let (whole, decoder) = read([&bytes[..]]);
            prop_assert_eq!(&whole.payload, &payload);
            prop_assert_eq!(whole.violation, None);
            prop_assert!(decoder.is_between_messages());
            prop_assert_eq!(read(bytes.chunks(size)).0, whole);
        }

        #[test]
        fn any_bytes_are_read_or_refused_the_same_in_any_pieces(
            bytes in proptest::collection::vec(
                prop_oneof![any::<u8>(), proptest::sample::select(vec![0x82, 0x02, 0x80, 0x88, 0x89, 0x84, 0xfe])],
                0..200,
            ),
            size in 1usize..20,
        ) {
            let (whole, _) = read([&bytes[..]]);
            prop_assert!(whole.payload.len() <= bytes.len());
            prop_assert_eq!(read(bytes.chunks(size)).0, whole);
        }
    }
}
