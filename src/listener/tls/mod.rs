//! TLS: the handshake, the certificate store, server names, reload, and certificates of our own making. Knows no
//! sockets and nothing of what is spoken inside.
//!
//! Start at [`Certificates`]: it holds one checked set at a time. `set` loads one from files (`chain`, `client`, `own`),
//! `acceptors` and `resolver` turn it into rustls configurations, `handshake` uses them, `watch` notices changes.

mod acceptors;
mod chain;
mod client;
mod distinguished_name;
mod error;
mod findings;
mod handshake;
mod info;
pub mod own;
mod provider;
mod refusal;
mod resolver;
mod set;
mod stream;
mod watch;

pub use error::{Errors, Finding, Problem};
pub use handshake::{Accepted, Alpn, HandshakePolicy};
pub use info::{CertificateInfo, Timestamp};
pub use refusal::HandshakeError;
pub use stream::TlsStream;

pub(crate) use provider::provider;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use arc_swap::{ArcSwap, Guard};
use bytes::Bytes;
use parking_lot::Mutex;
use rustls::{pki_types::CertificateDer, sign::CertifiedKey};
use tracing::{error, info};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use self::{
    set::{Own, Set},
    watch::Snapshot,
};
use crate::telemetry::Metrics;

/// Where certificates come from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// Certificate chains and their keys, the first one being the default; none: [`own_dir`](Self::own_dir).
    pub certificates: Vec<CertificateFiles>,
    /// Where our own private CA and server certificate are kept and, where missing, made.
    pub own_dir: PathBuf,
    /// The roots that client certificates must lead to, PEM.
    pub client_ca: Option<PathBuf>,
    /// Certificate revocation lists of these roots, PEM or DER.
    pub crl: Vec<PathBuf>,
    /// Host names and addresses, beside `localhost` and the machine's own, for a certificate of our own making.
    pub own_names: Vec<String>,
}

/// One certificate on disk.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct CertificateFiles {
    /// PEM, leaf first.
    pub chain: PathBuf,
    /// PEM: PKCS#8, PKCS#1 or SEC1, not encrypted.
    pub key: PathBuf,
}

/// The certificates in force. Replaced as a whole; a handshake uses the set that is in force when its ClientHello has
/// come, and connections that exist are never touched.
pub struct Certificates {
    current: ArcSwap<Set>,
    /// Held while certificates are loaded, so that two reloads do not cross.
    last_attempt: Mutex<Attempt>,
    metrics: Arc<Metrics>,
}

/// The last time files were loaded.
#[derive(Clone, Debug, Default)]
struct Attempt {
    /// What they looked like.
    snapshot: Snapshot,
    /// What was wrong, where something was.
    failure: Option<String>,
}

/// What to do about a failure that has been reported, and is still there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Repeated {
    /// Somebody asked: log and count it again.
    Report,
    /// The watcher tried again by itself.
    Hush,
}

/// A checked set that is not yet in force.
pub struct Prepared(Set);

/// What a load has come to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Summary {
    /// Something is different from what was in force before.
    pub changed: bool,
    /// The server certificates, in the order of the configuration.
    pub certificates: Vec<CertificateInfo>,
    /// What the operator ought to know, as what expires within 21 days.
    pub warnings: Vec<Finding>,
}

impl Certificates {
    /// Loads what the configuration names, or where it names no certificate makes one of our own.
    ///
    /// # Errors
    /// All that is wrong, at once.
    pub fn open(config: Config, metrics: Arc<Metrics>) -> Result<Arc<Self>, Errors> {
        let set = Set::load(config, SystemTime::now(), Own::Make)?;
        let certificates = Self {
            last_attempt: Mutex::new(Attempt {
                snapshot: set.snapshot.clone(),
                failure: None,
            }),
            current: ArcSwap::from_pointee(set),
            metrics,
        };
        certificates.publish_expiry();
        Ok(Arc::new(certificates))
    }

    /// Looks at everything a configuration names and changes nothing, for `gatemq check` and `gatemq cert show`.
    /// Certificates of our own that are not made yet are no error.
    ///
    /// # Errors
    /// All that is wrong, at once.
    pub fn check(config: Config) -> Result<Summary, Errors> {
        let set = Set::load(config, SystemTime::now(), Own::Leave)?;
        Ok(summary_of(&set, false))
    }

    /// Loads everything again, checks everything, then puts it in force at once; on any error the old set stays.
    /// Logged and counted where it changed something or failed. Blocks on files.
    ///
    /// # Errors
    /// All that is wrong, at once.
    pub fn reload(&self) -> Result<Summary, Errors> {
        self.load_again(Repeated::Report)
    }

    fn load_again(&self, repeated: Repeated) -> Result<Summary, Errors> {
        let mut attempt = self.last_attempt.lock();
        let config = self.in_force().config.clone();
        let before = Snapshot::of(&config);
        match Self::prepare(config) {
            Ok(prepared) => {
                let summary = self.replace(prepared.0, &mut attempt);
                if summary.changed || !self.metrics.is_last_reload_successful() {
                    self.metrics.reloaded(Ok(()));
                }
                Ok(summary)
            }
            Err(errors) => {
                let failure = errors.to_string();
                let is_new =
                    attempt.snapshot != before || attempt.failure.as_ref() != Some(&failure);
                if is_new || repeated == Repeated::Report {
                    self.report_failure(&errors);
                }
                *attempt = Attempt {
                    snapshot: before,
                    failure: Some(failure),
                };
                Err(errors)
            }
        }
    }

