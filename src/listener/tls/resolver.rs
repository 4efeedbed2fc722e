//! Server name → certificate: exact, then wildcard, then the default. Several certificates may bear one name; the
//! client's signature schemes decide between them.

use std::{collections::HashMap, sync::Arc};

use rustls::{
    SignatureAlgorithm, SignatureScheme,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::chain::Certificate;

/// Every certificate by its names.
#[derive(Debug, Default)]
pub(super) struct Resolver {
    exact: HashMap<String, Candidates>,
    /// `*.example.com` by `example.com`.
    wildcard: HashMap<String, Candidates>,
    default: Candidates,
}

/// Certificates for the same name, best first: ECDSA before Ed25519 before RSA, since its handshakes are cheaper and
/// smaller; among equals the one configured first.
type Candidates = Vec<Arc<CertifiedKey>>;

impl Resolver {
    /// In the order of the configuration. The first one is the default, together with those that share a name with it.
    pub(super) fn new(certificates: &[Certificate]) -> Self {
        let mut resolver = Self::default();
        let default_names = certificates
            .first()
            .map(|certificate| certificate.info.names.as_slice())
            .unwrap_or_default();
        for certificate in certificates {
            let names = &certificate.info.names;
            if names.iter().any(|name| default_names.contains(name)) {
                resolver.default.push(Arc::clone(&certificate.key));
            }
            for name in names {
                let name = name.to_ascii_lowercase();
                let candidates = match name.strip_prefix("*.") {
                    Some(parent) => resolver.wildcard.entry(parent.to_owned()).or_default(),
                    None => resolver.exact.entry(name).or_default(),
                };
                candidates.push(Arc::clone(&certificate.key));
            }
        }
        let named = resolver
            .exact
            .values_mut()
            .chain(resolver.wildcard.values_mut());
        for candidates in named.chain([&mut resolver.default]) {
            candidates.sort_by_key(|key| rank(key));
        }
        resolver
    }

    /// The certificate for a client that names this server, lower case, and can verify these signatures. A client
    /// that can verify none gets the default's first, so that rustls tells it what it lacks.
    pub(super) fn choose(
        &self,
        server_name: Option<&str>,
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        let exact = server_name.and_then(|name| self.exact.get(name));
        // A wildcard stands for exactly one label (RFC 6125, 6.4.3).
        let wildcard = server_name
            .and_then(|name| name.split_once('.'))
            .and_then(|(_, parent)| self.wildcard.get(parent));
        [exact, wildcard, Some(&self.default)]
            .into_iter()
            .flatten()
            .flatten()
            .find(|candidate| candidate.key.choose_scheme(schemes).is_some())
            .or_else(|| self.default.first())
            .cloned()
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // rustls hands the name over in lower case.
        self.choose(hello.server_name(), hello.signature_schemes())
    }
}

fn rank(key: &CertifiedKey) -> usize {
    let order = [SignatureAlgorithm::ECDSA, SignatureAlgorithm::ED25519];
    let known = order
        .iter()
        .position(|algorithm| *algorithm == key.key.algorithm());
    known.unwrap_or(order.len())
}
