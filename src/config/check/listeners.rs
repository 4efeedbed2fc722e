//! Listeners as they were meant: addresses, the front door's port, what must not be said together.

use std::{collections::HashMap, net::Ipv6Addr};

use super::{Check, list};
use crate::{
    config::{
        address::SocketName,
        defaults,
        diagnostics::Place,
        file::ListenerFile,
        local::EVERY_PROTOCOL,
        section::{Key, Written},
        words::Protocol,
    },
    listener::{Bind, ClientCertificates, Config, Protocols, ProxyProtocol},
};

impl Check<'_> {
    /// What the listeners mean. `client_ca`: there is something to check client certificates with.
    pub(super) fn listeners(
        &mut self,
        written: &[Written<ListenerFile>],
        client_ca: bool,
    ) -> Vec<Config> {
        let mut listeners = Vec::new();
        let mut places = Vec::new();
        for listener in written {
            let file = &listener.value;
            self.must_be_there(&file.bind, "bind", "[[listener]]", &listener.place);
            // Without it there is no listener, and yet something to be said of the other keys.
            let nowhere = SocketName(Bind::Tcp((Ipv6Addr::UNSPECIFIED, 0).into()));
            let bind = file.bind.value().unwrap_or(&nowhere);
            let config = self.listener(file, &bind.0, client_ca);
            if let Some(bind) = file.bind.get() {
                self.check_path(&config.bind, &bind.place);
                listeners.push(config);
                places.push(bind.place.clone());
            }
        }
        self.override_port(&mut listeners, &mut places);
        self.find_duplicates(&listeners, &places);
        listeners
    }

    fn listener(&mut self, file: &ListenerFile, bind: &Bind, client_ca: bool) -> Config {
        let (bind, plain) = match bind {
            Bind::Tcp(addr) => (
                Bind::Tcp(*addr),
                defaults::PLAIN_PORTS.contains(&addr.port()),
            ),
            Bind::Unix(path) => (Bind::Unix(self.folder.join(path)), true),
        };
        let tls = file.tls.value().copied().unwrap_or(!plain);
        self.check_client_certificates(file, tls, client_ca);
        self.check_proxies(file, &bind);
        Config {
            bind,
            tls,
            protocols: self.protocols(file),
            proxy_protocol: (file.proxy_protocol.value().copied()).unwrap_or(ProxyProtocol::Off),
            trusted_proxies: list(&file.trusted_proxies, |network| network.0),
            client_certificates: (file.client_certificates.value().copied())
                .unwrap_or(ClientCertificates::Off),
            optional: false,
        }
    }

    fn check_path(&mut self, bind: &Bind, place: &Place) {
        // Linux has 108 bytes for it, the last one a zero.
        const LONGEST: usize = 107;
        if let Bind::Unix(path) = bind
            && path.as_os_str().len() > LONGEST
        {
            let message = format!("bind: the path of a Unix socket has at most {LONGEST} bytes");
            let suggestion = format!(
                "this one has {}: {}",
                path.as_os_str().len(),
                path.display()
            );
            self.problems.add(place, message, Some(suggestion));
        }
    }

    fn check_client_certificates(&mut self, file: &ListenerFile, tls: bool, client_ca: bool) {
        let Some(asked) = file.client_certificates.get() else {
            return;
        };
        let (message, suggestion) = match (asked.value, tls, client_ca) {
            (ClientCertificates::Off, _, _) | (_, true, true) => return,
            (_, true, false) if !self.whole => return,
            (_, false, _) => ("there are none without TLS", "set tls = true"),
            (_, true, false) => (
                "there is no CA to check them with",
                "set client_ca in [tls] to the certificates of the CA that issues them",
            ),
        };
        let message = format!("client_certificates: {message}");
        self.problems
            .add(&asked.place, message, Some(suggestion.to_owned()));
    }

    fn check_proxies(&mut self, file: &ListenerFile, bind: &Bind) {
        let Some(asked) = file.proxy_protocol.get() else {
            return;
        };
        let trusted = match &file.trusted_proxies {
            Key::Absent => !self.whole,
            Key::Wrong => true,
            Key::Is(list) => !list.value.is_empty(),
        };
        // Whoever may open a Unix socket is on this machine, and has no address to be trusted by.
        let local = matches!(bind, Bind::Unix(_));
        if asked.value != ProxyProtocol::Off && !trusted && !local {
            self.problems.add(
                &asked.place,
                "proxy_protocol: no proxy is trusted to send it",
                Some(
                    "set trusted_proxies to the addresses of the proxies, like [\"10.0.0.0/8\"]"
                        .to_owned(),
                ),
            );
        }
    }

    fn protocols(&mut self, file: &ListenerFile) -> Protocols {
        let Some(written) = file.protocols.get() else {
            return EVERY_PROTOCOL;
        };
        if written.value.is_empty() {
            let message = "protocols: the list is empty, nothing could be spoken";
            let suggestion = "leave it out to speak all of them".to_owned();
            self.problems.add(&written.place, message, Some(suggestion));
        }
        let has = |protocol| {
            written
                .value
                .iter()
                .any(|element| element.value == protocol)
        };
        Protocols {
            mqtt: has(Protocol::Mqtt),
            websocket: has(Protocol::WebSocket),
            http: has(Protocol::Http),
        }
    }

    /// `-p` moves the front door: the first listener with TLS, and those that share its port at other addresses. Where
    /// none has TLS, a proxy ends it, and the first listener is the front door.
    fn override_port(&mut self, listeners: &mut [Config], places: &mut [Place]) {
        let Some(port) = self.overrides.port else {
            return;
        };
        let at = |listener: &Config| match &listener.bind {
            Bind::Tcp(addr) => Some((addr.port(), listener.tls)),
            Bind::Unix(_) => None,
        };
        let with_tls = listeners
            .iter()
            .filter(|listener| listener.tls)
            .find_map(at);
        let Some(front_door) = with_tls.or_else(|| listeners.iter().find_map(at)) else {
            if !listeners.is_empty() {
                self.problems.add(
                    &Place::Flag("-p"),
                    "no listener has a port to replace",
                    None,
                );
            }
            return;
        };
        for (listener, place) in listeners.iter_mut().zip(places) {
            if at(listener) == Some(front_door)
                && let Bind::Tcp(addr) = &mut listener.bind
            {
                addr.set_port(port);
                *place = Place::Flag("-p");
            }
        }
    }

    fn find_duplicates(&mut self, listeners: &[Config], places: &[Place]) {
        let mut seen = HashMap::new();
        for (listener, place) in listeners.iter().zip(places) {
            let free = matches!(&listener.bind, Bind::Tcp(addr) if addr.port() == 0);
            if let Some(first) = seen.insert(&listener.bind, place)
                && !free
            {
                // The flag is to blame wherever it has a part in it.
                let blamed = match first {
                    Place::Flag(_) => first,
                    Place::File(_) | Place::Variable(..) => place,
                };
                let message = format!("{} has a listener already", listener.bind);
                self.problems.add(blamed, message, None);
            }
        }
    }
}
