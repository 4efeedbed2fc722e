//! One set of certificates, loaded and checked as a whole: what the configuration names, ready to serve.

use std::time::SystemTime;

use bytes::Bytes;

use super::{
    Config,
    acceptors::Acceptors,
    chain::{self, Certificate, EXPIRES_SOON_DAYS},
    client::Verifiers,
    error::{Errors, Finding, Problem},
    findings::Findings,
    info::{CertificateInfo, Timestamp},
    own,
    resolver::Resolver,
    watch::Snapshot,
};

/// What to do about certificates of our own making.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Own {
    /// Make what is missing, renew what is due.
    Make,
    /// Only look at what is there.
    Leave,
}

/// A set that is ready to serve.
pub(super) struct Set {
    pub(super) config: Config,
    pub(super) acceptors: Acceptors,
    pub(super) certificates: Vec<CertificateInfo>,
    pub(super) ca_pem: Option<Bytes>,
    /// The same as another set's where all files are the same.
    pub(super) digest: Vec<u8>,
    /// What the files looked like before they were read.
    pub(super) snapshot: Snapshot,
    verifiers: Option<Verifiers>,
    warnings: Vec<Finding>,
}

impl Set {
    /// Loads everything and checks everything.
    ///
    /// # Errors
    /// All that is wrong.
    pub(super) fn load(config: Config, now: SystemTime, own: Own) -> Result<Self, Errors> {
        let mut findings = Findings::new(now.into());
        let is_own = config.certificates.is_empty();
        if is_own && own == Own::Make {
            match own::ensure(&config.own_dir, &config.own_names, now, false) {
                Ok(report) => report.warnings.into_iter().for_each(|warning| {
                    findings.warn(warning.path, warning.problem);
                }),
                Err(errors) => findings.errors(errors),
            }
        }
        // Before the files are read: what changes from here on is seen as a change.
        let snapshot = Snapshot::of(&config);
        let (certificates, ca_pem) = if is_own {
            load_own(&config, &mut findings)
        } else {
            let certificates = config.certificates.iter();
            let loaded = certificates.filter_map(|files| chain::load(files, &mut findings));
            (loaded.collect(), None)
        };
        let verifiers = Verifiers::load(&config, &mut findings);
        let (warnings, digest) = findings.finish()?;
        let setup =
            |error: rustls::Error| Errors::one(&config.own_dir, Problem::Setup(error.to_string()));
        let resolver = Resolver::new(&certificates);
        Ok(Self {
            acceptors: Acceptors::new(resolver, verifiers.as_ref()).map_err(setup)?,
            certificates: certificates.into_iter().map(|one| one.info).collect(),
            ca_pem,
            digest,
            snapshot,
            verifiers,
            warnings,
            config,
        })
    }

    /// Everything that the operator ought to know by now.
    pub(super) fn warnings(&self, now: Timestamp) -> Vec<Finding> {
        let mut warnings = self.warnings.clone();
        for certificate in &self.certificates {
            let at = certificate.not_after;
            let days = at.days_from(now);
            if days < EXPIRES_SOON_DAYS {
                let problem = if at < now {
                    Problem::Expired { position: 1, at }
                } else {
                    Problem::ExpiresSoon { at, days }
                };
                warnings.push(Finding::new(&certificate.path, problem));
            }
        }
        let verifiers = self.verifiers.iter();
        warnings.extend(verifiers.flat_map(|verifiers| verifiers.warnings(now)));
        warnings
    }

    /// Whether the two sets show clients the same certificates.
    pub(super) fn shows_the_same(&self, other: &Self) -> bool {
        let fingerprints = |set: &Self| {
            let certificates = set.certificates.iter();
            certificates
                .map(|certificate| certificate.fingerprint.clone())
                .collect::<Vec<_>>()
        };
        fingerprints(self) == fingerprints(other)
    }
}

/// Our own certificate and our authority's, where they are there.
fn load_own(config: &Config, findings: &mut Findings) -> (Vec<Certificate>, Option<Bytes>) {
    let paths = own::Paths::new(&config.own_dir);
    if !paths.server.chain.exists() {
        return (Vec::new(), None);
    }
    let certificate = chain::load(&paths.server, findings);
    let authority = findings.read(&paths.ca, chain::MAX_PEM_BYTES);
    (
        certificate.into_iter().collect(),
        authority.map(Bytes::from),
    )
}
