//! Client certificates.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

const OPTIONAL: HandshakePolicy = HandshakePolicy {
    client_certificates: ClientCertificates::Optional,
    ..OPEN
};
const REQUIRED: HandshakePolicy = HandshakePolicy {
    client_certificates: ClientCertificates::Required,
    ..OPEN
};

/// Server and clients with one authority.
fn files(ca: &Ca) -> Files {
    let mut files = Files::with(&ca.issue(&["a.example"]));
    files.config.client_ca = Some(files.write("clients.pem", ca.0.pem()));
    files
}

/// What both ends see of a handshake that the server refuses: its error, and the alert the client gets.
async fn refusal(
    certificates: &Certificates,
    policy: HandshakePolicy,
    config: ClientConfig,
) -> (String, String) {
    let (client, served) = shake(certificates, policy, config, "a.example").await;
    let error = served.map(|_| ()).unwrap_err().to_string();
    // In TLS 1.3 the client is done before its certificate is judged; the alert comes with the first read.
    let seen = match client {
        Ok(mut stream) => stream.read_u8().await.unwrap_err(),
        Err(error) => error,
    };
    (error, seen.to_string())
}

#[tokio::test]
async fn certificate_is_asked_for_as_the_listener_says() {
    let ca = Ca::new("ca");
    let certificates = files(&ca).open();
    let device = ca.client("device-7", 0x80);
    let shows = async |policy, config: ClientConfig| {
        let (_, served) = connect(&certificates, policy, config, "a.example").await;
        served.client_certificate
    };
    assert_eq!(shows(OPEN, showing(&ca, &device)).await, None);
    assert_eq!(shows(OPTIONAL, trusting(&ca)).await, None);
    for policy in [OPTIONAL, REQUIRED] {
        let seen = shows(policy, showing(&ca, &device)).await.unwrap();
        assert_eq!(seen.der, der(&device));
        assert_eq!(seen.subject, "CN=device-7");
        assert_eq!(seen.common_name.as_deref(), Some("device-7"));
        assert_eq!(seen.serial_number, "80");
    }
    let (error, alert) = refusal(&certificates, REQUIRED, trusting(&ca)).await;
    assert!(error.contains("showed no certificate"), "{error}");
    assert!(alert.contains("CertificateRequired"), "{alert}");
}

#[tokio::test]
async fn resumed_session_keeps_its_certificate() {
    let ca = Ca::new("ca");
    let certificates = files(&ca).open();
    let config = Arc::new(showing(&ca, &ca.client("device-7", 1)));
    for kind in [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed] {
        let (mut near, mut far) =
            connect(&certificates, REQUIRED, Arc::clone(&config), "a.example").await;
        assert_eq!(near.get_ref().1.handshake_kind(), Some(kind));
        let seen = far.client_certificate.unwrap();
        assert_eq!(seen.subject, "CN=device-7");
        far.stream.write_all(b"!").await.unwrap();
        far.stream.flush().await.unwrap();
        near.read_u8().await.unwrap();
    }
}

#[tokio::test]
async fn certificate_of_a_foreign_authority_is_refused() {
    let ca = Ca::new("ca");
    let certificates = files(&ca).open();
    // The same name, another key.
    let foreign = Ca::new("ca").client("device-7", 1);
    for policy in [OPTIONAL, REQUIRED] {
        let (error, alert) = refusal(&certificates, policy, showing(&ca, &foreign)).await;
        assert!(error.contains("is not accepted"), "{error}");
        assert!(alert.contains("received fatal alert"), "{alert}");
    }
}

#[tokio::test]
async fn certificate_for_servers_or_of_the_past_is_refused() {
    let ca = Ca::new("ca");
    let certificates = files(&ca).open();
    let (error, _) = refusal(
        &certificates,
        REQUIRED,
        showing(&ca, &ca.issue(&["device"])),
    )
    .await;
    assert!(
        error.contains("clientAuth") || error.contains("client auth"),
        "{error}"
    );
    let key = KeyPair::generate().unwrap();
    let expired = ca.issue_with(&["device"], For::Clients, &key, |params| {
        params.not_after = (SystemTime::now() - DAY).into();
    });
    let (error, alert) = refusal(&certificates, REQUIRED, showing(&ca, &expired)).await;
    assert!(error.contains("expired"), "{error}");
    assert!(alert.contains("CertificateExpired"), "{alert}");
}

