//! Shared subscriptions (4.8.2).

use gatemq::{
    message::QoS,
    mqtt::packet::{Acknowledgement, NEVER_EXPIRES, Packet, ProtocolVersion, ReasonCode},
};

use crate::support::{Client, connect, each, each_version};

/// How many of the messages each client has received.
async fn received(client: &mut Client, topic: &str) -> usize {
    client.send(&Packet::PingReq).await;
    let mut count = 0;
    loop {
        match client.expect_packet().await {
            Packet::Publish(publish) => {
                assert_eq!(publish.message.topic.as_str(), topic);
                count += 1;
                client.acknowledge(&publish).await;
            }
            Packet::PingResp => return count,
            other => panic!("{other:?}"),
        }
    }
}

/// [MQTT-4.8.2-3, -4] Each message goes to one member of the group, and to every other subscriber.
#[tokio::test]
async fn one_member_gets_each_message() {
    each_version(async |broker, version| {
        for prefix in ["$share/g", "$queue"] {
            let mut members = Vec::new();
            for name in ["one", "two", "three"] {
                let mut member = broker.connect(connect(version, name)).await;
                member
                    .subscribe(&format!("{prefix}/t"), QoS::AtLeastOnce)
                    .await;
                members.push(member);
            }
            let mut watcher = broker.connect(connect(version, "watcher")).await;
            watcher.subscribe("t", QoS::AtMostOnce).await;
            let mut publisher = broker.connect(connect(version, "publisher")).await;
            for number in 0..9 {
                publisher
                    .publish("t", &number.to_string(), QoS::AtLeastOnce)
                    .await;
            }
            for member in &mut members {
                assert_eq!(received(member, "t").await, 3);
            }
            assert_eq!(received(&mut watcher, "t").await, 9);
        }
    })
    .await;
}

/// 4.8.2: groups of different names, and shared and other subscriptions of one client, are apart.
#[tokio::test]
async fn groups_are_apart() {
    each(async |broker| {
        let mut client = broker.connect(connect(ProtocolVersion::V5, "c")).await;
        for filter in ["$share/g/t", "$share/h/t", "t"] {
            client.subscribe(filter, QoS::AtLeastOnce).await;
        }
        client.publish("t", "x", QoS::AtLeastOnce).await;
        assert_eq!(received(&mut client, "t").await, 3);
        client.unsubscribe("$share/g/t").await;
        client.publish("t", "x", QoS::AtLeastOnce).await;
        assert_eq!(received(&mut client, "t").await, 2);
    })
    .await;
}

/// 3.3.1.3: no retained messages for shared subscriptions.
#[tokio::test]
async fn shared_subscriptions_get_no_retained_messages() {
    each(async |broker| {
        let mut client = broker.connect(connect(ProtocolVersion::V5, "c")).await;
        client.publish_retained("t", "x", QoS::AtLeastOnce).await;
        client.subscribe("$share/g/t", QoS::AtLeastOnce).await;
        client.expect_nothing().await;
    })
    .await;
}

/// 4.8.2: what a member has not been sent, and what of QoS 1 it has not acknowledged, goes to another when its session
/// ends, in order.
#[tokio::test]
async fn what_a_member_leaves_goes_to_another() {
    each_version(async |broker, version| {
        let mut slow = connect(version, "slow");
        slow.receive_maximum = 1;
        let mut slow = broker.connect(slow).await;
        slow.subscribe("$share/g/t", QoS::AtLeastOnce).await;
        let mut publisher = broker.connect(connect(version, "publisher")).await;
        for number in 0..5 {
            publisher
                .publish("t", &number.to_string(), QoS::AtLeastOnce)
                .await;
        }
        // One is in flight, four wait; or all are, where the client could not say how many it takes.
        let unacknowledged = slow.expect_publish().await;
        assert_eq!(&unacknowledged.message.payload[..], b"0");
        let mut other = broker.connect(connect(version, "other")).await;
        other.subscribe("$share/g/t", QoS::AtLeastOnce).await;
        slow.stream.abort().await;
        for number in 0..5 {
            let publish = other.expect_message("t", &number.to_string()).await;
            assert!(!publish.dup);
        }
        other.expect_nothing().await;
    })
    .await;
}

