//! Certificates of our own making, for a broker that was given none: a private authority, and a server certificate
//! issued by it. Never one certificate that is both: clients built on rustls refuse that.
//!
//! What is there is kept. Nothing that exists is overwritten but `server.pem` when it is renewed, and that keeps its
//! key, so that one rename replaces it and no moment exists at which key and certificate do not fit each other.

mod file;
mod issue;
mod names;

use std::{
    fmt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use rcgen::KeyPair;
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use self::{
    issue::Authority,
    names::{Name, Names},
};
use super::{
    CertificateFiles, chain,
    error::{Errors, Finding, Problem},
    findings,
    info::{self, Timestamp},
};

/// New roots must reach every client before the old one ends: three months' notice.
const AUTHORITY_EXPIRES_SOON_DAYS: i64 = 90;

/// What was done to each file.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Report {
    /// Each file in the order in which it was looked at.
    pub steps: Vec<Step>,
    /// What the operator ought to know.
    pub warnings: Vec<Finding>,
}

/// What was done to one file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Step {
    /// The file.
    pub path: PathBuf,
    /// What was done.
    pub action: Action,
}

/// What was done to a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    /// It was there, and is as it was.
    Kept,
    /// It was missing.
    Created,
    /// It was replaced.
    Renewed(Reason),
}

/// Why a certificate was renewed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reason {
    /// Less than a third of its time was left.
    EndsSoon,
    /// It lacked these names.
    Names(Vec<String>),
    /// Somebody asked for it.
    Asked,
}

/// Where our own files are.
#[derive(Clone, Debug)]
pub(super) struct Paths {
    pub(super) ca: PathBuf,
    pub(super) ca_key: PathBuf,
    pub(super) server: CertificateFiles,
}

impl Paths {
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            ca: dir.join("ca.pem"),
            ca_key: dir.join("ca.key"),
            server: CertificateFiles {
                chain: dir.join("server.pem"),
                key: dir.join("server.key"),
            },
        }
    }
}

/// Makes what is missing in `dir`: `ca.pem`, `ca.key`, `server.pem`, `server.key`. Renews the server certificate where
/// less than a third of its time is left, or where it lacks one of `names`, which are host names and addresses beside
/// `localhost` and this machine's own.
///
/// # Errors
/// Files that are there but cannot be used, and names that are none. Nothing is overwritten then.
pub fn init(dir: &Path, names: &[String]) -> Result<Report, Errors> {
    ensure(dir, names, SystemTime::now(), false)
}

/// As [`init`], but renews the server certificate in any case. A running server notices by itself.
///
/// # Errors
/// As [`init`], and where the authority's key is missing.
pub fn renew(dir: &Path, names: &[String]) -> Result<Report, Errors> {
    ensure(dir, names, SystemTime::now(), true)
}

pub(super) fn ensure(
    dir: &Path,
    names: &[String],
    now: SystemTime,
    renew: bool,
) -> Result<Report, Errors> {
    let names = Names::parse(names).map_err(|problem| Errors::one(dir, problem))?;
    // Two processes that start at once make one authority between them.
    let _lock = file::lock(dir).map_err(Errors::from)?;
    let mut report = Report::default();
    let mut maker = Maker {
        paths: Paths::new(dir),
        names,
        now,
        report: &mut report,
    };
    let authority = maker.authority().map_err(Errors::from)?;
    maker.server(&authority, renew).map_err(Errors::from)?;
    Ok(report)
}

struct Maker<'a> {
    paths: Paths,
    names: Names,
    now: SystemTime,
    report: &'a mut Report,
}

