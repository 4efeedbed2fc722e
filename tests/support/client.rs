//! A client that says what a test wants it to say, and no more.

use std::{collections::VecDeque, num::NonZeroU16, sync::Arc};

use gatemq::{
    message::{Message, QoS, TopicFilter, TopicName},
    mqtt::{
        codec::{Decoder, Encoder, Frames, Limits},
        packet::{
            Acknowledgement, ConnAck, Connect, Disconnect, Packet, ProtocolVersion, Publish,
            ReasonCode, SubAck, Subscribe, Subscription, UnsubAck, Unsubscribe,
        },
    },
    router::SubscriptionOptions,
};

use super::{Stream, within};

/// A client's end of a stream.
pub struct Client {
    pub stream: Stream,
    decoder: Decoder,
    encoder: Encoder,
    /// PUBLISH packets that came while an acknowledgement was waited for.
    set_aside: VecDeque<Packet>,
    next_id: u16,
}

impl Client {
    pub fn new(stream: Stream, version: ProtocolVersion) -> Self {
        let limits = Limits {
            max_packet_size: 268_435_460,
            topic_alias_maximum: u16::MAX,
            max_topic_levels: usize::MAX,
        };
        Self {
            stream,
            decoder: Decoder::for_client(version, limits),
            encoder: Encoder::for_client(version),
            set_aside: VecDeque::new(),
            next_id: 0,
        }
    }

