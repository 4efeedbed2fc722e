//! Client certificates: the roots they must lead to, revocation lists, and who a verified one is.

use std::{path::Path, sync::Arc};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, CertificateRevocationListDer, pem::PemObject as _},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use x509_parser::{
    certificate::X509Certificate, error::X509Error, prelude::FromDer as _,
    revocation_list::CertificateRevocationList,
};

use super::{
    Config, chain, distinguished_name,
    error::{Finding, Problem},
    findings::Findings,
    info::{self, Timestamp},
    provider::provider,
};
use crate::mqtt::transport::ClientCertificate;

/// A million entries of 37 octets.
const MAX_CRL_BYTES: u64 = 64 << 20;

/// How client certificates are checked, one verifier for each way of asking.
#[derive(Clone, Debug)]
pub(super) struct Verifiers {
    pub(super) optional: Arc<dyn ClientCertVerifier>,
    pub(super) required: Arc<dyn ClientCertVerifier>,
    /// When each revocation list ought to have been replaced. A list stays in force beyond that while the server
    /// runs, as does everything that could not be replaced; a load refuses it.
    crl_ends: Vec<Finding>,
}

impl Verifiers {
    /// Loads what the configuration names. `None` where it names no roots, or with errors noted.
    ///
    /// Roots whose time is over are left out, since rustls takes a root's word without looking at its validity.
    /// A certificate of an authority that has no revocation list passes: a list says who is revoked, and one
    /// authority's list must not shut out the others' clients.
    pub(super) fn load(config: &Config, findings: &mut Findings) -> Option<Self> {
        let Some(path) = &config.client_ca else {
            for path in &config.crl {
                findings.error(path, Problem::CrlWithoutRoots);
            }
            return None;
        };
        let roots = chain::load_chain(path, findings).unwrap_or_default();
        let store = root_store(path, &roots, findings)?;
        let (mut crls, mut crl_ends) = (Vec::new(), Vec::new());
        for path in &config.crl {
            for crl in load_crls(path, findings) {
                crl_ends.extend(check_crl(path, &crl, &roots, &store, findings));
                crls.push(crl);
            }
        }
        let build = |is_optional: bool| {
            let builder = WebPkiClientVerifier::builder_with_provider(store.clone(), provider())
                .with_crls(crls.clone())
                .allow_unknown_revocation_status();
            if is_optional {
                builder.allow_unauthenticated().build()
            } else {
                builder.build()
            }
        };
        // A list that does not parse was noted above already.
        let (optional, required) = (build(true).ok()?, build(false).ok()?);
        Some(Self {
            optional,
            required,
            crl_ends,
        })
    }

    /// The revocation lists whose time is over.
    pub(super) fn warnings(&self, now: Timestamp) -> impl Iterator<Item = Finding> {
        let ends = self.crl_ends.iter();
        ends.filter(move |end| matches!(end.problem, Problem::CrlExpired { at } if at < now))
            .cloned()
    }
}

fn root_store(
    path: &Path,
    roots: &[CertificateDer<'static>],
    findings: &mut Findings,
) -> Option<Arc<RootCertStore>> {
    let mut store = RootCertStore::empty();
    for (at, der) in roots.iter().enumerate() {
        let position = at + 1;
        let Ok((_, root)) = X509Certificate::from_der(der) else {
            continue;
        };
        let until = root.validity().not_after.into();
        if until < findings.now {
            findings.warn(
                path,
                Problem::Expired {
                    position,
                    at: until,
                },
            );
        } else if let Err(error) = store.add(der.clone()) {
            let cause = error.to_string();
            findings.error(path, Problem::BadCertificate { position, cause });
        }
    }
    if !store.is_empty() {
        return Some(Arc::new(store));
    }
    if !roots.is_empty() {
        findings.error(path, Problem::NoRoots);
    }
    None
}

fn load_crls(path: &Path, findings: &mut Findings) -> Vec<CertificateRevocationListDer<'static>> {
    let Some(bytes) = findings.read(path, MAX_CRL_BYTES) else {
        return Vec::new();
    };
    // A SEQUENCE: DER. PEM begins with text.
    if bytes.first() == Some(&0x30) {
        return vec![bytes.into()];
    }
    let crls: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
    match crls {
        Ok(crls) if !crls.is_empty() => return crls,
        Ok(_) => {
            let cause = "neither DER nor `-----BEGIN X509 CRL-----` is in it".to_owned();
            findings.error(path, Problem::BadCrl(cause));
        }
        Err(error) => findings.error(path, Problem::BadPem(error.to_string())),
    }
    Vec::new()
}

/// Notes what is wrong with a list; otherwise says when it ends.
fn check_crl(
    path: &Path,
    crl: &CertificateRevocationListDer<'static>,
    roots: &[CertificateDer<'static>],
    store: &Arc<RootCertStore>,
    findings: &mut Findings,
) -> Option<Finding> {
    let bad = |cause: String| Problem::BadCrl(cause);
    let parsed = match CertificateRevocationList::from_der(crl) {
        Ok((_, parsed)) => parsed,
        Err(error) => {
            findings.error(path, bad(error.to_string()));
            return None;
        }
    };
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::clone(store), provider());
    if let Err(error) = builder.with_crls([crl.clone()]).build() {
        findings.error(path, bad(error.to_string()));
        return None;
    }
    if is_forged(&parsed, roots) {
        let issuer = distinguished_name::to_string(parsed.issuer());
        findings.error(path, bad(format!("`{issuer}` did not sign it")));
    }
    let at = parsed.next_update()?.into();
    if at < findings.now {
        findings.error(path, Problem::CrlExpired { at });
    }
    Some(Finding::new(path, Problem::CrlExpired { at }))
}

/// There are roots of the name that the list bears, and none of them signed it. A root whose key was changed is there
/// twice; an intermediate authority's list can only be judged once a client shows its certificate.
fn is_forged(crl: &CertificateRevocationList<'_>, roots: &[CertificateDer<'static>]) -> bool {
    let signed: Vec<bool> = roots
        .iter()
        .filter_map(|root| X509Certificate::from_der(root).ok())
        .filter(|(_, root)| root.subject().as_raw() == crl.issuer().as_raw())
        .map(|(_, root)| {
            let verified = crl.verify_signature(root.public_key());
            !matches!(verified, Err(X509Error::SignatureVerificationError))
        })
        .collect();
    !signed.is_empty() && !signed.contains(&true)
}

/// Who a verified certificate is; `None` where it cannot be parsed, and then nobody is let in by it.
pub(super) fn identity(der: &CertificateDer<'_>) -> Option<ClientCertificate> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(ClientCertificate {
        der: der.to_vec(),
        subject: distinguished_name::to_string(certificate.subject()),
        common_name: distinguished_name::common_name(certificate.subject()),
        serial_number: info::serial_number(&certificate),
    })
}
