//! What a session keeps, and who has it (4.1, 3.1.2.4, takeover).

use gatemq::{
    message::QoS,
    mqtt::packet::{
        Acknowledgement, Connect, Disconnect, NEVER_EXPIRES, Packet, ProtocolVersion, ReasonCode,
    },
};

use crate::support::{Broker, connect, each, each_version};

const V5: ProtocolVersion = ProtocolVersion::V5;

/// A CONNECT that goes on with what there is, and leaves it.
fn kept(version: ProtocolVersion, client_id: &str) -> Connect {
    let mut connect = connect(version, client_id);
    connect.clean_start = false;
    connect.session_expiry_interval = NEVER_EXPIRES;
    connect
}

/// [MQTT-3.1.2-5, 3.2.2-3] A kept session goes on: it is present, has its subscriptions and what came meanwhile.
#[tokio::test]
async fn a_kept_session_goes_on() {
    each_version(async |broker, version| {
        let mut client = broker.connect(kept(version, "kept")).await;
        client.subscribe("a/#", QoS::AtLeastOnce).await;
        client.disconnect().await;
        let mut other = broker.connect(connect(version, "other")).await;
        other.publish("a/1", "one", QoS::AtLeastOnce).await;
        other.publish("a/2", "two", QoS::ExactlyOnce).await;
        let mut client = broker.client(version).await;
        let answer = client.expect_accepted(kept(version, "kept")).await;
        assert_eq!(answer.session_present, version != ProtocolVersion::V3_1);
        let publish = client.expect_message("a/1", "one").await;
        assert!(!publish.dup);
        client.expect_message("a/2", "two").await;
        other.publish("a/3", "three", QoS::AtLeastOnce).await;
        client.expect_message("a/3", "three").await;
    })
    .await;
}

/// [MQTT-3.1.2-4] Clean Start discards the session that was there.
#[tokio::test]
async fn clean_start_forgets() {
    each_version(async |broker, version| {
        let mut client = broker.connect(kept(version, "clean")).await;
        client.subscribe("a", QoS::AtLeastOnce).await;
        client.disconnect().await;
        let mut other = broker.connect(connect(version, "other")).await;
        other.publish("a", "lost", QoS::AtLeastOnce).await;
        let mut client = broker.client(version).await;
        let answer = client.expect_accepted(connect(version, "clean")).await;
        assert!(!answer.session_present);
        other.publish("a", "lost as well", QoS::AtLeastOnce).await;
        client.expect_nothing().await;
    })
    .await;
}

/// [MQTT-3.1.2-6 of 3.1.1] A clean session ends with its connection.
#[tokio::test]
async fn a_session_without_expiry_ends_with_its_connection() {
    each_version(async |broker, version| {
        let mut client = broker.connect(connect(version, "short")).await;
        client.subscribe("a", QoS::AtLeastOnce).await;
        client.disconnect().await;
        let mut client = broker.client(version).await;
        let answer = client.expect_accepted(kept(version, "short")).await;
        assert!(!answer.session_present);
    })
    .await;
}

/// [MQTT-3.1.2-23] A session is over once its expiry interval has passed.
#[tokio::test]
async fn a_session_expires() {
    each(async |broker| {
        let mut short = kept(V5, "expires");
        short.session_expiry_interval = 1;
        broker.connect(short.clone()).await.disconnect().await;
        // Present for a second; the metrics tell when it is over.
        while broker.app().metrics().sessions_expired.get() == 0 {
            tokio::task::yield_now().await;
        }
        let mut client = broker.client(V5).await;
        assert!(!client.expect_accepted(short).await.session_present);
    })
    .await;
}

/// 3.14.2.2.2: DISCONNECT may change the expiry interval, but not raise it from 0.
#[tokio::test]
async fn disconnect_changes_the_expiry() {
    each(async |broker| {
        let mut client = broker.connect(kept(V5, "changed")).await;
        let mut disconnect = Disconnect::new(ReasonCode::Success);
        disconnect.session_expiry_interval = Some(0);
        client.send(&Packet::Disconnect(disconnect)).await;
        client.expect_end().await;
        let mut client = broker.client(V5).await;
        assert!(
            !client
                .expect_accepted(connect(V5, "changed"))
                .await
                .session_present
        );
        let mut disconnect = Disconnect::new(ReasonCode::Success);
        disconnect.session_expiry_interval = Some(10);
        client.send(&Packet::Disconnect(disconnect)).await;
        client.expect_disconnect(ReasonCode::ProtocolError).await;
    })
    .await;
}

