//! Whose certificate is believed, and which one is shown. Start at [`Trust::dialect`].

mod failure;
mod verifier;

pub use failure::TlsFailure;
pub use verifier::Presented;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    pki_types::CertificateDer,
    sign::{CertifiedKey, SingleCertAndKey},
};

use self::verifier::{Check, Verifier};
use super::Target;
use crate::listener::tls::{self, CertificateFiles};

/// Where a broker on this machine keeps the authority that it has made for itself, seen from its working directory.
const OWN_CA: &str = "certs/ca.pem";

/// What the user says about certificates. Without anything: those of the operating system, and towards this machine
/// the authority that a broker in the same directory has made.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// A file of authorities in PEM.
    pub ca_file: Option<PathBuf>,
    /// A directory of files of authorities in PEM.
    pub ca_directory: Option<PathBuf>,
    /// The authorities of the operating system beside those of a file or a directory.
    pub os_certificates: bool,
    /// The name in the certificate is not checked; without a file or a directory of authorities nothing is.
    pub insecure: bool,
    /// What the client shows.
    pub client_certificate: Option<CertificateFiles>,
}

/// A configuration of rustls for one connection, and what the server has shown on it.
#[derive(Clone, Debug)]
pub struct Dialect {
    /// Without ALPN: whoever dials knows what will be spoken.
    pub config: ClientConfig,
    /// Filled in during the handshake, whether the certificate is believed or not.
    pub presented: Presented,
}

/// Why the certificates that the user names cannot be used.
#[derive(Debug)]
pub enum TrustError {
    /// Something is wrong with a file.
    File(tls::Errors),
    /// The directory cannot be read.
    Directory(PathBuf, std::io::Error),
    /// No file of the directory holds a certificate.
    EmptyDirectory(PathBuf),
    /// rustls does not take a certificate as an authority.
    Authority(PathBuf, rustls::Error),
}

impl Trust {
    /// What to shake hands with. Reads files, and blocks on them.
    ///
    /// # Errors
    /// A file that was named cannot be used.
    pub fn dialect(&self, target: &Target) -> Result<Dialect, TrustError> {
        let roots = self.roots(target)?;
        let provider = tls::provider();
        let check = match (self.insecure, self.names_authorities()) {
            (false, _) => Check::Everything,
            (true, true) => Check::Chain,
            (true, false) => Check::Nothing,
        };
        let inner = (!roots.is_empty()).then(|| {
            let builder =
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
            builder
                .build()
                .expect("there are roots, and no revocation lists that could be wrong")
        });
        let presented = Presented::default();
        let verifier = Verifier::new(
            inner.map(|inner| inner as Arc<dyn ServerCertVerifier>),
            check,
            &presented,
        );
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS 1.2 and 1.3 have suites in aws-lc-rs")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let config = match self.client_key()? {
            None => builder.with_no_client_auth(),
            Some(key) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key))),
        };
        Ok(Dialect { config, presented })
    }

    const fn names_authorities(&self) -> bool {
        self.ca_file.is_some() || self.ca_directory.is_some()
    }

    fn roots(&self, target: &Target) -> Result<RootCertStore, TrustError> {
        let mut roots = RootCertStore::empty();
        if let Some(path) = &self.ca_file {
            add_file(&mut roots, path)?;
        }
        if let Some(directory) = &self.ca_directory {
            add_directory(&mut roots, directory)?;
        }
        if self.os_certificates || !self.names_authorities() {
            // Where there are none, or some of them are broken, the certificate that needs them is not believed and says so.
            let native = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(native.certs);
        }
        let own = Path::new(OWN_CA);
        if !self.names_authorities() && target.is_loopback() && own.is_file() {
            add_file(&mut roots, own)?;
        }
        Ok(roots)
    }

    fn client_key(&self) -> Result<Option<CertifiedKey>, TrustError> {
        let files = self.client_certificate.as_ref();
        files
            .map(|files| tls::read_pair(files).map_err(TrustError::File))
            .transpose()
    }
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), TrustError> {
    for certificate in tls::read_chain(path).map_err(TrustError::File)? {
        add(roots, path, certificate)?;
    }
    Ok(())
}

/// Adds whatever certificates are in the files of a directory. Other files may lie there, too.
fn add_directory(roots: &mut RootCertStore, directory: &Path) -> Result<(), TrustError> {
    let unreadable = |error| TrustError::Directory(directory.to_owned(), error);
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if let Ok(certificates) = tls::read_chain(&path) {
            roots.add_parsable_certificates(certificates);
        }
    }
    if roots.is_empty() {
        return Err(TrustError::EmptyDirectory(directory.to_owned()));
    }
    Ok(())
}

fn add(
    roots: &mut RootCertStore,
    path: &Path,
    certificate: CertificateDer<'static>,
) -> Result<(), TrustError> {
    let added = roots.add(certificate);
    added.map_err(|error| TrustError::Authority(path.to_owned(), error))
}

impl fmt::Display for TrustError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(errors) => write!(f, "{errors}"),
            Self::Directory(path, error) => {
                write!(f, "{}: {error}; --capath takes a directory", path.display())
            }
            Self::EmptyDirectory(path) => write!(
                f,
                "{}: no file there holds a certificate in PEM; --cafile takes a single file",
                path.display()
            ),
            Self::Authority(path, error) => write!(
                f,
                "{}: a certificate in it cannot be an authority: {error}",
                path.display()
            ),
        }
    }
}

impl std::error::Error for TrustError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        None
    }
}

#[cfg(test)]
mod tests;
