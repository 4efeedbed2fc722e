//! CONNECT (3.1): the only packet that says its own version.

use bytes::Bytes;

use super::{AuthenticationFields, check_levels, topic_name};
use crate::{
    message::{MessageProperties, QoS, TopicName},
    mqtt::{
        codec::{
            error::DecodeError,
            properties::{self, Properties, Property},
            reader::Reader,
        },
        packet::{Connect, NEVER_EXPIRES, ProtocolVersion, ReasonCode, Will},
    },
};

/// The Connect Flags (3.1.2.3).
#[derive(Clone, Copy)]
struct Flags(u8);

impl Flags {
    const fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }
}

const CLEAN_START: u8 = 0x02;
const WILL: u8 = 0x04;
const WILL_RETAIN: u8 = 0x20;
const PASSWORD: u8 = 0x40;
const USER_NAME: u8 = 0x80;

/// Set in the level of MQTT 3 by bridges, which are not to get back what they send. No standard has it; mosquitto's
/// bridges begin with it, and MQTTnet does in 3.1.
const BRIDGE: u8 = 0x80;

/// Decodes the body of a CONNECT, and says whether it is from a bridge. `is_shortest`: its remaining length was in its
/// shortest form.
pub(in crate::mqtt::codec) fn connect(
    body: &[u8],
    is_shortest: bool,
    max_topic_levels: usize,
) -> Result<(Connect, bool), DecodeError> {
    let mut reader = Reader::new(body, "CONNECT");
    let (version, is_bridge) = version(&mut reader)?;
    let connect = if version == ProtocolVersion::V5 && !is_shortest {
        Err(DecodeError::malformed(
            "the remaining length of CONNECT is not in its shortest form",
        ))
    } else {
        rest(&mut reader, version, max_topic_levels)
    };
    let connect = connect.map(|connect| (connect, is_bridge));
    connect.map_err(|error| {
        // Before MQTT 5 there are words for a client identifier only [MQTT-3.1.3-8 of 3.1.1].
        let is_told = version == ProtocolVersion::V5
            || error.reason_code() == ReasonCode::ClientIdentifierNotValid;
        if is_told {
            error.answered(version)
        } else {
            error
        }
    })
}

fn version(reader: &mut Reader<'_>) -> Result<(ProtocolVersion, bool), DecodeError> {
    let name = reader.binary("protocol name")?;
    // [MQTT-3.1.2-1] Another name is another protocol: closed in silence.
    if !matches!(name, b"MQTT" | b"MQIsdp") {
        return Err(DecodeError::new(
            ReasonCode::UnsupportedProtocolVersion,
            "the protocol name of CONNECT is neither MQTT nor MQIsdp",
        ));
    }
    let level = reader.u8("protocol version")?;
    let is_bridge = level & BRIDGE != 0;
    match (name, level & !BRIDGE) {
        (b"MQIsdp", 3) => Ok((ProtocolVersion::V3_1, is_bridge)),
        (b"MQTT", 4) => Ok((ProtocolVersion::V3_1_1, is_bridge)),
        (b"MQTT", 5) if !is_bridge => Ok((ProtocolVersion::V5, false)),
        _ => {
            let answer = version_of_layout(reader);
            let error = DecodeError::new(
                ReasonCode::UnsupportedProtocolVersion,
                format!("protocol version {level} is none of 3 (MQIsdp), 4 and 5"),
            );
            Err(error.answered(answer))
        }
    }
}

/// The version whose layout follows a level that does not exist, so that its sender can read the answer: 0x01 as MQTT
/// 3.1.1 demands [MQTT-3.1.2-2], 0x84 only where there are properties, which MQTT 3 does not have.
fn version_of_layout(after_level: &Reader<'_>) -> ProtocolVersion {
    let fits = |is_v5| skip_to_end(&mut after_level.clone(), is_v5).is_ok();
    if fits(true) && !fits(false) {
        ProtocolVersion::V5
    } else {
        ProtocolVersion::V3_1_1
    }
}

