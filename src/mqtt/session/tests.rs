//! Each rule of the standard that a session decides, without a socket and with time as an argument.

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
    router::{self, Delivery, QueueConfig, Router, WhenFull},
    storage::Memory,
    telemetry::Metrics,
};

struct Fixture {
    session: Session,
    now: Instant,
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

fn state() -> State {
    let metrics = Arc::new(Metrics::default());
    let queue = QueueConfig {
        max_messages: 10,
        max_bytes: 10_000,
        when_full: WhenFull::DropOldest,
        queue_qos0: false,
    };
    let config = router::Config {
        queue,
        max_queued_bytes: 100_000,
        max_retained_bytes: 10_000,
        max_subscriptions_per_session: 10,
    };
    let router = Router::new(config, Arc::new(Memory::default()), metrics.clone());
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
                Action::Publish(..) | Action::Acknowledged(_) | Action::PublishDenied => {}
                other @ (Action::Subscribe(..)
                | Action::Unsubscribe(..)
                | Action::End(_)
                | Action::NotKept(_)) => {
                    panic!("unexpected {other:?}")
                }
            }
        }
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

/// [MQTT-4.6.0-2] PUBACK leaves in the order of PUBLISH, though storage answers in another.
#[test]
fn acknowledgements_leave_in_order() {
    let mut f = fixture();
    f.receive(publish("a", QoS::AtLeastOnce, Some(1)))
        .expect("allowed");
    f.receive(publish("b", QoS::ExactlyOnce, Some(2)))
        .expect("allowed");
    f.published(2, Outcome::Accepted);
    assert_eq!(f.sent(), None);
    f.published(1, Outcome::NoMatchingSubscribers);
    assert_eq!(
        f.sent(),
        Some(Packet::PubAck(ack(1, ReasonCode::NoMatchingSubscribers)))
    );
    assert_eq!(f.sent(), Some(Packet::PubRec(ack(2, ReasonCode::Success))));
}

/// [MQTT-3.3.4-9] As many publishes as the Receive Maximum allows, and one beyond.
#[test]
fn receive_maximum_is_enforced() {
    let mut f = fixture();
    f.receive(publish("a", QoS::AtLeastOnce, Some(1)))
        .expect("allowed");
    f.receive(publish("a", QoS::ExactlyOnce, Some(2)))
        .expect("allowed");
    let violation = f
        .receive(publish("a", QoS::AtLeastOnce, Some(3)))
        .expect_err("one beyond");
    assert_eq!(violation, Violation::ReceiveMaximumExceeded { limit: 2 });
    assert_eq!(violation.reason_code(), ReasonCode::ReceiveMaximumExceeded);
}

/// QoS 2 counts until its PUBREL, QoS 1 until its PUBACK.
#[test]
fn receive_maximum_is_given_back() {
    let mut f = fixture();
    for round in 0..5 {
        f.receive(publish("a", QoS::ExactlyOnce, Some(7)))
            .expect("allowed");
        f.published(7, Outcome::Accepted);
        f.receive(Packet::PubRel(ack(7, ReasonCode::Success)))
            .expect("allowed");
        f.receive(publish("a", QoS::AtLeastOnce, Some(8 + round)))
            .expect("allowed");
        f.published(8 + round, Outcome::Accepted);
    }
}

/// A client that was never told a Receive Maximum cannot exceed it; it is read no further instead.
#[test]
fn older_clients_are_held_back_instead() {
    let mut f = start(state(), connect(ProtocolVersion::V3_1_1));
    for packet_id in 1..=3 {
        f.receive(publish("a", QoS::AtLeastOnce, Some(packet_id)))
            .expect("allowed");
    }
    assert!(!f.session.wants_input());
    f.published(1, Outcome::Accepted);
    f.published(2, Outcome::Accepted);
    assert!(f.session.wants_input());
}

/// [MQTT-4.3.3-10] A QoS 2 publish is routed once, however often it is sent before PUBREL.
#[test]
fn qos_2_is_routed_once() {
    let mut f = fixture();
    for _ in 0..2 {
        f.receive(publish("a", QoS::ExactlyOnce, Some(1)))
            .expect("allowed");
        f.published(1, Outcome::Accepted);
    }
    let mut actions = Vec::new();
    while let Some(action) = f.session.next_action() {
        actions.push(action);
    }
    let routed = actions
        .iter()
        .filter(|action| matches!(action, Action::Publish(..)))
        .count();
    let received = actions
        .iter()
        .filter(|action| matches!(action, Action::Send(Packet::PubRec(_))))
        .count();
    assert_eq!((routed, received), (1, 2));
}

/// PUBREL for what is not known: PUBCOMP 0x92 (MQTT 5, 3.7.2.1).
#[test]
fn unknown_pubrel_is_answered() {
    let mut f = fixture();
    f.receive(Packet::PubRel(ack(9, ReasonCode::Success)))
        .expect("allowed");
    assert_eq!(
        f.sent(),
        Some(Packet::PubComp(ack(
            9,
            ReasonCode::PacketIdentifierNotFound
        )))
    );
}