#[tokio::test]
async fn revoked_certificate_is_refused_from_the_next_reload_on() {
    let ca = Ca::new("ca");
    for as_pem in [true, false] {
        let mut files = files(&ca);
        let list = |revoked: &[u64]| {
            let crl = ca.crl(revoked, SystemTime::now() + DAY);
            if as_pem {
                crl.pem().unwrap().into_bytes()
            } else {
                crl.der().to_vec()
            }
        };
        files.config.crl = vec![files.write("crl", list(&[]))];
        let certificates = files.open();
        let (good, bad) = (ca.client("good", 1), ca.client("bad", 2));
        connect(&certificates, REQUIRED, showing(&ca, &bad), "a.example").await;

        files.write("crl", list(&[2]));
        assert!(certificates.reload().unwrap().changed);
        let (error, alert) = refusal(&certificates, REQUIRED, showing(&ca, &bad)).await;
        assert!(
            error.contains("revoked") || error.contains("Revoked"),
            "{error}"
        );
        assert!(alert.contains("CertificateRevoked"), "{alert}");
        connect(&certificates, REQUIRED, showing(&ca, &good), "a.example").await;
    }
}

/// One authority's list says nothing about the clients of another.
#[tokio::test]
async fn authority_without_revocation_list_passes() {
    let (ca, other) = (Ca::new("ca"), Ca::new("other"));
    let mut files = files(&ca);
    files.write("clients.pem", ca.0.pem() + &other.0.pem());
    let crl = ca.crl(&[2], SystemTime::now() + DAY).pem().unwrap();
    files.config.crl = vec![files.write("crl.pem", crl)];
    let config = showing(&ca, &other.client("device", 2));
    connect(&files.open(), REQUIRED, config, "a.example").await;
}

/// A root whose key was changed is there twice, and a list is signed by one of them.
#[test]
fn list_of_a_root_with_two_keys_is_accepted() {
    let (ca, old) = (Ca::new("ca"), Ca::new("ca"));
    let mut files = files(&ca);
    files.write("clients.pem", old.0.pem() + &ca.0.pem());
    let crl = ca.crl(&[], SystemTime::now() + DAY).pem().unwrap();
    files.config.crl = vec![files.write("crl.pem", crl)];
    files.open();
}

/// A list that ends while the server runs stays in force, and is warned about.
#[test]
fn list_past_its_end_is_warned_about() {
    let ca = Ca::new("ca");
    let mut files = files(&ca);
    let crl = ca.crl(&[], SystemTime::now() + DAY).pem().unwrap();
    files.config.crl = vec![files.write("crl.pem", crl)];
    let certificates = files.open();
    let warnings = |at: SystemTime| {
        let warnings = certificates.in_force().warnings(at.into());
        let lists = warnings.into_iter();
        lists
            .filter(|one| file_name(&one.path) == "crl.pem")
            .count()
    };
    assert_eq!(warnings(SystemTime::now()), 0);
    assert_eq!(warnings(SystemTime::now() + 2 * DAY), 1);
}

/// A session resumed under roots that no longer vouch for it: the check that a full handshake would make is made.
#[tokio::test]
async fn resumed_certificate_is_checked_again() {
    let ca = Ca::new("ca");
    let certificates = files(&ca).open();
    let config = Arc::new(showing(&ca, &ca.client("device", 1)));
    let (mut near, mut far) =
        connect(&certificates, REQUIRED, Arc::clone(&config), "a.example").await;
    far.stream.write_all(b"!").await.unwrap();
    far.stream.flush().await.unwrap();
    near.read_u8().await.unwrap();

    // Other roots, but the ticketer of before: what remains of a revocation once a ticket is out.
    let mut strict = files(&ca);
    strict.config.crl = vec![strict.write(
        "crl.pem",
        ca.crl(&[1], SystemTime::now() + DAY).pem().unwrap(),
    )];
    let mut set = Set::load(strict.config.clone(), SystemTime::now(), Own::Leave).unwrap();
    set.acceptors
        .share_every_resumption(&certificates.in_force().acceptors);
    certificates.current.store(Arc::new(set));
    let (_, served) = shake(&certificates, REQUIRED, config, "a.example").await;
    let error = served.unwrap_err().to_string();
    assert!(error.contains("is not accepted"), "{error}");
}

