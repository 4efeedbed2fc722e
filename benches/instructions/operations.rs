//! What is counted: the hot parts, as small as their public interfaces let them be.

use std::{hint::black_box, sync::Arc};

use bytes::Bytes;
use gatemq::{
    listener::websocket::{Decoder as FrameDecoder, WebSocketTransport},
    message::{Message, QoS},
    mqtt::{
        codec::{self, Decoder, Encoder},
        packet::{Acknowledgement, Packet, PacketId, ProtocolVersion, ReasonCode},
        transport::Frames,
    },
};

use crate::parts::{
    is_test,
    packets::{self, publish},
    router::{Filled, Mix, filter, message},
    tls::{self, Client, Server},
    websocket::{self, packets_of},
    wire::Wire,
};

/// An operation, ready to be carried out any number of times.
pub(crate) trait Operation {
    /// Not counted: what the next call of [`run`](Self::run) needs.
    fn prepare(&mut self) {}

    fn run(&mut self);
}

/// How an operation is made ready.
pub(crate) type Make = fn() -> Box<dyn Operation>;

/// By name.
pub(crate) const OPERATIONS: &[(&str, Make)] = &[
    ("codec/decode PUBLISH/3.1.1, QoS 0, 64 B", || {
        Box::new(Decode::new(ProtocolVersion::V3_1_1, QoS::AtMostOnce))
    }),
    ("codec/decode PUBLISH/5, QoS 1, 64 B", || {
        Box::new(Decode::new(ProtocolVersion::V5, QoS::AtLeastOnce))
    }),
    ("codec/decode PUBACK/5", || {
        let acknowledgement = Acknowledgement::new(PacketId::MIN, ReasonCode::Success);
        Box::new(Decode::of(
            ProtocolVersion::V5,
            &Packet::PubAck(acknowledgement),
        ))
    }),
    ("codec/encode PUBLISH/3.1.1, QoS 0, 64 B", || {
        Box::new(Encode::new(ProtocolVersion::V3_1_1, QoS::AtMostOnce))
    }),
    ("codec/encode PUBLISH/5, QoS 1, 64 B", || {
        Box::new(Encode::new(ProtocolVersion::V5, QoS::AtLeastOnce))
    }),
    ("router/match one of 100,000 exact filters", || {
        Box::new(Match::new(Mix::Exact))
    }),
    ("router/match three of 100,000 wildcard filters", || {
        Box::new(Match::new(Mix::Wildcard))
    }),
    ("router/fan-out to 1000 queues, QoS 0", || {
        Box::new(FanOut::new(1000, QoS::AtMostOnce))
    }),
    ("router/fan-out to 1000 queues, QoS 1", || {
        Box::new(FanOut::new(1000, QoS::AtLeastOnce))
    }),
    ("router/retained set", || Box::new(SetRetained::new())),
    ("router/retained collect 100", || {
        Box::new(CollectRetained::new())
    }),
    ("queue/push and pop, QoS 0", || {
        Box::new(PushAndPop::new(QoS::AtMostOnce))
    }),
    ("queue/push and pop, QoS 1", || {
        Box::new(PushAndPop::new(QoS::AtLeastOnce))
    }),
    ("websocket/decode a frame of 100 B", || {
        Box::new(Unframe::new())
    }),
    ("websocket/send 64 packets of 100 B", || {
        Box::new(Frame::new())
    }),
    ("tls/seal 100 B", || Box::new(Seal(tls::connected().0))),
    ("tls/open 100 B", || Box::new(Open::new())),
];

struct Decode {
    decoder: Decoder,
    bytes: Bytes,
}

impl Decode {
    fn new(version: ProtocolVersion, qos: QoS) -> Self {
        Self::of(version, &publish(qos, 64, None))
    }

    fn of(version: ProtocolVersion, packet: &Packet) -> Self {
        Self {
            decoder: packets::decoder(version),
            bytes: packets::bytes(packet, version, 1),
        }
    }
}

impl Operation for Decode {
    fn run(&mut self) {
        self.decoder.push(self.bytes.clone());
        black_box(self.decoder.next().expect("well formed"));
    }
}

/// One packet in a write of its own.
struct Encode {
    encoder: Encoder,
    packet: Packet,
    frames: codec::Frames,
}

impl Encode {
    fn new(version: ProtocolVersion, qos: QoS) -> Self {
        Self {
            encoder: packets::encoder(version),
            packet: publish(qos, 64, None),
            frames: codec::Frames::default(),
        }
    }
}

impl Operation for Encode {
    fn prepare(&mut self) {
        self.frames.finish().clear();
    }

    fn run(&mut self) {
        let encoded = self.encoder.encode(&self.packet, &mut self.frames);
        encoded.expect("small enough");
        black_box(self.frames.finish());
    }
}

/// And one push that makes the oldest give way, for each.
struct Match {
    filled: Filled,
    messages: Vec<Arc<Message>>,
    at: usize,
}