/// [MQTT-3.1.4-3] A client identifier has one connection: the older one is told, and the session goes on.
#[tokio::test]
async fn a_second_connection_takes_over() {
    each_version(async |broker, version| {
        let mut first = broker.connect(kept(version, "same")).await;
        first.subscribe("a", QoS::AtLeastOnce).await;
        let mut second = broker.client(version).await;
        let answer = second.expect_accepted(kept(version, "same")).await;
        assert_eq!(answer.session_present, version != ProtocolVersion::V3_1);
        first.expect_disconnect(ReasonCode::SessionTakenOver).await;
        if first.stream.is_websocket() {
            let (code, reason) = first.stream.close_frame().expect("a close frame");
            assert_eq!(code, 1008);
            assert!(reason.contains("client identifier"), "{reason}");
        }
        second.publish("a", "still here", QoS::AtLeastOnce).await;
        // PUBACK has come; the delivery follows or came before it: either way it is there.
        second.expect_message("a", "still here").await;
    })
    .await;
}

/// [MQTT-4.4.0-1] What was not acknowledged is sent again with DUP and its identifier, in order.
#[tokio::test]
async fn what_was_not_acknowledged_is_sent_again() {
    each_version(async |broker, version| {
        let mut client = broker.connect(kept(version, "again")).await;
        client.subscribe("a/#", QoS::ExactlyOnce).await;
        let mut other = broker.connect(connect(version, "other")).await;
        other.publish("a/1", "one", QoS::AtLeastOnce).await;
        other.publish("a/2", "two", QoS::ExactlyOnce).await;
        other.publish("a/3", "three", QoS::ExactlyOnce).await;
        let one = client.expect_publish().await;
        let two = client.expect_publish().await;
        let three = client.expect_publish().await;
        let released = three.packet_id.expect("QoS 2");
        client
            .send(&Packet::PubRec(Acknowledgement::new(
                released,
                ReasonCode::Success,
            )))
            .await;
        client.expect_acknowledgement("PUBREL", released).await;
        client.stream.abort().await;
        let mut client = broker.connect(kept(version, "again")).await;
        // [MQTT-4.4.0-1] PUBREL as well.
        client.expect_acknowledgement("PUBREL", released).await;
        client
            .send(&Packet::PubComp(Acknowledgement::new(
                released,
                ReasonCode::Success,
            )))
            .await;
        let again = client.expect_publish().await;
        assert!(again.dup);
        assert_eq!(again.packet_id, one.packet_id);
        client.acknowledge(&again).await;
        let again = client.expect_publish().await;
        assert!(again.dup);
        assert_eq!(again.packet_id, two.packet_id);
        client.acknowledge(&again).await;
        client.expect_nothing().await;
    })
    .await;
}

/// [MQTT-4.3.3-10] An identifier received before the connection broke is not delivered twice.
#[tokio::test]
async fn qos_2_arrives_once_across_connections() {
    each_version(async |broker, version| {
        let mut watcher = broker.connect(connect(version, "watcher")).await;
        watcher.subscribe("a", QoS::AtMostOnce).await;
        let mut client = broker.connect(kept(version, "once")).await;
        let mut publish = client.publish_of(crate::support::message(
            "a",
            "once",
            QoS::ExactlyOnce,
            false,
        ));
        let packet_id = publish.packet_id.expect("QoS 2");
        client.send(&Packet::Publish(publish.clone())).await;
        client.expect_acknowledgement("PUBREC", packet_id).await;
        client.stream.abort().await;
        let mut client = broker.connect(kept(version, "once")).await;
        publish.dup = true;
        client.send(&Packet::Publish(publish)).await;
        client.expect_acknowledgement("PUBREC", packet_id).await;
        client
            .send(&Packet::PubRel(Acknowledgement::new(
                packet_id,
                ReasonCode::Success,
            )))
            .await;
        client.expect_acknowledgement("PUBCOMP", packet_id).await;
        watcher.expect_message("a", "once").await;
        watcher.expect_nothing().await;
    })
    .await;
}

/// The state of a session outlives the broker's connection, not the broker, unless storage keeps it.
#[tokio::test]
async fn a_session_survives_with_its_storage() {
    use std::sync::Arc;
    let storage = gatemq::storage::Memory::default();
    let first = Broker::build("", |builder| builder.storage(Arc::new(storage.clone())));
    let mut client = first.connect(kept(V5, "stored")).await;
    client.subscribe("a", QoS::AtLeastOnce).await;
    client.disconnect().await;
    let mut other = first.connect(connect(V5, "other")).await;
    other.publish("a", "kept", QoS::AtLeastOnce).await;
    other
        .publish_retained("r", "retained", QoS::AtLeastOnce)
        .await;
    drop((other, first));
    let second = Broker::build("", |builder| builder.storage(Arc::new(storage)));
    let mut client = second.client(V5).await;
    assert!(
        client
            .expect_accepted(kept(V5, "stored"))
            .await
            .session_present
    );
    client.expect_message("a", "kept").await;
    client.subscribe("r", QoS::AtLeastOnce).await;
    client.expect_message("r", "retained").await;
}

