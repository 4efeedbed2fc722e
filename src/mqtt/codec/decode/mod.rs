//! From the bytes of one packet to its fields.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the table of properties refuses what may not stand in a packet before anybody matches on it"
)]

mod connack;
mod connect;
mod publish;
mod subscribe;

pub(super) use connect::connect;

use bytes::Bytes;

use super::{
    aliases::IncomingAliases,
    decoder::{Limits, Sender},
    error::DecodeError,
    properties::{self, Place, Properties, Property},
    reader::Reader,
};
use crate::{
    message::{InvalidTopic, TopicName},
    mqtt::packet::{
        Acknowledgement, Auth, Authentication, Disconnect, Packet, ProtocolVersion, ReasonCode,
        UserProperties,
    },
};

/// What decoding a packet needs to know of its connection.
pub(super) struct Context<'a> {
    pub(super) version: ProtocolVersion,
    pub(super) is_bridge: bool,
    pub(super) sender: Sender,
    pub(super) limits: Limits,
    pub(super) aliases: &'a mut IncomingAliases,
}

impl Context<'_> {
    const fn has_properties(&self) -> bool {
        matches!(self.version, ProtocolVersion::V5)
    }
}

/// The names of the packet types, reserved 0 included.
const NAMES: [&str; 16] = [
    "the reserved packet type 0",
    "CONNECT",
    "CONNACK",
    "PUBLISH",
    "PUBACK",
    "PUBREC",
    "PUBREL",
    "PUBCOMP",
    "SUBSCRIBE",
    "SUBACK",
    "UNSUBSCRIBE",
    "UNSUBACK",
    "PINGREQ",
    "PINGRESP",
    "DISCONNECT",
    "AUTH",
];

/// Looks at the first byte of a packet: its type, whether it may come now, and the flags of the type.
pub(super) fn check_first_byte(
    first: u8,
    sender: Sender,
    version: Option<ProtocolVersion>,
) -> Result<(), DecodeError> {
    let packet_type = first >> 4;
    let name = NAMES[usize::from(packet_type)];
    let Some(version) = version else {
        return match first {
            0x10 => Ok(()),
            // [MQTT-3.1.0-1]
            _ if packet_type != 1 => Err(DecodeError::protocol(format!(
                "{name} comes before CONNECT"
            ))),
            _ => Err(flags(name)),
        };
    };
    let is_known = match packet_type {
        0 => false,
        15 => version == ProtocolVersion::V5,
        _ => true,
    };
    if !is_known {
        return Err(DecodeError::malformed(format!(
            "{name} is no packet of MQTT {}",
            version.as_str()
        )));
    }
    let is_expected = match sender {
        Sender::Client => !matches!(packet_type, 1 | 2 | 9 | 11 | 13),
        Sender::Server => match packet_type {
            1 | 8 | 10 | 12 => false,
            14 => version == ProtocolVersion::V5,
            _ => true,
        },
    };
    if !is_expected {
        // [MQTT-3.1.0-2] A second CONNECT is one of them.
        return Err(DecodeError::protocol(format!("{name} has no place here")));
    }
    let bits = first & 0x0F;
    let are_right = match packet_type {
        3 => return publish::check_flags(first),
        // MQTT 3.1 repeats these, too, and marks them with DUP (3.1, 2.1).
        6 | 8 | 10 if version == ProtocolVersion::V3_1 => bits & 0b0111 == 0b0010,
        6 | 8 | 10 => bits == 0b0010,
        _ => bits == 0,
    };
    if are_right { Ok(()) } else { Err(flags(name)) }
}

fn flags(name: &str) -> DecodeError {
    DecodeError::malformed(format!("the flags of {name} are not those of the standard"))
}

/// Whether a packet of so many bytes is taken.
pub(super) fn check_size(bytes: usize, limit: u32) -> Result<(), DecodeError> {
    if bytes <= limit as usize {
        return Ok(());
    }
    Err(DecodeError::new(
        ReasonCode::PacketTooLarge,
        format!("a packet may have {limit} bytes, this has {bytes}"),
    ))
}

