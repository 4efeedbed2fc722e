//! One certificate chain and its key: from two files to something that rustls can serve, with every check that
//! can be made before a client makes it.

use std::{os::unix::fs::PermissionsExt as _, path::Path, sync::Arc, time::SystemTime};

use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _},
    sign::CertifiedKey,
};
use x509_parser::{certificate::X509Certificate, error::X509Error, prelude::FromDer as _};

use super::{
    CertificateFiles, distinguished_name,
    error::{Errors, Problem},
    findings::Findings,
    info::{self, CertificateInfo},
    provider::provider,
};

/// A chain of ten RSA 4096 certificates is 20 kB in PEM; a bundle of every public root is 250 kB.
pub(super) const MAX_PEM_BYTES: u64 = 1 << 20;

/// Less than this before its end a certificate is warned about: most are renewed a month ahead.
pub(super) const EXPIRES_SOON_DAYS: i64 = 21;

/// A certificate that can be served.
pub(super) struct Certificate {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) info: CertificateInfo,
}

/// Loads and checks one certificate; notes every error, and gives `None` where there was one.
pub(super) fn load(files: &CertificateFiles, findings: &mut Findings) -> Option<Certificate> {
    let chain = load_chain(&files.chain, findings);
    let key = load_key(&files.key, findings);
    let chain = chain?;
    let parsed: Vec<_> = chain
        .iter()
        .map(|der| X509Certificate::from_der(der).map(|(_, certificate)| certificate))
        .collect::<Result<_, _>>()
        .ok()?;
    let is_sound = check_chain(&files.chain, &parsed, findings);
    let key = provider().key_provider.load_private_key(key?);
    let key = key
        .map_err(|error| findings.error(&files.key, Problem::UnsupportedKey(error.to_string())))
        .ok()?;
    let info = CertificateInfo::new(&files.chain, &chain[0], &parsed[0]);
    let key = CertifiedKey::new(chain.clone(), key);
    if let Err(error) = key.keys_match() {
        findings.error(&files.key, mismatch(&files.chain, &key, &error));
        return None;
    }
    is_sound.then(|| Certificate {
        key: Arc::new(key),
        info,
    })
}

/// A chain and its key, for whoever shows it: a client's needs no names, and whoever asks for it judges the rest.
pub(super) fn load_pair(files: &CertificateFiles) -> Result<CertifiedKey, Errors> {
    let mut findings = Findings::new(SystemTime::now().into());
    let chain = load_chain(&files.chain, &mut findings);
    let key = load_key(&files.key, &mut findings);
    findings.finish()?;
    let (chain, key) = chain.zip(key).expect("nothing was found wrong with either");
    let failed = |problem| Errors::one(&files.key, problem);
    let key = provider().key_provider.load_private_key(key);
    let key = key.map_err(|error| failed(Problem::UnsupportedKey(error.to_string())))?;
    let key = CertifiedKey::new(chain, key);
    match key.keys_match() {
        Ok(()) => Ok(key),
        Err(error) => Err(failed(mismatch(&files.chain, &key, &error))),
    }
}

/// The certificates of a PEM file, each of which can be parsed; `None` with an error noted.
pub(super) fn load_chain(
    path: &Path,
    findings: &mut Findings,
) -> Option<Vec<CertificateDer<'static>>> {
    let bytes = findings.read(path, MAX_PEM_BYTES)?;
    match parse_certificates(&bytes) {
        Ok(chain) => Some(chain),
        Err(problem) => {
            findings.error(path, problem);
            None
        }
    }
}

/// The certificates of PEM text, at least one, each of which can be parsed.
pub(super) fn parse_certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| Problem::BadPem(error.to_string()))?;
    if chain.is_empty() {
        // A SEQUENCE with a length of two octets: what every certificate in DER begins with.
        let is_der = bytes.starts_with(&[0x30, 0x82]);
        return Err(Problem::NoCertificate { is_der });
    }
    for (at, der) in chain.iter().enumerate() {
        let cause = match X509Certificate::from_der(der) {
            Ok(([], _)) => continue,
            Ok(_) => "more bytes follow it".to_owned(),
            Err(error) => error.to_string(),
        };
        let position = at + 1;
        return Err(Problem::BadCertificate { position, cause });
    }
    Ok(chain)
}

