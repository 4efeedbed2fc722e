//! WebSocket frames of a client, and a transport that sends to nobody.

use std::{future::Future, pin::pin, time::Duration};

use bytes::BytesMut;
use gatemq::{
    listener::websocket::{Decoder, WebSocketTransport},
    message::QoS,
    mqtt::{
        packet::ProtocolVersion,
        transport::{Frames, Transport as _},
    },
};

use super::{
    packets,
    wire::{Wire, at_once},
};

/// A whole message in one frame, masked (RFC 6455, 5.2).
pub fn frame(payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0xa1, 0x5c, 0x33, 0xf0];
    let mut bytes = vec![0x82];
    match u8::try_from(payload.len()) {
        Ok(length @ ..126) => bytes.push(0x80 | length),
        _ => {
            let length = u16::try_from(payload.len()).expect("a short frame");
            bytes.push(0x80 | 126);
            bytes.extend(length.to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(a, b)| a ^ b));
    bytes
}

/// Takes all frames off; how many bytes they carry.
pub fn decode(decoder: &mut Decoder, mut input: &[u8]) -> BytesMut {
    let mut payload = BytesMut::new();
    while !input.is_empty() {
        let event = decoder.decode(&mut input, &mut payload);
        assert_eq!(event, Ok(None), "data alone");
    }
    payload
}

/// To a client that has read its first packet and answered, from where on nothing is held back.
pub fn transport() -> WebSocketTransport<Wire> {
    let wire = Wire::default();
    wire.becomes_sink();
    let mut transport = WebSocketTransport::new(wire.clone(), Duration::ZERO);
    send(&mut transport, &mut packets_of(64, 1));
    wire.feed(frame(b"\xc0\x00").into());
    let received = {
        let receiving = pin!(transport.receive());
        at_once(|cx| receiving.poll(cx)).expect("received")
    };
    assert_eq!(received.as_deref(), Some(&b"\xc0\x00"[..]));
    transport
}

/// Packets with a payload of so many bytes, as the encoder leaves them: one behind the other.
pub fn packets_of(size: usize, times: u32) -> Frames {
    let packet = packets::publish(QoS::AtMostOnce, size, None);
    Frames::from_iter([packets::bytes(&packet, ProtocolVersion::V3_1_1, times)])
}

/// Sends everything; the network takes it at once.
pub fn send(transport: &mut WebSocketTransport<Wire>, frames: &mut Frames) {
    let sending = pin!(transport.send(frames));
    at_once(|cx| sending.poll(cx)).expect("sent");
}
