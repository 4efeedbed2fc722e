//! Real handshakes with a rustls client over an in-memory stream, and certificates to shake hands with.

mod clients;
mod handshakes;
mod loading;
mod reload;
mod streams;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
    DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair,
    KeyUsagePurpose, PKCS_RSA_SHA256, RevokedCertParams, RsaKeySize, SerialNumber,
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use tempfile::TempDir;
use tokio::io::DuplexStream;
use tokio_rustls::{TlsConnector, client};

use super::{provider::provider, *};
use crate::listener::ClientCertificates;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Every protocol, no client certificates.
const OPEN: HandshakePolicy = HandshakePolicy {
    client_certificates: ClientCertificates::Off,
    mqtt: true,
    http2: true,
    http1: true,
};

/// An authority of the tests.
struct Ca(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key in PEM.
#[derive(Clone)]
struct Pair {
    chain: String,
    key: String,
}

/// Whom a certificate is for.
#[derive(Clone, Copy, Eq, PartialEq)]
enum For {
    Servers,
    Clients,
    Anything,
}

impl Ca {
    fn new(name: &str) -> Self {
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn expired(name: &str) -> Self {
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_after = (SystemTime::now() - DAY).into();
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn intermediate(&self, name: &str) -> Self {
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::signed_by(params, key, &self.0).unwrap())
    }

    fn issue(&self, names: &[&str]) -> Pair {
        self.issue_with(names, For::Servers, &KeyPair::generate().unwrap(), |_| ())
    }

    fn issue_rsa(&self, names: &[&str]) -> Pair {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        self.issue_with(names, For::Servers, &key, |_| ())
    }

    /// A client certificate whose serial number is `serial`.
    fn client(&self, name: &str, serial: u64) -> Pair {
        self.issue_with(
            &[name],
            For::Clients,
            &KeyPair::generate().unwrap(),
            |params| params.serial_number = Some(SerialNumber::from(serial)),
        )
    }

    fn issue_with(
        &self,
        names: &[&str],
        whom: For,
        key: &KeyPair,
        change: impl Fn(&mut CertificateParams),
    ) -> Pair {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = params(names.first().map_or("nobody", String::as_str));
        params.subject_alt_names = CertificateParams::new(names).unwrap().subject_alt_names;
        params.extended_key_usages = match whom {
            For::Servers => vec![ExtendedKeyUsagePurpose::ServerAuth],
            For::Clients => vec![ExtendedKeyUsagePurpose::ClientAuth],
            For::Anything => Vec::new(),
        };
        change(&mut params);
        Pair {
            chain: params.signed_by(key, &self.0).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    fn crl(&self, revoked: &[u64], next_update: SystemTime) -> rcgen::CertificateRevocationList {
        let revoked_certs = revoked.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: SystemTime::now().into(),
            reason_code: None,
            invalidity_date: None,
        });
        CertificateRevocationListParams {
            this_update: (SystemTime::now() - 2 * DAY).into(),
            next_update: next_update.into(),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked_certs.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        }
        .signed_by(&self.0)
        .unwrap()
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = (SystemTime::now() - 2 * DAY).into();
    params.not_after = (SystemTime::now() + 90 * DAY).into();
    params
}

/// A folder with certificates, and a configuration that names them.
struct Files {
    dir: TempDir,
    config: Config,
}

impl Files {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            certificates: Vec::new(),
            own_dir: dir.path().join("own"),
            client_ca: None,
            crl: Vec::new(),
            own_names: Vec::new(),
        };
        Self { dir, config }
    }

    /// With one certificate, in `a.pem` and `a.key`.
    fn with(pair: &Pair) -> Self {
        let mut files = Self::new();
        files.add("a", pair);
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        // Two writes within one tick of the file system's clock would look the same.
        static WRITES: AtomicU64 = AtomicU64::new(0);
        let time = Duration::from_secs(WRITES.fetch_add(1, Ordering::Relaxed));
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + time).unwrap();
        path
    }

    fn put(&self, name: &str, pair: &Pair) -> CertificateFiles {
        CertificateFiles {
            chain: self.write(&format!("{name}.pem"), &pair.chain),
            key: self.write(&format!("{name}.key"), &pair.key),
        }
    }

    fn add(&mut self, name: &str, pair: &Pair) {
        let files = self.put(name, pair);
        self.config.certificates.push(files);
    }

    fn open(&self) -> Arc<Certificates> {
        self.try_open().unwrap()
    }

    fn try_open(&self) -> Result<Arc<Certificates>, Errors> {
        Certificates::open(self.config.clone(), Arc::default())
    }
}

/// A client that trusts the authority.
fn trusting(ca: &Ca) -> ClientConfig {
    client_of(ca, provider(), None)
}

/// A client that trusts the authority and shows a certificate.
fn showing(ca: &Ca, pair: &Pair) -> ClientConfig {
    client_of(ca, provider(), Some(pair))
}

fn client_of(
    ca: &Ca,
    provider: Arc<rustls::crypto::CryptoProvider>,
    shows: Option<&Pair>,
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(ca.0.der().clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    match shows {
        None => builder.with_no_client_auth(),
        Some(pair) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(pair.chain.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap(),
            )
            .unwrap(),
    }
}

type Client = client::TlsStream<DuplexStream>;
type Served = Accepted<DuplexStream>;

/// One handshake; both ends' results.
async fn shake(
    certificates: &Certificates,
    policy: HandshakePolicy,
    client: impl Into<Arc<ClientConfig>>,
    name: &str,
) -> (std::io::Result<Client>, Result<Served, HandshakeError>) {
    let (near, far) = tokio::io::duplex(1 << 16);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connector = TlsConnector::from(client.into());
    let accept = async {
        // An end that fails is dropped, as in the accept loop, so that the other one does not wait for it.
        certificates.accept(far, Vec::new(), policy).await
    };
    tokio::join!(connector.connect(name, near), accept)
}

/// One handshake that works at both ends.
async fn connect(
    certificates: &Certificates,
    policy: HandshakePolicy,
    client: impl Into<Arc<ClientConfig>>,
    name: &str,
) -> (Client, Served) {
    let (client, served) = shake(certificates, policy, client, name).await;
    (client.unwrap(), served.unwrap())
}

/// The certificate that a client was shown, in PEM lines.
fn shown(client: &Client) -> Vec<u8> {
    client.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

fn der(pair: &Pair) -> Vec<u8> {
    let der = CertificateDer::from_pem_slice(pair.chain.as_bytes()).unwrap();
    der.to_vec()
}

/// The certificate that the next client is shown.
async fn served(certificates: &Certificates, ca: &Ca, name: &str) -> Vec<u8> {
    let (client, _) = connect(certificates, OPEN, trusting(ca), name).await;
    shown(&client)
}

fn text(result: Result<impl Sized, Errors>) -> String {
    result.map(|_| ()).unwrap_err().to_string()
}

fn file_name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}
