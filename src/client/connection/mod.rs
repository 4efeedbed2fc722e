//! One connection of an MQTT client. All I/O happens in [`Client::next`]; everything else only says what is wanted.
//! `opening` has its beginning, `receiving` what is answered by itself.

mod opening;
mod receiving;

use std::{
    collections::VecDeque,
    future::poll_fn,
    io,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, sleep_until, timeout};

use super::{ClientError, Link, PublishError, Session};
use crate::{
    message::{Message, QoS, TopicFilter},
    mqtt::{
        codec::{Decoder, Encoder, Frames},
        packet::{
            Acknowledgement, ConnAck, Disconnect, Packet, PacketId, Publish, SubAck, Subscribe,
            Subscription, UnsubAck, Unsubscribe, UserProperties,
        },
    },
};

/// Publishes in flight at once, where the broker takes as many: as mosquitto's clients do by default, five times over.
const MAX_IN_FLIGHT: u16 = 100;

/// Bytes that wait to be written before a publisher is to wait: four times what a connection is likely to take at once.
const MAX_WAITING: usize = 256 * 1024;

/// For the last bytes, and for the other end to close.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// What has happened.
#[derive(Debug)]
pub enum Event {
    /// A message has come.
    Message(Publish),
    /// A publish at QoS 1 or 2 was acknowledged to its end, for better or worse.
    Published(Acknowledgement),
    /// The answer to a SUBSCRIBE.
    Subscribed(SubAck),
    /// The answer to an UNSUBSCRIBE.
    Unsubscribed(UnsubAck),
    /// Everything was written: to QoS 0 there is no other answer.
    Flushed,
}

/// A client whose CONNECT was accepted.
pub struct Client {
    link: Link,
    decoder: Decoder,
    encoder: Encoder,
    frames: Frames,
    /// Written, but not flushed.
    is_flushing: bool,
    session: Session,
    events: VecDeque<Event>,
    connack: ConnAck,
    keep_alive: Option<Duration>,
    last_sent: Instant,
    /// A PINGREQ that is not answered.
    pinged: Option<Instant>,
    /// How it has ended, to be told after what came before.
    ended: Option<ClientError>,
}

impl Client {
    /// What the broker grants.
    #[must_use]
    pub const fn connack(&self) -> &ConnAck {
        &self.connack
    }

    /// The session, of which a copy goes on with another connection.
    #[must_use]
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// The connection alone, for whoever counts packets instead of handling them. Nothing may have come but CONNACK:
    /// so of a session that begins.
    ///
    /// # Errors
    /// It has ended already.
    pub fn into_link(self) -> Result<Link, ClientError> {
        match self.ended {
            Some(error) => Err(error),
            None => Ok(self.link),
        }
    }

