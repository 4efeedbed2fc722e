//! What can be wrong with certificates on disk: which file, what, and what was expected of it.

use std::{fmt, path::PathBuf};

use super::info::Timestamp;

/// Everything that is wrong with a set of certificates, found in one go. One line for each when displayed.
#[derive(Debug)]
pub struct Errors(pub Vec<Finding>);

/// Something about one file that the operator ought to know.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// The file it is about.
    pub path: PathBuf,
    /// What is the matter with it.
    pub problem: Problem,
}

/// What can be the matter with a file. Which of these stop a set from being used is said where they are found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Problem {
    /// The operating system does not give it out.
    Unreadable(String),
    /// It could not be written.
    Unwritable(String),
    /// More bytes than such a file can sensibly have.
    TooLarge {
        /// The most that is read, in bytes.
        limit: u64,
    },
    /// PEM that breaks off or is garbled: a file still being written looks like this.
    BadPem(String),
    /// No `BEGIN CERTIFICATE` in it.
    NoCertificate {
        /// It looks like DER.
        is_der: bool,
    },
    /// No private key in it.
    NoKey,
    /// The private key needs a passphrase.
    EncryptedKey,
    /// The private key is of a kind, or a size, that cannot be used.
    UnsupportedKey(String),
    /// A certificate is not well-formed.
    BadCertificate {
        /// Its place in the file, from 1.
        position: usize,
        /// What is wrong.
        cause: String,
    },
    /// The key is not the one of the first certificate.
    KeyMismatch {
        /// Where the certificate is.
        chain: PathBuf,
        /// The place of the certificate in the chain that it does fit, from 1.
        fits: Option<usize>,
    },
    /// The certificate is no longer valid.
    Expired {
        /// Its place in the file, from 1.
        position: usize,
        /// Since when.
        at: Timestamp,
    },
    /// The certificate is not valid yet.
    NotYetValid {
        /// From when on it is.
        from: Timestamp,
    },
    /// A certificate is not followed by the one of its issuer.
    BrokenChain {
        /// Its place in the file, from 1.
        position: usize,
        /// Who it says issued it.
        issuer: String,
        /// Whose certificate follows.
        next: String,
    },
    /// A certificate names the next one as its issuer, but was not signed by it.
    BadChainSignature {
        /// Its place in the file, from 1.
        position: usize,
    },
    /// No names in the Subject Alternative Name extension.
    NoNames,
    /// Its extended key usage leaves TLS servers out.
    NotForServers,
    /// No certificate of an authority that is valid now.
    NoRoots,
    /// A revocation list is not well-formed, or not signed by the root it names.
    BadCrl(String),
    /// A revocation list has no successor in time.
    CrlExpired {
        /// Since when.
        at: Timestamp,
    },
    /// There are revocation lists, but no roots whose certificates they could revoke.
    CrlWithoutRoots,
    /// A name for a certificate of our own is neither a host name nor an address.
    BadName(String),
    /// One of our own files is missing while another that depends on it is there.
    OwnMissing {
        /// The file that is there.
        needed_by: PathBuf,
    },
    /// One of our own files is there but cannot be used.
    OwnBroken(String),
    /// Our own server certificate ought to be renewed but cannot be.
    CannotRenew(String),
    /// It will expire soon.
    ExpiresSoon {
        /// When.
        at: Timestamp,
        /// How many days from now.
        days: i64,
    },
    /// The server certificate is one of an authority.
    IsAuthority,
    /// A private key that every user of the machine may read.
    ReadableByAll,
    /// TLS itself could not be set up.
    Setup(String),
}

impl Errors {
    /// One thing that is wrong.
    #[must_use]
    pub fn one(path: impl Into<PathBuf>, problem: Problem) -> Self {
        Self(vec![Finding::new(path, problem)])
    }
}

impl Finding {
    pub(super) fn new(path: impl Into<PathBuf>, problem: Problem) -> Self {
        Self {
            path: path.into(),
            problem,
        }
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, finding) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            finding.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.problem)
    }
}

