//! What was probably meant by a name that does not exist. Start at [`for_key`].

use super::{
    file::File,
    section::{Description, Shape, Value},
};

/// Names that people bring from other brokers or from habit, and ours for the same thing.
const FOREIGN: &[(&str, &str)] = &[
    ("acceptors", "threads"),
    ("address", "listener.bind"),
    ("bind_address", "listener.bind"),
    ("ca_file", "tls.client_ca"),
    ("cacertfile", "tls.client_ca"),
    ("cafile", "tls.client_ca"),
    ("capath", "tls.client_ca"),
    ("cert", "tls.certificate.chain"),
    ("cert_file", "tls.certificate.chain"),
    ("certfile", "tls.certificate.chain"),
    ("certificate", "tls.certificate.chain"),
    ("crlfile", "tls.crl"),
    ("enable_proxy_protocol", "listener.proxy_protocol"),
    ("global_max_clients", "limits.max_connections"),
    ("global_max_connections", "limits.max_connections"),
    ("host", "listener.bind"),
    ("hostname", "tls.own_names"),
    ("idle_timeout", "mqtt.connect_timeout"),
    ("key_file", "tls.certificate.key"),
    ("keyfile", "tls.certificate.key"),
    ("level", "log.filter"),
    ("listen", "listener.bind"),
    ("log_dest", "log.format"),
    ("log_format", "log.format"),
    ("log_level", "log.filter"),
    ("log_type", "log.filter"),
    ("max_clients", "limits.max_connections"),
    ("max_inflight", "mqtt.receive_maximum"),
    ("max_inflight_messages", "mqtt.receive_maximum"),
    ("max_keepalive", "mqtt.max_keep_alive"),
    ("max_message_lifetime", "queue.max_age"),
    ("max_mqueue_len", "queue.max_messages"),
    ("max_queued_bytes", "queue.max_bytes"),
    ("max_queued_messages", "queue.max_messages"),
    ("max_retained_messages", "retained.max_bytes"),
    ("max_subscriptions", "mqtt.max_subscriptions_per_session"),
    ("max_topic_alias", "mqtt.topic_alias_maximum"),
    ("memory_limit", "queue.max_total_bytes"),
    ("message_expiry_interval", "queue.max_age"),
    ("message_size_limit", "mqtt.max_packet_size"),
    ("mqueue_store_qos0", "queue.queue_qos0"),
    ("overflow", "queue.when_full"),
    ("persistence_location", "data_dir"),
    ("persistent_client_expiration", "mqtt.session_expiry_max"),
    ("port", "listener.bind"),
    ("private_key", "tls.certificate.key"),
    ("queue_qos0_messages", "queue.queue_qos0"),
    ("require_certificate", "listener.client_certificates"),
    ("server_keepalive", "mqtt.max_keep_alive"),
    ("server_name", "tls.own_names"),
    ("session_expiry_interval", "mqtt.session_expiry_max"),
    ("shutdown_timeout", "drain_timeout"),
    ("sys_msg_interval", "sys_interval"),
    ("tls_cert", "tls.certificate.chain"),
    ("tls_key", "tls.certificate.key"),
    ("verify", "listener.client_certificates"),
    ("websockets_origin", "websocket.allowed_origins"),
    ("workers", "threads"),
];

/// A key or a section that there is.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// The heading of the section it stands in; empty at the top level.
    pub section: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub shape: Shape,
    /// Its full name: `tls.certificate.chain`.
    pub path: String,
    /// The variable that sets it: `GATEMQ_TLS__CERTIFICATE__0__CHAIN`.
    pub variable: String,
}

impl Key {
    /// Whether it is a section.
    pub(super) const fn is_section(&self) -> bool {
        matches!(self.shape, Shape::Section(_) | Shape::Sections(_))
    }

