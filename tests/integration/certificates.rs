//! Which certificate a client sees, and which of its own it has to show.

use std::sync::Arc;

use gatemq::{app::App, mqtt::packet::ProtocolVersion};
use rustls::{ClientConfig, SignatureScheme, crypto::aws_lc_rs, pki_types::CertificateDer};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::support::{
    Broker, Client, Stream,
    certificates::{Ca, Pair},
    config, connect, tls_with, until,
};

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

const LISTENER: &str = "[[listener]]\nbind = \"127.0.0.1:0\"\ntls = true\n";

fn certificates(names: &[&str]) -> String {
    let one = |name: &&str| {
        format!("[[tls.certificate]]\nchain = \"{name}.pem\"\nkey = \"{name}.key\"\n")
    };
    names.iter().map(one).collect()
}

async fn shown(
    broker: &Broker,
    client: impl Into<Arc<ClientConfig>>,
    server_name: &str,
) -> Result<CertificateDer<'static>, std::io::Error> {
    let tcp = TcpStream::connect(broker.secure_addr()).await?;
    let stream = tls_with(client, server_name, tcp).await?;
    Ok(stream
        .get_ref()
        .1
        .peer_certificates()
        .expect("certificates")[0]
        .clone())
}

/// A client that can check ECDSA or RSA and nothing else.
fn checking(ca: &Ca, algorithm: &str) -> ClientConfig {
    let mut provider = aws_lc_rs::default_provider();
    let mapping = provider.signature_verification_algorithms.mapping;
    // The certificates are all signed with ECDSA; what is narrowed is what the server itself may sign with.
    let kept: Vec<_> = mapping
        .iter()
        .copied()
        .filter(|(scheme, _)| match algorithm {
            "ecdsa" => matches!(scheme, SignatureScheme::ECDSA_NISTP256_SHA256),
            _ => format!("{scheme:?}").starts_with("RSA"),
        })
        .collect();
    provider.signature_verification_algorithms.mapping = kept.leak();
    ca.client_with(provider, rustls::ALL_VERSIONS, None)
}

#[tokio::test]
async fn the_server_name_chooses() {
    let folder = folder();
    let ca = Ca::new();
    let one = ca.issue(&["localhost", "one.example"]);
    let other = ca.issue(&["other.example", "*.wild.example"]);
    one.write(folder.path(), "one");
    other.write(folder.path(), "other");
    let toml = certificates(&["one", "other"]) + LISTENER;
    let broker = Broker::start_in(folder, &toml);
    for (server_name, pair) in [
        ("localhost", &one),
        ("one.example", &one),
        ("other.example", &other),
        ("a.wild.example", &other),
    ] {
        let der = shown(&broker, ca.client(), server_name).await;
        assert_eq!(der.expect(server_name), pair.der(), "{server_name}");
    }
}

/// Both kinds of keys for one name: each client gets the one that it can check.
#[tokio::test]
async fn ecdsa_and_rsa_side_by_side() {
    let folder = folder();
    let ca = Ca::new();
    let ecdsa = ca.issue(&["localhost"]);
    let rsa = ca.issue_rsa(&["localhost"]);
    ecdsa.write(folder.path(), "ecdsa");
    rsa.write(folder.path(), "rsa");
    let toml = certificates(&["rsa", "ecdsa"]) + LISTENER;
    let broker = Broker::start_in(folder, &toml);
    let der = shown(&broker, checking(&ca, "ecdsa"), "localhost").await;
    assert_eq!(der.expect("ECDSA"), ecdsa.der());
    let der = shown(&broker, checking(&ca, "rsa"), "localhost").await;
    assert_eq!(der.expect("RSA"), rsa.der());
}

#[tokio::test]
async fn tls_1_2_and_1_3() {
    let folder = folder();
    let ca = Ca::new();
    ca.issue(&["localhost"]).write(folder.path(), "server");
    let toml = certificates(&["server"]) + LISTENER;
    let broker = Broker::start_in(folder, &toml);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let client = ca.client_with(aws_lc_rs::default_provider(), &[version], None);
        let tcp = TcpStream::connect(broker.secure_addr())
            .await
            .expect("connected");
        let stream = tls_with(client, "localhost", tcp)
            .await
            .expect("a handshake");
        let agreed = stream.get_ref().1.protocol_version();
        assert_eq!(agreed, Some(version.version));
        let mut client = Client::new(Stream::Tls(Box::new(stream)), ProtocolVersion::V5);
        client
            .expect_accepted(connect(ProtocolVersion::V5, "c"))
            .await;
        client.expect_nothing().await;
    }
}

/// The hybrid key exchange is agreed on with who offers it, whatever else it offers.
#[tokio::test]
async fn post_quantum_first() {
    let folder = folder();
    let ca = Ca::new();
    ca.issue(&["localhost"]).write(folder.path(), "server");
    let toml = certificates(&["server"]) + LISTENER;
    let broker = Broker::start_in(folder, &toml);
    let tcp = TcpStream::connect(broker.secure_addr())
        .await
        .expect("connected");
    let stream = tls_with(ca.client(), "localhost", tcp)
        .await
        .expect("a handshake");
    let group = stream.get_ref().1.negotiated_key_exchange_group();
    let group = group.expect("agreed on").name();
    assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
}

