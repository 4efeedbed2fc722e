//! Server name, signature schemes, ALPN, versions, groups, tickets.

use rustls::{
    HandshakeKind, NamedGroup, ProtocolVersion, SignatureScheme,
    client::Resumption,
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

#[tokio::test]
async fn server_name_chooses_the_certificate() {
    let ca = Ca::new("ca");
    let first = ca.issue(&["first.example"]);
    let exact = ca.issue(&["a.example.com"]);
    let wildcard = ca.issue(&["*.example.com"]);
    let mut files = Files::with(&first);
    files.add("wildcard", &wildcard);
    files.add("exact", &exact);
    let certificates = files.open();
    let check = async |name: &str, pair: &Pair| {
        assert_eq!(served(&certificates, &ca, name).await, der(pair), "{name}");
    };
    check("first.example", &first).await;
    check("a.example.com", &exact).await;
    check("A.EXAMPLE.com", &exact).await;
    check("b.example.com", &wildcard).await;

    // Whoever asks for another name gets the first one; its own check then fails, and the server hears why.
    for name in ["elsewhere.example", "deep.b.example.com", "example.com"] {
        let (client, served) = shake(&certificates, OPEN, trusting(&ca), name).await;
        let error = client.unwrap_err().to_string();
        assert!(error.contains("first.example"), "{name}: {error}");
        let error = served.unwrap_err().to_string();
        assert!(error.starts_with("the client refused"), "{name}: {error}");
    }
}

#[tokio::test]
async fn server_name_is_reported() {
    let ca = Ca::new("ca");
    let certificates = Files::with(&ca.issue(&["a.example", "127.0.0.1"])).open();
    let (_, served) = connect(&certificates, OPEN, trusting(&ca), "A.example").await;
    assert_eq!(served.server_name.as_deref(), Some("a.example"));
    // No name is sent for an address (RFC 6066, clause 3): the default certificate serves it.
    let (_, served) = connect(&certificates, OPEN, trusting(&ca), "127.0.0.1").await;
    assert_eq!(served.server_name, None);
}

/// A provider that verifies only what `keep` lets through.
fn verifying(keep: impl Fn(SignatureScheme) -> bool) -> Arc<CryptoProvider> {
    let mut provider = CryptoProvider::clone(&provider());
    let WebPkiSupportedAlgorithms { all, mapping } = provider.signature_verification_algorithms;
    let mapping: Vec<_> = mapping
        .iter()
        .filter(|(scheme, _)| keep(*scheme))
        .copied()
        .collect();
    provider.signature_verification_algorithms = WebPkiSupportedAlgorithms {
        all,
        mapping: mapping.leak(),
    };
    Arc::new(provider)
}

#[tokio::test]
async fn signature_schemes_choose_between_ecdsa_and_rsa() {
    let ca = Ca::new("ca");
    let rsa = ca.issue_rsa(&["a.example"]);
    let ecdsa = ca.issue(&["a.example"]);
    let mut files = Files::with(&rsa);
    files.add("ecdsa", &ecdsa);
    let certificates = files.open();
    let is_rsa = |scheme| {
        matches!(
            scheme,
            SignatureScheme::RSA_PSS_SHA256 | SignatureScheme::RSA_PKCS1_SHA256
        )
    };
    let check = async |provider: Arc<CryptoProvider>, name: &str, pair: &Pair| {
        let config = client_of(&ca, provider, None);
        let (client, _) = connect(&certificates, OPEN, config, name).await;
        assert_eq!(shown(&client), der(pair));
    };
    check(provider(), "a.example", &ecdsa).await;
    check(verifying(|scheme| !is_rsa(scheme)), "a.example", &ecdsa).await;
    check(verifying(is_rsa), "a.example", &rsa).await;
}

/// TLS 1.2: the cipher suites have their say as well.
#[tokio::test]
async fn cipher_suites_choose_between_ecdsa_and_rsa() {
    let ca = Ca::new("ca");
    let rsa = ca.issue_rsa(&["a.example"]);
    let mut files = Files::with(&ca.issue(&["a.example"]));
    files.add("rsa", &rsa);
    let mut provider = CryptoProvider::clone(&provider());
    provider
        .cipher_suites
        .retain(|suite| format!("{:?}", suite.suite()).contains("ECDHE_RSA"));
    let config = client_of(&ca, Arc::new(provider), None);
    let (client, _) = connect(&files.open(), OPEN, config, "a.example").await;
    assert_eq!(shown(&client), der(&rsa));
}

async fn check_alpn(policy: HandshakePolicy, offered: &[&str], answer: Option<&str>, alpn: Alpn) {
    let ca = Ca::new("ca");
    let certificates = Files::with(&ca.issue(&["a.example"])).open();
    let mut config = trusting(&ca);
    config.alpn_protocols = offered.iter().map(|id| id.as_bytes().to_vec()).collect();
    // rustls as a client insists on one of its protocols where it named some.
    config.check_selected_alpn = false;
    let (mut client, mut served) = connect(&certificates, policy, config, "a.example").await;
    let agreed = client.get_ref().1.alpn_protocol();
    assert_eq!(agreed, answer.map(str::as_bytes), "{offered:?}");
    assert_eq!(served.alpn, alpn, "{offered:?}");
    client.write_all(b"?").await.unwrap();
    client.flush().await.unwrap();
    assert_eq!(served.stream.read_u8().await.unwrap(), b'?', "{offered:?}");
}

#[tokio::test]
async fn known_protocols_are_agreed_on() {
    for id in ["mqtt", "x-amzn-mqtt-ca"] {
        check_alpn(OPEN, &[id], Some(id), Alpn::Mqtt).await;
    }
    check_alpn(OPEN, &["http/1.1"], Some("http/1.1"), Alpn::Http1).await;
    check_alpn(OPEN, &["h2", "http/1.1"], Some("h2"), Alpn::Http2).await;
}

#[tokio::test]
async fn client_without_or_with_unknown_protocols_connects() {
    check_alpn(OPEN, &[], None, Alpn::None).await;
    check_alpn(OPEN, &["mqttv5", "\u{1}odd"], None, Alpn::None).await;
    check_alpn(OPEN, &["MQTT"], None, Alpn::None).await;
    check_alpn(OPEN, &["odd", "mqtt"], Some("mqtt"), Alpn::Mqtt).await;
}

/// RFC 7301, clause 3.1: the client's list is in its order of preference.
#[tokio::test]
async fn client_order_decides() {
    check_alpn(OPEN, &["http/1.1", "mqtt"], Some("http/1.1"), Alpn::Http1).await;
    check_alpn(OPEN, &["mqtt", "http/1.1"], Some("mqtt"), Alpn::Mqtt).await;
    check_alpn(OPEN, &["http/1.1", "h2"], Some("http/1.1"), Alpn::Http1).await;
}

#[tokio::test]
async fn protocols_not_spoken_here_are_passed_over() {
    let mqtt = HandshakePolicy {
        http1: false,
        http2: false,
        ..OPEN
    };
    check_alpn(mqtt, &["h2", "http/1.1"], None, Alpn::None).await;
    check_alpn(mqtt, &["h2", "mqtt"], Some("mqtt"), Alpn::Mqtt).await;
    let http = HandshakePolicy {
        mqtt: false,
        http2: false,
        ..OPEN
    };
    check_alpn(http, &["mqtt"], None, Alpn::None).await;
    check_alpn(http, &["h2", "http/1.1"], Some("http/1.1"), Alpn::Http1).await;
}

#[tokio::test]
async fn both_versions_are_spoken() {
    let ca = Ca::new("ca");
    let certificates = Files::with(&ca.issue(&["a.example"])).open();
    for (suite, version) in [
        ("TLS13_", ProtocolVersion::TLSv1_3),
        ("TLS_ECDHE_", ProtocolVersion::TLSv1_2),
    ] {
        let mut provider = CryptoProvider::clone(&provider());
        let is_of = |name: String| name.starts_with(suite);
        provider
            .cipher_suites
            .retain(|known| is_of(format!("{:?}", known.suite())));
        let config = client_of(&ca, Arc::new(provider), None);
        let (client, _) = connect(&certificates, OPEN, config, "a.example").await;
        assert_eq!(client.get_ref().1.protocol_version(), Some(version));
    }
}

#[tokio::test]
async fn hybrid_post_quantum_group_comes_first() {
    let ca = Ca::new("ca");
    let certificates = Files::with(&ca.issue(&["a.example"])).open();
    let group = async |provider: Arc<CryptoProvider>| {
        let config = client_of(&ca, provider, None);
        let (client, _) = connect(&certificates, OPEN, config, "a.example").await;
        let group = client.get_ref().1.negotiated_key_exchange_group();
        group.unwrap().name()
    };
    assert_eq!(group(provider()).await, NamedGroup::X25519MLKEM768);
    let mut classic = CryptoProvider::clone(&provider());
    classic
        .kx_groups
        .retain(|group| group.name() != NamedGroup::X25519MLKEM768);
    assert_eq!(group(Arc::new(classic)).await, NamedGroup::X25519);
}

#[derive(Debug, Default)]
struct TicketCounter(parking_lot::Mutex<usize>);

impl rustls::client::ClientSessionStore for TicketCounter {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}
    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }
    fn set_tls12_session(
        &self,
        _: ServerName<'static>,
        _: rustls::client::Tls12ClientSessionValue,
    ) {
    }
    fn tls12_session(&self, _: &ServerName<'_>) -> Option<rustls::client::Tls12ClientSessionValue> {
        None
    }
    fn remove_tls12_session(&self, _: &ServerName<'static>) {}
    fn insert_tls13_ticket(
        &self,
        _: ServerName<'static>,
        _: rustls::client::Tls13ClientSessionValue,
    ) {
        *self.0.lock() += 1;
    }
    fn take_tls13_ticket(
        &self,
        _: &ServerName<'static>,
    ) -> Option<rustls::client::Tls13ClientSessionValue> {
        None
    }
}

