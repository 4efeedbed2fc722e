//! What is noted of a request whose URL says `?probe=ID`: that it came, with or without what makes it a WebSocket, and
//! how the upgrade ended. Connections go on noting in `mqtt`.

use std::{fmt, sync::Arc, time::Instant};

use hyper::{
    Version,
    http::{Uri, request::Parts},
};

use crate::{
    listener::{
        path::Visitor,
        websocket::{self, Rejection},
    },
    telemetry::{Probe, ProbeId, Stage},
};

/// A request that wants to be remembered, if it does.
pub(super) struct Probed(Option<Arc<Probe>>);

impl Probed {
    /// Requests to the paths of WebSocket, and whatever else wants to become one.
    pub(super) fn of(head: &Parts, visitor: &Visitor) -> Self {
        let Some(id) = head.uri.query().and_then(ProbeId::in_query) else {
            return Self(None);
        };
        let wants_upgrade = websocket::wants_upgrade(head);
        if !wants_upgrade && websocket::served_path(head.uri.path()).is_none() {
            return Self(None);
        }
        let probe = Self(visitor.shared.probes.begin(id, now()));
        if !wants_upgrade {
            let text = "the request came without the header \"Upgrade: websocket\": a proxy on the way has taken it away, \
                        or nobody has asked for a WebSocket";
            probe.note(Stage::Request, false, "upgrade-missing", text);
        } else if !visitor.config.protocols.websocket {
            probe.arrived(head.version, &head.uri);
            let text = "this listener does not serve WebSocket (protocols in [[listener]])";
            probe.refused("not-served", text);
        }
        probe
    }

    pub(super) fn rejected(&self, head: &Parts, rejection: &Rejection) {
        match rejection.name {
            "upgrade" | "connection" => {
                self.note(Stage::Request, false, "upgrade-missing", &rejection.text);
            }
            name => {
                self.arrived(head.version, &head.uri);
                self.refused(name, &rejection.text);
            }
        }
    }

    pub(super) fn arrived(&self, version: Version, uri: &Uri) {
        if self.0.is_some() {
            let path = websocket::served_path(uri.path()).unwrap_or("another path");
            let text = format!("the request came by {version:?} to {path}");
            self.note(Stage::Request, true, "arrived", text);
        }
    }

    pub(super) fn accepted(&self) {
        self.note(Stage::Upgrade, true, "accepted", "the WebSocket is open");
    }

    pub(super) fn refused(&self, code: &'static str, text: impl fmt::Display) {
        self.note(Stage::Upgrade, false, code, text);
    }

    /// The client has gone before the answer reached it.
    pub(super) fn gone(&self) {
        let text = "the connection ended before the answer had left";
        self.note(Stage::Closed, false, "closed", text);
    }

    fn note(&self, stage: Stage, ok: bool, code: &'static str, text: impl fmt::Display) {
        if let Some(probe) = &self.0 {
            probe.note(stage, ok, code, text, now());
        }
    }
}

impl From<Option<Arc<Probe>>> for Probed {
    fn from(probe: Option<Arc<Probe>>) -> Self {
        Self(probe)
    }
}

impl From<Probed> for Option<Arc<Probe>> {
    fn from(probed: Probed) -> Self {
        probed.0
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
