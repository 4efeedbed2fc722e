//! `gatemq export` of a broker that runs and of one that does not, `gatemq import`, and what clients get then.

use std::{fs, time::Duration};

use gatemq::{
    message::{MessageProperties, QoS},
    mqtt::packet::{Acknowledgement, Packet, ProtocolVersion, Publish, ReasonCode},
};
use serde_json::Value;

use crate::{
    backup::gatemq,
    broker::{Access, Broker},
    support::{Carrier, Client, connect, message},
};

const SESSIONS: usize = 100;

/// With what makes trouble in JSON, in shells and on terminals.
fn name(number: usize) -> String {
    format!("c{number} \"\\\u{1}é'")
}

const TOPIC: &str = "d/\"\\\u{1b}é";

async fn resume(access: &Access, client_id: &str) -> Client {
    let resumed = access.resume(Carrier::Tcp, client_id, 100).await;
    resumed.expect("a broker").0
}

/// What is published, in its order.
fn messages() -> Vec<gatemq::message::Message> {
    let mut messages: Vec<_> = (0..4)
        .map(|it| message(TOPIC, &it.to_string(), QoS::ExactlyOnce, false))
        .collect();
    messages[1].payload = vec![0xFF, 0, b'"', b'\n'].into();
    messages[2].payload = "text\twith \"quotes\"\n".into();
    messages[3].properties = Some(Box::new(MessageProperties {
        content_type: Some("a/\"b".into()),
        correlation_data: Some(vec![0xC0, 1].into()),
        user_properties: vec![
            ("b".into(), "\u{2}".into()),
            ("a".into(), "\"".into()),
            ("b".into(), "2".into()),
        ],
        ..MessageProperties::default()
    }));
    messages
}

fn success(publish: &Publish) -> Acknowledgement {
    Acknowledgement::new(publish.packet_id.expect("above QoS 0"), ReasonCode::Success)
}

/// Everybody has a session with queued messages; one has received the first and not been told to release it, and one has
/// sent a message that it has not released. The latter's PUBLISH.
async fn fill(access: &Access) -> Publish {
    for number in 0..SESSIONS {
        let mut client = resume(access, &name(number)).await;
        let qos = [QoS::AtLeastOnce, QoS::ExactlyOnce][number % 2];
        client.subscribe("d/#", qos).await;
        client.disconnect().await;
    }
    let request = connect(ProtocolVersion::V5, "publisher");
    let connected = access.connect(Carrier::Tcp, request).await;
    let (mut publisher, _) = connected.expect("a broker");
    for message in messages() {
        publisher.publish_message(message).await;
    }
    publisher
        .publish_retained("r/\"", "kept", QoS::AtLeastOnce)
        .await;
    let mut half_way = resume(access, &name(1)).await;
    let first = half_way.expect_publish().await;
    half_way.send(&Packet::PubRec(success(&first))).await;
    let is_release = |packet: &Packet| matches!(packet, Packet::PubRel(_));
    while !is_release(&half_way.expect_packet().await) {}
    drop(half_way);
    let mut sender = resume(access, "sender").await;
    let sent = sender.publish_of(message("d/sent", "once", QoS::ExactlyOnce, false));
    let packet_id = sent.packet_id.expect("above QoS 0");
    sender.send(&Packet::Publish(sent.clone())).await;
    sender.expect_acknowledgement("PUBREC", packet_id).await;
    drop(sender);
    sent
}

/// Exports until nobody is connected any more, as far as storage knows.
async fn export_at_rest(broker: &Broker) -> String {
    let folder = broker.folder();
    let exporting = async {
        loop {
            let (is_well, text) = gatemq(&folder, &["export", "running"]).await;
            assert!(is_well && text.contains("Exported"), "{text}");
            let exported = fs::read_to_string(folder.join("running")).expect("UTF-8");
            if !exported.contains("\"receive_maximum\"") {
                return exported;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let exported = tokio::time::timeout(Duration::from_secs(120), exporting).await;
    exported.expect("everybody away")
}

fn of_kind<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["type"] == kind).collect()
}

fn check_export(exported: &str) {
    let lines: Vec<Value> = exported
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines[0]["type"], "gatemq-export");
    assert_eq!(lines[0]["version"], 1);
    // Each once, whatever its fan-out.
    let messages = of_kind(&lines, "message");
    assert_eq!(messages.len(), 5);
    assert!(messages.iter().any(|it| it["payload_base64"] == "/wAiCg=="));
    let user = serde_json::json!([["b", "\u{2}"], ["a", "\""], ["b", "2"]]);
    let has_user = |it: &&&Value| it["properties"]["user_properties"] == user;
    assert!(messages.iter().any(|it| has_user(&it)));
    assert_eq!(of_kind(&lines, "session").len(), SESSIONS + 1);
    assert_eq!(of_kind(&lines, "subscription").len(), SESSIONS);
    assert_eq!(of_kind(&lines, "queued").len(), SESSIONS * 5 - 1);
    let released = of_kind(&lines, "released");
    assert_eq!(released.len(), 1);
    assert_eq!(released[0]["client_id"], name(1));
    assert_eq!(of_kind(&lines, "received").len(), 1);
    assert_eq!(of_kind(&lines, "retained").len(), 1);
    assert_eq!(lines.last().expect("an end")["queued"], SESSIONS * 5 - 1);
}