#[tokio::test]
async fn exactly_one_ticket_is_sent() {
    let ca = Ca::new("ca");
    let certificates = Files::with(&ca.issue(&["a.example"])).open();
    let counter = Arc::new(TicketCounter::default());
    let mut config = trusting(&ca);
    config.resumption = Resumption::store(Arc::clone(&counter) as _);
    let (mut client, mut served) = connect(&certificates, OPEN, config, "a.example").await;
    // Tickets come before the first byte of data.
    served.stream.write_all(b"!").await.unwrap();
    served.stream.flush().await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), b'!');
    assert_eq!(*counter.0.lock(), 1);
}

/// Connects once so that the client has a ticket, then again; says how the second handshake went.
async fn resume(
    certificates: &Certificates,
    client: &Arc<ClientConfig>,
    first: HandshakePolicy,
    between: impl FnOnce(),
    second: HandshakePolicy,
) -> Option<HandshakeKind> {
    let (mut near, mut far) = connect(certificates, first, Arc::clone(client), "a.example").await;
    far.stream.write_all(b"!").await.unwrap();
    far.stream.flush().await.unwrap();
    near.read_u8().await.unwrap();
    between();
    let (near, _) = connect(certificates, second, Arc::clone(client), "a.example").await;
    near.get_ref().1.handshake_kind()
}