fn client_certificates(mode: &str) -> String {
    format!("client_certificates = \"{mode}\"\n")
}

/// A broker that knows an authority of clients, and its revocation list.
fn with_clients(ca: &Ca, mode: &str, revoked: &[u64]) -> Broker {
    let folder = folder();
    ca.issue(&["localhost"]).write(folder.path(), "server");
    std::fs::write(folder.path().join("clients.pem"), ca.pem()).expect("written");
    std::fs::write(folder.path().join("clients.crl"), ca.crl(revoked)).expect("written");
    let toml = "[tls]\nclient_ca = \"clients.pem\"\ncrl = [\"clients.crl\"]\n".to_owned()
        + &certificates(&["server"])
        + LISTENER
        + &client_certificates(mode);
    Broker::start_in(folder, &toml)
}

/// Whether a client gets in. With TLS 1.3 it hears of a refusal only after its own handshake is done.
async fn is_let_in(broker: &Broker, client: ClientConfig) -> bool {
    let tcp = TcpStream::connect(broker.secure_addr())
        .await
        .expect("connected");
    let Ok(stream) = tls_with(client, "localhost", tcp).await else {
        return false;
    };
    let mut client = Client::new(Stream::Tls(Box::new(stream)), ProtocolVersion::V5);
    let wanted = connect(ProtocolVersion::V5, "c");
    let bytes = client.encode(&gatemq::mqtt::packet::Packet::Connect(Box::new(wanted)));
    client.stream.write(&bytes).await.is_ok() && client.receive().await.is_some()
}

#[tokio::test]
async fn client_certificates_required_and_optional() {
    let ca = Ca::new();
    let foreign = Ca::new();
    let own = ca.issue_client("device", 1);
    let foreign_pair = foreign.issue_client("device", 1);
    for (mode, without, with_foreign) in [
        ("required", false, false),
        ("optional", true, false),
        ("off", true, true),
    ] {
        let broker = with_clients(&ca, mode, &[]);
        assert_eq!(is_let_in(&broker, ca.client()).await, without, "{mode}");
        assert!(is_let_in(&broker, ca.client_showing(&own)).await, "{mode}");
        let showing = ca.client_showing(&foreign_pair);
        assert_eq!(is_let_in(&broker, showing).await, with_foreign, "{mode}");
        if mode == "required" {
            until("both are counted", || broker.refused("tls") == 2).await;
        }
    }
}

/// A revoked certificate is refused; the list is read again when it changes, and who is in stays in.
#[tokio::test]
async fn revocation_lists_are_reloaded() {
    let ca = Ca::new();
    let broker = with_clients(&ca, "required", &[2]);
    let (one, two) = (ca.issue_client("one", 1), ca.issue_client("two", 2));
    assert!(is_let_in(&broker, ca.client_showing(&one)).await);
    assert!(!is_let_in(&broker, ca.client_showing(&two)).await);
    let tcp = TcpStream::connect(broker.secure_addr())
        .await
        .expect("connected");
    let stream = tls_with(ca.client_showing(&one), "localhost", tcp)
        .await
        .expect("a handshake");
    let mut inside = Client::new(Stream::Tls(Box::new(stream)), ProtocolVersion::V5);
    inside
        .expect_accepted(connect(ProtocolVersion::V5, "inside"))
        .await;
    let before = broker.app().metrics().reloads.get();
    std::fs::write(broker.folder().join("clients.crl"), ca.crl(&[1])).expect("written");
    until("the list is read", || {
        broker.app().metrics().reloads.get() > before
    })
    .await;
    assert!(!is_let_in(&broker, ca.client_showing(&one)).await);
    assert!(is_let_in(&broker, ca.client_showing(&two)).await);
    inside.expect_nothing().await;
}

/// What is wrong with certificates at the start is an error that names the file and the reason.
#[test]
fn a_broker_does_not_start_with_a_wrong_certificate() {
    let ca = Ca::new();
    let fine = ca.issue(&["localhost"]);
    let other = ca.issue(&["localhost"]);
    let check = |pair: Pair, file: &str, words: &str| {
        let folder = folder();
        pair.write(folder.path(), "server");
        let toml = certificates(&["server"]) + LISTENER;
        let config = config(folder.path(), &toml);
        let failed = match App::builder(config).start() {
            Ok(_) => panic!("started: {words}"),
            Err(failed) => failed.to_string(),
        };
        let path = folder.path().join(file).display().to_string();
        assert!(failed.contains(&path), "{path} is not named: {failed}");
        assert!(failed.contains(words), "{words}: {failed}");
    };
    check(ca.issue_expired(&["localhost"]), "server.pem", "expired");
    check(
        Pair {
            key: other.key,
            ..fine.clone()
        },
        "server.key",
        "is not the key of",
    );
    check(
        Pair {
            chain: "no PEM".into(),
            ..fine.clone()
        },
        "server.pem",
        "certificate",
    );
    check(
        Pair {
            key: String::new(),
            ..fine
        },
        "server.key",
        "key",
    );
}
