//! The beginning of a connection: CONNECT, CONNACK, and what a kept session still has to do.

use std::{
    collections::VecDeque,
    future::poll_fn,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, timeout};

use super::Client;
use crate::{
    client::{ClientError, Dial, Session, Target, wire::MAX_PACKET},
    mqtt::{
        codec::{Decoder, Encoder, Frames, Limits},
        packet::{ConnAck, Connect, Packet, ReasonCode},
    },
};

impl Client {
    /// Connects, and waits for CONNACK.
    ///
    /// # Errors
    /// How far it came, and what was in the way there.
    pub async fn connect(
        dial: &Dial,
        target: &Target,
        connect: &Connect,
        session: Session,
    ) -> Result<Self, ClientError> {
        let link = dial.dial(target).await.map_err(ClientError::Dial)?;
        let limits = Limits {
            max_packet_size: connect.maximum_packet_size.unwrap_or(MAX_PACKET),
            topic_alias_maximum: connect.topic_alias_maximum,
            max_topic_levels: usize::from(u16::MAX),
        };
        let mut client = Self {
            link,
            decoder: Decoder::for_client(connect.version, limits),
            encoder: Encoder::for_client(connect.version),
            frames: Frames::default(),
            is_flushing: false,
            session,
            events: VecDeque::new(),
            connack: ConnAck::new(false, ReasonCode::Success),
            keep_alive: None,
            last_sent: Instant::now(),
            pinged: None,
            ended: None,
        };
        let packet = Packet::Connect(Box::new(connect.clone()));
        let encoded = client.encoder.encode(&packet, &mut client.frames);
        encoded.map_err(|_| ClientError::ConnectTooLarge)?;
        let answer = timeout(dial.timeout, poll_fn(|cx| client.poll_connack(cx))).await;
        let connack = answer.map_err(|_| ClientError::NoConnAck(dial.timeout))??;
        if connack.reason_code.is_error() {
            return Err(ClientError::Refused(Box::new(connack)));
        }
        client.begin(connect, connack);
        Ok(client)
    }

    fn begin(&mut self, connect: &Connect, connack: ConnAck) {
        let keep_alive = connack.server_keep_alive.unwrap_or(connect.keep_alive);
        self.keep_alive = (keep_alive > 0).then(|| Duration::from_secs(keep_alive.into()));
        self.encoder.limit(connack.maximum_packet_size);
        if !connack.session_present {
            self.session.restart();
        }
        for packet in self.session.resend(connack.session_present) {
            // It fitted before; a broker that takes less now says so itself.
            let _ = self.encoder.encode(&packet, &mut self.frames);
        }
        self.connack = connack;
        // What came with it is to be seen before the end that may have come, too.
        self.ended = self.drain().err();
    }

    fn poll_connack(&mut self, cx: &mut Context<'_>) -> Poll<Result<ConnAck, ClientError>> {
        let _ = self.poll_flush(cx);
        loop {
            let bytes = ready!(self.link.poll_packets(cx, true))?;
            if let Some(hint) = other_protocol(&bytes) {
                return Poll::Ready(Err(ClientError::NotMqtt(hint)));
            }
            self.decoder.push(bytes);
            match self.decoder.next().map_err(ClientError::Decode)? {
                Some(Packet::ConnAck(connack)) => return Poll::Ready(Ok(*connack)),
                Some(Packet::Disconnect(disconnect)) => {
                    return Poll::Ready(Err(ClientError::Disconnected(Box::new(disconnect))));
                }
                Some(packet) => return Poll::Ready(Err(ClientError::Unexpected(packet.name()))),
                None => {}
            }
        }
    }
}

/// What somebody that is no broker usually answers.
fn other_protocol(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(b"HTTP/") {
        return Some(
            "what answers there speaks HTTP; try ws:// or wss:// instead of mqtt:// or mqtts://",
        );
    }
    // An alert of TLS 1.x.
    if bytes.starts_with(&[0x15, 0x03]) {
        return Some(
            "what answers there speaks TLS; try mqtts:// or wss:// instead of mqtt:// or ws://",
        );
    }
    None
}
