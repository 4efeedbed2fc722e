//! Packets of every kind, as each version can say them.

use std::{num::NonZeroU32, sync::Arc};

use bytes::Bytes;
use proptest::{collection::vec, option, prelude::*, sample::select};

use super::{LIMITS, V5, connect, id};
use crate::{
    message::{Message, MessageProperties, QoS, TopicFilter, TopicName},
    mqtt::packet::{
        Acknowledgement, Auth, Authentication, ConnAck, Connect, Disconnect, NEVER_EXPIRES, Packet,
        PacketId, ProtocolVersion, Publish, ReasonCode, SubAck, Subscribe, Subscription, UnsubAck,
        Unsubscribe, UserProperties, Will,
    },
    router::{RetainHandling, SubscriptionOptions},
};

pub(super) fn words() -> impl Strategy<Value = (Option<Box<str>>, UserProperties)> {
    (option::of(text()), user_properties())
}

pub(super) fn text() -> impl Strategy<Value = Box<str>> {
    "[a-zA-Z0-9 /äß你😀]{0,12}".prop_map(Into::into)
}

pub(super) fn user_properties() -> impl Strategy<Value = UserProperties> {
    vec((text(), text()), 0..3)
}

pub(super) fn binary() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..20).prop_map(Into::into)
}

pub(super) fn name() -> impl Strategy<Value = TopicName> {
    "[a-z$/]{1,20}".prop_filter_map("too many levels", |text| {
        (text.matches('/').count() < LIMITS.max_topic_levels)
            .then(|| TopicName::parse(&text).expect("a name"))
    })
}

pub(super) fn filter() -> impl Strategy<Value = TopicFilter> {
    select(vec![
        "#",
        "a/+/b",
        "+",
        "/",
        "$share/g/a/#",
        "$queue/x",
        "你/好",
    ])
    .prop_map(|text| TopicFilter::parse(text).expect("a filter"))
}