impl Maker<'_> {
    /// The authority that is there, or a new one.
    fn authority(&mut self) -> Result<Authority, Finding> {
        let (path, key_path) = (self.paths.ca.clone(), self.paths.ca_key.clone());
        if !path.exists() {
            // A new authority would make a server certificate of the old one worthless.
            if self.paths.server.chain.exists() {
                let needed_by = self.paths.server.chain.clone();
                return Err(Finding::new(path, Problem::OwnMissing { needed_by }));
            }
            let key = self.key(&key_path)?;
            let authority = Authority::new(key, &names::machine_name(), self.now)
                .map_err(|error| Finding::new(&path, Problem::Setup(error.to_string())))?;
            file::write(&path, authority.pem.as_bytes(), file::PUBLIC)?;
            self.did(path, Action::Created);
            return Ok(authority);
        }
        let pem = read(&path)?;
        let key = if key_path.exists() {
            Some(load_key(&key_path)?)
        } else {
            None
        };
        let authority = Authority::open(pem, key, self.now.into())
            .map_err(|(is_key, cause)| broken(if is_key { &key_path } else { &path }, cause))?;
        let days = authority.not_after.days_from(self.now.into());
        if days < AUTHORITY_EXPIRES_SOON_DAYS {
            let at = authority.not_after;
            let finding = Finding::new(&path, Problem::ExpiresSoon { at, days });
            self.report.warnings.push(finding);
        }
        self.did(path, Action::Kept);
        Ok(authority)
    }

    /// The server certificate: made, renewed, or kept.
    fn server(&mut self, authority: &Authority, renew: bool) -> Result<(), Finding> {
        let CertificateFiles { chain, key } = self.paths.server.clone();
        if !chain.exists() {
            self.require_authority_key(authority)?;
            let key = self.key(&key)?;
            return self.issue(authority, &key, Action::Created);
        }
        if !key.exists() {
            let needed_by = chain;
            return Err(Finding::new(key, Problem::OwnMissing { needed_by }));
        }
        let (due, present) = self.due(&chain, authority)?;
        let Some(reason) = due.or(renew.then_some(Reason::Asked)) else {
            self.did(chain, Action::Kept);
            return Ok(());
        };
        if authority.key.is_some() {
            let key = load_key(&key)?;
            // Some of them may be known from nowhere else: `gatemq cert init NAME`.
            self.names.keep(&present);
            return self.issue(authority, &key, Action::Renewed(reason));
        }
        if renew {
            return self.require_authority_key(authority);
        }
        // It is served until its end; loading says so when that has come.
        let cause = format!("{} is missing", self.paths.ca_key.display());
        let finding = Finding::new(&chain, Problem::CannotRenew(cause));
        self.report.warnings.push(finding);
        self.did(chain, Action::Kept);
        Ok(())
    }

    /// Whether and why the server certificate that is there is due for renewal, and the names it has.
    fn due(
        &self,
        path: &Path,
        authority: &Authority,
    ) -> Result<(Option<Reason>, Vec<String>), Finding> {
        let pem = read(path)?;
        let chain = chain::parse_certificates(pem.as_bytes())
            .map_err(|problem| broken(path, problem.to_string()))?;
        let (_, leaf) = X509Certificate::from_der(&chain[0])
            .map_err(|error| broken(path, error.to_string()))?;
        if !authority.has_issued(&leaf) {
            let cause = format!("it was not issued by {}", self.paths.ca.display());
            return Err(broken(path, cause));
        }
        let from = leaf.validity().not_before.timestamp();
        let until = leaf.validity().not_after.timestamp();
        let present = info::names(&leaf);
        let lacking = self.names.lacking(&present);
        let reason = if until - Timestamp::from(self.now).0 < (until - from) / 3 {
            Some(Reason::EndsSoon)
        } else {
            (!lacking.is_empty()).then_some(Reason::Names(lacking))
        };
        Ok((reason, present))
    }

    fn issue(
        &mut self,
        authority: &Authority,
        key: &KeyPair,
        action: Action,
    ) -> Result<(), Finding> {
        let path = self.paths.server.chain.clone();
        let names: Vec<Name> = self.names.with_machine();
        let pem = authority
            .issue(key, &names, self.now)
            .map_err(|error| Finding::new(&path, Problem::Setup(error.to_string())))?;
        file::write(&path, pem.as_bytes(), file::PUBLIC)?;
        self.did(path, action);
        Ok(())
    }

    /// A key whose certificate is still to be made: one that is there (the last run ended between the two) or a new one.
    fn key(&mut self, path: &Path) -> Result<KeyPair, Finding> {
        if path.exists() {
            self.did(path.to_owned(), Action::Kept);
            return load_key(path);
        }
        let key = KeyPair::generate()
            .map_err(|error| Finding::new(path, Problem::Setup(error.to_string())))?;
        file::write(path, key.serialize_pem().as_bytes(), file::PRIVATE)?;
        self.did(path.to_owned(), Action::Created);
        Ok(key)
    }

    fn require_authority_key(&self, authority: &Authority) -> Result<(), Finding> {
        if authority.key.is_some() {
            return Ok(());
        }
        let needed_by = self.paths.ca.clone();
        Err(Finding::new(
            &self.paths.ca_key,
            Problem::OwnMissing { needed_by },
        ))
    }

    fn did(&mut self, path: PathBuf, action: Action) {
        self.report.steps.push(Step { path, action });
    }
}

fn load_key(path: &Path) -> Result<KeyPair, Finding> {
    KeyPair::from_pem(&read(path)?).map_err(|error| broken(path, error.to_string()))
}

fn read(path: &Path) -> Result<String, Finding> {
    let bytes = findings::read(path, chain::MAX_PEM_BYTES)
        .map_err(|problem| Finding::new(path, problem))?;
    String::from_utf8(bytes).map_err(|_| broken(path, "it is no text".to_owned()))
}

fn broken(path: &Path, cause: String) -> Finding {
    Finding::new(path, Problem::OwnBroken(cause))
}

impl From<Finding> for Errors {
    fn from(finding: Finding) -> Self {
        Self(vec![finding])
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.action)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept => f.write_str("kept"),
            Self::Created => f.write_str("created"),
            Self::Renewed(Reason::EndsSoon) => f.write_str("renewed, as it would have ended soon"),
            Self::Renewed(Reason::Asked) => f.write_str("renewed"),
            Self::Renewed(Reason::Names(names)) => {
                write!(f, "renewed, as it lacked {}", names.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests;
