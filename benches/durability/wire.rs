//! As much of MQTT 3.1.1 as a generator needs, by hand: a packet that is made and read in nanoseconds is not what is
//! measured. 3.1.1, since that is what every peer speaks.

use std::io;

/// Quality of service 1 in a PUBLISH.
const PUBLISH_QOS1: u8 = 0x32;
const CONNECT_CLEAN: u8 = 2;

/// What a broker sends.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Packet<'a> {
    /// The return code; 0 accepts.
    ConnAck(u8),
    /// The packet identifier.
    PubAck(u16),
    /// The granted QoS, or 0x80.
    SubAck(u8),
    /// At QoS 1.
    Publish { packet_id: u16, payload: &'a [u8] },
}

/// CONNECT without keep alive; one that is not clean finds its session again.
pub(crate) fn connect(client_id: &str, is_clean: bool) -> Vec<u8> {
    let mut body = b"\x00\x04MQTT\x04".to_vec();
    body.push(if is_clean { CONNECT_CLEAN } else { 0 });
    body.extend([0, 0]);
    text(client_id, &mut body);
    packet(0x10, &body)
}

/// SUBSCRIBE to one filter at QoS 1.
pub(crate) fn subscribe(filter: &str) -> Vec<u8> {
    let mut body = vec![0, 1];
    text(filter, &mut body);
    body.push(1);
    packet(0x82, &body)
}

pub(crate) const DISCONNECT: [u8; 2] = [0xE0, 0];

/// Appends a PUBACK.
pub(crate) fn acknowledge(packet_id: u16, to: &mut Vec<u8>) {
    to.extend([0x40, 2]);
    to.extend(packet_id.to_be_bytes());
}

/// A PUBLISH that is written again and again with another identifier and number.
pub(crate) struct Template {
    bytes: Vec<u8>,
    packet_id_at: usize,
}

impl Template {
    /// The payload begins with a number of eight bytes, and is at least that long.
    pub(crate) fn new(topic: &str, payload_bytes: usize) -> Self {
        let mut body = Vec::new();
        text(topic, &mut body);
        let from_id = 2 + payload_bytes.max(8);
        // Bytes that do not compress to nothing.
        let noise = (0..from_id as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8);
        body.extend(noise);
        let bytes = packet(PUBLISH_QOS1, &body);
        let packet_id_at = bytes.len() - from_id;
        Self {
            bytes,
            packet_id_at,
        }
    }

    /// Appends it with this identifier and number.
    pub(crate) fn write(&mut self, packet_id: u16, number: u64, to: &mut Vec<u8>) {
        let (id, rest) = self.bytes[self.packet_id_at..].split_at_mut(2);
        id.copy_from_slice(&packet_id.to_be_bytes());
        rest[..8].copy_from_slice(&number.to_be_bytes());
        to.extend_from_slice(&self.bytes);
    }
}

/// The number at the begin of a payload.
pub(crate) fn number(payload: &[u8]) -> io::Result<u64> {
    let (bytes, _) = payload
        .split_first_chunk()
        .ok_or_else(|| unexpected(payload))?;
    Ok(u64::from_be_bytes(*bytes))
}

/// The first packet and how many bytes it takes; `None` where it is not whole yet.
pub(crate) fn read(bytes: &[u8]) -> io::Result<Option<(Packet<'_>, usize)>> {
    let Some((length, header)) = remaining_length(bytes)? else {
        return Ok(None);
    };
    let end = header + length;
    if bytes.len() < end {
        return Ok(None);
    }
    let body = &bytes[header..end];
    let packet = match (bytes[0], body) {
        (0x20, [_, code]) => Packet::ConnAck(*code),
        (0x40, [high, low]) => Packet::PubAck(u16::from_be_bytes([*high, *low])),
        (0x90, [_, _, code]) => Packet::SubAck(*code),
        // QoS 1, whatever DUP and RETAIN say.
        (first, body) if first & 0xF6 == PUBLISH_QOS1 => publish(body)?,
        _ => return Err(unexpected(&bytes[..end])),
    };
    Ok(Some((packet, end)))
}

fn publish(body: &[u8]) -> io::Result<Packet<'_>> {
    let short = || unexpected(body);
    let (topic_bytes, rest) = body.split_first_chunk().ok_or_else(short)?;
    let topic_bytes = usize::from(u16::from_be_bytes(*topic_bytes));
    let rest = rest.get(topic_bytes..).ok_or_else(short)?;
    let (packet_id, payload) = rest.split_first_chunk().ok_or_else(short)?;
    Ok(Packet::Publish {
        packet_id: u16::from_be_bytes(*packet_id),
        payload,
    })
}

/// The Remaining Length and where what it counts begins (MQTT 3.1.1, 2.2.3).
fn remaining_length(bytes: &[u8]) -> io::Result<Option<(usize, usize)>> {
    let mut length = 0;
    for (at, byte) in bytes.iter().enumerate().skip(1) {
        if at > 4 {
            return Err(unexpected(&bytes[..at]));
        }
        length |= usize::from(byte & 0x7F) << (7 * (at - 1));
        if byte & 0x80 == 0 {
            return Ok(Some((length, at + 1)));
        }
    }
    Ok(None)
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut length = body.len();
    loop {
        let low = (length & 0x7F) as u8;
        length >>= 7;
        packet.push(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            break;
        }
    }
    packet.extend_from_slice(body);
    packet
}

fn text(text: &str, to: &mut Vec<u8>) {
    to.extend((text.len() as u16).to_be_bytes());
    to.extend_from_slice(text.as_bytes());
}

fn unexpected(bytes: &[u8]) -> io::Error {
    let shown = &bytes[..bytes.len().min(64)];
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("not what was expected: {shown:02X?}"),
    )
}
