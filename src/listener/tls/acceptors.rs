//! The rustls configurations of one set of certificates: one for each way of asking for client certificates and each
//! ALPN protocol, built once for a set and not for a handshake.

use std::sync::Arc;

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs::Ticketer,
    server::{
        ProducesTickets, ServerSessionMemoryCache, StoresServerSessions, WebPkiClientVerifier,
        danger::ClientCertVerifier,
    },
};

use super::{client::Verifiers, handshake::Protocol, provider::provider, resolver::Resolver};
use crate::listener::ClientCertificates;

/// Of clients of TLS 1.2 that know session identifiers but no tickets: 200 bytes each, and the certificates they showed.
const MAX_STORED_SESSIONS: usize = 1024;

/// The rustls configurations of one set of certificates.
#[derive(Clone)]
pub(super) struct Acceptors {
    off: Acceptor,
    /// Absent where no roots for client certificates are configured.
    optional: Option<Acceptor>,
    required: Option<Acceptor>,
}

/// The rustls configurations for one way of asking for client certificates.
#[derive(Clone)]
pub(super) struct Acceptor {
    /// Without ALPN, for clients that name no protocol, or none we know: with ALPN configured, rustls would refuse them.
    plain: Arc<ServerConfig>,
    by_protocol: [Arc<ServerConfig>; Protocol::ALL.len()],
    /// How certificates are checked, where they are asked for.
    pub(super) verifier: Option<Arc<dyn ClientCertVerifier>>,
}

/// What makes a later handshake a short one. Whoever shares it takes the other's word for who a client is.
#[derive(Clone)]
struct Resumption {
    ticketer: Arc<dyn ProducesTickets>,
    sessions: Arc<dyn StoresServerSessions>,
}

impl Acceptors {
    /// Builds every configuration, each way of asking with a resumption of its own: a client that was let in without
    /// a certificate must not resume where one is required.
    pub(super) fn new(
        resolver: Resolver,
        verifiers: Option<&Verifiers>,
    ) -> Result<Self, rustls::Error> {
        let resolver = Arc::new(resolver);
        let with = |verifier: &Arc<dyn ClientCertVerifier>| {
            Acceptor::new(&resolver, Some(Arc::clone(verifier)))
        };
        Ok(Self {
            off: Acceptor::new(&resolver, None)?,
            optional: verifiers.map(|all| with(&all.optional)).transpose()?,
            required: verifiers.map(|all| with(&all.required)).transpose()?,
        })
    }

    /// Lets sessions of the `earlier` set resume. Only where no client certificates are asked for: an identity is
    /// never older than the roots and revocation lists it was checked by.
    pub(super) fn share_resumption(&mut self, earlier: &Self) {
        self.off = self.off.with_resumption(&earlier.off.resumption());
    }

    /// As [`share_resumption`](Self::share_resumption), but where a certificate is required as well, which must not be
    /// done but to see that it would do no harm.
    #[cfg(test)]
    pub(super) fn share_every_resumption(&mut self, earlier: &Self) {
        self.share_resumption(earlier);
        if let (Some(own), Some(earlier)) = (&mut self.required, &earlier.required) {
            *own = own.with_resumption(&earlier.resumption());
        }
    }

    /// `None` where certificates are to be asked for, but no roots are configured.
    pub(super) const fn get(&self, certificates: ClientCertificates) -> Option<&Acceptor> {
        match certificates {
            ClientCertificates::Off => Some(&self.off),
            ClientCertificates::Optional => self.optional.as_ref(),
            ClientCertificates::Required => self.required.as_ref(),
        }
    }
}

impl Acceptor {
    fn new(
        resolver: &Arc<Resolver>,
        verifier: Option<Arc<dyn ClientCertVerifier>>,
    ) -> Result<Self, rustls::Error> {
        let check = verifier
            .clone()
            .unwrap_or_else(WebPkiClientVerifier::no_client_auth);
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_client_cert_verifier(check)
            .with_cert_resolver(Arc::clone(resolver) as _);
        // None costs a client without TCP_NODELAY 40 ms: nothing acknowledges its Finished, so its first request waits
        // for a delayed acknowledgement. Two halve the handshakes per second (measured, 64 clients: 6,071 and 3,500).
        config.send_tls13_tickets = 1;
        // A CONNECT or PUBLISH in early data could be replayed.
        config.max_early_data_size = 0;
        config.ticketer = Ticketer::new()?;
        config.session_storage = ServerSessionMemoryCache::new(MAX_STORED_SESSIONS);
        Ok(Self::from_config(config, verifier))
    }

    fn from_config(config: ServerConfig, verifier: Option<Arc<dyn ClientCertVerifier>>) -> Self {
        let by_protocol = Protocol::ALL.map(|protocol| {
            let mut config = config.clone();
            config.alpn_protocols = vec![protocol.id().to_vec()];
            Arc::new(config)
        });
        Self {
            plain: Arc::new(config),
            by_protocol,
            verifier,
        }
    }

    fn resumption(&self) -> Resumption {
        Resumption {
            ticketer: Arc::clone(&self.plain.ticketer),
            sessions: Arc::clone(&self.plain.session_storage),
        }
    }

    fn with_resumption(&self, shared: &Resumption) -> Self {
        let mut config = ServerConfig::clone(&self.plain);
        config.ticketer = Arc::clone(&shared.ticketer);
        config.session_storage = Arc::clone(&shared.sessions);
        Self::from_config(config, self.verifier.clone())
    }

    pub(super) fn config(&self, protocol: Option<Protocol>) -> Arc<ServerConfig> {
        let config = protocol.map_or(&self.plain, |protocol| &self.by_protocol[protocol as usize]);
        Arc::clone(config)
    }
}