    /// Publishes that are not acknowledged to their end.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.session.in_flight()
    }

    /// Another message may be published without anything piling up.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.frames.len_bytes() < MAX_WAITING && self.session.in_flight() < self.window()
    }

    /// Whether [`next`](Self::next) has something that needs no waiting.
    #[must_use]
    pub fn has_event(&self) -> bool {
        !self.events.is_empty()
    }

    /// Hands a message over. At QoS 1 and 2 an [`Event::Published`] with this identifier comes, at QoS 0 an
    /// [`Event::Flushed`].
    ///
    /// # Errors
    /// The broker has said that it does not take such a message.
    pub fn publish(
        &mut self,
        message: &Arc<Message>,
        message_expiry_interval: Option<u32>,
    ) -> Result<Option<PacketId>, PublishError> {
        if let Some(maximum) = self
            .connack
            .maximum_qos
            .filter(|maximum| *maximum < message.qos)
        {
            return Err(PublishError::QoSNotSupported(maximum));
        }
        if message.retain && !self.connack.retain_available {
            return Err(PublishError::RetainNotSupported);
        }
        let is_acknowledged = message.qos != QoS::AtMostOnce;
        if is_acknowledged && self.session.in_flight() >= self.window() {
            return Err(PublishError::WindowFull);
        }
        let packet_id = is_acknowledged.then(|| self.session.next_packet_id());
        let publish = Publish {
            message: Arc::clone(message),
            packet_id,
            dup: false,
            qos: message.qos,
            retain: message.retain,
            message_expiry_interval,
            subscription_identifiers: smallvec::SmallVec::new(),
        };
        let packet = Packet::Publish(publish.clone());
        let too_large = |_| PublishError::TooLarge {
            payload: message.payload.len(),
            maximum: self.connack.maximum_packet_size,
        };
        self.encoder
            .encode(&packet, &mut self.frames)
            .map_err(too_large)?;
        if let Some(packet_id) = packet_id {
            self.session.sent(packet_id, publish);
        }
        Ok(packet_id)
    }

    /// Asks for subscriptions, at least one. [`Event::Subscribed`] answers.
    ///
    /// # Errors
    /// The packet would be larger than the broker takes.
    pub fn subscribe(
        &mut self,
        subscriptions: Vec<Subscription>,
        user_properties: UserProperties,
    ) -> Result<PacketId, PublishError> {
        let packet_id = self.session.next_packet_id();
        self.request(&Packet::Subscribe(Subscribe {
            packet_id,
            subscriptions,
            user_properties,
        }))?;
        Ok(packet_id)
    }

    /// Gives subscriptions up, at least one. [`Event::Unsubscribed`] answers.
    ///
    /// # Errors
    /// The packet would be larger than the broker takes.
    pub fn unsubscribe(
        &mut self,
        topic_filters: Vec<TopicFilter>,
        user_properties: UserProperties,
    ) -> Result<PacketId, PublishError> {
        let packet_id = self.session.next_packet_id();
        self.request(&Packet::Unsubscribe(Unsubscribe {
            packet_id,
            topic_filters,
            user_properties,
        }))?;
        Ok(packet_id)
    }

    /// Waits for what happens next, and meanwhile reads, writes and pings. Nothing is lost where it is dropped.
    ///
    /// # Errors
    /// The connection has ended; there is no next.
    pub async fn next(&mut self) -> Result<Event, ClientError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            if let Some(error) = self.ended.take() {
                return Err(error);
            }
            let deadline = self.deadline();
            let expiry = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            let progress = tokio::select! {
                biased;
                progress = poll_fn(|cx| self.poll(cx)) => progress,
                () = expiry => self.expire(),
            };
            self.ended = progress.err();
        }
    }

    /// Says good-bye: writes what waits to be written, DISCONNECT behind it, and waits for the other end to close.
    /// What still comes is thrown away.
    ///
    /// # Errors
    /// It could not all be written.
    pub async fn disconnect(mut self, disconnect: Disconnect) -> Result<(), ClientError> {
        // Too large with its user properties: then without a word.
        let _ = self
            .encoder
            .encode(&Packet::Disconnect(disconnect), &mut self.frames);
        let flushing = poll_fn(|cx| {
            // A broker that cannot get rid of its own does not read ours.
            while let Poll::Ready(Ok(Some(_))) = self.link.wire.poll_receive(cx) {}
            self.poll_flush(cx)
        });
        match timeout(CLOSE_PATIENCE, flushing).await {
            Ok(flushed) => flushed.map_err(ClientError::Io)?,
            Err(_) => return Err(ClientError::Io(io::ErrorKind::TimedOut.into())),
        }
        // All is said. To go before the other end does would cost it what it has not read yet.
        let closing = async {
            let _ = poll_fn(|cx| self.link.wire.poll_close(cx)).await;
            while let Ok(Some(_)) = poll_fn(|cx| self.link.wire.poll_receive(cx)).await {}
        };
        let _ = timeout(CLOSE_PATIENCE, closing).await;
        Ok(())
    }

    fn window(&self) -> usize {
        usize::from(
            self.connack
                .receive_maximum
                .unwrap_or(u16::MAX)
                .min(MAX_IN_FLIGHT),
        )
    }

    fn request(&mut self, packet: &Packet) -> Result<(), PublishError> {
        let maximum = self.connack.maximum_packet_size;
        let encoded = self.encoder.encode(packet, &mut self.frames);
        encoded.map_err(|_| PublishError::TooLarge {
            payload: 0,
            maximum,
        })
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_flushing = true;
        loop {
            ready!(self.link.wire.poll_send(cx, self.frames.finish()))?;
            self.last_sent = Instant::now();
            if self.frames.is_empty() {
                self.is_flushing = false;
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let keep_alive = self.keep_alive?;
        Some(self.pinged.unwrap_or(self.last_sent) + keep_alive)
    }

    /// The deadline has passed.
    fn expire(&mut self) -> Result<(), ClientError> {
        let Some(keep_alive) = self.keep_alive else {
            return Ok(());
        };
        let now = Instant::now();
        match self.pinged {
            Some(pinged) if pinged + keep_alive <= now => Err(ClientError::NoPingResp(keep_alive)),
            Some(_) => Ok(()),
            None => {
                self.pinged = Some(now);
                self.send(Some(Packet::PingReq));
                Ok(())
            }
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("link", &self.link)
            .finish_non_exhaustive()
    }
}
