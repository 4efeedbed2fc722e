//! A client that is owed every number, and counts.

use std::{collections::HashSet, num::NonZeroU16, sync::Arc};

use gatemq::{
    message::QoS,
    mqtt::packet::{Acknowledgement, Packet, Publish, ReasonCode},
};
use tokio::sync::watch;

use crate::{
    broker::{Access, send},
    support::{Carrier, Client},
};

pub(crate) struct Subscriber {
    name: usize,
    qos: QoS,
    carrier: Carrier,
    receive_maximum: u16,
    has_session: bool,
    /// How many numbers of each publisher it has, without a gap.
    received: Vec<u64>,
    /// QoS 2 deliveries that wait for PUBREL.
    unreleased: HashSet<NonZeroU16>,
}

impl Subscriber {
    pub(crate) fn new(name: usize, qos: QoS, carrier: Carrier, receive_maximum: u16) -> Self {
        Self {
            name,
            qos,
            carrier,
            receive_maximum,
            has_session: false,
            received: vec![0; 4],
            unreleased: HashSet::new(),
        }
    }

    /// Until the broker is gone, or it has as many numbers of each publisher as were `sent`.
    pub(crate) async fn run(
        mut self,
        access: Arc<Access>,
        is_there: bool,
        sent: watch::Receiver<Option<Vec<u64>>>,
    ) -> Self {
        if !is_there {
            return self;
        }
        let name = format!("subscriber-{}", self.name);
        let resumed = access
            .resume(self.carrier, &name, self.receive_maximum)
            .await;
        let Some((mut client, answer)) = resumed else {
            return self;
        };
        if self.has_session {
            assert!(answer.session_present, "{name} has lost its session");
        } else {
            client.subscribe("d/#", self.qos).await;
            self.has_session = true;
        }
        let _ = self.receive(&mut client, sent).await;
        self
    }

    async fn receive(
        &mut self,
        client: &mut Client,
        mut sent: watch::Receiver<Option<Vec<u64>>>,
    ) -> Option<()> {
        loop {
            let has_all = sent.borrow_and_update().as_ref() == Some(&self.received);
            if has_all && self.unreleased.is_empty() {
                return Some(());
            }
            let packet = tokio::select! {
                packet = client.receive() => packet?,
                changed = sent.changed() => {
                    if changed.is_err() {
                        // Nobody will say any more: the broker is gone.
                        client.receive().await?
                    } else {
                        continue;
                    }
                }
            };
            self.handle(client, packet).await?;
        }
    }

    async fn handle(&mut self, client: &mut Client, packet: Packet) -> Option<()> {
        let success = |id| Acknowledgement::new(id, ReasonCode::Success);
        match packet {
            Packet::Publish(publish) => match (publish.qos, publish.packet_id) {
                (QoS::AtLeastOnce, Some(id)) => {
                    self.count(&publish);
                    send(client, &Packet::PubAck(success(id))).await
                }
                (QoS::ExactlyOnce, Some(id)) => {
                    if self.unreleased.insert(id) {
                        self.count(&publish);
                    }
                    send(client, &Packet::PubRec(success(id))).await
                }
                other => panic!("{other:?}"),
            },
            Packet::PubRel(release) => {
                self.unreleased.remove(&release.packet_id);
                send(client, &Packet::PubComp(success(release.packet_id))).await
            }
            Packet::Disconnect(_) => None,
            other => panic!("unexpected {other:?}"),
        }
    }

    fn count(&mut self, publish: &Publish) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let publisher: usize = publish.message.topic.as_str()[2..].parse().expect("a name");
        let payload = text(&publish.message.payload);
        let number = payload.split(' ').next().expect("one");
        let number: u64 = number.parse().expect("a number");
        let next = self.received[publisher];
        let name = self.name;
        let qos = publish.qos;
        assert!(
            number <= next,
            "subscriber {name}: {number} of publisher {publisher} came before {next} ({qos:?})"
        );
        if qos == QoS::ExactlyOnce {
            assert_eq!(
                number, next,
                "subscriber {name}: publisher {publisher} twice at QoS 2 (DUP {}, id {:?})",
                publish.dup, publish.packet_id
            );
        }
        self.received[publisher] = next.max(number + 1);
    }
}