    /// Loads and checks what a new configuration names, and puts nothing in force. Blocks on files.
    ///
    /// # Errors
    /// All that is wrong, at once.
    pub fn prepare(config: Config) -> Result<Prepared, Errors> {
        Set::load(config, SystemTime::now(), Own::Make).map(Prepared)
    }

    /// Puts a prepared set in force.
    pub fn install(&self, prepared: Prepared) -> Summary {
        let mut attempt = self.last_attempt.lock();
        self.replace(prepared.0, &mut attempt)
    }

    /// The certificate of our own authority in PEM, for clients to trust; `None` with certificates from elsewhere.
    #[must_use]
    pub fn ca_pem(&self) -> Option<Bytes> {
        self.in_force().ca_pem.clone()
    }

    /// The server certificates in force, in the order of the configuration, and what the operator ought to know.
    #[must_use]
    pub fn summary(&self) -> Summary {
        summary_of(&self.in_force(), false)
    }

    fn in_force(&self) -> Guard<Arc<Set>> {
        self.current.load()
    }

    fn last_attempt(&self) -> Attempt {
        self.last_attempt.lock().clone()
    }

    fn replace(&self, mut set: Set, attempt: &mut Attempt) -> Summary {
        *attempt = Attempt {
            snapshot: set.snapshot.clone(),
            failure: None,
        };
        let before = self.in_force();
        let changed = set.digest != before.digest || set.config != before.config;
        // A replaced certificate is shown to everybody at the next handshake; a resumed one would show none.
        if set.shows_the_same(&before) {
            set.acceptors.share_resumption(&before.acceptors);
        }
        let summary = summary_of(&set, changed);
        drop(before);
        self.current.store(Arc::new(set));
        self.publish_expiry();
        if changed {
            log_reloaded(&summary);
        }
        summary
    }

    fn report_failure(&self, errors: &Errors) {
        self.metrics.reloaded(Err(&errors.to_string()));
        for finding in &errors.0 {
            let (path, problem) = (finding.path.display(), &finding.problem);
            error!(
                code = "tls.reload_failed",
                %path,
                "{path}: {problem}; the certificates in force stay"
            );
        }
    }

    /// The end of each certificate, by its first name; of several for one name, the one that ends first.
    fn publish_expiry(&self) {
        let set = self.in_force();
        let mut ends: Vec<(Arc<str>, i64)> = Vec::new();
        for certificate in &set.certificates {
            let (name, end) = (certificate.name(), certificate.not_after.0);
            match ends.iter_mut().find(|(known, _)| **known == *name) {
                Some((_, first)) => *first = end.min(*first),
                None => ends.push((name.into(), end)),
            }
        }
        let gauge = &self.metrics.cert_expiry;
        gauge.retain(|name| ends.iter().any(|(known, _)| known == name));
        for (name, end) in ends {
            gauge.set(name, end);
        }
    }
}

/// What each certificate in a PEM file says, whatever it is for.
///
/// # Errors
/// It cannot be read, or holds no certificate.
pub fn describe(path: &Path) -> Result<Vec<CertificateInfo>, Errors> {
    let chain = read_chain(path)?;
    let parsed = chain.iter().filter_map(|der| describe_der(path, der));
    Ok(parsed.collect())
}

/// What each certificate says that a peer has shown. Whatever cannot be read is left out.
#[must_use]
pub fn describe_chain(chain: &[CertificateDer<'_>]) -> Vec<CertificateInfo> {
    let shown = Path::new("");
    let parsed = chain.iter().filter_map(|der| describe_der(shown, der));
    parsed.collect()
}

fn describe_der(path: &Path, der: &[u8]) -> Option<CertificateInfo> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(CertificateInfo::new(path, der, &certificate))
}

/// The certificates of a PEM file, at least one, whatever they are for.
///
/// # Errors
/// It cannot be read, or holds no certificate.
pub fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Errors> {
    let failed = |problem| Errors::one(path, problem);
    let bytes = findings::read(path, chain::MAX_PEM_BYTES).map_err(failed)?;
    chain::parse_certificates(&bytes).map_err(failed)
}

/// A certificate and its key for a client to show.
///
/// # Errors
/// All that is wrong with the two files.
pub fn read_pair(files: &CertificateFiles) -> Result<CertifiedKey, Errors> {
    chain::load_pair(files)
}

fn summary_of(set: &Set, changed: bool) -> Summary {
    Summary {
        changed,
        certificates: set.certificates.clone(),
        warnings: set.warnings(SystemTime::now().into()),
    }
}

fn log_reloaded(summary: &Summary) {
    for certificate in &summary.certificates {
        info!(
            code = "tls.reloaded",
            names = certificate.names.join(","),
            expires = %certificate.not_after,
            fingerprint = certificate.fingerprint,
            path = %certificate.path.display(),
            "certificate reloaded"
        );
    }
}

#[cfg(test)]
mod tests;
