//! Each rule of the standard that a session decides, without a socket and with time as an argument.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a test expects one action and panics at any other"
)]

mod delivering;
mod publishing;

use std::{
    num::NonZeroU16,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{Action, Grant, Outcome, Session, State, Violation};
use crate::{
    auth::{Anonymous, Principal},
    message::{Message, QoS, TopicName},
    mqtt::packet::{
        Acknowledgement, Connect, Disconnect, Packet, ProtocolVersion, Publish, ReasonCode, Will,
    },
    router::{self, Delivery, Queue, QueueConfig, Queued, Router, WhenFull},
    storage::Memory,
    telemetry::Metrics,
};

struct Fixture {
    session: Session,
    now: Instant,
    next_place: u64,
}

fn connect(version: ProtocolVersion) -> Connect {
    Connect {
        version,
        client_id: "c".into(),
        clean_start: true,
        keep_alive: 10,
        username: None,
        password: None,
        will: None,
        session_expiry_interval: 0,
        receive_maximum: 2,
        maximum_packet_size: None,
        topic_alias_maximum: 0,
        request_response_information: false,
        request_problem_information: true,
        authentication: None,
        user_properties: Vec::new(),
    }
}

fn config() -> router::Config {
    let queue = QueueConfig {
        max_messages: 10,
        max_bytes: 10_000,
        max_age: Duration::MAX,
        when_full: WhenFull::DropOldest,
        queue_qos0: false,
    };
    router::Config {
        queue,
        max_queued_bytes: 100_000,
        max_retained_bytes: 10_000,
        max_subscriptions_per_session: 10,
    }
}

fn state() -> State {
    let metrics = Arc::new(Metrics::default());
    let router = Router::new(config(), Arc::new(Memory::default()), metrics.clone());
    State::new(router.register("c".into(), true), metrics)
}

fn start(state: State, mut connect: Connect) -> Fixture {
    let now = tokio::time::Instant::now().into_std();
    let grant = Grant {
        principal: Principal { name: None },
        authority: Arc::new(Anonymous { allow: true }),
        exchange: None,
        receive_maximum: 2,
        keep_alive: Duration::from_secs(u64::from(connect.keep_alive)),
        session_expiry_max: 100,
    };
    Fixture {
        session: Session::new(state, "c".into(), &mut connect, grant, now),
        now,
        next_place: Queue::first_place(),
    }
}

fn fixture() -> Fixture {
    start(state(), connect(ProtocolVersion::V5))
}

fn id(value: u16) -> NonZeroU16 {
    NonZeroU16::new(value).expect("not zero")
}

fn message(topic: &str, qos: QoS) -> Arc<Message> {
    Arc::new(Message::new(
        TopicName::parse(topic).expect("valid"),
        Bytes::from_static(b"x"),
        qos,
        false,
    ))
}

fn publish(topic: &str, qos: QoS, packet_id: Option<u16>) -> Packet {
    Packet::Publish(Publish {
        message: message(topic, qos),
        packet_id: packet_id.map(id),
        dup: false,
        qos,
        retain: false,
        message_expiry_interval: None,
        subscription_identifiers: smallvec::SmallVec::new(),
    })
}

fn delivery(qos: QoS) -> Delivery {
    Delivery {
        message: message("t", qos),
        qos,
        retain: false,
        queued_at: tokio::time::Instant::now().into_std(),
        subscription_identifiers: smallvec::SmallVec::new(),
        share: None,
    }
}

impl Fixture {
    fn receive(&mut self, packet: Packet) -> Result<(), Violation> {
        self.session.receive(packet, self.now)
    }

    /// What the client is sent next, everything else passed over.
    fn sent(&mut self) -> Option<Packet> {
        loop {
            match self.session.next_action()? {
                Action::Send(packet) => return Some(packet),
                Action::Keep(_, step) => self.session.confirmed(&step, self.now),
                Action::Publish(..)
                | Action::Acknowledged(_)
                | Action::PublishDenied
                | Action::Forget(_) => {}
                other => panic!("unexpected {other:?}"),
            }
        }
    }

    fn deliver(&mut self, delivery: Delivery) {
        let place = self.next_place;
        self.next_place += 1;
        let packet = self.session.deliver(Queued { place, delivery }, self.now);
        self.session.actions.extend(packet.map(Action::Send));
    }

    fn published(&mut self, packet_id: u16, outcome: Outcome) {
        self.session.published(id(packet_id), outcome, self.now);
    }

    /// The identifier of a PUBLISH that the client is sent, and whether it is marked as sent before.
    fn expect_publish(&mut self) -> (u16, bool) {
        match self.sent() {
            Some(Packet::Publish(publish)) => {
                (publish.packet_id.map_or(0, NonZeroU16::get), publish.dup)
            }
            other => panic!("no PUBLISH but {other:?}"),
        }
    }
}

fn ack(packet_id: u16, reason_code: ReasonCode) -> Acknowledgement {
    Acknowledgement::new(id(packet_id), reason_code)
}

/// [MQTT-3.1.2-22] One and a half times the keep alive, and not a moment before.
#[test]
fn silence_ends_the_connection() {
    let mut f = fixture();
    let deadline = f.session.next_deadline().expect("a keep alive");
    assert_eq!(deadline - f.now, Duration::from_secs(15));
    f.session
        .expire(deadline - Duration::from_millis(1))
        .expect("in time");
    let violation = f.session.expire(deadline).expect_err("too late");
    assert_eq!(violation, Violation::KeepAliveTimeout { seconds: 10 });
    f.now += Duration::from_secs(14);
    f.receive(Packet::PingReq).expect("allowed");
    assert_eq!(f.sent(), Some(Packet::PingResp));
    f.session.expire(deadline).expect("heard of since");
}

/// [MQTT-3.14.4-3] A normal DISCONNECT deletes the will, another one does not.
#[test]
fn disconnect_decides_about_the_will() {
    for (reason_code, has_will) in [
        (ReasonCode::Success, false),
        (ReasonCode::DisconnectWithWill, true),
    ] {
        let mut connect = connect(ProtocolVersion::V5);
        let will = Will {
            topic: TopicName::parse("w").expect("valid"),
            payload: Bytes::new(),
            qos: QoS::AtMostOnce,
            retain: false,
            delay_interval: 0,
            message_expiry_interval: None,
            properties: None,
        };
        connect.will = Some(Box::new(will));
        let mut f = start(state(), connect);
        f.receive(Packet::Disconnect(Disconnect::new(reason_code)))
            .expect("allowed");
        assert_eq!(
            f.session.into_parts().1.is_some(),
            has_will,
            "{reason_code:?}"
        );
    }
}

/// MQTT 5, 3.14.2.2.2: an expiry of 0 cannot be raised; any other can be changed, up to the server's cap.
#[test]
fn disconnect_changes_the_session_expiry() {
    let mut disconnect = Disconnect::new(ReasonCode::Success);
    disconnect.session_expiry_interval = Some(1000);
    let mut f = fixture();
    assert_eq!(
        f.receive(Packet::Disconnect(disconnect.clone())),
        Err(Violation::SessionExpiryRaised)
    );
    let mut connect = connect(ProtocolVersion::V5);
    connect.session_expiry_interval = 5;
    let mut f = start(state(), connect);
    f.receive(Packet::Disconnect(disconnect)).expect("allowed");
    assert_eq!(
        f.session.into_parts().0.kept_for(),
        Some(Duration::from_secs(100))
    );
}

/// While storage does not answer, its PINGREQ may wait unread.
#[test]
fn who_is_not_read_is_not_silent() {
    let mut f = fixture();
    for packet_id in 1..=2 {
        f.receive(publish("a", QoS::AtLeastOnce, Some(packet_id)))
            .expect("allowed");
    }
    let deadline = f.session.next_deadline().expect("a keep alive");
    f.session
        .expire(deadline)
        .expect("storage has not answered");
    let deadline = f.session.next_deadline().expect("a keep alive");
    f.published(1, Outcome::Accepted);
    f.session
        .expire(deadline)
        .expect_err("read again, and silent");
}

/// [MQTT-3.1.2-21] The keep alive that holds is the server's; 0 waits for ever.
#[test]
fn a_keep_alive_of_zero_is_none() {
    let mut connect = connect(ProtocolVersion::V5);
    connect.keep_alive = 0;
    let mut f = start(state(), connect);
    assert_eq!(f.session.next_deadline(), None);
    let later = f.now + Duration::from_secs(1_000_000);
    f.session.expire(later).expect("no keep alive");
}

/// [MQTT-3.1.2-22] The largest keep alive is 65,535 s, one and a half times of it a little more than 27 hours.
#[test]
fn the_largest_keep_alive_is_kept() {
    let mut connect = connect(ProtocolVersion::V3_1_1);
    connect.keep_alive = u16::MAX;
    let f = start(state(), connect);
    let deadline = f.session.next_deadline().expect("a keep alive");
    let wait = deadline - f.now;
    let expected = Duration::from_millis(98_302_500);
    assert!(
        wait.abs_diff(expected) < Duration::from_millis(100),
        "{wait:?}"
    );
}

/// 3.1.2.11.2: A Session Expiry Interval of 0xFFFFFFFF never ends, but for the cap of the server.
#[test]
fn session_expiry_is_capped() {
    for (asked, kept_for) in [
        (0, None),
        (99, Some(99)),
        (101, Some(100)),
        (u32::MAX, Some(100)),
    ] {
        let mut connect = connect(ProtocolVersion::V5);
        connect.session_expiry_interval = asked;
        let f = start(state(), connect);
        assert_eq!(
            f.session.into_parts().0.kept_for(),
            kept_for.map(Duration::from_secs),
            "{asked}"
        );
    }
}

/// Packets that only servers send, and a second CONNECT, are protocol errors.
#[test]
fn packets_of_a_server_are_protocol_errors() {
    let unexpected = [
        Packet::Connect(Box::new(connect(ProtocolVersion::V5))),
        Packet::PingResp,
    ];
    for packet in unexpected {
        let violation = fixture().receive(packet).expect_err("not from a client");
        assert_eq!(violation.reason_code(), ReasonCode::ProtocolError);
    }
}