    /// Sends bytes as they are.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        within(self.stream.write(bytes)).await.expect("written");
    }

    /// Sends a packet.
    pub async fn send(&mut self, packet: &Packet) {
        let bytes = self.encode(packet);
        self.send_bytes(&bytes).await;
    }

    /// A packet as bytes.
    pub fn encode(&mut self, packet: &Packet) -> Vec<u8> {
        let mut frames = Frames::default();
        assert!(
            self.encoder.encode(packet, &mut frames).is_ok(),
            "{packet:?}"
        );
        let mut bytes = Vec::new();
        for frame in frames.finish().drain(..) {
            bytes.extend_from_slice(&frame);
        }
        bytes
    }

    /// The next packet, `None` at the end of the stream.
    pub async fn receive(&mut self) -> Option<Packet> {
        match self.set_aside.pop_front() {
            Some(packet) => Some(packet),
            None => self.receive_from_stream().await,
        }
    }

    async fn receive_from_stream(&mut self) -> Option<Packet> {
        loop {
            match self.decoder.next() {
                Ok(Some(packet)) => return Some(packet),
                Ok(None) => {}
                Err(error) => panic!("the broker sent a malformed packet: {error}"),
            }
            let bytes = within(self.stream.read()).await;
            if bytes.is_empty() {
                return None;
            }
            self.decoder.push(bytes.into());
        }
    }

    /// The next packet, which must come.
    pub async fn expect_packet(&mut self) -> Packet {
        self.receive()
            .await
            .expect("a packet, not the end of the stream")
    }

    /// Says CONNECT; the answer.
    pub async fn connect(&mut self, connect: Connect) -> ConnAck {
        self.send(&Packet::Connect(Box::new(connect))).await;
        match self.expect_packet().await {
            Packet::ConnAck(answer) => *answer,
            other => panic!("not CONNACK but {other:?}"),
        }
    }

    /// Says CONNECT, which must be accepted.
    pub async fn expect_accepted(&mut self, connect: Connect) -> ConnAck {
        let answer = self.connect(connect).await;
        assert_eq!(answer.reason_code, ReasonCode::Success, "{answer:?}");
        answer
    }

    /// Everything that comes until the stream ends.
    pub async fn expect_end(&mut self) -> Vec<Packet> {
        let mut packets = Vec::new();
        while let Some(packet) = self.receive().await {
            packets.push(packet);
        }
        packets
    }

    /// The stream ends, and the last packet is DISCONNECT with this code; before MQTT 5 it ends without one.
    pub async fn expect_disconnect(&mut self, reason_code: ReasonCode) -> Option<Disconnect> {
        let version = self.decoder.version().expect("known from the beginning");
        let last = self.expect_end().await.pop();
        match last {
            Some(Packet::Disconnect(disconnect)) => {
                assert_eq!(disconnect.reason_code, reason_code, "{disconnect:?}");
                Some(disconnect)
            }
            other => {
                assert!(
                    !version.accepts_server_disconnect(),
                    "not DISCONNECT {reason_code:?} but {other:?}"
                );
                None
            }
        }
    }

    /// Nothing has come: a PINGREQ is answered first.
    pub async fn expect_nothing(&mut self) {
        self.send(&Packet::PingReq).await;
        assert_eq!(self.expect_packet().await, Packet::PingResp);
    }

    /// An identifier that is not in use.
    pub fn next_id(&mut self) -> NonZeroU16 {
        self.next_id = self.next_id.checked_add(1).unwrap_or(1);
        NonZeroU16::new(self.next_id).expect("not zero")
    }

    /// Subscribes; the codes of the answer.
    pub async fn subscribe(&mut self, filter: &str, qos: QoS) -> ReasonCode {
        let options = SubscriptionOptions {
            qos,
            ..SubscriptionOptions::default()
        };
        self.subscribe_with(filter, options).await
    }

    pub async fn subscribe_with(
        &mut self,
        filter: &str,
        options: SubscriptionOptions,
    ) -> ReasonCode {
        let packet_id = self.next_id();
        let subscription = Subscription {
            topic_filter: TopicFilter::parse(filter).expect("a filter"),
            options,
        };
        self.send(&Packet::Subscribe(Subscribe {
            packet_id,
            subscriptions: vec![subscription],
            user_properties: Vec::new(),
        }))
        .await;
        match self.expect_packet().await {
            Packet::SubAck(SubAck {
                packet_id: answered,
                reason_codes,
                ..
            }) => {
                assert_eq!(answered, packet_id);
                reason_codes[0]
            }
            other => panic!("not SUBACK but {other:?}"),
        }
    }

    pub async fn unsubscribe(&mut self, filter: &str) -> UnsubAck {
        let packet_id = self.next_id();
        self.send(&Packet::Unsubscribe(Unsubscribe {
            packet_id,
            topic_filters: vec![TopicFilter::parse(filter).expect("a filter")],
            user_properties: Vec::new(),
        }))
        .await;
        match self.expect_packet().await {
            Packet::UnsubAck(answer) => answer,
            other => panic!("not UNSUBACK but {other:?}"),
        }
    }

    /// Publishes and waits for the acknowledgements of its QoS.
    pub async fn publish(&mut self, topic: &str, payload: &str, qos: QoS) {
        self.publish_message(message(topic, payload, qos, false))
            .await;
    }

    /// Publishes a retained message likewise.
    pub async fn publish_retained(&mut self, topic: &str, payload: &str, qos: QoS) {
        self.publish_message(message(topic, payload, qos, true))
            .await;
    }

    pub async fn publish_message(&mut self, message: Message) {
        let packet = self.publish_of(message);
        let packet_id = packet.packet_id;
        let qos = packet.qos;
        self.send(&Packet::Publish(packet)).await;
        let Some(packet_id) = packet_id else { return };
        if qos == QoS::AtLeastOnce {
            self.expect_acknowledgement("PUBACK", packet_id).await;
            return;
        }
        self.expect_acknowledgement("PUBREC", packet_id).await;
        self.send(&Packet::PubRel(Acknowledgement::new(
            packet_id,
            ReasonCode::Success,
        )))
        .await;
        self.expect_acknowledgement("PUBCOMP", packet_id).await;
    }

    /// A PUBLISH with an identifier of its own where its QoS needs one.
    pub fn publish_of(&mut self, message: Message) -> Publish {
        let qos = message.qos;
        Publish {
            packet_id: (qos != QoS::AtMostOnce).then(|| self.next_id()),
            dup: false,
            qos,
            retain: message.retain,
            message: Arc::new(message),
            message_expiry_interval: None,
            subscription_identifiers: smallvec::SmallVec::new(),
        }
    }

    /// The acknowledgement of this name and identifier; its code. A PUBLISH that comes before it is set aside.
    pub async fn expect_acknowledgement(
        &mut self,
        name: &str,
        packet_id: NonZeroU16,
    ) -> ReasonCode {
        let packet = loop {
            match self
                .receive_from_stream()
                .await
                .expect("an acknowledgement")
            {
                publish @ Packet::Publish(_) if name != "PUBREL" => {
                    self.set_aside.push_back(publish)
                }
                other => break other,
            }
        };
        assert_eq!(packet.name(), name, "{packet:?}");
        match packet {
            Packet::PubAck(ack)
            | Packet::PubRec(ack)
            | Packet::PubRel(ack)
            | Packet::PubComp(ack) => {
                assert_eq!(ack.packet_id, packet_id);
                ack.reason_code
            }
            other => panic!("not {name} but {other:?}"),
        }
    }

    /// The next packet, which is a PUBLISH; not acknowledged.
    pub async fn expect_publish(&mut self) -> Publish {
        match self.expect_packet().await {
            Packet::Publish(publish) => publish,
            other => panic!("not PUBLISH but {other:?}"),
        }
    }

    /// The next packet, which is a PUBLISH with this payload; acknowledged to the end of its QoS.
    pub async fn expect_message(&mut self, topic: &str, payload: &str) -> Publish {
        let publish = self.expect_publish().await;
        assert_eq!(publish.message.topic.as_str(), topic);
        assert_eq!(String::from_utf8_lossy(&publish.message.payload), payload);
        self.acknowledge(&publish).await;
        publish
    }

    /// Acknowledges a PUBLISH to the end of its QoS.
    pub async fn acknowledge(&mut self, publish: &Publish) {
        let Some(packet_id) = publish.packet_id else {
            return;
        };
        let acknowledgement = Acknowledgement::new(packet_id, ReasonCode::Success);
        if publish.qos == QoS::AtLeastOnce {
            return self.send(&Packet::PubAck(acknowledgement)).await;
        }
        self.send(&Packet::PubRec(acknowledgement.clone())).await;
        self.expect_acknowledgement("PUBREL", packet_id).await;
        self.send(&Packet::PubComp(acknowledgement)).await;
    }

    /// Says DISCONNECT and waits for the end.
    pub async fn disconnect(mut self) {
        self.send(&Packet::Disconnect(Disconnect::new(ReasonCode::Success)))
            .await;
        assert_eq!(self.expect_end().await, []);
    }
}

/// A message as a client publishes it.
pub fn message(topic: &str, payload: &str, qos: QoS, retain: bool) -> Message {
    Message::new(
        TopicName::parse(topic).expect("a topic name"),
        payload.to_owned(),
        qos,
        retain,
    )
}
