//! A message and back: whether the client may subscribe and publish.

use std::{io, sync::Arc};

use super::{
    Options,
    connect::Connected,
    link::Link,
    report::{Failure, Finding},
    way::Way,
};
use crate::{
    client::reason,
    message::{Message, QoS, TopicFilter, TopicName},
    mqtt::packet::{Disconnect, Packet, PacketId, Publish, ReasonCode, Subscribe, Subscription},
    router::SubscriptionOptions,
};

/// Subscribes to a topic of its own, publishes to it, and waits for the message.
pub(super) async fn examine(
    way: &Way,
    connected: &mut Connected,
    options: &Options,
) -> Vec<Finding> {
    let topic = options
        .topic
        .clone()
        .unwrap_or_else(|| format!("gatemq-doctor/{:016x}", rand::random::<u64>()));
    let (Ok(topic_filter), Ok(topic_name)) = (TopicFilter::parse(&topic), TopicName::parse(&topic))
    else {
        let detail = format!("{topic:?} is no topic name");
        return vec![
            Finding::fault(Failure::Refused, "topic", detail)
                .fix("--topic takes a name without + and #, like test/doctor"),
        ];
    };
    let begin = tokio::time::Instant::now();
    let link = &mut connected.link;
    let travelling = way.patiently(travel(link, topic_filter, topic_name)).await;
    // Whatever came of it, the session is over.
    let goodbye = Packet::Disconnect(Disconnect::new(ReasonCode::Success));
    let _ = way.patiently(link.send(&goodbye)).await;
    vec![match travelling {
        Ok(None) => {
            let milliseconds = begin.elapsed().as_secs_f64() * 1000.0;
            let detail = format!("a message to {topic} came back ({milliseconds:.1} ms)");
            Finding::good("returned", detail)
        }
        Ok(Some(denied)) => denied.about(&topic),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            let detail = format!(
                "a message to {topic} does not come back within {:?}",
                way.patience
            );
            Finding::fault(Failure::TimedOut, "not-returned", detail)
                .fix("a broker that drops what may not be published says nothing before MQTT 5: see the permissions for the topic")
                .fix("--topic TOPIC asks with a topic that the user may use")
        }
        Err(error) => {
            let detail = format!("the connection ended during the round trip: {error}");
            Finding::fault(Failure::Refused, "ended", detail)
                .fix("the broker's log says why, under code=client.disconnected")
        }
    }]
}

/// What the broker has refused on the way.
struct Denied {
    what: &'static str,
    code: &'static str,
    reason_code: ReasonCode,
}

impl Denied {
    fn about(&self, topic: &str) -> Finding {
        let Self {
            what,
            code,
            reason_code,
        } = self;
        let why = reason::words(*reason_code);
        let detail = format!("{what} {topic} is refused: {why}");
        Finding::fault(Failure::Refused, code, detail)
            .fix(format!(
                "allow the user to use {topic} in the broker's permissions"
            ))
            .fix("or ask with a topic that the user may use: --topic TOPIC")
    }
}

async fn travel(
    link: &mut Link,
    topic_filter: TopicFilter,
    topic: TopicName,
) -> io::Result<Option<Denied>> {
    let subscribe = PacketId::new(1).expect("not zero");
    let publish = PacketId::new(2).expect("not zero");
    let payload = format!("{:032x}", rand::random::<u128>());
    link.send(&Packet::Subscribe(Subscribe {
        packet_id: subscribe,
        subscriptions: vec![Subscription {
            topic_filter,
            options: SubscriptionOptions::default(),
        }],
        user_properties: Vec::new(),
    }))
    .await?;
    loop {
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "whatever else comes is not about this message"
        )]
        match link.receive().await? {
            Packet::SubAck(answer) => {
                let denied = answer.reason_codes.iter().find(|code| code.is_error());
                if let Some(reason_code) = denied {
                    return Ok(Some(Denied {
                        what: "SUBSCRIBE to",
                        code: "subscribe-denied",
                        reason_code: *reason_code,
                    }));
                }
                let message = Message::new(topic.clone(), payload.clone(), QoS::AtLeastOnce, false);
                link.send(&Packet::Publish(publication(message, publish)))
                    .await?;
            }
            Packet::PubAck(answer) if answer.reason_code.is_error() => {
                return Ok(Some(Denied {
                    what: "PUBLISH to",
                    code: "publish-denied",
                    reason_code: answer.reason_code,
                }));
            }
            Packet::Publish(publish) if publish.message.payload == payload.as_bytes() => {
                return Ok(None);
            }
            Packet::Disconnect(disconnect) => {
                return Ok(Some(Denied {
                    what: "the round trip by",
                    code: "ended",
                    reason_code: disconnect.reason_code,
                }));
            }
            _ => {}
        }
    }
}

fn publication(message: Message, packet_id: PacketId) -> Publish {
    Publish {
        packet_id: Some(packet_id),
        dup: false,
        qos: message.qos,
        retain: false,
        message: Arc::new(message),
        message_expiry_interval: None,
        subscription_identifiers: smallvec::SmallVec::new(),
    }
}
