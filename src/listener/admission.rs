//! Who is let in: connections in all and from one address. Knows addresses and numbers, no sockets. Start at [`Admissions::admit`].

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;

use super::Limits;
use crate::mqtt::transport::{LimitReached, Source};

/// Connections beyond a limit that are told so at once, each for a second or two; more are closed without a word.
/// 256 TLS handshakes are a quarter of a second of one core.
const MAX_REFUSALS: usize = 256;

/// Counts of all listeners together.
#[derive(Debug, Default)]
pub struct Admissions {
    connections: AtomicUsize,
    refusals: AtomicUsize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// A connection's place among those that are there, given back when dropped.
#[derive(Debug)]
pub struct Admission {
    admissions: Arc<Admissions>,
    address: Mutex<Option<IpAddr>>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Admitted,
    /// Beyond a limit: it is told which, in its own protocol, and no more.
    Refused(LimitReached),
}

/// Not even an answer is possible.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Crowded;

impl Admissions {
    /// A place for a connection, or for the time it takes to refuse it.
    ///
    /// # Errors
    /// As many are being refused already as may be.
    pub fn admit(self: &Arc<Self>, source: &Source, limits: &Limits) -> Result<Admission, Crowded> {
        let connections = self.connections.fetch_add(1, Ordering::Relaxed);
        if connections >= limits.max_connections {
            self.connections.fetch_sub(1, Ordering::Relaxed);
            let limit = limits.max_connections;
            return self.refuse(LimitReached::Connections { limit });
        }
        let address = address(source);
        if !self.count_address(address, limits.max_connections_per_address) {
            self.connections.fetch_sub(1, Ordering::Relaxed);
            let limit = limits.max_connections_per_address;
            return self.refuse(LimitReached::ConnectionsPerAddress { limit });
        }
        Ok(Admission {
            admissions: self.clone(),
            address: Mutex::new(address),
            kind: Kind::Admitted,
        })
    }

    fn refuse(self: &Arc<Self>, limit: LimitReached) -> Result<Admission, Crowded> {
        if self.refusals.fetch_add(1, Ordering::Relaxed) >= MAX_REFUSALS {
            self.refusals.fetch_sub(1, Ordering::Relaxed);
            return Err(Crowded);
        }
        Ok(Admission {
            admissions: self.clone(),
            address: Mutex::default(),
            kind: Kind::Refused(limit),
        })
    }

    fn count_address(&self, address: Option<IpAddr>, limit: usize) -> bool {
        let Some(address) = address else {
            return true;
        };
        let mut by_address = self.by_address.lock();
        let count = by_address.entry(address).or_default();
        if *count >= limit {
            if *count == 0 {
                by_address.remove(&address);
            }
            return false;
        }
        *count += 1;
        true
    }

    fn forget_address(&self, address: Option<IpAddr>) {
        let Some(address) = address else {
            return;
        };
        let mut by_address = self.by_address.lock();
        if let Some(count) = by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&address);
            }
        }
    }
}

impl Admission {
    /// The limit that refuses this connection.
    #[must_use]
    pub const fn refusal(&self) -> Option<LimitReached> {
        match self.kind {
            Kind::Admitted => None,
            Kind::Refused(limit) => Some(limit),
        }
    }

