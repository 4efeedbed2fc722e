//! From the fields of a packet to its body. PUBLISH is in `encoder`, which shares its payload.

use super::{encoder::return_code, properties::Property, writer};
use crate::{
    message::{MessageProperties, QoS},
    mqtt::packet::{
        Acknowledgement, Auth, Authentication, ConnAck, Connect, Disconnect, Packet,
        ProtocolVersion, ReasonCode, SubAck, Subscribe, UnsubAck, Unsubscribe, UserProperties,
        Will,
    },
    router::SubscriptionOptions,
};

/// Whether Reason String and User Properties are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Words {
    Keep,
    LeaveOut,
}

/// The longest Reason String; people read it, and some of what it quotes comes from peers.
const MAX_REASON: usize = 512;

/// Appends the body of a packet; returns its first byte.
pub(super) fn body(
    packet: &Packet,
    version: ProtocolVersion,
    words: Words,
    out: &mut Vec<u8>,
) -> u8 {
    let is_v5 = version == ProtocolVersion::V5;
    let out = &mut Body { out, is_v5, words };
    let flags = match packet {
        Packet::Connect(packet) => out.connect(packet),
        Packet::ConnAck(packet) => out.connack(packet, version),
        Packet::PubAck(packet) | Packet::PubRec(packet) | Packet::PubComp(packet) => {
            out.acknowledgement(packet)
        }
        Packet::PubRel(packet) => 2 | out.acknowledgement(packet),
        Packet::Subscribe(packet) => out.subscribe(packet),
        Packet::SubAck(packet) => out.suback(packet),
        Packet::Unsubscribe(packet) => out.unsubscribe(packet),
        Packet::UnsubAck(packet) => out.unsuback(packet),
        Packet::Disconnect(packet) => out.disconnect(packet),
        Packet::Auth(packet) => out.auth(packet),
        // PUBLISH is encoded by its own means.
        Packet::PingReq | Packet::PingResp | Packet::Publish(_) => 0,
    };
    packet.packet_type() << 4 | flags
}

struct Body<'a> {
    out: &'a mut Vec<u8>,
    is_v5: bool,
    words: Words,
}

