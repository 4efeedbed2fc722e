//! A client of TLS 1.2 that wants to shake hands again. rustls' own cannot, so it is OpenSSL's.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Command, Stdio},
};

use gatemq::{message::QoS, mqtt::packet::ProtocolVersion};

use crate::support::{Broker, Carrier, connect};

/// It is refused as RFC 5246, 7.2.2 says, by a warning that leaves it to the client to go; nobody else notices.
#[tokio::test]
async fn renegotiation_is_refused() {
    let broker = Broker::start().over(Carrier::Tls);
    let mut other = broker.connect(connect(ProtocolVersion::V5, "other")).await;
    let address = broker.secure_addr().to_string();
    let said = tokio::task::spawn_blocking(move || renegotiate(&address));
    let said = said.await.expect("it has ended");
    assert!(said.contains("RENEGOTIATING"), "{said}");
    assert!(said.contains("no renegotiation"), "{said}");
    other.subscribe("t", QoS::AtMostOnce).await;
    other.publish("t", "still there", QoS::AtMostOnce).await;
    other.expect_message("t", "still there").await;
}

/// What `openssl s_client` says of it.
fn renegotiate(address: &str) -> String {
    let mut client = Command::new("openssl")
        .args(["s_client", "-tls1_2", "-connect", address])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl is there: `tests/run install` installs it");
    let mut said = String::new();
    let mut output = BufReader::new(client.stdout.take().expect("piped"));
    // The last line about the handshake.
    while !said.contains("Verify return code") {
        let read = output.read_line(&mut said).expect("text");
        assert!(read > 0, "no handshake: {said}");
    }
    let mut input = client.stdin.take().expect("piped");
    input.write_all(b"R\n").expect("it listens");
    let mut errors = client.stderr.take().expect("piped");
    errors.read_to_string(&mut said).expect("text");
    output.read_to_string(&mut said).expect("text");
    client.wait().expect("it has ended");
    said
}