impl fmt::Display for Problem {
    #[expect(
        clippy::too_many_lines,
        reason = "one arm for each problem, and each is one sentence"
    )]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(cause) => write!(f, "cannot be read: {cause}"),
            Self::Unwritable(cause) => write!(f, "cannot be written: {cause}"),
            Self::TooLarge { limit } => write!(f, "is larger than {limit} bytes"),
            Self::BadPem(cause) => write!(f, "is not whole PEM: {cause}"),
            Self::NoCertificate { is_der: false } => {
                f.write_str("holds no certificate: `-----BEGIN CERTIFICATE-----` is expected")
            }
            Self::NoCertificate { is_der: true } => f.write_str(
                "is DER where PEM is expected: convert it with `openssl x509 -inform der`",
            ),
            Self::NoKey => f.write_str(
                "holds no private key: `-----BEGIN PRIVATE KEY-----`, `RSA PRIVATE KEY` or `EC PRIVATE KEY` is expected",
            ),
            Self::EncryptedKey => f.write_str(
                "the private key is encrypted: decrypt it first, with `openssl pkey -in KEY -out KEY.plain`",
            ),
            Self::UnsupportedKey(cause) => write!(
                f,
                "the private key cannot be used ({cause}): RSA from 2048 bits, ECDSA P-256, P-384, P-521 or Ed25519 is expected"
            ),
            Self::BadCertificate { position, cause } => {
                write!(f, "certificate {position} is not well-formed: {cause}")
            }
            Self::KeyMismatch { chain, fits: None } => {
                write!(f, "is not the key of the certificate in {}", chain.display())
            }
            Self::KeyMismatch {
                chain,
                fits: Some(position),
            } => write!(
                f,
                "is the key of certificate {position} in {}, but the server's certificate must come first there",
                chain.display()
            ),
            Self::Expired { position, at } => {
                write!(f, "certificate {position} expired at {at}")
            }
            Self::NotYetValid { from } => {
                write!(f, "the certificate is not valid before {from}")
            }
            Self::BrokenChain {
                position,
                issuer,
                next,
            } => write!(
                f,
                "certificate {position} was issued by `{issuer}`, but the next one is that of `{next}`: the server's certificate comes first, then its issuer, and so on"
            ),
            Self::BadChainSignature { position } => write!(
                f,
                "certificate {position} was not signed by the one that follows, though that bears its issuer's name"
            ),
            Self::NoNames => f.write_str(
                "the certificate has no Subject Alternative Name: clients no longer look at the common name, so it fits no host",
            ),
            Self::NotForServers => f.write_str(
                "the certificate is not for TLS servers: its extended key usage lacks serverAuth",
            ),
            Self::NoRoots => f.write_str("holds no certificate authority that is valid now"),
            Self::BadCrl(cause) => write!(f, "is no valid revocation list: {cause}"),
            Self::CrlExpired { at } => write!(
                f,
                "the revocation list expired at {at}: a newer one is expected, as nobody knows what was revoked since"
            ),
            Self::CrlWithoutRoots => {
                f.write_str("is a revocation list, but no root for client certificates is configured")
            }
            Self::BadName(name) => write!(f, "`{name}` is neither a host name nor an IP address"),
            Self::OwnMissing { needed_by } => write!(
                f,
                "is missing while {0} is there: put it back, or remove {0} as well to have both made again",
                needed_by.display()
            ),
            Self::OwnBroken(cause) => write!(
                f,
                "cannot be used ({cause}): put the right file back, or remove it to have it made again"
            ),
            Self::CannotRenew(cause) => write!(f, "is due for renewal, but {cause}"),
            Self::ExpiresSoon { at, days } => write!(f, "expires at {at}, in {days} days"),
            Self::IsAuthority => f.write_str(
                "is the certificate of an authority: some clients refuse one as a server's certificate",
            ),
            Self::ReadableByAll => {
                f.write_str("is a private key that every user may read: `chmod o-r` it")
            }
            Self::Setup(cause) => write!(f, "TLS cannot be set up: {cause}"),
        }
    }
}
