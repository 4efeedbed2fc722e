//! Packets out of the bytes that come, at the cost of a look at each: what comes often is taken apart here, the rest by
//! the codec.

use bytes::{Bytes, BytesMut};

use crate::{
    client::ClientError,
    mqtt::{
        codec::{Decoder, Limits},
        packet::{Packet, ProtocolVersion},
    },
};

/// What a client of a benchmark can be told.
#[derive(Debug)]
pub(super) enum Inbound {
    Message {
        qos: u8,
        packet_id: u16,
        payload: Bytes,
    },
    /// PUBACK, PUBREC, PUBREL or PUBCOMP.
    Acknowledgement {
        kind: AckKind,
        packet_id: u16,
        is_error: bool,
    },
    Other(Packet),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::enum_variant_names, reason = "the standard's names")]
pub(super) enum AckKind {
    PubAck,
    PubRec,
    PubRel,
    PubComp,
}

/// Cuts packets out.
#[derive(Debug)]
pub(super) struct Scanner {
    version: ProtocolVersion,
    /// The largest packet: what announces more has no end.
    limit: usize,
    whole: Bytes,
    /// The beginning of a packet.
    partial: BytesMut,
}

impl Scanner {
    pub(super) fn new(version: ProtocolVersion, limit: usize) -> Self {
        Self {
            version,
            limit,
            whole: Bytes::new(),
            partial: BytesMut::new(),
        }
    }

    /// More bytes. All packets of those before have been taken.
    pub(super) fn push(&mut self, bytes: Bytes) {
        if self.partial.is_empty() {
            self.whole = bytes;
        } else {
            self.partial.extend_from_slice(&bytes);
            self.whole = self.partial.split().freeze();
        }
    }

    /// The next whole packet.
    pub(super) fn next(&mut self) -> Result<Option<Inbound>, ClientError> {
        let Some((header, length)) = measure(&self.whole)? else {
            self.keep();
            return Ok(None);
        };
        if length > self.limit {
            return Err(ClientError::NotMqtt(
                "a packet came that is far larger than what was published; is this the port of a broker?",
            ));
        }
        if self.whole.len() < length {
            self.keep();
            return Ok(None);
        }
        let packet = self.whole.split_to(length);
        self.take_apart(packet, header).map(Some)
    }

    fn keep(&mut self) {
        self.partial.extend_from_slice(&self.whole);
        self.whole = Bytes::new();
    }

    fn take_apart(&self, packet: Bytes, header: usize) -> Result<Inbound, ClientError> {
        let kind = match packet[0] {
            first if first >> 4 == 3 => {
                let found = self.message(&packet, header);
                // Malformed: the codec says how.
                return found.map_or_else(|| self.decode(packet.clone()), Ok);
            }
            0x40 => AckKind::PubAck,
            0x50 => AckKind::PubRec,
            0x62 => AckKind::PubRel,
            0x70 => AckKind::PubComp,
            _ => return self.decode(packet),
        };
        match packet[header..] {
            [high, low] => Ok(Inbound::Acknowledgement {
                kind,
                packet_id: u16::from_be_bytes([high, low]),
                is_error: false,
            }),
            [high, low, code, ..] => Ok(Inbound::Acknowledgement {
                kind,
                packet_id: u16::from_be_bytes([high, low]),
                is_error: code >= 0x80,
            }),
            _ => self.decode(packet),
        }
    }

    fn message(&self, packet: &Bytes, header: usize) -> Option<Inbound> {
        let qos = (packet[0] >> 1) & 3;
        let topic = packet.get(header..header + 2)?;
        let mut at = header + 2 + usize::from(u16::from_be_bytes([topic[0], topic[1]]));
        let mut packet_id = 0;
        if qos > 0 {
            let id = packet.get(at..at + 2)?;
            packet_id = u16::from_be_bytes([id[0], id[1]]);
            at += 2;
        }
        if self.version == ProtocolVersion::V5 {
            let (length, bytes) = variable(packet.get(at..)?)?;
            at += bytes + length;
        }
        (at <= packet.len() && qos < 3).then(|| Inbound::Message {
            qos,
            packet_id,
            payload: packet.slice(at..),
        })
    }

    fn decode(&self, packet: Bytes) -> Result<Inbound, ClientError> {
        let limits = Limits {
            max_packet_size: u32::MAX,
            topic_alias_maximum: 0,
            max_topic_levels: usize::from(u16::MAX),
        };
        let mut decoder = Decoder::for_client(self.version, limits);
        decoder.push(packet);
        match decoder.next().map_err(ClientError::Decode)? {
            Some(packet) => Ok(Inbound::Other(packet)),
            None => Err(ClientError::NotMqtt("a packet came that is none of MQTT")),
        }
    }
}

/// The length of the fixed header and of the whole packet, once that can be told.
fn measure(bytes: &[u8]) -> Result<Option<(usize, usize)>, ClientError> {
    let Some(after) = bytes.get(1..).filter(|after| !after.is_empty()) else {
        return Ok(None);
    };
    match variable(after) {
        Some((length, bytes)) => Ok(Some((1 + bytes, 1 + bytes + length))),
        None if after.len() < 4 => Ok(None),
        None => Err(ClientError::NotMqtt(
            "what came is no MQTT: the length of a packet has more than four bytes",
        )),
    }
}

/// A variable byte integer, and how many bytes it has.
fn variable(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, at + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1000;

    /// Every packet of a stream that comes in pieces of so many bytes.
    fn scan(version: ProtocolVersion, stream: &[u8], piece: usize) -> Vec<Inbound> {
        let mut scanner = Scanner::new(version, LIMIT);
        let mut found = Vec::new();
        for piece in stream.chunks(piece) {
            scanner.push(Bytes::copy_from_slice(piece));
            while let Some(packet) = scanner.next().expect("MQTT") {
                found.push(packet);
            }
        }
        found
    }

    #[test]
    fn packets_are_found_wherever_the_pieces_end() {
        let mut stream = vec![0x32, 10, 0, 1, b'a', 1, 2, 2, 1, 0, b'h', b'i'];
        stream.extend([0x40, 2, 0, 9, 0x50, 3, 0, 8, 0x97, 0xd0, 0]);
        for piece in 1..=stream.len() {
            let found = scan(ProtocolVersion::V5, &stream, piece);
            assert!(
                matches!(
                    &found[..],
                    [
                        Inbound::Message { qos: 1, packet_id: 0x102, payload },
                        Inbound::Acknowledgement { kind: AckKind::PubAck, packet_id: 9, is_error: false },
                        Inbound::Acknowledgement { kind: AckKind::PubRec, packet_id: 8, is_error: true },
                        Inbound::Other(Packet::PingResp),
                    ] if &payload[..] == b"hi"
                ),
                "{piece}: {found:?}"
            );
        }
    }

    #[test]
    fn what_is_no_mqtt_is_an_error_and_needs_no_memory() {
        for wrong in [
            &[0x30, 0xff, 0xff, 0xff, 0xff][..],
            &[0x30, 0xff, 0xff, 0xff, 0x7f],
            &[0x30, 1, 0],
            &[0x30, 4, 0, 9, b'a', b'b'],
            &[0x40, 1, 0],
            &[0xf7, 0],
        ] {
            let mut scanner = Scanner::new(ProtocolVersion::V3_1_1, LIMIT);
            scanner.push(Bytes::copy_from_slice(wrong));
            assert!(scanner.next().is_err(), "{wrong:?}");
        }
    }
}
