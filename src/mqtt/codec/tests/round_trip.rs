//! What is decoded of what was encoded, in every version, both directions and any pieces.

use bytes::Bytes;
use proptest::{collection::vec, prelude::*};

use super::{
    LIMITS, connect, encode, server,
    strategies::{any_connect, of_client, of_server, version},
};
use crate::mqtt::{
    codec::{DecodeError, Decoder, Encoder},
    packet::Packet,
};

/// Pushes bytes in pieces of these lengths, over and over; everything that comes of them.
fn decode_in_pieces(
    decoder: &mut Decoder,
    bytes: &[u8],
    lengths: &[usize],
) -> Result<Vec<Packet>, DecodeError> {
    let mut packets = Vec::new();
    let mut rest = bytes;
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at((*length).min(rest.len()));
        decoder.push(Bytes::copy_from_slice(piece));
        while let Some(packet) = decoder.next()? {
            packets.push(packet);
        }
        rest = after;
    }
    Ok(packets)
}

proptest! {
    #[test]
    fn a_connect_is_decoded_as_it_was_encoded(connect in version().prop_flat_map(any_connect), length in 1_usize..40) {
        let packet = Packet::Connect(Box::new(connect));
        let Packet::Connect(connect) = &packet else { unreachable!() };
        let bytes = encode(&mut Encoder::for_client(connect.version), &packet);
        let decoded = decode_in_pieces(&mut Decoder::new(LIMITS), &bytes, &[length]);
        prop_assert_eq!(decoded, Ok(vec![packet]));
    }

    #[test]
    fn packets_of_clients_are_decoded_as_they_were_encoded(
        (version, packets) in version().prop_flat_map(|version| (Just(version), vec(of_client(version), 1..6))),
        lengths in vec(1_usize..5000, 1..5),
    ) {
        let mut encoder = Encoder::for_client(version);
        let bytes: Vec<u8> = packets.iter().flat_map(|packet| encode(&mut encoder, packet)).collect();
        prop_assert_eq!(decode_in_pieces(&mut server(version), &bytes, &lengths), Ok(packets));
    }

    #[test]
    fn packets_of_servers_are_decoded_as_they_were_encoded(
        (version, packets) in version().prop_flat_map(|version| (Just(version), vec(of_server(version), 1..6))),
        lengths in vec(1_usize..5000, 1..5),
        aliases in 0_u16..4,
    ) {
        let mut client = connect(version);
        client.topic_alias_maximum = aliases;
        let mut encoder = Encoder::for_server(&client, u16::MAX);
        let bytes: Vec<u8> = packets.iter().flat_map(|packet| encode(&mut encoder, packet)).collect();
        let mut decoder = Decoder::for_client(version, LIMITS);
        prop_assert_eq!(decode_in_pieces(&mut decoder, &bytes, &lengths), Ok(packets));
    }

    #[test]
    fn arbitrary_bytes_end_in_packets_or_an_error(
        version in version(),
        bytes in vec(any::<u8>(), 0..200),
        length in 1_usize..20,
    ) {
        let _ = decode_in_pieces(&mut Decoder::new(LIMITS), &bytes, &[length]);
        let _ = decode_in_pieces(&mut server(version), &bytes, &[length]);
        let _ = decode_in_pieces(&mut Decoder::for_client(version, LIMITS), &bytes, &[length]);
    }
}
