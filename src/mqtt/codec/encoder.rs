//! From packets to bytes, in the version of the connection and within what its client takes.

use super::{
    aliases::{Alias, OutgoingAliases},
    encode::{self, Words},
    frames::Frames,
    properties::Property,
    writer,
};
use crate::{
    message::Message,
    mqtt::packet::{Acknowledgement, Connect, Packet, ProtocolVersion, Publish, ReasonCode},
};

/// One direction of one connection.
#[derive(Debug)]
pub struct Encoder {
    version: ProtocolVersion,
    is_server: bool,
    maximum_packet_size: usize,
    /// The peer wants Reason Strings and User Properties in every packet [MQTT-3.1.2-29].
    wants_problem_information: bool,
    /// Only where the peer takes any.
    aliases: Option<Box<OutgoingAliases>>,
}

/// Why a packet was not encoded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EncodeError {
    /// It is larger than the peer takes [MQTT-3.1.2-24], even without its Reason String and User Properties.
    TooLarge,
}

impl Encoder {
    /// What a server sends to a client of which only the version is known.
    #[must_use]
    pub fn for_version(version: ProtocolVersion) -> Self {
        Self {
            version,
            is_server: true,
            maximum_packet_size: usize::MAX,
            wants_problem_information: true,
            aliases: None,
        }
    }

    /// What a server sends to the client that has said this CONNECT, with at most so many topic aliases.
    #[must_use]
    pub fn for_server(connect: &Connect, topic_alias_maximum: u16) -> Self {
        let maximum = connect.maximum_packet_size;
        let aliases = connect.topic_alias_maximum.min(topic_alias_maximum);
        Self {
            maximum_packet_size: maximum.map_or(usize::MAX, |bytes| bytes as usize),
            wants_problem_information: connect.request_problem_information,
            aliases: (aliases > 0).then(|| Box::new(OutgoingAliases::new(aliases))),
            ..Self::for_version(connect.version)
        }
    }

    /// What a client of this version sends.
    #[must_use]
    pub fn for_client(version: ProtocolVersion) -> Self {
        Self {
            is_server: false,
            ..Self::for_version(version)
        }
    }

    /// From now on nothing larger is encoded: what the server has said in CONNACK.
    pub fn limit(&mut self, maximum_packet_size: Option<u32>) {
        self.maximum_packet_size = maximum_packet_size.map_or(usize::MAX, |bytes| bytes as usize);
    }

    /// Appends a packet. What this version has no packet for (DISCONNECT and AUTH of a server before MQTT 5) is left out.
    ///
    /// # Errors
    /// The packet is too large for the peer; nothing was appended.
    pub fn encode(&mut self, packet: &Packet, frames: &mut Frames) -> Result<(), EncodeError> {
        match packet {
            Packet::Publish(publish) => self.publish(publish, frames),
            Packet::PubAck(ack) if is_plain(ack) => self.short(0x40, ack, frames),
            Packet::PubRec(ack) if is_plain(ack) => self.short(0x50, ack, frames),
            Packet::PubRel(ack) if is_plain(ack) => self.short(0x62, ack, frames),
            Packet::PubComp(ack) if is_plain(ack) => self.short(0x70, ack, frames),
            Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::PubAck(_)
            | Packet::PubRec(_)
            | Packet::PubRel(_)
            | Packet::PubComp(_)
            | Packet::Subscribe(_)
            | Packet::SubAck(_)
            | Packet::Unsubscribe(_)
            | Packet::UnsubAck(_)
            | Packet::PingReq
            | Packet::PingResp
            | Packet::Disconnect(_)
            | Packet::Auth(_) => self.other(packet, frames),
        }
    }

    /// An acknowledgement without words, which nearly all are.
    fn short(
        &self,
        first: u8,
        acknowledgement: &Acknowledgement,
        frames: &mut Frames,
    ) -> Result<(), EncodeError> {
        let [high, low] = acknowledgement.packet_id.get().to_be_bytes();
        let code = acknowledgement.reason_code as u8;
        if self.version != ProtocolVersion::V5 || code == 0 {
            self.check_size(4)?;
            frames.buffer().extend([first, 2, high, low]);
        } else {
            self.check_size(5)?;
            frames.buffer().extend([first, 3, high, low, code]);
        }
        Ok(())
    }

    fn other(&self, packet: &Packet, frames: &mut Frames) -> Result<(), EncodeError> {
        if self.version != ProtocolVersion::V5
            && (matches!(packet, Packet::Auth(_))
                || self.is_server && matches!(packet, Packet::Disconnect(_)))
        {
            return Ok(());
        }
        let always_has_words = matches!(packet, Packet::ConnAck(_) | Packet::Disconnect(_));
        let words = if self.wants_problem_information || always_has_words {
            Words::Keep
        } else {
            Words::LeaveOut
        };
        let mut body = Vec::new();
        let mut first = encode::body(packet, self.version, words, &mut body);
        if self.check_size(size(body.len())).is_err() && words == Words::Keep {
            // Words give way before the packet does [MQTT-3.2.2-19, 3.4.2-2, 3.14.2-3].
            body.clear();
            first = encode::body(packet, self.version, Words::LeaveOut, &mut body);
        }
        self.check_size(size(body.len()))?;
        let out = frames.buffer();
        header(out, first, body.len());
        out.append(&mut body);
        Ok(())
    }