/// The broker's own topics are its own, and QoS 2 that was refused does not stay known.
#[test]
fn sys_topics_cannot_be_published_to() {
    let mut f = fixture();
    f.receive(publish("$SYS/broker/uptime", QoS::ExactlyOnce, Some(1)))
        .expect("no violation");
    let Some(Packet::PubRec(answer)) = f.sent() else {
        panic!("no PUBREC")
    };
    assert_eq!(answer.reason_code, ReasonCode::NotAuthorized);
    assert!(
        answer
            .reason_string
            .is_some_and(|reason| reason.contains("$SYS"))
    );
    f.receive(Packet::PubRel(ack(1, ReasonCode::Success)))
        .expect("allowed");
    assert_eq!(
        f.sent(),
        Some(Packet::PubComp(ack(
            1,
            ReasonCode::PacketIdentifierNotFound
        )))
    );
}

/// [MQTT-4.9.0-2] No more in flight than the client takes; an acknowledgement opens the window again.
#[test]
fn deliveries_keep_to_the_receive_maximum() {
    let mut f = fixture();
    f.session.deliver(delivery(QoS::AtLeastOnce), f.now);
    f.session.deliver(delivery(QoS::ExactlyOnce), f.now);
    assert!(!f.session.window_is_open());
    assert_eq!(
        (f.expect_publish(), f.expect_publish()),
        ((1, false), (2, false))
    );
    f.receive(Packet::PubAck(ack(1, ReasonCode::Success)))
        .expect("allowed");
    assert!(f.session.window_is_open());
    f.receive(Packet::PubRec(ack(2, ReasonCode::Success)))
        .expect("allowed");
    assert_eq!(f.sent(), Some(Packet::PubRel(ack(2, ReasonCode::Success))));
    f.receive(Packet::PubComp(ack(2, ReasonCode::Success)))
        .expect("allowed");
    f.session.deliver(delivery(QoS::AtLeastOnce), f.now);
    f.session.deliver(delivery(QoS::AtLeastOnce), f.now);
    assert!(!f.session.window_is_open());
}

/// [MQTT-4.4.0-1] What was not acknowledged is sent again in its order, PUBREL for what was received.
#[test]
fn unacknowledged_deliveries_are_sent_again() {
    let mut f = fixture();
    f.session.deliver(delivery(QoS::ExactlyOnce), f.now);
    f.session.deliver(delivery(QoS::AtLeastOnce), f.now);
    f.receive(Packet::PubRec(ack(1, ReasonCode::Success)))
        .expect("allowed");
    let (state, _) = f.session.into_parts();
    let mut f = start(state, connect(ProtocolVersion::V5));
    assert_eq!(f.sent(), Some(Packet::PubRel(ack(1, ReasonCode::Success))));
    assert_eq!(f.expect_publish(), (2, true));
    assert_eq!(f.sent(), None);
}

/// A smaller Receive Maximum on the next connection holds for what is sent again, too.
#[test]
fn resending_keeps_to_the_new_receive_maximum() {
    let mut f = fixture();
    f.session.deliver(delivery(QoS::AtLeastOnce), f.now);
    f.session.deliver(delivery(QoS::AtLeastOnce), f.now);
    let (state, _) = f.session.into_parts();
    let mut again = connect(ProtocolVersion::V5);
    again.receive_maximum = 1;
    let mut f = start(state, again);
    assert_eq!(f.expect_publish(), (1, true));
    assert_eq!(f.sent(), None);
    assert!(!f.session.window_is_open());
    f.receive(Packet::PubAck(ack(1, ReasonCode::Success)))
        .expect("allowed");
    assert_eq!(f.expect_publish(), (2, true));
}

/// PUBREC with a failure ends the exchange [MQTT-4.3.3-4]; for what is not known PUBREL says 0x92.
#[test]
fn pubrec_with_a_failure_frees_the_identifier() {
    let mut f = fixture();
    f.session.deliver(delivery(QoS::ExactlyOnce), f.now);
    f.expect_publish();
    f.receive(Packet::PubRec(ack(1, ReasonCode::QuotaExceeded)))
        .expect("allowed");
    assert_eq!(f.sent(), None);
    f.receive(Packet::PubRec(ack(1, ReasonCode::Success)))
        .expect("allowed");
    assert_eq!(
        f.sent(),
        Some(Packet::PubRel(ack(1, ReasonCode::PacketIdentifierNotFound)))
    );
}

