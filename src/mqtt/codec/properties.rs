//! The properties of MQTT 5 (2.2.2): one row each, with where it may stand.

use super::{error::DecodeError, reader::Reader, writer};

/// Where properties stand: a bit for each packet type, and one for the will inside CONNECT.
pub(super) type Place = u16;

pub(super) const WILL: Place = 1;
pub(super) const CONNECT: Place = 1 << 1;
pub(super) const CONNACK: Place = 1 << 2;
pub(super) const PUBLISH: Place = 1 << 3;
pub(super) const PUBACK: Place = 1 << 4;
pub(super) const PUBREC: Place = 1 << 5;
pub(super) const PUBREL: Place = 1 << 6;
pub(super) const PUBCOMP: Place = 1 << 7;
pub(super) const SUBSCRIBE: Place = 1 << 8;
pub(super) const SUBACK: Place = 1 << 9;
pub(super) const UNSUBSCRIBE: Place = 1 << 10;
pub(super) const UNSUBACK: Place = 1 << 11;
pub(super) const DISCONNECT: Place = 1 << 14;
pub(super) const AUTH: Place = 1 << 15;

/// Packets that carry a Reason String.
const ANSWERS: Place =
    CONNACK | PUBACK | PUBREC | PUBREL | PUBCOMP | SUBACK | UNSUBACK | DISCONNECT | AUTH;
const EVERYWHERE: Place = Place::MAX;