    fn publish(&mut self, publish: &Publish, frames: &mut Frames) -> Result<(), EncodeError> {
        if self.version != ProtocolVersion::V5 {
            return self.publish_by(publish, Alias::None, None, frames);
        }
        let topic = &publish.message.topic;
        let aliases = self.aliases.as_ref();
        let alias = aliases.map_or(Alias::None, |aliases| aliases.choose(topic));
        let mut properties = Vec::new();
        publish_properties(publish, alias, &mut properties);
        let encoded = self.publish_by(publish, alias, Some(&properties), frames);
        if encoded.is_err() && matches!(alias, Alias::New(_)) {
            // To name an alias takes three bytes more, which must not cost the client the message.
            properties.clear();
            publish_properties(publish, Alias::None, &mut properties);
            return self.publish_by(publish, Alias::None, Some(&properties), frames);
        }
        if encoded.is_ok()
            && let Some(aliases) = &mut self.aliases
        {
            aliases.keep(topic, alias);
        }
        encoded
    }

    fn publish_by(
        &self,
        publish: &Publish,
        alias: Alias,
        properties: Option<&[u8]>,
        frames: &mut Frames,
    ) -> Result<(), EncodeError> {
        let message = &*publish.message;
        let topic = match alias {
            Alias::Known(_) => "",
            Alias::None | Alias::New(_) => message.topic.as_str(),
        };
        let property_bytes = properties.map_or(0, |properties| {
            writer::variable_len(properties.len()) + properties.len()
        });
        let id_bytes = 2 * usize::from(publish.packet_id.is_some());
        let body = 2 + topic.len() + id_bytes + property_bytes + message.payload.len();
        self.check_size(size(body))?;
        let flags =
            u8::from(publish.dup) << 3 | (publish.qos as u8) << 1 | u8::from(publish.retain);
        let out = frames.reserve(size(body), &message.payload);
        header(out, 0x30 | flags, body);
        writer::binary(out, topic.as_bytes());
        if let Some(packet_id) = publish.packet_id {
            out.extend(packet_id.get().to_be_bytes());
        }
        if let Some(properties) = properties {
            writer::variable(out, length(properties.len()));
            out.extend(properties);
        }
        frames.payload(&message.payload);
        Ok(())
    }

    fn check_size(&self, bytes: usize) -> Result<(), EncodeError> {
        if bytes <= self.maximum_packet_size && bytes <= writer::MAX_VARIABLE as usize {
            Ok(())
        } else {
            Err(EncodeError::TooLarge)
        }
    }
}

fn is_plain(acknowledgement: &Acknowledgement) -> bool {
    acknowledgement.reason_string.is_none() && acknowledgement.user_properties.is_empty()
}

fn publish_properties(publish: &Publish, alias: Alias, out: &mut Vec<u8>) {
    if let Alias::New(alias) | Alias::Known(alias) = alias {
        Property::TopicAlias(alias).write(out);
    }
    if let Some(seconds) = publish.message_expiry_interval {
        Property::MessageExpiryInterval(seconds).write(out);
    }
    for identifier in &publish.subscription_identifiers {
        Property::SubscriptionIdentifier(*identifier).write(out);
    }
    let message: &Message = &publish.message;
    if let Some(properties) = &message.properties {
        encode::message_properties(properties, out);
    }
}

/// The bytes of a packet with such a body.
const fn size(body: usize) -> usize {
    1 + writer::variable_len(body) + body
}

fn header(out: &mut Vec<u8>, first: u8, body: usize) {
    out.push(first);
    writer::variable(out, length(body));
}

/// Sizes were checked, or are of a few fields.
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(writer::MAX_VARIABLE)
}

/// What MQTT 3 calls a reason of CONNACK (3.2.2.3 of 3.1.1).
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "MQTT 3 has six codes for all there are and will be"
)]
pub(super) const fn return_code(code: ReasonCode) -> u8 {
    match code {
        ReasonCode::Success => 0,
        ReasonCode::UnsupportedProtocolVersion => 1,
        ReasonCode::ClientIdentifierNotValid => 2,
        ReasonCode::BadUserNameOrPassword => 4,
        ReasonCode::NotAuthorized | ReasonCode::Banned | ReasonCode::BadAuthenticationMethod => 5,
        _ => 3,
    }
}
