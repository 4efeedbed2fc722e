//! `gatemq backup` of a broker that runs, `gatemq restore` into another directory.

use std::path::Path;

use gatemq::{
    message::QoS,
    mqtt::packet::{Packet, ProtocolVersion},
};
use tokio::process::Command;

use crate::{
    broker::Broker,
    support::{Carrier, connect},
};

/// What it has said, and whether it did well.
pub(crate) async fn gatemq(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let finished = Command::new(env!("CARGO_BIN_EXE_gatemq"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .await
        .expect("started");
    let text = [finished.stdout, finished.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    (finished.status.success(), text)
}

#[tokio::test]
async fn a_backup_of_a_running_broker_is_restored_elsewhere() {
    let mut broker = Broker::start().await;
    let folder = broker.folder();
    let access = broker.access();
    let resumed = access.resume(Carrier::Tcp, "away", 100).await;
    let (mut away, _) = resumed.expect("a broker");
    away.subscribe("d/#", QoS::ExactlyOnce).await;
    away.disconnect().await;
    let request = connect(ProtocolVersion::V5, "publisher");
    let connected = access.connect(Carrier::Tcp, request).await;
    let (mut publisher, _) = connected.expect("a broker");
    publisher.publish("d/0", "before", QoS::AtLeastOnce).await;
    publisher
        .publish_retained("r", "kept", QoS::AtLeastOnce)
        .await;

    let (is_well, text) = gatemq(&folder, &["backup", "b"]).await;
    assert!(is_well, "{text}");
    publisher.publish("d/0", "after", QoS::AtLeastOnce).await;
    let (is_well, text) = gatemq(&folder, &["restore", "b"]).await;
    assert!(!is_well && text.contains("stop it first"), "{text}");
    broker.kill();
    let (is_well, text) = gatemq(&folder, &["restore", "b"]).await;
    assert!(!is_well && text.contains("not empty"), "{text}");
    std::fs::remove_dir_all(broker.store()).expect("removed");
    let (is_well, text) = gatemq(&folder, &["restore", "b"]).await;
    assert!(is_well, "{text}");
    // What does not run is backed up, too.
    let (is_well, text) = gatemq(&folder, &["backup", "c"]).await;
    assert!(is_well, "{text}");

    broker.restart().await;
    let resumed = access.resume(Carrier::Tcp, "away", 100).await;
    let (mut away, answer) = resumed.expect("a broker");
    assert!(answer.session_present);
    away.expect_message("d/0", "before").await;
    away.send(&Packet::PingReq).await;
    assert_eq!(away.expect_packet().await, Packet::PingResp);
    away.subscribe("r", QoS::AtMostOnce).await;
    away.expect_message("r", "kept").await;
    away.disconnect().await;
    broker.stop();
}
