//! TLS: wrong scheme, and certificates with something wrong with them. nginx shows them, since a broker does not even
//! start with most of them.

use super::{
    PLAIN, Running,
    certificates::{Ca, Pair},
    examine,
    nginx::Nginx,
};
use crate::support::{Folder, TWO_LISTENERS};

/// A broker behind an nginx that ends TLS with this certificate.
struct Behind {
    broker: Running,
    nginx: Nginx,
    folder: Folder,
}

impl Behind {
    fn new(pair: &Pair) -> Self {
        let broker = Running::with(PLAIN);
        let folder = Folder::new();
        let [chain, key] = pair.write(folder.path(), "server");
        let plain = broker.folder.addr(false);
        let nginx = Nginx::start(|port| {
            format!(
                "server {{ listen 127.0.0.1:{port} ssl; ssl_certificate \"{}\"; ssl_certificate_key \"{}\"; {} }}",
                chain.display(),
                key.display(),
                Nginx::passing(plain)
            )
        });
        Self {
            broker,
            nginx,
            folder,
        }
    }

    fn url(&self) -> String {
        let _still_there = &self.broker;
        format!("wss://localhost:{}/mqtt", self.nginx.port)
    }

    /// A file with the certificate of an authority.
    fn ca(&self, ca: &Ca) -> String {
        let path = self.folder.write("ca.pem", &ca.pem());
        path.to_str().unwrap().to_owned()
    }
}

/// What lies behind a certificate that is not believed is examined all the same.
const BEHIND: [&str; 4] = ["http", "upgrade", "connect", "round-trip"];

#[test]
fn a_plain_port_that_is_asked_for_tls() {
    let broker = Running::with(TWO_LISTENERS);
    let authority = broker.authority(false);
    examine(&format!("wss://{authority}/mqtt"), &[])
        .expect_fault("tls", "plain-port", &format!("ws://{authority}/mqtt"), 3)
        .expect_skipped(&["http"]);
    let advice = format!("mqtt://{authority}");
    examine(&format!("mqtts://{authority}"), &[]).expect_fault("tls", "plain-port", &advice, 3);
}

#[test]
fn a_port_with_tls_that_is_asked_without() {
    let broker = Running::with(TWO_LISTENERS);
    let authority = broker.authority(true);
    let advice = format!("wss://{authority}/mqtt");
    examine(&format!("ws://{authority}/mqtt"), &[])
        .expect_fault("http", "tls-port", &advice, 3)
        .expect_skipped(&["connect"]);
    let advice = format!("mqtts://{authority}");
    examine(&format!("mqtt://{authority}"), &[]).expect_fault("connect", "tls-port", &advice, 3);
}

#[test]
fn an_authority_that_nobody_knows() {
    let broker = Running::with(TWO_LISTENERS);
    let authority = broker.authority(true);
    let examined = examine(&format!("wss://{authority}/mqtt"), &[]);
    let advice = format!("https://{authority}/ca.crt");
    examined
        .expect_fault("tls", "unknown-issuer", &advice, 3)
        .expect_good(&BEHIND);
    // What is advised helps.
    let ca = broker.ca();
    let examined = examine(&format!("wss://{authority}/mqtt"), &["--cafile", &ca]);
    assert_eq!(examined.exit, Some(0), "{:#}", examined.json);
}

/// Whoever is not who they should be gets no password.
#[test]
fn a_password_is_for_proven_servers() {
    let broker = Running::with(TWO_LISTENERS);
    let url = format!("wss://{}/mqtt", broker.authority(true));
    examine(&url, &["-u", "me", "-P", "secret"])
        .expect_fault("tls", "unknown-issuer", "--cafile", 3)
        .expect_good(&["http", "upgrade"])
        .expect_skipped(&["connect", "round-trip"]);
}

#[test]
fn a_certificate_that_has_expired() {
    let ca = Ca::new();
    let behind = Behind::new(&ca.issue_expired(&["localhost"]));
    examine(&behind.url(), &["--cafile", &behind.ca(&ca)])
        .expect_fault("tls", "expired", "gatemq cert renew", 3)
        .expect_good(&BEHIND);
}

#[test]
fn a_certificate_for_another_name() {
    let ca = Ca::new();
    let behind = Behind::new(&ca.issue(&["broker.example", "other.example"]));
    let examined = examine(&behind.url(), &["--cafile", &behind.ca(&ca)]);
    examined
        .expect_fault("tls", "wrong-name", "broker.example", 3)
        .expect_good(&BEHIND);
    let detail = examined.finding("tls", "wrong-name")["detail"].to_string();
    assert!(detail.contains("other.example"), "{detail}");
}

/// Each is told: whoever mends one would otherwise come back for the next.
#[test]
fn a_certificate_with_everything_wrong() {
    let behind = Behind::new(&Ca::new().issue_expired(&["broker.example"]));
    let examined = examine(&behind.url(), &[]);
    for code in ["unknown-issuer", "expired", "wrong-name"] {
        assert_eq!(examined.finding("tls", code)["level"], "fault");
    }
    assert_eq!(examined.exit, Some(3));
}

#[test]
fn a_chain_that_is_incomplete() {
    let root = Ca::new();
    let between = root.intermediate();
    let leaf = between.issue_with_issuer_address(&["localhost"]);
    let behind = Behind::new(&leaf);
    examine(&behind.url(), &["--cafile", &behind.ca(&root)])
        .expect_fault("tls", "incomplete-chain", "fullchain.pem", 3)
        .expect_good(&BEHIND);
    let complete = Pair {
        chain: format!("{}{}", leaf.chain, between.pem()),
        key: leaf.key,
    };
    let behind = Behind::new(&complete);
    let examined = examine(&behind.url(), &["--cafile", &behind.ca(&root)]);
    assert_eq!(examined.exit, Some(0), "{:#}", examined.json);
}

#[test]
fn a_server_that_wants_a_certificate() {
    let ca = Ca::new();
    let folder = Folder::with(
        "[[listener]]\nbind = \"127.0.0.1:0\"\ntls = true\nclient_certificates = \"required\"\n\
         [tls]\nclient_ca = \"clients.pem\"\n[mqtt]\nallow_anonymous = true\n",
    );
    folder.write("clients.pem", &ca.pem());
    let _broker = folder.start(&[]);
    let url = format!("wss://localhost:{}/mqtt", folder.addr(true).port());
    let authority = folder.path().join("certs/ca.pem");
    let authority = authority.to_str().unwrap();
    let refused = examine(&url, &["--cafile", authority]);
    refused.expect_fault("http", "client-certificate", "--cert", 4);
    let pair = ca.issue_client("me", 7);
    let [chain, key] = pair
        .write(folder.path(), "me")
        .map(|path| path.display().to_string());
    let arguments = ["--cafile", authority, "--cert", &chain, "--key", &key];
    let examined = examine(&url, &arguments);
    assert_eq!(examined.exit, Some(0), "{:#}", examined.json);
}
