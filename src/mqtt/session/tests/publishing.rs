//! What the client publishes.

use super::{ack, connect, fixture, publish, start, state};
use crate::{
    message::QoS,
    mqtt::{
        packet::{Packet, ProtocolVersion, ReasonCode},
        session::{Action, Outcome, Violation},
    },
};

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