    /// A trusted proxy has named who really connects: the place counts for that address from now on.
    ///
    /// # Errors
    /// The limit that this address has met.
    pub fn reassign(&self, source: &Source, limits: &Limits) -> Result<(), LimitReached> {
        if self.kind != Kind::Admitted {
            return Ok(());
        }
        let address = address(source);
        let mut counted = self.address.lock();
        if address == *counted {
            return Ok(());
        }
        let limit = limits.max_connections_per_address;
        if !self.admissions.count_address(address, limit) {
            return Err(LimitReached::ConnectionsPerAddress { limit });
        }
        self.admissions.forget_address(*counted);
        *counted = address;
        Ok(())
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        match self.kind {
            Kind::Admitted => {
                self.admissions.connections.fetch_sub(1, Ordering::Relaxed);
                self.admissions.forget_address(*self.address.lock());
            }
            Kind::Refused(_) => {
                self.admissions.refusals.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

/// What connections from one place are counted by: an IPv6 host owns a whole /64.
fn address(source: &Source) -> Option<IpAddr> {
    const NETWORK: u128 = !0 << 64;
    match source {
        Source::Ip(addr) => Some(match addr.ip().to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & NETWORK).into(),
        }),
        Source::Local => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn limits(connections: usize, per_address: usize) -> Limits {
        let timeout = Duration::from_secs(1);
        Limits {
            max_connections: connections,
            max_connections_per_address: per_address,
            max_handshakes: 1,
            proxy_header_timeout: timeout,
            tls_handshake_timeout: timeout,
            first_byte_timeout: timeout,
            http_header_timeout: timeout,
            max_header_bytes: 1,
            websocket_ping_interval: timeout,
            allowed_origins: Vec::new(),
        }
    }

    fn source(text: &str) -> Source {
        Source::Ip(text.parse().expect("an address"))
    }

    fn refusal(admission: &Result<Admission, Crowded>) -> Option<LimitReached> {
        admission.as_ref().expect("not crowded").refusal()
    }

    #[test]
    fn the_limit_is_met_and_left_again() {
        let admissions = Arc::new(Admissions::default());
        let limits = limits(2, 9);
        let first = admissions.admit(&source("10.0.0.1:1"), &limits);
        let second = admissions.admit(&source("10.0.0.2:1"), &limits);
        let third = admissions.admit(&source("10.0.0.3:1"), &limits);
        assert_eq!(refusal(&second), None);
        assert_eq!(
            refusal(&third),
            Some(LimitReached::Connections { limit: 2 })
        );
        drop(first);
        assert_eq!(
            refusal(&admissions.admit(&source("10.0.0.3:1"), &limits)),
            None
        );
    }

    #[test]
    fn addresses_are_counted_apart_and_ipv6_by_network() {
        let admissions = Arc::new(Admissions::default());
        let limits = limits(9, 1);
        let limit = Some(LimitReached::ConnectionsPerAddress { limit: 1 });
        let _first = admissions.admit(&source("10.0.0.1:1"), &limits);
        let mapped = admissions.admit(&source("[::ffff:10.0.0.1]:2"), &limits);
        assert_eq!(refusal(&mapped), limit);
        let _host = admissions.admit(&source("[2001:db8::1]:1"), &limits);
        let neighbour = admissions.admit(&source("[2001:db8::2]:1"), &limits);
        assert_eq!(refusal(&neighbour), limit);
        let other = admissions.admit(&source("[2001:db8:0:1::1]:1"), &limits);
        assert_eq!(refusal(&other), None);
        let local = admissions.admit(&Source::Local, &limits);
        assert_eq!(refusal(&local), None);
    }

    #[test]
    fn a_place_moves_to_the_address_that_a_proxy_names() {
        let admissions = Arc::new(Admissions::default());
        let limits = limits(9, 1);
        let proxied = admissions
            .admit(&source("10.0.0.1:1"), &limits)
            .expect("room");
        proxied
            .reassign(&source("192.0.2.1:1"), &limits)
            .expect("room");
        let second = admissions
            .admit(&source("10.0.0.1:2"), &limits)
            .expect("room");
        assert_eq!(
            second.reassign(&source("192.0.2.1:2"), &limits),
            Err(LimitReached::ConnectionsPerAddress { limit: 1 })
        );
        drop((proxied, second));
        assert!(admissions.by_address.lock().is_empty());
    }

    #[test]
    fn refusals_are_limited_too() {
        let admissions = Arc::new(Admissions::default());
        let limits = limits(0, 1);
        let refused: Vec<_> = (0..MAX_REFUSALS)
            .map(|_| admissions.admit(&Source::Local, &limits).expect("room"))
            .collect();
        assert_eq!(
            admissions.admit(&Source::Local, &limits).err(),
            Some(Crowded)
        );
        drop(refused);
        assert!(admissions.admit(&Source::Local, &limits).is_ok());
    }
}