pub(super) fn qos() -> impl Strategy<Value = QoS> {
    select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

pub(super) fn packet_id() -> impl Strategy<Value = PacketId> {
    (1..=u16::MAX).prop_map(id)
}

pub(super) fn code(codes: &[ReasonCode]) -> impl Strategy<Value = ReasonCode> + use<> {
    select(codes.to_vec())
}

pub(super) fn properties(is_v5: bool) -> impl Strategy<Value = Option<Box<MessageProperties>>> {
    let properties = (
        option::of(any::<bool>()),
        option::of(text()),
        option::of(name()),
        option::of(binary()),
        user_properties(),
    );
    properties.prop_map(
        move |(
            payload_is_utf8,
            content_type,
            response_topic,
            correlation_data,
            user_properties,
        )| {
            let properties = MessageProperties {
                payload_is_utf8,
                content_type,
                response_topic,
                correlation_data,
                user_properties,
            };
            (is_v5 && properties != MessageProperties::default()).then(|| Box::new(properties))
        },
    )
}

pub(super) fn any_publish(is_v5: bool, from_server: bool) -> impl Strategy<Value = Packet> {
    let identifiers = vec(1..=268_435_455_u32, 0..3);
    let fields = (
        name(),
        vec(any::<u8>(), 0..9000),
        qos(),
        packet_id(),
        any::<(bool, bool)>(),
    );
    (
        fields,
        properties(is_v5),
        option::of(any::<u32>()),
        identifiers,
    )
        .prop_map(
            move |(
                (topic, payload, qos, packet_id, (dup, retain)),
                properties,
                expiry,
                identifiers,
            )| {
                let mut message = Message::new(topic, payload, qos, retain);
                message.properties = properties;
                let acknowledged = qos != QoS::AtMostOnce;
                Packet::Publish(Publish {
                    message: Arc::new(message),
                    packet_id: acknowledged.then_some(packet_id),
                    dup: dup && acknowledged,
                    qos,
                    retain,
                    message_expiry_interval: expiry.filter(|_| is_v5),
                    subscription_identifiers: if is_v5 && from_server {
                        identifiers.into()
                    } else {
                        smallvec::SmallVec::new()
                    },
                })
            },
        )
}

pub(super) fn acknowledgement(
    is_v5: bool,
    codes: &[ReasonCode],
) -> impl Strategy<Value = Acknowledgement> + use<> {
    (packet_id(), code(codes), words()).prop_map(move |(packet_id, reason_code, (reason, user))| {
        if !is_v5 {
            return Acknowledgement::new(packet_id, ReasonCode::Success);
        }
        Acknowledgement {
            packet_id,
            reason_code,
            reason_string: reason,
            user_properties: user,
        }
    })
}

pub(super) fn both_ways(is_v5: bool) -> impl Strategy<Value = Packet> {
    use ReasonCode as Code;
    let received = [
        Code::Success,
        Code::NoMatchingSubscribers,
        Code::NotAuthorized,
        Code::QuotaExceeded,
    ];
    let released = [Code::Success, Code::PacketIdentifierNotFound];
    prop_oneof![
        acknowledgement(is_v5, &received).prop_map(Packet::PubAck),
        acknowledgement(is_v5, &received).prop_map(Packet::PubRec),
        acknowledgement(is_v5, &released).prop_map(Packet::PubRel),
        acknowledgement(is_v5, &released).prop_map(Packet::PubComp),
        any_auth().prop_map(move |auth| {
            let instead = Packet::PubAck(Acknowledgement::new(id(1), Code::Success));
            if is_v5 { auth } else { instead }
        }),
    ]
}

pub(super) fn authentication() -> impl Strategy<Value = Option<Authentication>> {
    let fields = (text(), option::of(binary()));
    option::of(fields.prop_map(|(method, data)| Authentication { method, data }))
}

pub(super) fn any_auth() -> impl Strategy<Value = Packet> {
    use ReasonCode as Code;
    let codes = [
        Code::Success,
        Code::ContinueAuthentication,
        Code::ReAuthenticate,
    ];
    (code(&codes), authentication(), words()).prop_map(
        |(reason_code, authentication, (reason, user))| {
            Packet::Auth(Auth {
                reason_code,
                authentication,
                reason_string: reason,
                user_properties: user,
            })
        },
    )
}

pub(super) fn options(is_v5: bool) -> impl Strategy<Value = SubscriptionOptions> {
    let retain = select(vec![
        RetainHandling::Send,
        RetainHandling::SendIfNew,
        RetainHandling::DoNotSend,
    ]);
    (qos(), any::<bool>(), retain).prop_map(move |(qos, retain_as_published, retain_handling)| {
        let plain = SubscriptionOptions {
            qos,
            ..SubscriptionOptions::default()
        };
        if !is_v5 {
            return plain;
        }
        SubscriptionOptions {
            retain_as_published,
            retain_handling,
            ..plain
        }
    })
}

pub(super) fn of_client(version: ProtocolVersion) -> impl Strategy<Value = Packet> {
    let is_v5 = version == V5;
    let lines = vec((filter(), options(is_v5)), 1..4);
    let subscribe = (
        packet_id(),
        lines,
        option::of(1..=268_435_455_u32),
        user_properties(),
    )
        .prop_map(move |(packet_id, lines, identifier, user)| {
            let identifier = identifier.filter(|_| is_v5).and_then(NonZeroU32::new);
            let line = |(topic_filter, options)| Subscription {
                topic_filter,
                options: SubscriptionOptions {
                    identifier,
                    ..options
                },
            };
            Packet::Subscribe(Subscribe {
                packet_id,
                subscriptions: lines.into_iter().map(line).collect(),
                user_properties: if is_v5 { user } else { Vec::new() },
            })
        });
    let unsubscribe = (packet_id(), vec(filter(), 1..4), user_properties()).prop_map(
        move |(packet_id, topic_filters, user)| {
            Packet::Unsubscribe(Unsubscribe {
                packet_id,
                topic_filters,
                user_properties: if is_v5 { user } else { Vec::new() },
            })
        },
    );
    prop_oneof![
        any_publish(is_v5, false),
        both_ways(is_v5),
        subscribe,
        unsubscribe,
        Just(Packet::PingReq),
        any_disconnect(
            is_v5,
            &[ReasonCode::Success, ReasonCode::DisconnectWithWill]
        ),
    ]
}

pub(super) fn any_disconnect(
    is_v5: bool,
    codes: &[ReasonCode],
) -> impl Strategy<Value = Packet> + use<> {
    (code(codes), words()).prop_map(move |(reason_code, (reason, user))| {
        if !is_v5 {
            return Packet::Disconnect(Disconnect::new(ReasonCode::Success));
        }
        let mut disconnect = Disconnect::new(reason_code);
        disconnect.reason_string = reason;
        disconnect.user_properties = user;
        Packet::Disconnect(disconnect)
    })
}

pub(super) fn of_server(version: ProtocolVersion) -> impl Strategy<Value = Packet> {
    let is_v5 = version == V5;
    let codes = vec(code(&[ReasonCode::Success, ReasonCode::GrantedQoS2]), 1..4);
    let suback =
        (packet_id(), codes, words()).prop_map(move |(packet_id, reason_codes, (reason, user))| {
            Packet::SubAck(SubAck {
                packet_id,
                reason_codes,
                reason_string: reason.filter(|_| is_v5),
                user_properties: if is_v5 { user } else { Vec::new() },
            })
        });
    let codes = vec(
        code(&[ReasonCode::Success, ReasonCode::NoSubscriptionExisted]),
        1..4,
    );
    let unsuback =
        (packet_id(), codes, words()).prop_map(move |(packet_id, reason_codes, (reason, user))| {
            Packet::UnsubAck(UnsubAck {
                packet_id,
                reason_codes: if is_v5 { reason_codes } else { Vec::new() },
                reason_string: reason.filter(|_| is_v5),
                user_properties: if is_v5 { user } else { Vec::new() },
            })
        });
    prop_oneof![
        any_publish(is_v5, true),
        both_ways(is_v5),
        any_connack(version),
        suback,
        unsuback,
        Just(Packet::PingResp),
        any_disconnect(true, &[ReasonCode::Success, ReasonCode::SessionTakenOver])
            .prop_map(move |disconnect| if is_v5 { disconnect } else { Packet::PingResp }),
    ]
}

pub(super) fn any_connack(version: ProtocolVersion) -> impl Strategy<Value = Packet> {
    let numbers = (
        option::of(any::<u32>()),
        option::of(1..=u16::MAX),
        option::of(1..=u32::MAX),
        any::<u16>(),
    );
    let texts = (
        option::of(text()),
        option::of(text()),
        option::of(text()),
        words(),
    );
    let flags = any::<[bool; 5]>();
    (
        numbers,
        texts,
        flags,
        option::of(any::<u16>()),
        authentication(),
    )
        .prop_map(
            move |(numbers, texts, flags, server_keep_alive, authentication)| {
                let session_present = flags[0] && version != ProtocolVersion::V3_1;
                let mut connack = ConnAck::new(session_present, ReasonCode::Success);
                if version != V5 {
                    return Packet::ConnAck(Box::new(connack));
                }
                (
                    connack.session_expiry_interval,
                    connack.receive_maximum,
                    connack.maximum_packet_size,
                    connack.topic_alias_maximum,
                ) = numbers;
                (
                    connack.assigned_client_identifier,
                    connack.response_information,
                    connack.server_reference,
                    (connack.reason_string, connack.user_properties),
                ) = texts;
                connack.retain_available = flags[1];
                connack.wildcard_subscription_available = flags[2];
                connack.subscription_identifiers_available = flags[3];
                connack.shared_subscription_available = flags[4];
                connack.maximum_qos = flags[0].then_some(QoS::AtLeastOnce);
                connack.server_keep_alive = server_keep_alive;
                connack.authentication = authentication;
                Packet::ConnAck(Box::new(connack))
            },
        )
}

pub(super) fn any_will(is_v5: bool) -> impl Strategy<Value = Box<Will>> {
    let fields = (
        name(),
        binary(),
        qos(),
        any::<bool>(),
        any::<u32>(),
        option::of(any::<u32>()),
    );
    (fields, properties(is_v5)).prop_map(
        move |((topic, payload, qos, retain, delay_interval, expiry), properties)| {
            Box::new(Will {
                topic,
                payload,
                qos,
                retain,
                delay_interval: if is_v5 { delay_interval } else { 0 },
                message_expiry_interval: expiry.filter(|_| is_v5),
                properties,
            })
        },
    )
}

pub(super) fn any_connect(version: ProtocolVersion) -> impl Strategy<Value = Connect> {
    let is_v5 = version == V5;
    let identity = (
        "[a-z0-9]{1,30}",
        option::of(text()),
        option::of(binary()),
        any::<bool>(),
        any::<u16>(),
    );
    let grants = (
        any::<u32>(),
        1..=u16::MAX,
        option::of(1..=u32::MAX),
        any::<u16>(),
        any::<(bool, bool)>(),
    );
    (
        identity,
        grants,
        option::of(any_will(is_v5)),
        authentication(),
        user_properties(),
    )
        .prop_map(
            move |(
                (client_id, username, password, clean_start, keep_alive),
                grants,
                will,
                authentication,
                user,
            )| {
                let mut connect = Connect {
                    client_id: client_id.into(),
                    clean_start,
                    keep_alive,
                    password: password.filter(|_| is_v5 || username.is_some()),
                    username,
                    will,
                    ..connect(version)
                };
                if !is_v5 {
                    connect.session_expiry_interval = if clean_start { 0 } else { NEVER_EXPIRES };
                    return connect;
                }
                (
                    connect.session_expiry_interval,
                    connect.receive_maximum,
                    connect.maximum_packet_size,
                    connect.topic_alias_maximum,
                    (
                        connect.request_response_information,
                        connect.request_problem_information,
                    ),
                ) = grants;
                connect.authentication = authentication;
                connect.user_properties = user;
                connect
            },
        )
}

pub(super) fn version() -> impl Strategy<Value = ProtocolVersion> {
    select(ProtocolVersion::ALL.to_vec())
}