/// Decodes a packet whose first byte was checked.
pub(super) fn packet(
    first: u8,
    body: &[u8],
    mut context: Context<'_>,
) -> Result<Packet, DecodeError> {
    let name = NAMES[usize::from(first >> 4)];
    let mut reader = Reader::new(body, name);
    let packet = match first >> 4 {
        2 => connack::connack(&mut reader, &context)
            .map(|connack| Packet::ConnAck(Box::new(connack))),
        3 => publish::publish(first, &mut reader, &mut context).map(Packet::Publish),
        4 => acknowledgement(&mut reader, &context, properties::PUBACK).map(Packet::PubAck),
        5 => acknowledgement(&mut reader, &context, properties::PUBREC).map(Packet::PubRec),
        6 => acknowledgement(&mut reader, &context, properties::PUBREL).map(Packet::PubRel),
        7 => acknowledgement(&mut reader, &context, properties::PUBCOMP).map(Packet::PubComp),
        8 => subscribe::subscribe(&mut reader, &context).map(Packet::Subscribe),
        9 => subscribe::suback(&mut reader, &context).map(Packet::SubAck),
        10 => subscribe::unsubscribe(&mut reader, &context).map(Packet::Unsubscribe),
        11 => subscribe::unsuback(&mut reader, &context).map(Packet::UnsubAck),
        12 => Ok(Packet::PingReq),
        13 => Ok(Packet::PingResp),
        14 => disconnect(&mut reader, &context).map(Packet::Disconnect),
        15 => auth(&mut reader).map(Packet::Auth),
        // The first byte was checked: only CONNECT remains, which comes once.
        _ => Err(DecodeError::protocol(format!("{name} has no place here"))),
    }?;
    reader.finish()?;
    Ok(packet)
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP.
fn acknowledgement(
    reader: &mut Reader<'_>,
    context: &Context<'_>,
    place: Place,
) -> Result<Acknowledgement, DecodeError> {
    let mut acknowledgement = Acknowledgement::new(reader.packet_id()?, ReasonCode::Success);
    if !context.has_properties() || reader.is_empty() {
        return Ok(acknowledgement);
    }
    acknowledgement.reason_code = reason_code(reader, |code| match place {
        properties::PUBACK | properties::PUBREC => matches!(
            code,
            0x00 | 0x10 | 0x80 | 0x83 | 0x87 | 0x90 | 0x91 | 0x97 | 0x99
        ),
        _ => matches!(code, 0x00 | 0x92),
    })?;
    if !reader.is_empty() {
        (
            acknowledgement.reason_string,
            acknowledgement.user_properties,
        ) = words(reader, place)?;
    }
    Ok(acknowledgement)
}

fn disconnect(reader: &mut Reader<'_>, context: &Context<'_>) -> Result<Disconnect, DecodeError> {
    let mut disconnect = Disconnect::new(ReasonCode::Success);
    if !context.has_properties() || reader.is_empty() {
        return Ok(disconnect);
    }
    disconnect.reason_code = reason_code(reader, |code| match context.sender {
        Sender::Client => matches!(
            code,
            0x00 | 0x04 | 0x80..=0x83 | 0x90 | 0x93..=0x99
        ),
        Sender::Server => matches!(
            code,
            0x00 | 0x80..=0x83 | 0x87 | 0x89 | 0x8B | 0x8D..=0x90 | 0x93..=0x9F | 0xA0..=0xA2
        ),
    })?;
    if reader.is_empty() {
        return Ok(disconnect);
    }
    let mut properties = Properties::begin(reader, properties::DISCONNECT)?;
    while let Some(property) = properties.next()? {
        match (property, context.sender) {
            // [MQTT-3.14.2-2]
            (Property::SessionExpiryInterval(seconds), Sender::Client) => {
                disconnect.session_expiry_interval = Some(seconds);
            }
            (Property::ServerReference(reference), Sender::Server) => {
                disconnect.server_reference = Some(reference.into());
            }
            (Property::ReasonString(reason), _) => disconnect.reason_string = Some(reason.into()),
            (Property::UserProperty(name, value), _) => {
                disconnect.user_properties.push((name.into(), value.into()));
            }
            (other, _) => return Err(not_of_this_sender("DISCONNECT", &other)),
        }
    }
    Ok(disconnect)
}

fn auth(reader: &mut Reader<'_>) -> Result<Auth, DecodeError> {
    let mut auth = Auth {
        reason_code: ReasonCode::Success,
        authentication: None,
        reason_string: None,
        user_properties: Vec::new(),
    };
    if reader.is_empty() {
        return Ok(auth);
    }
    auth.reason_code = reason_code(reader, |code| matches!(code, 0x00 | 0x18 | 0x19))?;
    if reader.is_empty() {
        return Ok(auth);
    }
    let mut method = AuthenticationFields::default();
    let mut properties = Properties::begin(reader, properties::AUTH)?;
    while let Some(property) = properties.next()? {
        match property {
            Property::ReasonString(reason) => auth.reason_string = Some(reason.into()),
            Property::UserProperty(name, value) => {
                auth.user_properties.push((name.into(), value.into()));
            }
            other => method.take(other),
        }
    }
    auth.authentication = method.finish("AUTH")?;
    Ok(auth)
}

/// Authentication Method and Data, which go together.
#[derive(Default)]
struct AuthenticationFields {
    method: Option<Box<str>>,
    data: Option<Bytes>,
}

impl AuthenticationFields {
    /// Takes one of the two; the table of properties lets no third one come here.
    fn take(&mut self, property: Property<'_>) {
        match property {
            Property::AuthenticationMethod(method) => self.method = Some(method.into()),
            Property::AuthenticationData(data) => self.data = Some(Bytes::copy_from_slice(data)),
            _ => {}
        }
    }

    fn finish(self, packet: &str) -> Result<Option<Authentication>, DecodeError> {
        match (self.method, self.data) {
            (Some(method), data) => Ok(Some(Authentication { method, data })),
            (None, None) => Ok(None),
            // 3.1.2.11.10
            (None, Some(_)) => Err(DecodeError::protocol(format!(
                "{packet} has authentication data without an authentication method"
            ))),
        }
    }
}

/// The Reason String and User Properties of a packet that carries nothing else.
fn words(
    reader: &mut Reader<'_>,
    place: Place,
) -> Result<(Option<Box<str>>, UserProperties), DecodeError> {
    let mut reason_string = None;
    let mut user_properties = Vec::new();
    let mut properties = Properties::begin(reader, place)?;
    while let Some(property) = properties.next()? {
        match property {
            Property::ReasonString(reason) => reason_string = Some(reason.into()),
            Property::UserProperty(name, value) => {
                user_properties.push((name.into(), value.into()))
            }
            other => return Err(not_of_this_sender(reader.packet(), &other)),
        }
    }
    Ok((reason_string, user_properties))
}

/// A reason code that this packet may carry.
fn reason_code(
    reader: &mut Reader<'_>,
    may: impl Fn(u8) -> bool,
) -> Result<ReasonCode, DecodeError> {
    let value = reader.u8("reason code")?;
    let code = ReasonCode::from_u8(value).filter(|_| may(value));
    code.ok_or_else(|| {
        DecodeError::protocol(format!(
            "{} may not have the reason code 0x{value:02X}",
            reader.packet()
        ))
    })
}

fn not_of_this_sender(packet: &str, property: &Property<'_>) -> DecodeError {
    DecodeError::protocol(format!("{packet} of this sender may not have {property:?}"))
}

/// A topic name within its limits.
fn topic_name(text: &str, max_levels: usize, what: &str) -> Result<TopicName, DecodeError> {
    let name = TopicName::parse(text).map_err(|error| match error {
        InvalidTopic::Null => DecodeError::malformed(format!("the {what} {error}")),
        _ => DecodeError::new(ReasonCode::TopicNameInvalid, format!("the {what} {error}")),
    })?;
    check_levels(
        name.as_str(),
        max_levels,
        what,
        ReasonCode::TopicNameInvalid,
    )?;
    Ok(name)
}

fn check_levels(
    text: &str,
    limit: usize,
    what: &str,
    reason_code: ReasonCode,
) -> Result<(), DecodeError> {
    // There are no more levels than bytes, and one.
    if text.len() < limit {
        return Ok(());
    }
    let levels = 1 + text.bytes().filter(|byte| *byte == b'/').count();
    if levels <= limit {
        return Ok(());
    }
    Err(DecodeError::new(
        reason_code,
        format!("the {what} may have {limit} levels, this has {levels}"),
    ))
}
