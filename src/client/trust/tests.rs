//! Real handshakes over an in-memory stream, with certificates of every kind.

use std::{
    io,
    path::Path,
    time::{Duration, SystemTime},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

struct Authority(CertifiedIssuer<'static, KeyPair>);

struct Pair {
    chain: String,
    key: String,
}

fn params(name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = (SystemTime::now() - 2 * DAY).into();
    params.not_after = (SystemTime::now() + 90 * DAY).into();
    params
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    fn issue(&self, params: &CertificateParams) -> Pair {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        Pair {
            chain: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    fn write(&self, folder: &Path) -> PathBuf {
        let path = folder.join("authority.pem");
        std::fs::write(&path, self.0.pem()).expect("written");
        path
    }

    fn server(&self, params: &CertificateParams, asks: bool) -> ServerConfig {
        let pair = self.issue(params);
        let chain = vec![CertificateDer::from_pem_slice(pair.chain.as_bytes()).expect("PEM")];
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("PEM");
        let builder = ServerConfig::builder_with_provider(tls::provider())
            .with_safe_default_protocol_versions()
            .expect("versions");
        let builder = if asks {
            let mut roots = RootCertStore::empty();
            roots.add(self.0.der().clone()).expect("a root");
            let verifier =
                WebPkiClientVerifier::builder_with_provider(roots.into(), tls::provider());
            builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
        } else {
            builder.with_no_client_auth()
        };
        builder.with_single_cert(chain, key).expect("a server")
    }
}

/// Shakes hands and reads what the server then says.
async fn shake(server: ServerConfig, trust: &Trust, url: &str) -> Result<(), TlsFailure> {
    let target = Target::parse(url).expect("a URL");
    let dialect = trust.dialect(&target).expect("certificates");
    let (ours, theirs) = duplex(64 * 1024);
    let accept = async {
        let mut stream = TlsAcceptor::from(Arc::new(server)).accept(theirs).await?;
        stream.write_all(b"!").await
    };
    let connect = async {
        let connector = TlsConnector::from(Arc::new(dialect.config));
        let mut stream = connector.connect(target.server_name(), ours).await?;
        stream.read_u8().await
    };
    let (_, connected): (io::Result<()>, io::Result<u8>) = tokio::join!(accept, connect);
    match connected {
        Ok(byte) => {
            assert_eq!(byte, b'!');
            assert_eq!(dialect.presented.chain().len(), 1);
            Ok(())
        }
        Err(error) => Err(TlsFailure::of(&error, &target, &dialect.presented)),
    }
}

fn trusting(ca_file: PathBuf) -> Trust {
    Trust {
        ca_file: Some(ca_file),
        ..Trust::default()
    }
}

#[track_caller]
fn says(failure: &TlsFailure, words: &[&str]) {
    let text = failure.to_string();
    for word in words {
        assert!(text.contains(word), "no {word:?} in {text}");
    }
}

#[tokio::test]
async fn a_named_authority_is_trusted_and_others_are_named() {
    let folder = TempDir::new().expect("a folder");
    let authority = Authority::new("Authority of the tests");
    let params = params("server", &["broker.test", "192.0.2.1"]);
    let trust = trusting(authority.write(folder.path()));
    for url in ["mqtts://broker.test", "wss://192.0.2.1"] {
        let shaken = shake(authority.server(&params, false), &trust, url).await;
        assert_eq!(shaken, Ok(()), "{url}");
    }
    let other = Authority::new("Somebody else");
    let shaken = shake(other.server(&params, false), &trust, "mqtts://broker.test").await;
    let failure = shaken.expect_err("not trusted");
    says(
        &failure,
        &["\"CN=Somebody else\"", "not trusted", "--cafile FILE"],
    );
    // The same from a directory, where other files lie, too.
    std::fs::write(folder.path().join("README"), "text").expect("written");
    let trust = Trust {
        ca_directory: Some(folder.path().to_owned()),
        ..Trust::default()
    };
    let shaken = shake(
        authority.server(&params, false),
        &trust,
        "mqtts://broker.test",
    )
    .await;
    assert_eq!(shaken, Ok(()));
}

#[tokio::test]
async fn a_wrong_name_and_wrong_dates_are_told_with_what_the_certificate_says() {
    let folder = TempDir::new().expect("a folder");
    let authority = Authority::new("Authority of the tests");
    let trust = trusting(authority.write(folder.path()));
    let valid = params("server", &["broker.test", "*.broker.test"]);
    let shaken = shake(
        authority.server(&valid, false),
        &trust,
        "mqtts://other.test",
    )
    .await;
    let failure = shaken.expect_err("another name");
    says(
        &failure,
        &[
            "not for \"other.test\" but for broker.test, *.broker.test",
            "--insecure",
        ],
    );
    let mut expired = valid.clone();
    expired.not_after = (SystemTime::UNIX_EPOCH + 18_000 * DAY).into();
    expired.not_before = SystemTime::UNIX_EPOCH.into();
    let shaken = shake(
        authority.server(&expired, false),
        &trust,
        "mqtts://broker.test",
    )
    .await;
    says(
        &shaken.expect_err("expired"),
        &["expired on 2019-04-14 00:00:00 UTC"],
    );
    let mut early = valid;
    early.not_before = (SystemTime::now() + DAY).into();
    let shaken = shake(
        authority.server(&early, false),
        &trust,
        "mqtts://broker.test",
    )
    .await;
    says(
        &shaken.expect_err("too early"),
        &["not valid yet but from 20"],
    );
}

#[tokio::test]
async fn insecure_leaves_the_name_unchecked_and_without_an_authority_everything() {
    let folder = TempDir::new().expect("a folder");
    let authority = Authority::new("Authority of the tests");
    let other = Authority::new("Somebody else");
    let params = params("server", &["broker.test"]);
    let lax = Trust {
        insecure: true,
        ..trusting(authority.write(folder.path()))
    };
    let shaken = shake(authority.server(&params, false), &lax, "mqtts://other.test").await;
    assert_eq!(shaken, Ok(()));
    let shaken = shake(other.server(&params, false), &lax, "mqtts://broker.test").await;
    says(&shaken.expect_err("another authority"), &["not trusted"]);
    let anything = Trust {
        insecure: true,
        ..Trust::default()
    };
    let shaken = shake(
        other.server(&params, false),
        &anything,
        "mqtts://other.test",
    )
    .await;
    assert_eq!(shaken, Ok(()));
}

#[tokio::test]
async fn a_certificate_of_the_client_is_shown_and_its_absence_explained() {
    let folder = TempDir::new().expect("a folder");
    let authority = Authority::new("Authority of the tests");
    let params = params("server", &["broker.test"]);
    let without = trusting(authority.write(folder.path()));
    let shaken = shake(
        authority.server(&params, true),
        &without,
        "mqtts://broker.test",
    )
    .await;
    says(
        &shaken.expect_err("no certificate"),
        &["wants to see a certificate", "--cert FILE"],
    );
    let pair = authority.issue(&params);
    let files = CertificateFiles {
        chain: folder.path().join("client.pem"),
        key: folder.path().join("client.key"),
    };
    std::fs::write(&files.chain, &pair.chain).expect("written");
    std::fs::write(&files.key, &pair.key).expect("written");
    let with = Trust {
        client_certificate: Some(files.clone()),
        ..without.clone()
    };
    let shaken = shake(
        authority.server(&params, true),
        &with,
        "mqtts://broker.test",
    )
    .await;
    assert_eq!(shaken, Ok(()));
    // The key of another certificate.
    std::fs::write(&files.key, authority.issue(&params).key).expect("written");
    let target = Target::parse("mqtts://broker.test").expect("a URL");
    let error = with.dialect(&target).expect_err("another key").to_string();
    assert!(error.contains("client.key"), "{error}");
}

#[tokio::test]
async fn what_speaks_no_tls_is_told_from_what_closes() {
    let target = Target::parse("mqtts://localhost").expect("a URL");
    for (answer, expected) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], TlsFailure::NotTls),
        (b"", TlsFailure::Closed),
    ] {
        let dialect = Trust::default().dialect(&target).expect("no files");
        let (ours, mut theirs) = duplex(64 * 1024);
        theirs.write_all(answer).await.expect("written");
        theirs.shutdown().await.expect("shut down");
        let connector = TlsConnector::from(Arc::new(dialect.config));
        let error = connector
            .connect(target.server_name(), ours)
            .await
            .expect_err("no TLS");
        assert_eq!(
            TlsFailure::of(&error, &target, &dialect.presented),
            expected
        );
    }
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let folder = TempDir::new().expect("a folder");
    let target = Target::parse("mqtts://localhost").expect("a URL");
    let text = folder.path().join("text");
    std::fs::write(&text, "no certificate").expect("written");
    for (trust, words) in [
        (trusting(folder.path().join("absent")), "absent"),
        (trusting(text), "text"),
        (
            Trust {
                ca_directory: Some(folder.path().to_owned()),
                ..Trust::default()
            },
            "no file there holds a certificate",
        ),
        (
            Trust {
                ca_directory: Some(folder.path().join("nowhere")),
                ..Trust::default()
            },
            "--capath takes a directory",
        ),
    ] {
        let error = trust.dialect(&target).expect_err(words).to_string();
        assert!(error.contains(words), "no {words:?} in {error}");
    }
}
