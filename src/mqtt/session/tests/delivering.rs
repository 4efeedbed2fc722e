//! What the client is sent.

use std::sync::Arc;

use super::{ack, config, connect, delivery, fixture, id, start, state};
use crate::{
    message::{Message, QoS, TopicName},
    mqtt::{
        packet::{Packet, ProtocolVersion, ReasonCode},
        session::State,
    },
    router::{Queue, Router, Spilled},
    storage::{Memory, Presence, SessionId, SessionRecord, StoredSession},
    telemetry::Metrics,
};

/// [MQTT-4.9.0-2] No more in flight than the client takes; an acknowledgement opens the window again.
#[test]
fn deliveries_keep_to_the_receive_maximum() {
    let mut f = fixture();
    f.deliver(delivery(QoS::AtLeastOnce));
    f.deliver(delivery(QoS::ExactlyOnce));
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
    f.deliver(delivery(QoS::AtLeastOnce));
    f.deliver(delivery(QoS::AtLeastOnce));
    assert!(!f.session.window_is_open());
}

/// [MQTT-4.4.0-1] What was not acknowledged is sent again in its order, PUBREL for what was received.
#[test]
fn unacknowledged_deliveries_are_sent_again() {
    let mut f = fixture();
    f.deliver(delivery(QoS::ExactlyOnce));
    f.deliver(delivery(QoS::AtLeastOnce));
    f.receive(Packet::PubRec(ack(1, ReasonCode::Success)))
        .expect("allowed");
    let (state, _) = f.session.into_parts();
    let mut f = start(state, connect(ProtocolVersion::V5));
    // Storage has not answered: the order of the two is free.
    assert_eq!(f.expect_publish(), (2, true));
    assert_eq!(f.sent(), Some(Packet::PubRel(ack(1, ReasonCode::Success))));
    assert_eq!(f.sent(), None);
    let (state, _) = f.session.into_parts();
    let mut f = start(state, connect(ProtocolVersion::V5));
    assert_eq!(f.sent(), Some(Packet::PubRel(ack(1, ReasonCode::Success))));
    assert_eq!(f.expect_publish(), (2, true));
}

/// A smaller Receive Maximum on the next connection holds for what is sent again, too.
#[test]
fn resending_keeps_to_the_new_receive_maximum() {
    let mut f = fixture();
    f.deliver(delivery(QoS::AtLeastOnce));
    f.deliver(delivery(QoS::AtLeastOnce));
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
    f.deliver(delivery(QoS::ExactlyOnce));
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
    f.deliver(delivery(QoS::ExactlyOnce));
    let violation = f
        .receive(Packet::PubAck(ack(1, ReasonCode::Success)))
        .expect_err("QoS 2 has no PUBACK");
    assert_eq!(violation.reason_code(), ReasonCode::ProtocolError);
    f.receive(Packet::PubComp(ack(1, ReasonCode::Success)))
        .expect_err("PUBREC comes first");
}

/// [MQTT-3.1.2-25] What the client does not take makes room for what comes after it, when it is sent again as well.
#[test]
fn a_discarded_delivery_makes_room_for_the_next() {
    let mut f = fixture();
    for _ in 0..2 {
        f.deliver(delivery(QoS::AtLeastOnce));
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
    f.deliver(delivery(QoS::AtLeastOnce));
    f.deliver(delivery(QoS::ExactlyOnce));
    f.receive(Packet::PubAck(ack(1, ReasonCode::QuotaExceeded)))
        .expect("allowed");
    f.receive(Packet::PubRec(ack(2, ReasonCode::QuotaExceeded)))
        .expect("allowed");
    assert!(f.session.window_is_open());
    let (state, _) = f.session.into_parts();
    let mut f = start(state, connect(ProtocolVersion::V5));
    assert_eq!(f.sent(), None);
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
        f.deliver(shared);
    }
    let (mut state, _) = f.session.into_parts();
    let left = state.unacknowledged_shares();
    assert_eq!(left.len(), 2);
    assert!(
        left.iter()
            .all(|it| it.qos == QoS::AtLeastOnce && it.share.is_some())
    );
}

/// A client that acknowledges nothing is sent no more than a few megabytes, in whatever version; they are counted while
/// they wait, and no longer.
#[test]
fn unacknowledged_bytes_are_bounded() {
    const MIB: usize = 1024 * 1024;
    let metrics = Arc::new(Metrics::default());
    let router = Router::new(config(), Arc::new(Memory::default()), metrics.clone());
    let state = State::new(router.register("c".into(), true), metrics.clone());
    let mut connect = connect(ProtocolVersion::V3_1_1);
    connect.receive_maximum = u16::MAX;
    let mut f = start(state, connect);
    let mut sent = 0;
    while f.session.window_is_open() {
        sent += 1;
        let mut large = delivery(QoS::ExactlyOnce);
        large.message = Arc::new(Message::new(
            TopicName::parse("t").expect("valid"),
            vec![0; MIB],
            QoS::ExactlyOnce,
            false,
        ));
        f.deliver(large);
    }
    assert_eq!(sent, 4);
    assert!(metrics.queued_bytes.get() > 4 * 1024 * 1024);
    // The client has the first one: only its identifier is kept.
    f.receive(Packet::PubRec(ack(1, ReasonCode::Success)))
        .expect("allowed");
    assert!(f.session.window_is_open());
    f.receive(Packet::PubRec(ack(2, ReasonCode::QuotaExceeded)))
        .expect("allowed");
    assert!(metrics.queued_bytes.get() < 3 * 1024 * 1024);
    drop(f);
    assert_eq!(metrics.queued_bytes.get(), 0);
}

/// What a process that has ended may have sent comes from storage under its identifier and with DUP; what it cannot have
/// sent, without.
#[test]
fn what_was_sent_before_a_crash_is_sent_again() {
    let metrics = Arc::new(Metrics::default());
    let router = Router::new(config(), Arc::new(Memory::default()), metrics.clone());
    let queue = router.restore(SessionId(1), "c".into());
    let first = Queue::first_place() + 5;
    let stored = StoredSession {
        record: SessionRecord {
            id: SessionId(1),
            client_id: "c".into(),
            expiry_interval: 100,
            presence: Presence::Connected { receive_maximum: 2 },
            will: None,
        },
        subscriptions: Vec::new(),
        queue: Vec::new(),
        unread: Some(Spilled {
            first,
            last: first + 2,
            messages: 3,
            bytes: 300,
            queued_at: tokio::time::Instant::now().into_std(),
        }),
        released: Vec::new(),
        received: Vec::new(),
    };
    let state = State::restore(queue, metrics, stored);
    let mut f = start(state, connect(ProtocolVersion::V5));
    f.next_place = first;
    // A PUBREC that has crossed the crash is not answered: the client would take what comes again for a new message.
    f.receive(Packet::PubRec(ack(6, ReasonCode::Success)))
        .expect("allowed");
    assert!(f.sent().is_none());
    let sent: Vec<_> = (0..3)
        .map(|_| {
            f.deliver(delivery(QoS::ExactlyOnce));
            f.expect_publish()
        })
        .collect();
    assert_eq!(sent, [(6, true), (7, true), (8, false)]);
    // Everything that may have been sent has been sent again.
    f.receive(Packet::PubRec(ack(9, ReasonCode::Success)))
        .expect("allowed");
    let unknown = ReasonCode::PacketIdentifierNotFound;
    assert!(matches!(f.sent(), Some(Packet::PubRel(it)) if it.reason_code == unknown));
}
