//! A transport with its codec: packets in and out, counted.

use std::{io, sync::Arc};

use bytes::Bytes;

use super::{FAREWELL, end::End};
use crate::{
    mqtt::{
        Broker,
        codec::{DecodeError, Decoder, EncodeError, Encoder, Frames, Limits},
        packet::{Connect, Packet, ProtocolVersion},
        transport::{Closing, Peer, Transport},
    },
    telemetry::Metrics,
};

/// One client's stream of packets.
pub(super) struct Link<T> {
    pub(super) transport: T,
    decoder: Decoder,
    encoder: Encoder,
    pub(super) frames: Frames,
    metrics: Arc<Metrics>,
    pub(super) bytes_received: u64,
    pub(super) bytes_sent: u64,
}

impl<T: Transport> Link<T> {
    pub(super) fn new(transport: T, broker: &Broker) -> Self {
        let config = broker.config.load();
        let limits = Limits {
            max_packet_size: config.max_packet_size,
            topic_alias_maximum: config.topic_alias_maximum,
            max_topic_levels: config.max_topic_levels,
        };
        Self {
            transport,
            decoder: Decoder::new(limits),
            encoder: Encoder::for_version(ProtocolVersion::V5),
            frames: Frames::default(),
            metrics: broker.metrics.clone(),
            bytes_received: 0,
            bytes_sent: 0,
        }
    }

    /// From here on the client gets what its CONNECT said it understands.
    pub(super) fn speak_to(&mut self, connect: &Connect, topic_alias_maximum: u16) {
        self.encoder = Encoder::for_server(connect, topic_alias_maximum);
    }

    /// The next packet, however long it takes. Only while opening.
    pub(super) async fn receive_packet(&mut self) -> Result<Packet, End> {
        loop {
            if let Some(packet) = self.next_packet()? {
                return Ok(packet);
            }
            match self.transport.receive().await {
                Ok(Some(bytes)) => self.push(bytes),
                Ok(None) => return Err(End::Closed),
                Err(error) => return Err(End::Network(error)),
            }
        }
    }

    /// Bytes have come.
    pub(super) fn push(&mut self, bytes: Bytes) {
        let length = bytes.len() as u64;
        self.bytes_received += length;
        self.metrics.bytes_received.add(length);
        self.decoder.push(bytes);
    }

    /// The next packet of the bytes that have come.
    pub(super) fn next_packet(&mut self) -> Result<Option<Packet>, DecodeError> {
        let packet = self.decoder.next()?;
        if let Some(packet) = &packet {
            self.metrics.packets_received[usize::from(packet.packet_type())].increment();
            if let Packet::Publish(publish) = packet {
                self.metrics.messages_received[publish.qos as usize].increment();
                self.metrics
                    .publish_bytes_received
                    .add(publish.message.payload.len() as u64);
            }
        }
        Ok(packet)
    }

    /// Encodes a packet; it leaves with the next write.
    pub(super) fn send(&mut self, packet: &Packet) -> Result<(), EncodeError> {
        let before = self.frames.len_bytes();
        self.encoder.encode(packet, &mut self.frames)?;
        let length = (self.frames.len_bytes() - before) as u64;
        if length > 0 {
            self.bytes_sent += length;
            self.metrics.bytes_sent.add(length);
            self.metrics.packets_sent[usize::from(packet.packet_type())].increment();
            if let Packet::Publish(publish) = packet {
                self.metrics.messages_sent[publish.qos as usize].increment();
                self.metrics
                    .publish_bytes_sent
                    .add(publish.message.payload.len() as u64);
            }
        }
        Ok(())
    }

    /// Writes what has been encoded.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        // Also where nothing is left: the transport may have taken more than it has written.
        self.transport.send(&mut self.frames).await
    }

    /// Tells the client why, as far as it can be told, and ends the stream.
    pub(super) async fn farewell(&mut self, end: &End, peer: &Peer, is_open: bool) {
        if let Some(packet) = end.last_packet(is_open)
            && self.may_be_told(end, peer, is_open)
        {
            // Too large for the client even without its words: then it is not told.
            let _ = self.send(&packet);
        }
        if end.leaves_peer() {
            let _ = tokio::time::timeout(FAREWELL, self.flush()).await;
        }
        self.transport.close(end.closing()).await;
    }

    /// Whether a last packet is for this client.
    fn may_be_told(&mut self, end: &End, peer: &Peer, is_open: bool) -> bool {
        if is_open {
            return true;
        }
        if let End::Malformed(error) = end {
            // A CONNECT that could not be read has at least said its version, or there is nobody to answer.
            let Some(version) = error.answer_version() else {
                return self.decoder.version().is_some();
            };
            self.encoder = Encoder::for_version(version);
        }
        // A page that is told by CONNACK gives up for good; told by a close code alone it comes back later.
        !(peer.carrier.has_close_codes() && matches!(end.closing(), Closing::TryAgainLater(_)))
    }
}