impl Match {
    fn new(mix: Mix) -> Self {
        let size = if is_test() { 1000 } else { 100_000 };
        Self {
            filled: Filled::with_filters(mix, size),
            messages: mix.messages(size),
            at: 0,
        }
    }
}

impl Operation for Match {
    fn prepare(&mut self) {
        self.at = (self.at + 1) % self.messages.len();
    }

    fn run(&mut self) {
        black_box(self.filled.publish(&self.messages[self.at]));
    }
}

/// What a message costs until it is in every queue.
struct FanOut {
    filled: Filled,
    message: Arc<Message>,
}

impl FanOut {
    fn new(clients: u32, qos: QoS) -> Self {
        let filled = Filled::new(clients, 1000);
        for queue in &filled.queues {
            filled.subscribe(queue, filter("t/+"), qos);
        }
        let message = message("t/1", 64, qos, false);
        Self { filled, message }
    }
}

impl Operation for FanOut {
    fn prepare(&mut self) {
        for queue in &self.filled.queues {
            while queue.pop(true, self.filled.now).is_some() {}
        }
    }

    fn run(&mut self) {
        black_box(self.filled.publish(&self.message));
    }
}

/// One message to one session, found by an exact filter, and out of its queue again.
struct PushAndPop {
    filled: Filled,
    message: Arc<Message>,
}

impl PushAndPop {
    fn new(qos: QoS) -> Self {
        let filled = Filled::new(1, 1000);
        filled.subscribe(&filled.queues[0], filter("t"), qos);
        let message = message("t", 64, qos, false);
        Self { filled, message }
    }
}

impl Operation for PushAndPop {
    fn run(&mut self) {
        self.filled.publish(&self.message);
        black_box(self.filled.queues[0].pop(true, self.filled.now));
    }
}

/// In place of another, among a thousand topics.
struct SetRetained {
    filled: Filled,
    messages: Vec<Arc<Message>>,
    at: usize,
}

impl SetRetained {
    fn new() -> Self {
        let filled = Filled::new(0, 1);
        let topics = (0..1000).map(|device| format!("site/7/device/{device}/state"));
        let messages: Vec<_> = topics
            .map(|topic| message(&topic, 64, QoS::AtMostOnce, true))
            .collect();
        for message in &messages {
            filled.publish(message);
        }
        Self {
            filled,
            messages,
            at: 0,
        }
    }
}

impl Operation for SetRetained {
    fn prepare(&mut self) {
        self.at = (self.at + 389) % self.messages.len();
    }

    fn run(&mut self) {
        black_box(self.filled.publish(&self.messages[self.at]));
    }
}

/// What one subscription brings, its making included.
struct CollectRetained(Filled);

impl CollectRetained {
    fn new() -> Self {
        let filled = Filled::new(1, 1);
        for device in 0..100 {
            let topic = format!("site/7/device/{device}/state");
            filled.publish(&message(&topic, 64, QoS::AtMostOnce, true));
        }
        Self(filled)
    }
}

impl Operation for CollectRetained {
    fn prepare(&mut self) {
        self.0
            .router
            .unsubscribe(&self.0.queues[0], &filter("site/#"));
    }

    fn run(&mut self) {
        let queue = &self.0.queues[0];
        self.0.subscribe(queue, filter("site/#"), QoS::AtMostOnce);
        let mut taken = 0;
        while taken < 100 {
            taken += usize::from(black_box(queue.pop(true, self.0.now)).is_some());
        }
    }
}

struct Unframe {
    decoder: FrameDecoder,
    frame: Vec<u8>,
}

impl Unframe {
    fn new() -> Self {
        Self {
            decoder: FrameDecoder::default(),
            frame: websocket::frame(&[b'x'; 100]),
        }
    }
}

impl Operation for Unframe {
    fn run(&mut self) {
        black_box(websocket::decode(&mut self.decoder, &self.frame));
    }
}

/// In one write, as the encoder leaves them.
struct Frame {
    transport: WebSocketTransport<Wire>,
    packets: Frames,
    next: Frames,
}

impl Frame {
    fn new() -> Self {
        Self {
            transport: websocket::transport(),
            packets: packets_of(100, 64),
            next: Frames::default(),
        }
    }
}

impl Operation for Frame {
    fn prepare(&mut self) {
        self.next = self.packets.clone();
    }

    fn run(&mut self) {
        websocket::send(&mut self.transport, &mut self.next);
    }
}

struct Seal(Server);

impl Operation for Seal {
    fn run(&mut self) {
        self.0.write(&[b'x'; 100]);
    }
}

struct Open {
    server: Server,
    client: Client,
    records: Bytes,
}

impl Open {
    fn new() -> Self {
        let (server, client) = tls::connected();
        Self {
            server,
            client,
            records: Bytes::new(),
        }
    }
}

impl Operation for Open {
    fn prepare(&mut self) {
        self.records = self.client.seal(&[b'x'; 100]);
    }

    fn run(&mut self) {
        let records = std::mem::take(&mut self.records);
        let mut buffer = [0; 100];
        self.server.read(records, &mut buffer);
        black_box(buffer);
    }
}