/// One property as it is read or written.
#[expect(
    clippy::enum_variant_names,
    reason = "User Property is its name in the standard"
)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Property<'a> {
    PayloadFormatIndicator(bool),
    MessageExpiryInterval(u32),
    ContentType(&'a str),
    ResponseTopic(&'a str),
    CorrelationData(&'a [u8]),
    SubscriptionIdentifier(u32),
    SessionExpiryInterval(u32),
    AssignedClientIdentifier(&'a str),
    ServerKeepAlive(u16),
    AuthenticationMethod(&'a str),
    AuthenticationData(&'a [u8]),
    RequestProblemInformation(bool),
    WillDelayInterval(u32),
    RequestResponseInformation(bool),
    ResponseInformation(&'a str),
    ServerReference(&'a str),
    ReasonString(&'a str),
    ReceiveMaximum(u16),
    TopicAliasMaximum(u16),
    TopicAlias(u16),
    MaximumQoS(bool),
    RetainAvailable(bool),
    UserProperty(&'a str, &'a str),
    MaximumPacketSize(u32),
    WildcardSubscriptionAvailable(bool),
    SubscriptionIdentifiersAvailable(bool),
    SharedSubscriptionAvailable(bool),
}

/// The properties of one packet, read one after the other.
pub(super) struct Properties<'a> {
    reader: Reader<'a>,
    place: Place,
    /// A bit for each identifier that has come.
    seen: u64,
}

impl<'a> Properties<'a> {
    /// Takes the properties off a packet; each is checked as it is asked for.
    pub(super) fn begin(packet: &mut Reader<'a>, place: Place) -> Result<Self, DecodeError> {
        let length = packet.variable("property length")?;
        let bytes = packet.take(length as usize, "properties")?;
        Ok(Self {
            reader: Reader::new(bytes, packet.packet()),
            place,
            seen: 0,
        })
    }

    /// The next property, `None` after the last one.
    pub(super) fn next(&mut self) -> Result<Option<Property<'a>>, DecodeError> {
        if self.reader.is_empty() {
            return Ok(None);
        }
        let identifier = self.reader.variable("property identifier")?;
        let packet = self.reader.packet();
        let Some((name, places)) = row(identifier) else {
            return Err(DecodeError::malformed(format!(
                "{packet} has a property with the unknown identifier 0x{identifier:02X}"
            )));
        };
        if places & self.place == 0 {
            return Err(DecodeError::malformed(format!(
                "{packet} may not have a {name}"
            )));
        }
        // User Properties may stand often, and in a PUBLISH of the server Subscription Identifiers.
        let may_repeat = identifier == 0x26 || (identifier == 0x0B && self.place == PUBLISH);
        if self.seen & (1 << identifier) != 0 && !may_repeat {
            return Err(DecodeError::protocol(format!(
                "{packet} has more than one {name}"
            )));
        }
        self.seen |= 1 << identifier;
        read(&mut self.reader, identifier, name).map(Some)
    }
}

/// The name of a property and the packets it may stand in (MQTT 5, table 2-4).
const fn row(identifier: u32) -> Option<(&'static str, Place)> {
    Some(match identifier {
        0x01 => ("payload format indicator", PUBLISH | WILL),
        0x02 => ("message expiry interval", PUBLISH | WILL),
        0x03 => ("content type", PUBLISH | WILL),
        0x08 => ("response topic", PUBLISH | WILL),
        0x09 => ("correlation data", PUBLISH | WILL),
        0x0B => ("subscription identifier", PUBLISH | SUBSCRIBE),
        0x11 => ("session expiry interval", CONNECT | CONNACK | DISCONNECT),
        0x12 => ("assigned client identifier", CONNACK),
        0x13 => ("server keep alive", CONNACK),
        0x15 => ("authentication method", CONNECT | CONNACK | AUTH),
        0x16 => ("authentication data", CONNECT | CONNACK | AUTH),
        0x17 => ("request problem information", CONNECT),
        0x18 => ("will delay interval", WILL),
        0x19 => ("request response information", CONNECT),
        0x1A => ("response information", CONNACK),
        0x1C => ("server reference", CONNACK | DISCONNECT),
        0x1F => ("reason string", ANSWERS),
        0x21 => ("receive maximum", CONNECT | CONNACK),
        0x22 => ("topic alias maximum", CONNECT | CONNACK),
        0x23 => ("topic alias", PUBLISH),
        0x24 => ("maximum QoS", CONNACK),
        0x25 => ("retain available", CONNACK),
        0x26 => ("user property", EVERYWHERE),
        0x27 => ("maximum packet size", CONNECT | CONNACK),
        0x28 => ("wildcard subscription available", CONNACK),
        0x29 => ("subscription identifiers available", CONNACK),
        0x2A => ("shared subscription available", CONNACK),
        _ => return None,
    })
}

fn read<'a>(
    reader: &mut Reader<'a>,
    identifier: u32,
    name: &str,
) -> Result<Property<'a>, DecodeError> {
    Ok(match identifier {
        0x01 => Property::PayloadFormatIndicator(boolean(reader, name)?),
        0x02 => Property::MessageExpiryInterval(reader.u32(name)?),
        0x03 => Property::ContentType(reader.string(name)?),
        0x08 => Property::ResponseTopic(reader.string(name)?),
        0x09 => Property::CorrelationData(reader.binary(name)?),
        0x0B => Property::SubscriptionIdentifier(not_zero(reader.variable(name)?, name)?),
        0x11 => Property::SessionExpiryInterval(reader.u32(name)?),
        0x12 => Property::AssignedClientIdentifier(reader.string(name)?),
        0x13 => Property::ServerKeepAlive(reader.u16(name)?),
        0x15 => Property::AuthenticationMethod(reader.string(name)?),
        0x16 => Property::AuthenticationData(reader.binary(name)?),
        0x17 => Property::RequestProblemInformation(boolean(reader, name)?),
        0x18 => Property::WillDelayInterval(reader.u32(name)?),
        0x19 => Property::RequestResponseInformation(boolean(reader, name)?),
        0x1A => Property::ResponseInformation(reader.string(name)?),
        0x1C => Property::ServerReference(reader.string(name)?),
        0x1F => Property::ReasonString(reader.string(name)?),
        0x21 => Property::ReceiveMaximum(not_zero(reader.u16(name)?, name)?),
        0x22 => Property::TopicAliasMaximum(reader.u16(name)?),
        0x23 => Property::TopicAlias(reader.u16(name)?),
        0x24 => Property::MaximumQoS(boolean(reader, name)?),
        0x25 => Property::RetainAvailable(boolean(reader, name)?),
        0x26 => Property::UserProperty(reader.string(name)?, reader.string(name)?),
        0x27 => Property::MaximumPacketSize(not_zero(reader.u32(name)?, name)?),
        0x28 => Property::WildcardSubscriptionAvailable(boolean(reader, name)?),
        0x29 => Property::SubscriptionIdentifiersAvailable(boolean(reader, name)?),
        _ => Property::SharedSubscriptionAvailable(boolean(reader, name)?),
    })
}

fn boolean(reader: &mut Reader<'_>, name: &str) -> Result<bool, DecodeError> {
    match reader.u8(name)? {
        0 => Ok(false),
        1 => Ok(true),
        value => Err(DecodeError::protocol(format!(
            "a {name} is 0 or 1, not {value}"
        ))),
    }
}

fn not_zero<N: Default + PartialEq>(value: N, name: &str) -> Result<N, DecodeError> {
    if value == N::default() {
        return Err(DecodeError::protocol(format!("a {name} is not 0")));
    }
    Ok(value)
}

impl Property<'_> {
    /// Appends it as it stands in a packet.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::PayloadFormatIndicator(value) => byte(out, 0x01, value),
            Self::MessageExpiryInterval(value) => four(out, 0x02, value),
            Self::ContentType(value) => binary(out, 0x03, value.as_bytes()),
            Self::ResponseTopic(value) => binary(out, 0x08, value.as_bytes()),
            Self::CorrelationData(value) => binary(out, 0x09, value),
            Self::SubscriptionIdentifier(value) => {
                out.push(0x0B);
                writer::variable(out, value);
            }
            Self::SessionExpiryInterval(value) => four(out, 0x11, value),
            Self::AssignedClientIdentifier(value) => binary(out, 0x12, value.as_bytes()),
            Self::ServerKeepAlive(value) => two(out, 0x13, value),
            Self::AuthenticationMethod(value) => binary(out, 0x15, value.as_bytes()),
            Self::AuthenticationData(value) => binary(out, 0x16, value),
            Self::RequestProblemInformation(value) => byte(out, 0x17, value),
            Self::WillDelayInterval(value) => four(out, 0x18, value),
            Self::RequestResponseInformation(value) => byte(out, 0x19, value),
            Self::ResponseInformation(value) => binary(out, 0x1A, value.as_bytes()),
            Self::ServerReference(value) => binary(out, 0x1C, value.as_bytes()),
            Self::ReasonString(value) => binary(out, 0x1F, value.as_bytes()),
            Self::ReceiveMaximum(value) => two(out, 0x21, value),
            Self::TopicAliasMaximum(value) => two(out, 0x22, value),
            Self::TopicAlias(value) => two(out, 0x23, value),
            Self::MaximumQoS(value) => byte(out, 0x24, value),
            Self::RetainAvailable(value) => byte(out, 0x25, value),
            Self::UserProperty(name, value) => {
                binary(out, 0x26, name.as_bytes());
                writer::binary(out, value.as_bytes());
            }
            Self::MaximumPacketSize(value) => four(out, 0x27, value),
            Self::WildcardSubscriptionAvailable(value) => byte(out, 0x28, value),
            Self::SubscriptionIdentifiersAvailable(value) => byte(out, 0x29, value),
            Self::SharedSubscriptionAvailable(value) => byte(out, 0x2A, value),
        }
    }
}

fn byte(out: &mut Vec<u8>, identifier: u8, value: bool) {
    out.extend([identifier, u8::from(value)]);
}

fn two(out: &mut Vec<u8>, identifier: u8, value: u16) {
    out.push(identifier);
    out.extend(value.to_be_bytes());
}

fn four(out: &mut Vec<u8>, identifier: u8, value: u32) {
    out.push(identifier);
    out.extend(value.to_be_bytes());
}

fn binary(out: &mut Vec<u8>, identifier: u8, value: &[u8]) {
    out.push(identifier);
    writer::binary(out, value);
}