    /// As one would write it, seen from a section.
    fn seen_from(&self, section: &str) -> String {
        match self.shape {
            Shape::Section(Description { title, .. })
            | Shape::Sections(Description { title, .. }) => (*title).to_owned(),
            Shape::Scalar | Shape::List if self.section == section => self.name.to_owned(),
            Shape::Scalar | Shape::List if self.section.is_empty() => {
                format!("{} at the top, before the first section", self.name)
            }
            Shape::Scalar | Shape::List => format!("{} in {}", self.name, self.section),
        }
    }
}

/// Every section and every key there is.
pub(super) fn all_keys() -> Vec<Key> {
    let mut keys = Vec::new();
    collect(File::SHAPE, "", super::environment::PREFIX, &mut keys);
    keys
}

fn collect(shape: Shape, path: &str, variable: &str, keys: &mut Vec<Key>) {
    let (Shape::Section(description) | Shape::Sections(description)) = shape else {
        return;
    };
    for (name, shape) in description.keys {
        let key = Key {
            section: description.title,
            name,
            shape: *shape,
            path: format!("{path}{name}"),
            variable: format!("{variable}{}", name.to_uppercase()),
        };
        let index = match shape {
            Shape::Sections(_) => "__0__",
            Shape::Scalar | Shape::List | Shape::Section(_) => "__",
        };
        let (path, variable) = (format!("{}.", key.path), format!("{}{index}", key.variable));
        keys.push(key);
        collect(*shape, &path, &variable, keys);
    }
}

/// What was probably meant by a key in a section.
pub(super) fn for_key(section: &'static Description, key: &str) -> Option<String> {
    let keys = all_keys();
    let lower = key.to_lowercase().replace('-', "_");
    let here = keys.iter().filter(|known| known.section == section.title);
    let found = closest(&lower, here.map(|known| (known.name, known)))
        .or_else(|| {
            keys.iter()
                .find(|known| known.name == lower && !known.is_section())
        })
        .or_else(|| {
            let (_, path) = FOREIGN.iter().find(|(foreign, _)| *foreign == lower)?;
            keys.iter().find(|known| known.path == *path)
        })
        .or_else(|| closest(&lower, keys.iter().map(|known| (known.name, known))))?;
    Some(format!("did you mean {}?", found.seen_from(section.title)))
}

/// What was probably meant by a variable.
pub(super) fn for_variable(name: &str) -> Option<String> {
    let keys = all_keys();
    let upper = name.to_uppercase();
    let known = || (keys.iter()).filter(|known| !known.is_section());
    let short = upper
        .trim_start_matches(super::environment::PREFIX)
        .to_lowercase();
    let foreign = FOREIGN
        .iter()
        .find(|(foreign, _)| *foreign == short)
        .map(|(_, path)| *path);
    let found = known()
        .find(|known| known.name == short || Some(known.path.as_str()) == foreign)
        .or_else(|| {
            closest(
                &upper,
                known().map(|known| (known.variable.as_str(), known)),
            )
        })
        .or_else(|| known().find(|known| known.variable.starts_with(&upper)))?;
    Some(format!("did you mean {}?", found.variable))
}

/// What was probably meant by a word, of those there are.
pub(super) fn for_word<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    closest(&word.to_lowercase(), known.map(|known| (known, known)))
}

