//! CONNACK (3.2).

use super::{AuthenticationFields, Context, reason_code};
use crate::{
    message::QoS,
    mqtt::{
        codec::{
            error::DecodeError,
            properties::{self, Properties, Property},
            reader::Reader,
        },
        packet::{ConnAck, ProtocolVersion, ReasonCode},
    },
};

pub(super) fn connack(
    reader: &mut Reader<'_>,
    context: &Context<'_>,
) -> Result<ConnAck, DecodeError> {
    let mut flags = reader.u8("acknowledge flags")?;
    if context.version == ProtocolVersion::V3_1 {
        // The byte is not used there (3.1, 3.2).
        flags = 0;
    }
    if flags & 0xFE != 0 {
        // [MQTT-3.2.2-1]
        return Err(DecodeError::malformed(
            "reserved flags of CONNACK are not 0",
        ));
    }
    let session_present = flags == 1;
    if !context.has_properties() {
        let code = return_code(reader.u8("return code")?)?;
        return Ok(ConnAck::new(session_present, code));
    }
    let code = reason_code(reader, |code| {
        matches!(
            code,
            0x00 | 0x80..=0x8A | 0x8C | 0x90 | 0x95 | 0x97 | 0x99..=0x9D | 0x9F
        )
    })?;
    let mut connack = ConnAck::new(session_present, code);
    read_properties(reader, &mut connack)?;
    Ok(connack)
}

/// The return codes of MQTT 3 (3.2.2.3 of 3.1.1).
fn return_code(value: u8) -> Result<ReasonCode, DecodeError> {
    Ok(match value {
        0 => ReasonCode::Success,
        1 => ReasonCode::UnsupportedProtocolVersion,
        2 => ReasonCode::ClientIdentifierNotValid,
        3 => ReasonCode::ServerUnavailable,
        4 => ReasonCode::BadUserNameOrPassword,
        5 => ReasonCode::NotAuthorized,
        _ => {
            return Err(DecodeError::malformed(format!(
                "CONNACK has the return code {value}"
            )));
        }
    })
}

fn read_properties(reader: &mut Reader<'_>, connack: &mut ConnAck) -> Result<(), DecodeError> {
    let mut authentication = AuthenticationFields::default();
    let mut properties = Properties::begin(reader, properties::CONNACK)?;
    while let Some(property) = properties.next()? {
        match property {
            Property::SessionExpiryInterval(value) => connack.session_expiry_interval = Some(value),
            Property::ReceiveMaximum(value) => connack.receive_maximum = Some(value),
            Property::MaximumQoS(at_least_once) => {
                connack.maximum_qos = Some(if at_least_once {
                    QoS::AtLeastOnce
                } else {
                    QoS::AtMostOnce
                });
            }
            Property::RetainAvailable(value) => connack.retain_available = value,
            Property::MaximumPacketSize(value) => connack.maximum_packet_size = Some(value),
            Property::AssignedClientIdentifier(value) => {
                connack.assigned_client_identifier = Some(value.into());
            }
            Property::TopicAliasMaximum(value) => connack.topic_alias_maximum = value,
            Property::ReasonString(value) => connack.reason_string = Some(value.into()),
            Property::UserProperty(name, value) => {
                connack.user_properties.push((name.into(), value.into()));
            }
            Property::WildcardSubscriptionAvailable(value) => {
                connack.wildcard_subscription_available = value;
            }
            Property::SubscriptionIdentifiersAvailable(value) => {
                connack.subscription_identifiers_available = value;
            }
            Property::SharedSubscriptionAvailable(value) => {
                connack.shared_subscription_available = value;
            }
            Property::ServerKeepAlive(value) => connack.server_keep_alive = Some(value),
            Property::ResponseInformation(value) => {
                connack.response_information = Some(value.into())
            }
            Property::ServerReference(value) => connack.server_reference = Some(value.into()),
            other => authentication.take(other),
        }
    }
    connack.authentication = authentication.finish("CONNACK")?;
    Ok(())
}
