//! Packets of clients and of servers in every version: no panic, the same packets and the same fault in any pieces, and
//! what was decoded is encoded and decoded to the same.

#![no_main]

use bytes::Bytes;
use gatemq::mqtt::{
    codec::{Decoder, Encoder, Frames, Limits},
    packet::{Packet, ProtocolVersion},
};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits {
    max_packet_size: 2000,
    topic_alias_maximum: 4,
    max_topic_levels: 8,
};

/// A packet that named its topic by an alias is longer when it is encoded without.
const WIDER: Limits = Limits {
    max_packet_size: 100_000,
    ..LIMITS
};

/// Longer Reason Strings may be cut.
const UNCUT: usize = 512;

/// Who sends: a client whose first packet is among the bytes, or somebody who has come past CONNECT.
#[derive(Clone, Copy)]
enum Role {
    Stranger,
    Client(ProtocolVersion),
    Server(ProtocolVersion),
}

impl Role {
    fn of(choice: u8) -> Self {
        let version = ProtocolVersion::ALL[usize::from(choice / 4) % 3];
        match choice % 4 {
            0 => Self::Stranger,
            1 => Self::Server(version),
            _ => Self::Client(version),
        }
    }

    fn decoder(self, limits: Limits) -> Decoder {
        match self {
            Self::Stranger => Decoder::new(limits),
            Self::Server(version) => Decoder::for_client(version, limits),
            Self::Client(version) => {
                let connect: &[u8] = match version {
                    ProtocolVersion::V3_1 => b"\x10\x0F\x00\x06MQIsdp\x03\x02\x00\x00\x00\x01c",
                    ProtocolVersion::V3_1_1 => b"\x10\x0D\x00\x04MQTT\x04\x02\x00\x00\x00\x01c",
                    ProtocolVersion::V5 => b"\x10\x0E\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01c",
                };
                let mut decoder = Decoder::new(limits);
                decoder.push(Bytes::from_static(connect));
                assert!(matches!(decoder.next(), Ok(Some(Packet::Connect(_)))));
                decoder
            }
        }
    }
}

/// The packets, and what is wrong with the next one.
fn read<'a>(role: Role, pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Packet>, Option<String>) {
    let mut decoder = role.decoder(LIMITS);
    let mut packets = Vec::new();
    for piece in pieces {
        decoder.push(Bytes::copy_from_slice(piece));
        loop {
            match decoder.next() {
                Ok(Some(packet)) => packets.push(packet),
                Ok(None) => break,
                Err(error) => return (packets, Some(error.to_string())),
            }
        }
    }
    (packets, None)
}

/// The packet, encoded and decoded.
fn again(role: Role, version: ProtocolVersion, packet: &Packet) -> Packet {
    let mut encoder = match role {
        Role::Server(_) => Encoder::for_version(version),
        Role::Stranger | Role::Client(_) => Encoder::for_client(version),
    };
    let mut frames = Frames::default();
    encoder.encode(packet, &mut frames).expect("small enough");
    let mut decoder = match (role, packet) {
        (Role::Stranger, Packet::Connect(_)) => Decoder::new(WIDER),
        (Role::Stranger, _) => Role::Client(version).decoder(WIDER),
        (Role::Server(_) | Role::Client(_), _) => role.decoder(WIDER),
    };
    for frame in frames.finish().drain(..) {
        decoder.push(frame);
    }
    let again = decoder.next().expect("what was encoded is a packet");
    assert_eq!(decoder.next(), Ok(None));
    again.expect("it is whole")
}

fn check_round_trip(role: Role, packets: &[Packet], is_uncut: bool) {
    let mut version = match role {
        Role::Stranger => ProtocolVersion::V5,
        Role::Client(version) | Role::Server(version) => version,
    };
    for packet in packets {
        match packet {
            Packet::Connect(connect) => version = connect.version,
            // MQTT 3.1 knows no Session Present.
            Packet::ConnAck(answer)
                if answer.session_present && version == ProtocolVersion::V3_1 =>
            {
                continue;
            }
            _ => {}
        }
        let once = again(role, version, packet);
        if is_uncut {
            assert_eq!(&once, packet);
        }
        assert_eq!(again(role, version, &once), once);
    }
}

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (choice, size, bytes) = input;
    let role = Role::of(choice);
    let whole = read(role, std::iter::once(bytes));
    assert_eq!(whole, read(role, bytes.chunks(usize::from(size) + 1)));
    check_round_trip(role, &whole.0, bytes.len() <= UNCUT);
});