#[tokio::test]
async fn sessions_resume_across_protocols_and_unchanged_reloads() {
    let ca = Ca::new("ca");
    let files = Files::with(&ca.issue(&["a.example"]));
    let certificates = files.open();
    let client = Arc::new(trusting(&ca));
    let reload = || assert!(!certificates.reload().unwrap().changed);
    let kind = resume(&certificates, &client, OPEN, reload, OPEN).await;
    assert_eq!(kind, Some(HandshakeKind::Resumed));
}

/// A resumed handshake shows no certificate, so a client would go on with the one that was replaced.
#[tokio::test]
async fn sessions_do_not_resume_once_the_certificate_is_replaced() {
    let ca = Ca::new("ca");
    let files = Files::with(&ca.issue(&["a.example"]));
    let certificates = files.open();
    let client = Arc::new(trusting(&ca));
    let replace = || {
        files.put("a", &ca.issue(&["a.example"]));
        assert!(certificates.reload().unwrap().changed);
    };
    let kind = resume(&certificates, &client, OPEN, replace, OPEN).await;
    assert_eq!(kind, Some(HandshakeKind::Full));
}

#[tokio::test]
async fn sessions_do_not_resume_where_a_certificate_is_asked_for() {
    let ca = Ca::new("ca");
    let mut files = Files::with(&ca.issue(&["a.example"]));
    files.config.client_ca = Some(files.write("clients.pem", ca.0.pem()));
    let certificates = files.open();
    let client = Arc::new(showing(&ca, &ca.client("device", 1)));
    let with = |client_certificates| HandshakePolicy {
        client_certificates,
        ..OPEN
    };
    let off = with(ClientCertificates::Off);
    let optional = with(ClientCertificates::Optional);
    let required = with(ClientCertificates::Required);
    for (first, second) in [(off, optional), (off, required), (optional, required)] {
        let kind = resume(&certificates, &client, first, || (), second).await;
        assert_eq!(kind, Some(HandshakeKind::Full), "{first:?} {second:?}");
    }
    let kind = resume(&certificates, &client, required, || (), required).await;
    assert_eq!(kind, Some(HandshakeKind::Resumed));
    // The roots and revocation lists may have changed: nobody resumes across a load.
    let reload = || drop(certificates.reload().unwrap());
    let kind = resume(&certificates, &client, required, reload, required).await;
    assert_eq!(kind, Some(HandshakeKind::Full));
}

