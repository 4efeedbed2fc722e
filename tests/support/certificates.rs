//! Certificates to start brokers with, and clients that trust or show them.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
    CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod,
    KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, RevokedCertParams, RsaKeySize, SerialNumber,
};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An authority.
pub struct Ca(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key in PEM.
#[derive(Clone)]
pub struct Pair {
    pub chain: String,
    pub key: String,
}

impl Ca {
    pub fn new() -> Self {
        let mut params = params("an authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("signed"))
    }

    /// An authority that this one has signed.
    pub fn intermediate(&self) -> Self {
        let mut params = params("an authority between");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::signed_by(params, key, &self.0).expect("signed"))
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// For servers of these names, with an ECDSA key.
    pub fn issue(&self, names: &[&str]) -> Pair {
        let key = KeyPair::generate().expect("a key");
        self.sign(names, ExtendedKeyUsagePurpose::ServerAuth, &key, |_| ())
    }

    /// For servers of these names, with an RSA key.
    pub fn issue_rsa(&self, names: &[&str]) -> Pair {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).expect("a key");
        self.sign(names, ExtendedKeyUsagePurpose::ServerAuth, &key, |_| ())
    }

    /// For servers of these names, and out of date since yesterday.
    pub fn issue_expired(&self, names: &[&str]) -> Pair {
        let key = KeyPair::generate().expect("a key");
        self.sign(names, ExtendedKeyUsagePurpose::ServerAuth, &key, |params| {
            params.not_after = (SystemTime::now() - DAY).into()
        })
    }

    /// For servers of these names, as public authorities do: it says where its issuer's certificate is.
    pub fn issue_with_issuer_address(&self, names: &[&str]) -> Pair {
        let key = KeyPair::generate().expect("a key");
        // SEQUENCE { SEQUENCE { caIssuers, URI "http://ca.example/1" } } (RFC 5280, 4.2.2.1).
        let content =
            b"\x30\x21\x30\x1f\x06\x08\x2b\x06\x01\x05\x05\x07\x30\x02\x86\x13http://ca.example/1";
        self.sign(names, ExtendedKeyUsagePurpose::ServerAuth, &key, |params| {
            let access =
                CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], content.to_vec());
            params.custom_extensions = vec![access];
        })
    }

    /// For a client, with this serial number.
    pub fn issue_client(&self, name: &str, serial: u64) -> Pair {
        let key = KeyPair::generate().expect("a key");
        self.sign(
            &[name],
            ExtendedKeyUsagePurpose::ClientAuth,
            &key,
            |params| params.serial_number = Some(SerialNumber::from(serial)),
        )
    }

    fn sign(
        &self,
        names: &[&str],
        usage: ExtendedKeyUsagePurpose,
        key: &KeyPair,
        change: impl Fn(&mut CertificateParams),
    ) -> Pair {
        let mut params = params(names[0]);
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let named = CertificateParams::new(names).expect("names");
        params.subject_alt_names = named.subject_alt_names;
        params.extended_key_usages = vec![usage];
        change(&mut params);
        Pair {
            chain: params.signed_by(key, &self.0).expect("signed").pem(),
            key: key.serialize_pem(),
        }
    }

    /// A revocation list with these serial numbers.
    pub fn crl(&self, revoked: &[u64]) -> String {
        let revoked_certs = revoked.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: SystemTime::now().into(),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: (SystemTime::now() - DAY).into(),
            next_update: (SystemTime::now() + DAY).into(),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked_certs.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.0).expect("signed").pem().expect("PEM")
    }

    /// A client that trusts this authority.
    pub fn client(&self) -> ClientConfig {
        self.client_with(aws_lc_rs::default_provider(), rustls::ALL_VERSIONS, None)
    }

    /// A client that trusts this authority and shows a certificate.
    pub fn client_showing(&self, pair: &Pair) -> ClientConfig {
        self.client_with(
            aws_lc_rs::default_provider(),
            rustls::ALL_VERSIONS,
            Some(pair),
        )
    }

    /// A client that trusts this authority, with all its choices.
    pub fn client_with(
        &self,
        provider: CryptoProvider,
        versions: &[&'static SupportedProtocolVersion],
        shows: Option<&Pair>,
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("a root");
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots);
        match shows {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("a key");
                builder
                    .with_client_auth_cert(vec![pair.der()], key)
                    .expect("a client certificate")
            }
        }
    }
}

impl Pair {
    pub fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.chain.as_bytes()).expect("a certificate")
    }

    /// Writes `NAME.pem` and `NAME.key`.
    pub fn write(&self, folder: &Path, name: &str) -> [PathBuf; 2] {
        let paths = [".pem", ".key"].map(|end| folder.join(format!("{name}{end}")));
        fs::write(&paths[0], &self.chain).expect("written");
        fs::write(&paths[1], &self.key).expect("written");
        paths
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