impl Body<'_> {
    fn connect(&mut self, connect: &Connect) -> u8 {
        let version = connect.version;
        let name: &[u8] = if version == ProtocolVersion::V3_1 {
            b"MQIsdp"
        } else {
            b"MQTT"
        };
        writer::binary(self.out, name);
        self.out.push(version as u8);
        self.out.push(connect_flags(connect));
        self.out.extend(connect.keep_alive.to_be_bytes());
        if self.is_v5 {
            self.properties(|out| connect_properties(connect, out));
        }
        writer::binary(self.out, connect.client_id.as_bytes());
        if let Some(will) = &connect.will {
            if self.is_v5 {
                self.properties(|out| will_properties(will, out));
            }
            writer::binary(self.out, will.topic.as_str().as_bytes());
            writer::binary(self.out, &will.payload);
        }
        if let Some(username) = &connect.username {
            writer::binary(self.out, username.as_bytes());
        }
        if let Some(password) = &connect.password {
            writer::binary(self.out, password);
        }
        0
    }

    fn connack(&mut self, connack: &ConnAck, version: ProtocolVersion) -> u8 {
        // MQTT 3.1 knows no Session Present.
        let session_present = connack.session_present && version != ProtocolVersion::V3_1;
        self.out.push(u8::from(session_present));
        if !self.is_v5 {
            self.out.push(return_code(connack.reason_code));
            return 0;
        }
        self.out.push(connack.reason_code as u8);
        let words = self.words;
        self.properties(|out| {
            connack_properties(connack, out);
            write_words(
                words,
                connack.reason_string.as_deref(),
                &connack.user_properties,
                out,
            );
        });
        0
    }

    fn acknowledgement(&mut self, acknowledgement: &Acknowledgement) -> u8 {
        self.out
            .extend(acknowledgement.packet_id.get().to_be_bytes());
        let reason = acknowledgement.reason_string.as_deref();
        let has_words = self.has_words(reason, &acknowledgement.user_properties);
        let code = acknowledgement.reason_code;
        if !self.is_v5 || (code == ReasonCode::Success && !has_words) {
            return 0;
        }
        self.out.push(code as u8);
        if has_words {
            self.word_properties(reason, &acknowledgement.user_properties);
        }
        0
    }

    fn subscribe(&mut self, subscribe: &Subscribe) -> u8 {
        self.out.extend(subscribe.packet_id.get().to_be_bytes());
        if self.is_v5 {
            let identifier = subscribe
                .subscriptions
                .first()
                .and_then(|line| line.options.identifier);
            self.properties(|out| {
                if let Some(identifier) = identifier {
                    Property::SubscriptionIdentifier(identifier.get()).write(out);
                }
                write_user_properties(&subscribe.user_properties, out);
            });
        }
        for line in &subscribe.subscriptions {
            writer::binary(self.out, line.topic_filter.as_str().as_bytes());
            self.out.push(options(&line.options, self.is_v5));
        }
        2
    }

    fn suback(&mut self, suback: &SubAck) -> u8 {
        self.out.extend(suback.packet_id.get().to_be_bytes());
        if self.is_v5 {
            self.word_properties(suback.reason_string.as_deref(), &suback.user_properties);
        }
        for code in &suback.reason_codes {
            // MQTT 3 has one code for every failure [MQTT-3.9.3-2 of 3.1.1].
            let is_told = self.is_v5 || !code.is_error();
            self.out.push(if is_told { *code as u8 } else { 0x80 });
        }
        0
    }

    fn unsubscribe(&mut self, unsubscribe: &Unsubscribe) -> u8 {
        self.out.extend(unsubscribe.packet_id.get().to_be_bytes());
        if self.is_v5 {
            self.properties(|out| write_user_properties(&unsubscribe.user_properties, out));
        }
        for filter in &unsubscribe.topic_filters {
            writer::binary(self.out, filter.as_str().as_bytes());
        }
        2
    }

    fn unsuback(&mut self, unsuback: &UnsubAck) -> u8 {
        self.out.extend(unsuback.packet_id.get().to_be_bytes());
        if self.is_v5 {
            self.word_properties(unsuback.reason_string.as_deref(), &unsuback.user_properties);
            self.out
                .extend(unsuback.reason_codes.iter().map(|code| *code as u8));
        }
        0
    }

    fn disconnect(&mut self, disconnect: &Disconnect) -> u8 {
        let reason = disconnect.reason_string.as_deref();
        let has_properties = disconnect.session_expiry_interval.is_some()
            || disconnect.server_reference.is_some()
            || self.has_words(reason, &disconnect.user_properties);
        let code = disconnect.reason_code;
        if !self.is_v5 || (code == ReasonCode::Success && !has_properties) {
            return 0;
        }
        self.out.push(code as u8);
        if has_properties {
            let words = self.words;
            self.properties(|out| {
                if let Some(seconds) = disconnect.session_expiry_interval {
                    Property::SessionExpiryInterval(seconds).write(out);
                }
                if let Some(reference) = &disconnect.server_reference {
                    Property::ServerReference(reference).write(out);
                }
                write_words(words, reason, &disconnect.user_properties, out);
            });
        }
        0
    }

    fn auth(&mut self, auth: &Auth) -> u8 {
        let reason = auth.reason_string.as_deref();
        let has_properties =
            auth.authentication.is_some() || self.has_words(reason, &auth.user_properties);
        if auth.reason_code == ReasonCode::Success && !has_properties {
            return 0;
        }
        self.out.push(auth.reason_code as u8);
        let words = self.words;
        self.properties(|out| {
            authentication(auth.authentication.as_ref(), out);
            write_words(words, reason, &auth.user_properties, out);
        });
        0
    }

    fn has_words(&self, reason: Option<&str>, user_properties: &UserProperties) -> bool {
        self.words == Words::Keep && (reason.is_some() || !user_properties.is_empty())
    }

    fn word_properties(&mut self, reason: Option<&str>, user_properties: &UserProperties) {
        let words = self.words;
        self.properties(|out| write_words(words, reason, user_properties, out));
    }

    /// Appends properties behind their length.
    fn properties(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut properties = Vec::new();
        write(&mut properties);
        // Words were cut, everything else came in a packet: a length can say it.
        let length = u32::try_from(properties.len()).unwrap_or(writer::MAX_VARIABLE);
        writer::variable(self.out, length);
        self.out.append(&mut properties);
    }
}

fn connect_flags(connect: &Connect) -> u8 {
    let mut flags = u8::from(connect.clean_start) << 1;
    if let Some(will) = &connect.will {
        flags |= 0x04 | (will.qos as u8) << 3 | u8::from(will.retain) << 5;
    }
    flags | u8::from(connect.password.is_some()) << 6 | u8::from(connect.username.is_some()) << 7
}

