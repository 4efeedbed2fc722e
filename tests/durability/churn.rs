//! A client that changes its subscriptions all the time, and one that looks whether they are what was acknowledged.

use std::sync::Arc;

use gatemq::{
    message::{QoS, TopicFilter},
    mqtt::packet::{Packet, ProtocolVersion, Subscribe, Subscription, Unsubscribe},
    router::SubscriptionOptions,
};

use crate::{
    broker::{Access, Broker, send},
    support::{Carrier, Client, connect},
};

const TOPICS: usize = 5;

#[derive(Default)]
pub(crate) struct Churn {
    /// What was acknowledged of each topic; `None` where the answer did not come.
    subscribed: [Option<bool>; TOPICS],
    step: usize,
}

impl Churn {
    /// Until the broker is gone.
    pub(crate) async fn run(mut self, access: Arc<Access>, is_live: bool) -> Self {
        if is_live && let Some((mut client, _)) = access.resume(Carrier::Tcp, "churn", 10).await {
            while self.change(&mut client).await.is_some() {}
        }
        self
    }

    async fn change(&mut self, client: &mut Client) -> Option<()> {
        self.step += 1;
        let topic = self.step * 3 % TOPICS;
        let filter = TopicFilter::parse(&format!("c/{topic}")).expect("a filter");
        let is_subscribed = self.subscribed[topic] == Some(true);
        self.subscribed[topic] = None;
        let packet_id = client.next_id();
        let request = if is_subscribed {
            Packet::Unsubscribe(Unsubscribe {
                packet_id,
                topic_filters: vec![filter],
                user_properties: Vec::new(),
            })
        } else {
            let options = SubscriptionOptions {
                qos: QoS::AtLeastOnce,
                ..SubscriptionOptions::default()
            };
            Packet::Subscribe(Subscribe {
                packet_id,
                subscriptions: vec![Subscription {
                    topic_filter: filter,
                    options,
                }],
                user_properties: Vec::new(),
            })
        };
        send(client, &request).await?;
        match client.receive().await? {
            Packet::SubAck(answer) => assert!(!answer.reason_codes[0].is_error(), "{answer:?}"),
            Packet::UnsubAck(_) => {}
            other => panic!("unexpected {other:?}"),
        }
        self.subscribed[topic] = Some(!is_subscribed);
        Some(())
    }

    /// Publishes to each topic: who had subscribed gets it, and nobody else.
    pub(crate) async fn check(&mut self, broker: &Broker) {
        let access = broker.access();
        let resumed = access.resume(Carrier::Tcp, "churn", 10).await;
        let (mut client, _) = resumed.expect("a broker");
        let request = connect(ProtocolVersion::V5, "probe");
        let connected = access.connect(Carrier::Tcp, request).await;
        let (mut probe, _) = connected.expect("a broker");
        for topic in 0..TOPICS {
            probe
                .publish(&format!("c/{topic}"), "probe", QoS::AtLeastOnce)
                .await;
        }
        let mut received = [false; TOPICS];
        // The first PINGRESP may overtake a delivery, the second one does not.
        for _ in 0..2 {
            client.send(&Packet::PingReq).await;
            loop {
                match client.expect_packet().await {
                    Packet::PingResp => break,
                    Packet::Publish(publish) => {
                        let topic = &publish.message.topic.as_str()[2..];
                        received[topic.parse::<usize>().expect("a topic")] = true;
                        client.acknowledge(&publish).await;
                    }
                    other => panic!("unexpected {other:?}"),
                }
            }
        }
        for (topic, acknowledged) in self.subscribed.iter_mut().enumerate() {
            if let Some(acknowledged) = acknowledged {
                assert_eq!(received[topic], *acknowledged, "subscription to c/{topic}");
            }
            *acknowledged = Some(received[topic]);
        }
        probe.disconnect().await;
        client.disconnect().await;
    }
}