fn skip_to_end(reader: &mut Reader<'_>, is_v5: bool) -> Result<(), DecodeError> {
    let skip_properties = |reader: &mut Reader<'_>| {
        let length = if is_v5 {
            reader.variable("property length")?
        } else {
            0
        };
        reader.take(length as usize, "properties").map(|_| ())
    };
    let flags = Flags(reader.u8("connect flags")?);
    reader.u16("keep alive")?;
    skip_properties(reader)?;
    reader.binary("client identifier")?;
    if flags.has(WILL) {
        skip_properties(reader)?;
        reader.binary("will topic")?;
        reader.binary("will payload")?;
    }
    for (bit, what) in [(USER_NAME, "user name"), (PASSWORD, "password")] {
        if flags.has(bit) {
            reader.binary(what)?;
        }
    }
    reader.finish()
}

fn rest(
    reader: &mut Reader<'_>,
    version: ProtocolVersion,
    max_topic_levels: usize,
) -> Result<Connect, DecodeError> {
    let is_v5 = version == ProtocolVersion::V5;
    let flags = flags(reader, version)?;
    let mut connect = Connect {
        version,
        client_id: "".into(),
        clean_start: flags.has(CLEAN_START),
        keep_alive: reader.u16("keep alive")?,
        username: None,
        password: None,
        will: None,
        session_expiry_interval: 0,
        receive_maximum: u16::MAX,
        maximum_packet_size: None,
        topic_alias_maximum: 0,
        request_response_information: false,
        request_problem_information: true,
        authentication: None,
        user_properties: Vec::new(),
    };
    if is_v5 {
        read_properties(reader, &mut connect)?;
    } else if !connect.clean_start {
        // What CleanSession 0 means (3.1.2.4 of 3.1.1).
        connect.session_expiry_interval = NEVER_EXPIRES;
    }
    connect.client_id = client_id(reader, version, connect.clean_start)?;
    if flags.has(WILL) {
        connect.will = Some(Box::new(will(reader, flags, is_v5, max_topic_levels)?));
    }
    // In MQTT 3.1 the length of the packet takes precedence: what is announced may be missing (3.1, 3.1).
    let may_be_missing = version == ProtocolVersion::V3_1;
    if flags.has(USER_NAME) && !(may_be_missing && reader.is_empty()) {
        connect.username = Some(reader.string("user name")?.into());
    }
    if flags.has(PASSWORD) && !(may_be_missing && reader.is_empty()) {
        connect.password = Some(reader.bytes("password")?);
    }
    reader.finish()?;
    Ok(connect)
}

fn flags(reader: &mut Reader<'_>, version: ProtocolVersion) -> Result<Flags, DecodeError> {
    let mut flags = Flags(reader.u8("connect flags")?);
    if version == ProtocolVersion::V3_1 {
        // What has no meaning is disregarded there (3.1, 3.1).
        flags.0 &= if flags.has(WILL) { !0x01 } else { !0x39 };
    }
    let fault = if flags.has(0x01) {
        // [MQTT-3.1.2-3]
        "the reserved flag of CONNECT is 1"
    } else if flags.0 & 0x18 == 0x18 {
        // [MQTT-3.1.2-12]
        "the will QoS of CONNECT is 3"
    } else if !flags.has(WILL) && (flags.0 & 0x18 != 0 || flags.has(WILL_RETAIN)) {
        // [MQTT-3.1.2-11, -13]
        "CONNECT has a will QoS or will retain without a will"
    } else if version != ProtocolVersion::V5 && flags.has(PASSWORD) && !flags.has(USER_NAME) {
        // [MQTT-3.1.2-22 of 3.1.1]
        "CONNECT has a password without a user name"
    } else {
        return Ok(flags);
    };
    Err(DecodeError::malformed(fault))
}