fn connect_properties(connect: &Connect, out: &mut Vec<u8>) {
    if connect.session_expiry_interval > 0 {
        Property::SessionExpiryInterval(connect.session_expiry_interval).write(out);
    }
    if connect.receive_maximum < u16::MAX {
        Property::ReceiveMaximum(connect.receive_maximum).write(out);
    }
    if let Some(bytes) = connect.maximum_packet_size {
        Property::MaximumPacketSize(bytes).write(out);
    }
    if connect.topic_alias_maximum > 0 {
        Property::TopicAliasMaximum(connect.topic_alias_maximum).write(out);
    }
    if connect.request_response_information {
        Property::RequestResponseInformation(true).write(out);
    }
    if !connect.request_problem_information {
        Property::RequestProblemInformation(false).write(out);
    }
    authentication(connect.authentication.as_ref(), out);
    write_user_properties(&connect.user_properties, out);
}

fn will_properties(will: &Will, out: &mut Vec<u8>) {
    if will.delay_interval > 0 {
        Property::WillDelayInterval(will.delay_interval).write(out);
    }
    if let Some(seconds) = will.message_expiry_interval {
        Property::MessageExpiryInterval(seconds).write(out);
    }
    if let Some(properties) = &will.properties {
        message_properties(properties, out);
    }
}

/// The properties that travel with a message.
pub(super) fn message_properties(properties: &MessageProperties, out: &mut Vec<u8>) {
    if let Some(is_utf8) = properties.payload_is_utf8 {
        Property::PayloadFormatIndicator(is_utf8).write(out);
    }
    if let Some(content_type) = &properties.content_type {
        Property::ContentType(content_type).write(out);
    }
    if let Some(topic) = &properties.response_topic {
        Property::ResponseTopic(topic.as_str()).write(out);
    }
    if let Some(data) = &properties.correlation_data {
        Property::CorrelationData(data).write(out);
    }
    write_user_properties(&properties.user_properties, out);
}

fn connack_properties(connack: &ConnAck, out: &mut Vec<u8>) {
    let mut write = |property: Option<Property<'_>>| {
        if let Some(property) = property {
            property.write(out);
        }
    };
    write(
        connack
            .session_expiry_interval
            .map(Property::SessionExpiryInterval),
    );
    write(connack.receive_maximum.map(Property::ReceiveMaximum));
    // Said only where it is not the highest (3.2.2.3.4).
    write(
        connack
            .maximum_qos
            .filter(|qos| *qos != QoS::ExactlyOnce)
            .map(|qos| Property::MaximumQoS(qos == QoS::AtLeastOnce)),
    );
    write((!connack.retain_available).then_some(Property::RetainAvailable(false)));
    write(connack.maximum_packet_size.map(Property::MaximumPacketSize));
    write(
        connack
            .assigned_client_identifier
            .as_deref()
            .map(Property::AssignedClientIdentifier),
    );
    write(
        (connack.topic_alias_maximum > 0)
            .then_some(Property::TopicAliasMaximum(connack.topic_alias_maximum)),
    );
    write(
        (!connack.wildcard_subscription_available)
            .then_some(Property::WildcardSubscriptionAvailable(false)),
    );
    write(
        (!connack.subscription_identifiers_available)
            .then_some(Property::SubscriptionIdentifiersAvailable(false)),
    );
    write(
        (!connack.shared_subscription_available)
            .then_some(Property::SharedSubscriptionAvailable(false)),
    );
    write(connack.server_keep_alive.map(Property::ServerKeepAlive));
    write(
        connack
            .response_information
            .as_deref()
            .map(Property::ResponseInformation),
    );
    write(
        connack
            .server_reference
            .as_deref()
            .map(Property::ServerReference),
    );
    authentication(connack.authentication.as_ref(), out);
}

fn authentication(authentication: Option<&Authentication>, out: &mut Vec<u8>) {
    if let Some(authentication) = authentication {
        Property::AuthenticationMethod(&authentication.method).write(out);
        if let Some(data) = &authentication.data {
            Property::AuthenticationData(data).write(out);
        }
    }
}

fn write_words(
    words: Words,
    reason: Option<&str>,
    user_properties: &UserProperties,
    out: &mut Vec<u8>,
) {
    if words == Words::LeaveOut {
        return;
    }
    if let Some(reason) = reason {
        let end = reason.floor_char_boundary(MAX_REASON.min(reason.len()));
        Property::ReasonString(&reason[..end]).write(out);
    }
    write_user_properties(user_properties, out);
}

fn write_user_properties(user_properties: &UserProperties, out: &mut Vec<u8>) {
    for (name, value) in user_properties {
        Property::UserProperty(name, value).write(out);
    }
}

fn options(options: &SubscriptionOptions, is_v5: bool) -> u8 {
    let qos = options.qos as u8;
    if !is_v5 {
        return qos;
    }
    qos | u8::from(options.no_local) << 2
        | u8::from(options.retain_as_published) << 3
        | (options.retain_handling as u8) << 4
}
