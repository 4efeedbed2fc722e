//! What a certificate says, in the words of an operator: for logs, `gatemq cert show`, metrics and errors.

use std::{
    fmt,
    fmt::Write as _,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use x509_parser::{
    certificate::X509Certificate,
    extensions::GeneralName,
    oid_registry::{
        OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521,
        OID_SIG_ED25519,
    },
    public_key::PublicKey,
    time::ASN1Time,
    x509::SubjectPublicKeyInfo,
};

use super::{distinguished_name, provider};

/// A certificate in the words of an operator.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateInfo {
    /// The file it is in.
    pub path: PathBuf,
    /// Its subject, as RFC 4514 writes it.
    pub subject: String,
    /// The host names and addresses it is for.
    pub names: Vec<String>,
    /// Who issued it, as RFC 4514 writes it.
    pub issuer: String,
    /// From when on it is valid.
    pub not_before: Timestamp,
    /// Until when it is valid.
    pub not_after: Timestamp,
    /// Its serial number in hexadecimal, as `openssl x509 -serial` prints it.
    pub serial_number: String,
    /// The SHA-256 of its DER in hexadecimal, as `openssl x509 -fingerprint -sha256` prints it.
    pub fingerprint: String,
    /// The kind of its key: `ECDSA P-256`, `RSA 2048`, `Ed25519`.
    pub key_type: String,
}

/// A point in time as certificates know it: seconds since 1970, UTC. Displayed as `2026-11-24 16:25:00 UTC`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(pub i64);

impl CertificateInfo {
    pub(super) fn new(path: &Path, der: &[u8], certificate: &X509Certificate<'_>) -> Self {
        let validity = certificate.validity();
        Self {
            path: path.to_owned(),
            subject: distinguished_name::to_string(certificate.subject()),
            names: names(certificate),
            issuer: distinguished_name::to_string(certificate.issuer()),
            not_before: validity.not_before.into(),
            not_after: validity.not_after.into(),
            serial_number: serial_number(certificate),
            fingerprint: hexadecimal(&provider::sha256(&[der]), ":"),
            key_type: key_type(certificate.public_key()),
        }
    }

    /// What it is called in metrics: its first name, or the file where it has none.
    #[must_use]
    pub fn name(&self) -> String {
        self.names
            .first()
            .cloned()
            .unwrap_or_else(|| self.path.display().to_string())
    }
}

/// The DNS names and IP addresses of the Subject Alternative Name extension, in its order.
pub(super) fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let general_names = &extension.value.general_names;
    general_names.iter().filter_map(name).collect()
}

fn name(general_name: &GeneralName<'_>) -> Option<String> {
    if let GeneralName::DNSName(name) = general_name {
        return Some((*name).to_owned());
    }
    let GeneralName::IPAddress(bytes) = general_name else {
        return None;
    };
    if let Ok(v4) = <[u8; 4]>::try_from(*bytes) {
        return Some(std::net::Ipv4Addr::from(v4).to_string());
    }
    let v6 = <[u8; 16]>::try_from(*bytes).ok()?;
    Some(std::net::Ipv6Addr::from(v6).to_string())
}

/// As `openssl x509 -serial` prints it: no separators, no zero octet in front.
pub(super) fn serial_number(certificate: &X509Certificate<'_>) -> String {
    let octets = certificate.raw_serial();
    let octets = match octets {
        [0, rest @ ..] if !rest.is_empty() => rest,
        all => all,
    };
    hexadecimal(octets, "")
}

fn key_type(key: &SubjectPublicKeyInfo<'_>) -> String {
    if key.algorithm.algorithm == OID_SIG_ED25519 {
        return "Ed25519".to_owned();
    }
    if key.algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY
        && let Some(parameters) = &key.algorithm.parameters
        && let Ok(curve) = parameters.as_oid()
    {
        return if curve == OID_EC_P256 {
            "ECDSA P-256".to_owned()
        } else if curve == OID_NIST_EC_P384 {
            "ECDSA P-384".to_owned()
        } else if curve == OID_NIST_EC_P521 {
            "ECDSA P-521".to_owned()
        } else {
            format!("ECDSA {curve}")
        };
    }
    if let Ok(PublicKey::RSA(key)) = key.parsed() {
        return format!("RSA {}", key.key_size());
    }
    key.algorithm.algorithm.to_id_string()
}

fn hexadecimal(octets: &[u8], separator: &str) -> String {
    let mut text = String::with_capacity(octets.len() * (2 + separator.len()));
    for (at, octet) in octets.iter().enumerate() {
        let separator = if at == 0 { "" } else { separator };
        write!(text, "{separator}{octet:02X}").expect("a String takes what is written");
    }
    text
}

impl Timestamp {
    /// Whole days from `now` until then, negative where it has passed.
    #[must_use]
    pub const fn days_from(self, now: Self) -> i64 {
        (self.0 - now.0).div_euclid(24 * 60 * 60)
    }
}

impl From<ASN1Time> for Timestamp {
    fn from(time: ASN1Time) -> Self {
        Self(time.timestamp())
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let seconds = match time.duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_secs()),
            Err(before) => i64::try_from(before.duration().as_secs()).map(|seconds| -seconds),
        };
        Self(seconds.unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(time) = ASN1Time::from_timestamp(self.0) else {
            return write!(f, "{} s after 1970", self.0);
        };
        let time = time.to_datetime();
        let (hour, minute, second) = time.to_hms();
        write!(f, "{} {hour:02}:{minute:02}:{second:02} UTC", time.date())
    }
}