fn load_key(path: &Path, findings: &mut Findings) -> Option<PrivateKeyDer<'static>> {
    let bytes = findings.read(path, MAX_PEM_BYTES)?;
    // Others who read it: mode bits of the file itself, not of the folders above it.
    if std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0) {
        findings.warn(path, Problem::ReadableByAll);
    }
    match parse_key(&bytes) {
        Ok(key) => Some(key),
        Err(problem) => {
            findings.error(path, problem);
            None
        }
    }
}

fn parse_key(bytes: &[u8]) -> Result<PrivateKeyDer<'static>, Problem> {
    let text = String::from_utf8_lossy(bytes);
    // `BEGIN ENCRYPTED PRIVATE KEY` (PKCS#8), and `Proc-Type: 4,ENCRYPTED` inside the older forms.
    if text.contains("ENCRYPTED") {
        return Err(Problem::EncryptedKey);
    }
    match PrivateKeyDer::from_pem_slice(bytes) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) => Err(Problem::NoKey),
        Err(error) => Err(Problem::BadPem(error.to_string())),
    }
}

/// Checks the leaf, and that each certificate was issued by the next.
fn check_chain(path: &Path, chain: &[X509Certificate<'_>], findings: &mut Findings) -> bool {
    let mut problems = leaf_problems(&chain[0], findings);
    for (at, pair) in chain.windows(2).enumerate() {
        problems.extend(link_problem(at + 1, &pair[0], &pair[1]));
    }
    let is_sound = problems.is_empty();
    for problem in problems {
        findings.error(path, problem);
    }
    if chain[0].is_ca() {
        findings.warn(path, Problem::IsAuthority);
    }
    // Clients that know another way to a root do without it, so this does not stop the set.
    for (at, certificate) in chain.iter().enumerate().skip(1) {
        let until = certificate.validity().not_after.into();
        if until < findings.now {
            let position = at + 1;
            findings.warn(
                path,
                Problem::Expired {
                    position,
                    at: until,
                },
            );
        }
    }
    is_sound
}

fn leaf_problems(leaf: &X509Certificate<'_>, findings: &Findings) -> Vec<Problem> {
    let mut problems = Vec::new();
    let (from, until) = (
        leaf.validity().not_before.into(),
        leaf.validity().not_after.into(),
    );
    if until < findings.now {
        let position = 1;
        problems.push(Problem::Expired {
            position,
            at: until,
        });
    } else if findings.now < from {
        problems.push(Problem::NotYetValid { from });
    }
    if info::names(leaf).is_empty() {
        problems.push(Problem::NoNames);
    }
    if let Ok(Some(usage)) = leaf.extended_key_usage()
        && !usage.value.server_auth
        && !usage.value.any
    {
        problems.push(Problem::NotForServers);
    }
    problems
}

fn link_problem(
    position: usize,
    certificate: &X509Certificate<'_>,
    next: &X509Certificate<'_>,
) -> Option<Problem> {
    if certificate.issuer().as_raw() != next.subject().as_raw() {
        return Some(Problem::BrokenChain {
            position,
            issuer: distinguished_name::to_string(certificate.issuer()),
            next: distinguished_name::to_string(next.subject()),
        });
    }
    match certificate.verify_signature(Some(next.public_key())) {
        // What cannot be verified here (P-521), clients may well be able to.
        Ok(()) | Err(X509Error::SignatureUnsupportedAlgorithm) => None,
        Err(_) => Some(Problem::BadChainSignature { position }),
    }
}

/// Says which certificate of the chain the key does fit, the usual case of a chain in the wrong order.
fn mismatch(chain: &Path, key: &CertifiedKey, error: &rustls::Error) -> Problem {
    if !matches!(error, rustls::Error::InconsistentKeys(_)) {
        return Problem::UnsupportedKey(error.to_string());
    }
    let fits = key.cert.iter().position(|certificate| {
        CertifiedKey::new(vec![certificate.clone()], Arc::clone(&key.key))
            .keys_match()
            .is_ok()
    });
    Problem::KeyMismatch {
        chain: chain.to_owned(),
        fits: fits.map(|at| at + 1),
    }
}
