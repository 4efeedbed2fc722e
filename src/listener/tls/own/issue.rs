//! The private authority: makes itself, and issues server certificates.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use super::{super::info::Timestamp, names::Name};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Clocks of small devices are wrong; a new certificate must not be from their future.
const BACKDATED: Duration = DAY;
/// Ten years: every client must be given a new root by hand.
const AUTHORITY_LIFETIME: Duration = DAY.saturating_mul(3652);
/// Browsers take 398 days for public authorities, and Apple 825 for private ones.
const SERVER_LIFETIME: Duration = DAY.saturating_mul(396);
/// Of a host name in a common name, which holds 64 characters in all.
const MAX_HOST_LENGTH: usize = 30;

/// An authority, with its key where that is at hand.
pub(super) struct Authority {
    pub(super) pem: String,
    pub(super) key: Option<KeyPair>,
    pub(super) not_after: Timestamp,
}

impl Authority {
    /// A new one. Its name says which machine's it is, and differs from every earlier one's, since a person will choose
    /// between them in a list.
    pub(super) fn new(key: KeyPair, host: &str, now: SystemTime) -> Result<Self, rcgen::Error> {
        let host: String = host.chars().take(MAX_HOST_LENGTH).collect();
        let tag: u16 = rand::random();
        let mut params = params(&format!("GateMQ CA {host} {tag:04x}"), now);
        let not_after = now + AUTHORITY_LIFETIME;
        params.not_after = not_after.into();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params.self_signed(&key)?.pem();
        Ok(Self {
            pem,
            key: Some(key),
            not_after: not_after.into(),
        })
    }

    /// One that was kept. An error says whether the key is at fault, and why.
    pub(super) fn open(
        pem: String,
        key: Option<KeyPair>,
        now: Timestamp,
    ) -> Result<Self, (bool, String)> {
        let der = certificate_der(&pem).map_err(|cause| (false, cause))?;
        let (_, certificate) =
            X509Certificate::from_der(&der).map_err(|error| (false, error.to_string()))?;
        let not_after = certificate.validity().not_after.into();
        if !certificate.is_ca() {
            return Err((false, "it is not the certificate of an authority".into()));
        }
        if not_after < now {
            return Err((false, format!("it expired at {not_after}")));
        }
        let public_key = &certificate.public_key().subject_public_key.data;
        if let Some(key) = &key
            && key.public_key_raw() != public_key.as_ref()
        {
            return Err((true, "it is not the key of ca.pem".into()));
        }
        Ok(Self {
            pem,
            key,
            not_after,
        })
    }

    /// Whether this authority signed the certificate.
    pub(super) fn has_issued(&self, certificate: &X509Certificate<'_>) -> bool {
        let Ok(der) = certificate_der(&self.pem) else {
            return false;
        };
        X509Certificate::from_der(&der).is_ok_and(|(_, own)| {
            own.subject().as_raw() == certificate.issuer().as_raw()
                && certificate.verify_signature(Some(own.public_key())).is_ok()
        })
    }

    /// A server certificate in PEM. It does not outlive the authority.
    ///
    /// # Errors
    /// The key is not at hand, or rcgen's.
    pub(super) fn issue(
        &self,
        key: &KeyPair,
        names: &[Name],
        now: SystemTime,
    ) -> Result<String, rcgen::Error> {
        let own_key = self
            .key
            .as_ref()
            .ok_or(rcgen::Error::KeyGenerationUnavailable)?;
        let issuer = Issuer::from_ca_cert_pem(&self.pem, own_key)?;
        let first = names.first().map(Name::to_string).unwrap_or_default();
        let mut params = params(&first.chars().take(64).collect::<String>(), now);
        let ends = now + SERVER_LIFETIME;
        params.not_after = ends.into();
        if self.not_after < ends.into() {
            let left = u64::try_from(self.not_after.0).unwrap_or_default();
            params.not_after = (SystemTime::UNIX_EPOCH + Duration::from_secs(left)).into();
        }
        params.subject_alt_names = names
            .iter()
            .map(|name| match name {
                Name::Dns(name) => Ok(SanType::DnsName(name.as_str().try_into()?)),
                Name::Ip(address) => Ok(SanType::IpAddress(*address)),
            })
            .collect::<Result<_, rcgen::Error>>()?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        Ok(params.signed_by(key, &issuer)?.pem())
    }
}

fn params(common_name: &str, now: SystemTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.not_before = (now - BACKDATED).into();
    // Random, since a renewal keeps its key and rcgen derives the number from that; positive and never zero.
    let mut serial: [u8; 16] = rand::random();
    serial[0] = serial[0] & 0x7f | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params
}

fn certificate_der(pem: &str) -> Result<CertificateDer<'static>, String> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| error.to_string())
}