/// [MQTT-3.1.2-5, -23] Clean Start 0 with an expiry of 0 goes on with the session, which then ends with the connection.
#[tokio::test]
async fn an_expiry_of_zero_ends_the_session_it_goes_on_with() {
    each(async |broker| {
        let mut client = broker.connect(kept(V5, "c")).await;
        client.subscribe("a", QoS::AtLeastOnce).await;
        client.disconnect().await;
        let mut last = kept(V5, "c");
        last.session_expiry_interval = 0;
        let mut client = broker.client(V5).await;
        assert!(client.expect_accepted(last.clone()).await.session_present);
        client
            .publish("a", "still subscribed", QoS::AtLeastOnce)
            .await;
        client.expect_message("a", "still subscribed").await;
        client.disconnect().await;
        let mut client = broker.client(V5).await;
        assert!(!client.expect_accepted(last).await.session_present);
        client.publish("a", "x", QoS::AtLeastOnce).await;
        client.expect_nothing().await;
    })
    .await;
}

/// [MQTT-3.1.2-4] Clean Start with an expiry begins a session that is kept.
#[tokio::test]
async fn a_clean_start_may_be_kept() {
    each(async |broker| {
        let mut first = kept(V5, "c");
        first.clean_start = true;
        for _ in 0..2 {
            let mut client = broker.client(V5).await;
            assert!(!client.expect_accepted(first.clone()).await.session_present);
            client.disconnect().await;
        }
        let mut client = broker.client(V5).await;
        assert!(client.expect_accepted(kept(V5, "c")).await.session_present);
    })
    .await;
}

/// [MQTT-3.1.2-6 of 3.1.1, 3.1.4-3] A takeover of a clean session begins a new one.
#[tokio::test]
async fn a_takeover_of_a_clean_session_begins_anew() {
    each_version(async |broker, version| {
        let mut first = broker.connect(connect(version, "same")).await;
        first.subscribe("a", QoS::AtLeastOnce).await;
        let mut second = broker.client(version).await;
        let answer = second.expect_accepted(kept(version, "same")).await;
        assert!(!answer.session_present);
        first.expect_disconnect(ReasonCode::SessionTakenOver).await;
        second.publish("a", "x", QoS::AtLeastOnce).await;
        second.expect_nothing().await;
    })
    .await;
}

/// [MQTT-3.3.2-5, -6] Time passes for what waits: what has expired does not come, the rest says what is left.
#[tokio::test]
async fn what_waits_expires() {
    each(async |broker| {
        let mut client = broker.connect(kept(V5, "c")).await;
        client.subscribe("a/#", QoS::AtLeastOnce).await;
        client.disconnect().await;
        let mut other = broker.connect(connect(V5, "other")).await;
        for (topic, seconds, retain) in [
            ("a/short", Some(1), false),
            ("a/long", Some(1000), false),
            ("a/ever", None, false),
            ("clock", Some(1), true),
        ] {
            let message = crate::support::message(topic, "x", QoS::AtLeastOnce, retain);
            let mut publish = other.publish_of(message);
            publish.message_expiry_interval = seconds;
            let packet_id = publish.packet_id.expect("QoS 1");
            other.send(&Packet::Publish(publish)).await;
            other.expect_acknowledgement("PUBACK", packet_id).await;
        }
        // The retained message was last: once it is gone, so is what came before it.
        loop {
            other.subscribe("clock", QoS::AtMostOnce).await;
            other.send(&Packet::PingReq).await;
            if other.expect_packet().await == Packet::PingResp {
                break;
            }
            assert_eq!(other.expect_packet().await, Packet::PingResp);
        }
        let mut client = broker.connect(kept(V5, "c")).await;
        let long = client.expect_message("a/long", "x").await;
        let left = long.message_expiry_interval.expect("it has one");
        assert!((900..1000).contains(&left), "{left} s");
        let ever = client.expect_message("a/ever", "x").await;
        assert_eq!(ever.message_expiry_interval, None);
        client.expect_nothing().await;
    })
    .await;
}

/// 3.3.2.3.4: topic aliases live as long as their connection, both ways.
#[tokio::test]
async fn topic_aliases_end_with_the_connection() {
    each(async |broker| {
        let mut wanted = kept(V5, "c");
        wanted.topic_alias_maximum = 5;
        let mut client = broker.connect(wanted.clone()).await;
        client.subscribe("a/long/topic", QoS::AtMostOnce).await;
        for packet in [
            &b"\x30\x13\x00\x0Ca/long/topic\x03\x23\x00\x01x"[..],
            b"\x30\x07\x00\x00\x03\x23\x00\x01x",
        ] {
            client.send_bytes(packet).await;
            client.expect_message("a/long/topic", "x").await;
        }
        client.disconnect().await;
        // The new decoder of the test knows no alias: the broker must name the topic again.
        let mut client = broker.connect(wanted).await;
        client.publish("a/long/topic", "y", QoS::AtMostOnce).await;
        client.expect_message("a/long/topic", "y").await;
        client
            .send_bytes(b"\x30\x07\x00\x00\x03\x23\x00\x01x")
            .await;
        client.expect_disconnect(ReasonCode::ProtocolError).await;
    })
    .await;
}
