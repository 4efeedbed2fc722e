//! How many are connected, by listener, transport and version.

use std::sync::Arc;

use crate::{
    mqtt::{Broker, transport::Peer},
    telemetry::{ConnectionKey, Metrics},
};

/// A connection as the metrics see it, for as long as it lives.
pub(super) struct Connected {
    metrics: Arc<Metrics>,
    key: ConnectionKey,
}

impl Connected {
    pub(super) fn count(broker: &Broker, peer: &Peer, version: &'static str) -> Self {
        let metrics = broker.metrics.clone();
        let key = ConnectionKey {
            listener: peer.listener.clone(),
            transport: peer.carrier.as_str(),
            version,
        };
        metrics.connections.add(key.clone(), 1);
        metrics.connections_total.increment();
        let connected = metrics.connected.add(1);
        metrics.connected_max.raise(connected);
        Self { metrics, key }
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.metrics.connections.add(self.key.clone(), -1);
        self.metrics.connected.add(-1);
    }
}
