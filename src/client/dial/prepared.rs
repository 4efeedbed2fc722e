//! What many connections to the same target have in common: addresses, authorities, and TLS sessions to go on with.

use std::{collections::VecDeque, net::SocketAddr, sync::Arc};

use parking_lot::Mutex;
use rustls::{
    ClientConfig, NamedGroup,
    client::{ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue},
    pki_types::ServerName,
};
use tokio::time::Instant;

use super::{Dial, DialError};
use crate::client::{Presented, Target};

/// Tickets that are kept, about 2 kB each: two for each client that one address can have.
const MAX_TICKETS: usize = 65_536;

/// Read and looked up once, for each connection that follows.
#[derive(Clone, Debug)]
pub struct Prepared {
    pub(super) addrs: Vec<SocketAddr>,
    pub(super) tls: Option<(Arc<ClientConfig>, Presented)>,
}

impl Dial {
    /// Looks the host up and reads the files of [`Dial::trust`], once for all connections to this target. `resumes`: a
    /// connection goes on with the TLS session of one before; otherwise each shakes hands in full.
    ///
    /// # Errors
    /// The host is not found, or a file cannot be used.
    pub async fn prepare(&mut self, target: &Target, resumes: bool) -> Result<(), DialError> {
        let addrs = match &self.unix {
            Some(_) => Vec::new(),
            None => self.resolve(target, Instant::now() + self.timeout).await?,
        };
        let tls = if target.tls {
            let mut dialect = self.dialect(target)?;
            dialect.config.resumption = if resumes {
                Resumption::store(Arc::new(Tickets::default()))
            } else {
                Resumption::disabled()
            };
            Some((Arc::new(dialect.config), dialect.presented))
        } else {
            None
        };
        self.prepared = Some(Prepared { addrs, tls });
        Ok(())
    }
}

/// The tickets of all clients, of one server. rustls' own store keeps eight for each server: a thousand clients that
/// come back at once would shake hands in full.
#[derive(Debug, Default)]
struct Tickets {
    tls13: Mutex<VecDeque<Tls13ClientSessionValue>>,
    tls12: Mutex<Option<Tls12ClientSessionValue>>,
    group: Mutex<Option<NamedGroup>>,
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        *self.group.lock() = Some(group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        *self.group.lock()
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        *self.tls12.lock() = Some(value);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.tls12.lock().clone()
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        *self.tls12.lock() = None;
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        let mut tickets = self.tls13.lock();
        if tickets.len() == MAX_TICKETS {
            tickets.pop_front();
        }
        tickets.push_back(value);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.tls13.lock().pop_back()
    }
}