/// [MQTT-4.8.2-5] A QoS 2 message that a member was sent is for nobody else, even when its session ends.
#[tokio::test]
async fn qos_2_is_not_sent_to_another() {
    each_version(async |broker, version| {
        let mut first = broker.connect(connect(version, "first")).await;
        first.subscribe("$share/g/t", QoS::ExactlyOnce).await;
        let mut publisher = broker.connect(connect(version, "publisher")).await;
        publisher.publish("t", "x", QoS::ExactlyOnce).await;
        first.expect_publish().await;
        let mut second = broker.connect(connect(version, "second")).await;
        second.subscribe("$share/g/t", QoS::ExactlyOnce).await;
        first.stream.abort().await;
        // Once somebody else has its identifier, its session has ended.
        broker.connect(connect(version, "first")).await;
        second.expect_nothing().await;
    })
    .await;
}

/// [MQTT-4.8.2-4] A member whose session is kept gets the rest of its QoS 2 delivery when it returns.
#[tokio::test]
async fn qos_2_is_completed_with_the_same_member() {
    each_version(async |broker, version| {
        let mut kept = connect(version, "kept");
        kept.clean_start = false;
        kept.session_expiry_interval = NEVER_EXPIRES;
        let mut member = broker.connect(kept.clone()).await;
        member.subscribe("$share/g/t", QoS::ExactlyOnce).await;
        let mut publisher = broker.connect(connect(version, "publisher")).await;
        publisher.publish("t", "x", QoS::ExactlyOnce).await;
        let first = member.expect_publish().await;
        let mut other = broker.connect(connect(version, "other")).await;
        other.subscribe("$share/g/t", QoS::ExactlyOnce).await;
        member.stream.abort().await;
        let mut member = broker.connect(kept).await;
        let again = member.expect_message("t", "x").await;
        assert!(again.dup && again.packet_id == first.packet_id);
        other.expect_nothing().await;
    })
    .await;
}

/// [MQTT-4.8.2-6] What a member refuses is discarded, not given to another.
#[tokio::test]
async fn what_a_member_refuses_is_discarded() {
    each(async |broker| {
        let v5 = ProtocolVersion::V5;
        let mut first = broker.connect(connect(v5, "first")).await;
        first.subscribe("$share/g/t", QoS::ExactlyOnce).await;
        let mut publisher = broker.connect(connect(v5, "publisher")).await;
        publisher.publish("t", "1", QoS::AtLeastOnce).await;
        publisher.publish("t", "2", QoS::ExactlyOnce).await;
        let mut second = broker.connect(connect(v5, "second")).await;
        second.subscribe("$share/g/t", QoS::ExactlyOnce).await;
        for packet in [
            Packet::PubAck as fn(Acknowledgement) -> Packet,
            Packet::PubRec,
        ] {
            let packet_id = first.expect_publish().await.packet_id.expect("above QoS 0");
            let refusal = Acknowledgement::new(packet_id, ReasonCode::QuotaExceeded);
            first.send(&packet(refusal)).await;
        }
        first.expect_nothing().await;
        first.disconnect().await;
        broker.connect(connect(v5, "first")).await;
        second.expect_nothing().await;
    })
    .await;
}

/// [MQTT-4.8.2-3] Each member gets the QoS that it was granted.
#[tokio::test]
async fn each_member_has_its_own_qos() {
    each_version(async |broker, version| {
        for granted in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let mut member = broker.connect(connect(version, "member")).await;
            let code = member.subscribe("$share/g/t", granted).await;
            assert_eq!(code as u8, granted as u8);
            member.publish("t", "x", QoS::ExactlyOnce).await;
            assert_eq!(member.expect_message("t", "x").await.qos, granted);
        }
    })
    .await;
}

/// Nobody connected: the message waits for a member whose session is kept.
#[tokio::test]
async fn a_kept_member_gets_what_came_meanwhile() {
    each_version(async |broker, version| {
        let mut kept = connect(version, "kept");
        kept.clean_start = false;
        kept.session_expiry_interval = NEVER_EXPIRES;
        let mut member = broker.connect(kept.clone()).await;
        member.subscribe("$share/g/t", QoS::AtLeastOnce).await;
        member.disconnect().await;
        let mut publisher = broker.connect(connect(version, "publisher")).await;
        publisher.publish("t", "waits", QoS::AtLeastOnce).await;
        let mut member = broker.connect(kept).await;
        member.expect_message("t", "waits").await;
    })
    .await;
}