fn client_id(
    reader: &mut Reader<'_>,
    version: ProtocolVersion,
    clean_start: bool,
) -> Result<Box<str>, DecodeError> {
    let client_id = reader.string("client identifier")?;
    let may_be_empty = match version {
        ProtocolVersion::V3_1 => false,
        ProtocolVersion::V3_1_1 => clean_start,
        ProtocolVersion::V5 => true,
    };
    if client_id.is_empty() && !may_be_empty {
        return Err(DecodeError::new(
            ReasonCode::ClientIdentifierNotValid,
            "an empty client identifier needs CleanSession 1",
        ));
    }
    Ok(client_id.into())
}

fn read_properties(reader: &mut Reader<'_>, connect: &mut Connect) -> Result<(), DecodeError> {
    let mut authentication = AuthenticationFields::default();
    let mut properties = Properties::begin(reader, properties::CONNECT)?;
    while let Some(property) = properties.next()? {
        match property {
            Property::SessionExpiryInterval(seconds) => connect.session_expiry_interval = seconds,
            Property::ReceiveMaximum(maximum) => connect.receive_maximum = maximum,
            Property::MaximumPacketSize(bytes) => connect.maximum_packet_size = Some(bytes),
            Property::TopicAliasMaximum(maximum) => connect.topic_alias_maximum = maximum,
            Property::RequestResponseInformation(wanted) => {
                connect.request_response_information = wanted;
            }
            Property::RequestProblemInformation(wanted) => {
                connect.request_problem_information = wanted;
            }
            Property::UserProperty(name, value) => {
                connect.user_properties.push((name.into(), value.into()));
            }
            other => authentication.take(other),
        }
    }
    connect.authentication = authentication.finish("CONNECT")?;
    Ok(())
}

fn will(
    reader: &mut Reader<'_>,
    flags: Flags,
    is_v5: bool,
    max_topic_levels: usize,
) -> Result<Will, DecodeError> {
    let mut delay_interval = 0;
    let mut message_expiry_interval = None;
    let mut properties = None;
    if is_v5 {
        let mut message = MessageProperties::default();
        let mut will_properties = Properties::begin(reader, properties::WILL)?;
        while let Some(property) = will_properties.next()? {
            match property {
                Property::WillDelayInterval(seconds) => delay_interval = seconds,
                Property::MessageExpiryInterval(seconds) => message_expiry_interval = Some(seconds),
                other => keep(&mut message, other, max_topic_levels)?,
            }
        }
        properties = Some(message).filter(|message| *message != MessageProperties::default());
    }
    let topic = topic_name(reader.string("will topic")?, max_topic_levels, "will topic")?;
    Ok(Will {
        topic,
        payload: reader.bytes("will payload")?,
        qos: QoS::from_bits((flags.0 >> 3) & 3).unwrap_or_default(),
        retain: flags.has(WILL_RETAIN),
        delay_interval,
        message_expiry_interval,
        properties: properties.map(Box::new),
    })
}

/// Keeps one of the properties that travel with a message; the table of properties lets no other come here.
pub(super) fn keep(
    message: &mut MessageProperties,
    property: Property<'_>,
    max_topic_levels: usize,
) -> Result<(), DecodeError> {
    match property {
        Property::PayloadFormatIndicator(is_utf8) => message.payload_is_utf8 = Some(is_utf8),
        Property::ContentType(content_type) => message.content_type = Some(content_type.into()),
        // [MQTT-3.3.2-14]
        Property::ResponseTopic(topic) => {
            let topic = response_topic(topic, max_topic_levels)?;
            message.response_topic = Some(topic);
        }
        Property::CorrelationData(data) => {
            message.correlation_data = Some(Bytes::copy_from_slice(data));
        }
        Property::UserProperty(name, value) => {
            message.user_properties.push((name.into(), value.into()));
        }
        _ => {}
    }
    Ok(())
}

fn response_topic(text: &str, max_topic_levels: usize) -> Result<TopicName, DecodeError> {
    let topic = TopicName::parse(text)
        .map_err(|error| DecodeError::protocol(format!("the response topic {error}")))?;
    check_levels(
        text,
        max_topic_levels,
        "response topic",
        ReasonCode::ProtocolError,
    )?;
    Ok(topic)
}