/// The candidate whose name is nearest, where it is near enough to be a slip of the keyboard or of memory.
fn closest<'a, T>(name: &str, candidates: impl Iterator<Item = (&'a str, T)>) -> Option<T> {
    /// Of 1: a letter in three may be wrong.
    const NEAR: f64 = 0.66;
    // Whoever pastes a page into a name has not slipped.
    if name.len() > 200 {
        return None;
    }
    candidates
        .map(|(known, candidate)| {
            (
                strsim::normalized_damerau_levenshtein(name, known),
                candidate,
            )
        })
        .filter(|(similarity, _)| *similarity >= NEAR)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(section: &str, key: &str, expected: Option<&str>) {
        let (Shape::Section(root) | Shape::Sections(root)) = File::SHAPE else {
            panic!("a section")
        };
        let descriptions = all_keys().into_iter().filter_map(|key| match key.shape {
            Shape::Section(description) | Shape::Sections(description) => Some(description),
            Shape::Scalar | Shape::List => None,
        });
        let description = descriptions
            .chain([root])
            .find(|description| description.title == section)
            .unwrap();
        let expected = expected.map(|expected| format!("did you mean {expected}?"));
        assert_eq!(for_key(description, key), expected, "{key}");
    }

    #[test]
    fn a_slip_of_the_keyboard_is_understood() {
        check("[mqtt]", "recieve_maximum", Some("receive_maximum"));
        check("[mqtt]", "max-packet-size", Some("max_packet_size"));
        check("[[listener]]", "protocol", Some("protocols"));
        check("", "listeners", Some("[[listener]]"));
        check("", "mqt", Some("[mqtt]"));
        check("[[tls.certificate]]", "chian", Some("chain"));
    }

    #[test]
    fn a_key_of_another_section_is_found_there() {
        check("", "allow_anonymous", Some("allow_anonymous in [mqtt]"));
        check(
            "[mqtt]",
            "data_dir",
            Some("data_dir at the top, before the first section"),
        );
        check(
            "[limits]",
            "max_packet_sizes",
            Some("max_packet_size in [mqtt]"),
        );
    }

    #[test]
    fn names_of_other_brokers_are_translated() {
        check(
            "",
            "max_inflight_messages",
            Some("receive_maximum in [mqtt]"),
        );
        check("", "message_size_limit", Some("max_packet_size in [mqtt]"));
        check("", "persistence_location", Some("data_dir"));
        check("[[listener]]", "cafile", Some("client_ca in [tls]"));
        check(
            "[[listener]]",
            "certfile",
            Some("chain in [[tls.certificate]]"),
        );
        check(
            "[[listener]]",
            "keyfile",
            Some("key in [[tls.certificate]]"),
        );
        check("[[listener]]", "port", Some("bind"));
        check("[log]", "level", Some("filter"));
    }

    #[test]
    fn what_resembles_nothing_gets_no_suggestion() {
        check("", "zebra", None);
        check("[mqtt]", "x", None);
        check("", &"a".repeat(100_000), None);
    }

    #[test]
    fn variables_are_understood_as_well() {
        for (name, expected) in [
            (
                "GATEMQ_MQTT_ALLOW_ANONYMOUS",
                "GATEMQ_MQTT__ALLOW_ANONYMOUS",
            ),
            ("GATEMQ_ALLOW_ANONYMOUS", "GATEMQ_MQTT__ALLOW_ANONYMOUS"),
            (
                "GATEMQ_mqtt__allow_anonymous",
                "GATEMQ_MQTT__ALLOW_ANONYMOUS",
            ),
            ("GATEMQ_DATADIR", "GATEMQ_DATA_DIR"),
            ("GATEMQ_PORT", "GATEMQ_LISTENER__0__BIND"),
            ("GATEMQ_LOG", "GATEMQ_LOG__FILTER"),
            (
                "GATEMQ_TLS__CERTIFICATE__0__CHAN",
                "GATEMQ_TLS__CERTIFICATE__0__CHAIN",
            ),
        ] {
            let expected = format!("did you mean {expected}?");
            assert_eq!(for_variable(name), Some(expected), "{name}");
        }
        assert_eq!(for_variable("GATEMQ_ZEBRA_ZEBRA_ZEBRA"), None);
    }

    #[test]
    fn every_translation_leads_to_a_key_there_is_and_from_one_there_is_not() {
        let keys = all_keys();
        for (foreign, path) in FOREIGN {
            assert!(keys.iter().any(|key| key.path == *path), "{path}");
            assert!(
                !keys
                    .iter()
                    .any(|key| key.name == *foreign && !key.is_section()),
                "{foreign}"
            );
        }
        assert!(FOREIGN.is_sorted());
    }
}