/// Takes what one session is owed, in order; QoS 2 that was received is only released.
async fn drain(access: &Access, number: usize) {
    let mut client = resume(access, &name(number)).await;
    let mut expected: Vec<_> = messages().into_iter().map(|it| it.payload).collect();
    expected.push("once".into());
    if number == 1 {
        expected.remove(0);
    }
    let mut received = Vec::new();
    let mut unreleased = usize::from(number == 1);
    while received.len() < expected.len() || unreleased > 0 {
        match client.expect_packet().await {
            Packet::Publish(publish) => {
                received.push(publish.message.payload.clone());
                if publish.qos == QoS::ExactlyOnce {
                    unreleased += 1;
                    client.send(&Packet::PubRec(success(&publish))).await;
                } else {
                    client.send(&Packet::PubAck(success(&publish))).await;
                }
                if received.len() == 4 && number != 1 {
                    let properties = publish.message.properties.as_deref();
                    let properties = properties.expect("properties");
                    assert_eq!(properties.user_properties.len(), 3);
                    assert_eq!(properties.correlation_data.as_deref(), Some(&[0xC0, 1][..]));
                }
            }
            Packet::PubRel(release) => {
                unreleased -= 1;
                client.send(&Packet::PubComp(release)).await;
            }
            other => panic!("unexpected {other:?}"),
        }
    }
    assert_eq!(received, expected, "session {number}");
    client.send(&Packet::PingReq).await;
    assert_eq!(client.expect_packet().await, Packet::PingResp);
    client.disconnect().await;
}

#[tokio::test]
async fn an_export_is_imported_elsewhere_and_drained() {
    let mut broker = Broker::start().await;
    let folder = broker.folder();
    let mut unreleased = fill(&broker.access()).await;
    let exported = export_at_rest(&broker).await;
    check_export(&exported);
    let (is_well, text) = gatemq(&folder, &["import", "running"]).await;
    assert!(!is_well && text.contains("stop it first"), "{text}");
    broker.kill();
    let (is_well, text) = gatemq(&folder, &["export"]).await;
    assert!(is_well && text.starts_with(&exported), "{text}");
    let (is_well, text) = gatemq(&folder, &["import", "running"]).await;
    assert!(!is_well && text.contains("not empty"), "{text}");
    fs::rename(broker.store(), folder.join("old")).expect("moved");
    // A file that was cut changes nothing.
    let cut = exported.trim_end().rsplit_once('\n').expect("lines").0;
    fs::write(folder.join("cut"), cut).expect("written");
    let (is_well, text) = gatemq(&folder, &["import", "cut"]).await;
    assert!(!is_well && text.contains("it was cut"), "{text}");
    assert!(!broker.store().exists());
    let (is_well, text) = gatemq(&folder, &["import", "running"]).await;
    assert!(is_well && text.contains("sessions 101,"), "{text}");
    let (is_well, text) = gatemq(&folder, &["export", "again"]).await;
    assert!(is_well, "{text}");
    let again = fs::read_to_string(folder.join("again")).expect("UTF-8");
    assert_eq!(again, exported);

    broker.restart().await;
    let access = broker.access();
    // What it has sent already is not taken twice.
    let mut sender = resume(&access, "sender").await;
    unreleased.dup = true;
    let packet_id = unreleased.packet_id.expect("above QoS 0");
    sender.send(&Packet::Publish(unreleased)).await;
    sender.expect_acknowledgement("PUBREC", packet_id).await;
    for number in 0..SESSIONS {
        drain(&access, number).await;
    }
    let mut reader = resume(&access, "reader").await;
    reader.subscribe("r/#", QoS::AtMostOnce).await;
    reader.expect_message("r/\"", "kept").await;
    reader.disconnect().await;
    broker.stop();
}