#[test]
fn an_acknowledgement_of_the_wrong_kind_is_a_protocol_error() {
    let mut f = fixture();
    f.session.deliver(delivery(QoS::ExactlyOnce), f.now);
    let violation = f
        .receive(Packet::PubAck(ack(1, ReasonCode::Success)))
        .expect_err("QoS 2 has no PUBACK");
    assert_eq!(violation.reason_code(), ReasonCode::ProtocolError);
    f.receive(Packet::PubComp(ack(1, ReasonCode::Success)))
        .expect_err("PUBREC comes first");
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

/// [MQTT-4.9.0-1] A connection begins with the whole Receive Maximum; what an earlier one left counts once it is sent
/// again, and its PUBREL gives back no more than it took.
#[test]
fn each_connection_has_the_whole_receive_maximum() {
    let mut f = fixture();
    for packet_id in 1..=2 {
        f.receive(publish("a", QoS::ExactlyOnce, Some(packet_id)))
            .expect("allowed");
        f.published(packet_id, Outcome::Accepted);
    }
    let (state, _) = f.session.into_parts();
    let mut f = start(state, connect(ProtocolVersion::V5));
    for packet_id in 3..=4 {
        f.receive(publish("a", QoS::ExactlyOnce, Some(packet_id)))
            .expect("allowed");
        f.published(packet_id, Outcome::Accepted);
    }
    f.receive(Packet::PubRel(ack(1, ReasonCode::Success)))
        .expect("allowed");
    assert_eq!(
        f.receive(publish("a", QoS::ExactlyOnce, Some(2))),
        Err(Violation::ReceiveMaximumExceeded { limit: 2 })
    );
}

/// A PUBLISH of QoS 2 that is repeated counts once.
#[test]
fn a_repeated_publish_counts_once_against_the_receive_maximum() {
    let mut f = fixture();
    for _ in 0..5 {
        f.receive(publish("a", QoS::ExactlyOnce, Some(1)))
            .expect("allowed");
        f.published(1, Outcome::Accepted);
    }
    f.receive(publish("a", QoS::AtLeastOnce, Some(2)))
        .expect("allowed");
}

/// [MQTT-3.1.2-25] What the client does not take makes room for what comes after it, when it is sent again as well.
#[test]
fn a_discarded_delivery_makes_room_for_the_next() {
    let mut f = fixture();
    for _ in 0..2 {
        f.session.deliver(delivery(QoS::AtLeastOnce), f.now);
    }
    let (state, _) = f.session.into_parts();
    let mut again = connect(ProtocolVersion::V5);
    again.receive_maximum = 1;
    let mut f = start(state, again);
    assert_eq!(f.expect_publish(), (1, true));
    f.session.discard(id(1), f.now);
    assert_eq!(f.expect_publish(), (2, true));
    f.session.discard(id(2), f.now);
    assert!(f.session.window_is_open());
}

/// 3.4.2.1, 3.5.2.1: a failure ends the exchange, and the next connection does not begin it again.
#[test]
fn what_the_client_refused_is_not_sent_again() {
    let mut f = fixture();
    f.session.deliver(delivery(QoS::AtLeastOnce), f.now);
    f.session.deliver(delivery(QoS::ExactlyOnce), f.now);
    f.receive(Packet::PubAck(ack(1, ReasonCode::QuotaExceeded)))
        .expect("allowed");
    f.receive(Packet::PubRec(ack(2, ReasonCode::QuotaExceeded)))
        .expect("allowed");
    assert!(f.session.window_is_open());
    let (state, _) = f.session.into_parts();
    let mut f = start(state, connect(ProtocolVersion::V5));
    assert_eq!(f.sent(), None);
}

/// 3.4.2.1: a message that cannot be retained is refused with 0x97; a client that cannot be told is not acknowledged.
#[test]
fn what_cannot_be_kept_is_not_acknowledged() {
    for outcome in [Outcome::NotKept, Outcome::NotRetained] {
        let mut f = fixture();
        f.receive(publish("a", QoS::ExactlyOnce, Some(1)))
            .expect("allowed");
        f.published(1, outcome.clone());
        let Some(Packet::PubRec(answer)) = f.sent() else {
            panic!("no PUBREC");
        };
        assert_eq!(answer.reason_code, ReasonCode::QuotaExceeded);
        assert!(answer.reason_string.is_some());
        let mut f = start(state(), connect(ProtocolVersion::V3_1_1));
        f.receive(publish("a", QoS::ExactlyOnce, Some(1)))
            .expect("allowed");
        f.published(1, outcome.clone());
        let ends = std::iter::from_fn(|| f.session.next_action())
            .any(|action| matches!(action, Action::NotKept(cause) if cause == outcome));
        assert!(ends, "{outcome}");
    }
}

/// [MQTT-4.8.2-5] What a session that ends leaves unacknowledged: QoS 1 of shared subscriptions is for another member,
/// QoS 2 for nobody.
#[test]
fn only_qos_1_of_shared_subscriptions_is_handed_on() {
    let mut connect = connect(ProtocolVersion::V5);
    connect.receive_maximum = 10;
    let mut f = start(state(), connect);
    let share = crate::message::TopicFilter::parse("$share/g/t").expect("valid");
    for (qos, share) in [
        (QoS::AtLeastOnce, Some(share.clone())),
        (QoS::ExactlyOnce, Some(share.clone())),
        (QoS::AtLeastOnce, None),
        (QoS::AtLeastOnce, Some(share)),
    ] {
        let mut shared = delivery(qos);
        shared.share = share;
        f.session.deliver(shared, f.now);
    }
    let (mut state, _) = f.session.into_parts();
    let left = state.unacknowledged_shares();
    assert_eq!(left.len(), 2);
    assert!(
        left.iter()
            .all(|it| it.qos == QoS::AtLeastOnce && it.share.is_some())
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
