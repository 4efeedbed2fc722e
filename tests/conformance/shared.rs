//! Shared subscriptions (4.8.2).

use gatemq::{
    message::QoS,
    mqtt::packet::{NEVER_EXPIRES, ProtocolVersion},
};

use crate::support::{Client, connect, each, each_version};

/// How many of the messages each client has received.
async fn received(client: &mut Client, topic: &str) -> usize {
    use gatemq::mqtt::packet::Packet;
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

/// [MQTT-4.8.2-5] What a member has not been sent goes to another when its session ends.
#[tokio::test]
async fn what_a_member_leaves_goes_to_another() {
    each(async |broker| {
        let mut slow = connect(ProtocolVersion::V5, "slow");
        slow.receive_maximum = 1;
        let mut slow = broker.connect(slow).await;
        slow.subscribe("$share/g/t", QoS::AtLeastOnce).await;
        let mut publisher = broker
            .connect(connect(ProtocolVersion::V5, "publisher"))
            .await;
        for number in 0..5 {
            publisher
                .publish("t", &number.to_string(), QoS::AtLeastOnce)
                .await;
        }
        // One is in flight, four wait.
        let _unacknowledged = slow.expect_publish().await;
        let mut other = broker.connect(connect(ProtocolVersion::V5, "other")).await;
        other.subscribe("$share/g/t", QoS::AtLeastOnce).await;
        slow.disconnect().await;
        for _ in 0..4 {
            let publish = other.expect_publish().await;
            other.acknowledge(&publish).await;
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