#[tokio::test]
async fn asking_without_roots_is_refused() {
    let ca = Ca::new("ca");
    let certificates = Files::with(&ca.issue(&["a.example"])).open();
    let (client, served) = shake(&certificates, REQUIRED, trusting(&ca), "a.example").await;
    assert!(client.is_err());
    let error = served.unwrap_err().to_string();
    assert!(error.contains("no roots to check them by"), "{error}");
}

fn check_refused(change: impl FnOnce(&mut Files, &Ca), file: &str, problem: &str) {
    let ca = Ca::new("ca");
    let mut files = files(&ca);
    change(&mut files, &ca);
    let text = text(files.try_open());
    let expected = format!("{}: ", files.path(file).display());
    assert!(text.starts_with(&expected), "{text}");
    assert!(text.contains(problem), "{text}");
}

#[test]
fn broken_roots_and_lists_are_named() {
    let crl = |files: &mut Files, content: &[u8]| {
        files.config.crl = vec![files.write("crl.pem", content)];
    };
    check_refused(
        |files, _| drop(files.write("clients.pem", "")),
        "clients.pem",
        "holds no certificate",
    );
    check_refused(
        |files, _| drop(files.write("clients.pem", Ca::expired("old").0.pem())),
        "clients.pem",
        "no certificate authority that is valid now",
    );
    check_refused(
        |files, _| files.config.client_ca = Some(files.path("gone.pem")),
        "gone.pem",
        "cannot be read",
    );
    check_refused(
        |files, _| crl(files, b"no list"),
        "crl.pem",
        "BEGIN X509 CRL",
    );
    check_refused(
        |files, _| crl(files, &[0x30, 0x01, 0x00]),
        "crl.pem",
        "no valid revocation list",
    );
    check_refused(
        |files, ca| {
            let old = ca.crl(&[], SystemTime::now() - DAY);
            crl(files, old.pem().unwrap().as_bytes());
        },
        "crl.pem",
        "expired at",
    );
    check_refused(
        |files, _| {
            let forged = Ca::new("ca").crl(&[], SystemTime::now() + DAY);
            crl(files, forged.pem().unwrap().as_bytes());
        },
        "crl.pem",
        "`CN=ca` did not sign it",
    );
    check_refused(
        |files, ca| {
            let list = ca.crl(&[], SystemTime::now() + DAY).pem().unwrap();
            crl(files, &list.as_bytes()[..list.len() / 2]);
        },
        "crl.pem",
        "not whole PEM",
    );
    check_refused(
        |files, ca| {
            let list = ca.crl(&[], SystemTime::now() + DAY).pem().unwrap();
            crl(files, list.as_bytes());
            files.config.client_ca = None;
        },
        "crl.pem",
        "no root for client certificates",
    );
}

/// rustls does not look at a root's validity; an authority whose time is over vouches for nobody.
#[tokio::test]
async fn expired_root_vouches_for_nobody() {
    let (ca, old) = (Ca::new("ca"), Ca::expired("old"));
    let files = files(&ca);
    files.write("clients.pem", ca.0.pem() + &old.0.pem());
    let certificates = files.open();
    let warnings = certificates.summary().warnings;
    assert!(
        warnings.iter().any(|one| one
            .to_string()
            .contains("clients.pem: certificate 2 expired")),
        "{warnings:?}"
    );
    let config = showing(&ca, &old.client("device", 1));
    let (error, _) = refusal(&certificates, REQUIRED, config).await;
    assert!(error.contains("is not accepted"), "{error}");
}