#[tokio::test]
async fn failures_say_whose_fault_they_are() {
    let ca = Ca::new("ca");
    let certificates = Files::with(&ca.issue(&["a.example"])).open();
    let check = async |bytes: &[u8], text: &str| {
        let (mut near, far) = tokio::io::duplex(1 << 16);
        near.write_all(bytes).await.unwrap();
        near.shutdown().await.unwrap();
        let error = certificates
            .accept(far, Vec::new(), OPEN)
            .await
            .unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    };
    check(b"", "closed the connection").await;
    check(&[0x16, 0x03, 0x01], "closed the connection").await;
    check(b"GET / HTTP/1.1\r\n\r\n", "does not speak TLS").await;
    check(&[0x10, 0x0c, 0x00, 0x04, b'M', b'Q'], "does not speak TLS").await;
    // A record of TLS with a handshake message that is no ClientHello.
    check(&[0x16, 3, 1, 0, 4, 2, 0, 0, 0], "broke the TLS protocol").await;

    let other = Ca::new("other");
    let (_, served) = shake(&certificates, OPEN, trusting(&other), "a.example").await;
    let error = served.unwrap_err().to_string();
    assert!(error.contains("UnknownCA: it does not trust"), "{error}");

    let mut provider = CryptoProvider::clone(&provider());
    provider
        .cipher_suites
        .retain(|suite| format!("{:?}", suite.suite()).contains("ECDHE_RSA"));
    let config = client_of(&ca, Arc::new(provider), None);
    let (_, served) = shake(&certificates, OPEN, config, "a.example").await;
    let error = served.unwrap_err().to_string();
    assert!(error.contains("nothing in common"), "{error}");
}

/// A byte at a time, and with a list of protocols that fills several segments.
#[tokio::test]
async fn large_hello_in_small_pieces_is_understood() {
    let ca = Ca::new("ca");
    let certificates = Files::with(&ca.issue(&["a.example"])).open();
    let mut config = trusting(&ca);
    let odd = (0..200).map(|number| format!("protocol-{number:0>40}").into_bytes());
    config.alpn_protocols = odd.chain([b"mqtt".to_vec()]).collect();
    let (near, far) = tokio::io::duplex(7);
    let name = ServerName::try_from("a.example").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let client = async {
        let mut client = connector.connect(name, near).await.unwrap();
        client.read_u8().await.unwrap()
    };
    let server = async {
        let mut served = certificates.accept(far, Vec::new(), OPEN).await.unwrap();
        served.stream.write_all(b"!").await.unwrap();
        served.stream.flush().await.unwrap();
        served.alpn
    };
    assert_eq!(tokio::join!(client, server), (b'!', Alpn::Mqtt));
}
