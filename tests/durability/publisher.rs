//! A client that publishes numbers, and sends again what was not acknowledged.

use std::{collections::VecDeque, num::NonZeroU16, sync::Arc};

use gatemq::{
    message::QoS,
    mqtt::packet::{Acknowledgement, Packet, ProtocolVersion, ReasonCode},
};

use crate::{
    Dice,
    broker::{Access, Broker, send},
    support::{Carrier, Client, connect, message},
};

/// Publishes that wait for their acknowledgement at once.
const WINDOW: usize = 30;

/// Each so many publishes one is retained instead.
const RETAINED_EACH: u64 = 10;

pub(crate) struct Publisher {
    name: usize,
    qos: QoS,
    carrier: Carrier,
    next_number: u64,
    next_id: u16,
    unacknowledged: VecDeque<Unacknowledged>,
    /// The last retained number that was acknowledged, and the last that was sent.
    retained: (u64, u64),
    has_session: bool,
}

struct Unacknowledged {
    packet_id: NonZeroU16,
    content: Content,
    /// PUBREC has come.
    is_released: bool,
}

#[derive(Clone, Copy)]
enum Content {
    Number(u64),
    Retained(u64),
}

/// A number, and with every fourth what fills a few pages of the disk and does not compress.
pub(crate) fn payload(number: u64) -> String {
    let mut text = number.to_string();
    let mut noise = Dice(number + 1);
    while number.is_multiple_of(4) && text.len() < 12_000 {
        text.push_str(&format!(" {:x}", noise.below(u64::MAX)));
    }
    text
}

impl Publisher {
    pub(crate) const fn new(name: usize, qos: QoS, carrier: Carrier) -> Self {
        Self {
            name,
            qos,
            carrier,
            next_number: 0,
            next_id: 1,
            unacknowledged: VecDeque::new(),
            retained: (0, 0),
            has_session: false,
        }
    }

    /// How many numbers it has sent.
    pub(crate) const fn sent(&self) -> u64 {
        self.next_number
    }

    /// Until the broker is gone, or unless `is_live` until everything is acknowledged.
    pub(crate) async fn run(mut self, access: Arc<Access>, is_live: bool) -> Self {
        let name = format!("publisher-{}", self.name);
        if let Some((mut client, answer)) = access.resume(self.carrier, &name, 100).await {
            assert!(
                answer.session_present || !self.has_session,
                "{name} has lost its session"
            );
            self.has_session = true;
            let _ = self.publish(&mut client, is_live).await;
        }
        self
    }

    async fn publish(&mut self, client: &mut Client, is_live: bool) -> Option<()> {
        for at in 0..self.unacknowledged.len() {
            self.send_again(client, at).await?;
        }
        loop {
            while is_live && self.unacknowledged.len() < WINDOW {
                self.send_next(client).await?;
            }
            if self.unacknowledged.is_empty() {
                return Some(());
            }
            let packet = client.receive().await?;
            self.acknowledged(client, packet).await?;
        }
    }

    async fn send_next(&mut self, client: &mut Client) -> Option<()> {
        let content = if self.next_number % RETAINED_EACH == RETAINED_EACH - 1
            && self.retained.1 < self.next_number
        {
            self.retained.1 = self.next_number;
            Content::Retained(self.next_number)
        } else {
            self.next_number += 1;
            Content::Number(self.next_number - 1)
        };
        let is_used = |id| self.unacknowledged.iter().any(|it| it.packet_id == id);
        let packet_id = loop {
            self.next_id = self.next_id.checked_add(1).unwrap_or(1);
            if let Some(id) = NonZeroU16::new(self.next_id)
                && !is_used(id)
            {
                break id;
            }
        };
        self.unacknowledged.push_back(Unacknowledged {
            packet_id,
            content,
            is_released: false,
        });
        self.send_publish(client, packet_id, content, false).await
    }

    async fn send_publish(
        &self,
        client: &mut Client,
        packet_id: NonZeroU16,
        content: Content,
        dup: bool,
    ) -> Option<()> {
        let name = self.name;
        let message = match content {
            Content::Number(number) => {
                message(&format!("d/{name}"), &payload(number), self.qos, false)
            }
            Content::Retained(number) => {
                message(&format!("r/{name}"), &number.to_string(), self.qos, true)
            }
        };
        let mut publish = client.publish_of(message);
        publish.packet_id = Some(packet_id);
        publish.dup = dup;
        send(client, &Packet::Publish(publish)).await
    }

    async fn send_again(&self, client: &mut Client, at: usize) -> Option<()> {
        let Unacknowledged {
            packet_id,
            content,
            is_released,
        } = self.unacknowledged[at];
        if is_released {
            let release = Acknowledgement::new(packet_id, ReasonCode::Success);
            return send(client, &Packet::PubRel(release)).await;
        }
        self.send_publish(client, packet_id, content, true).await
    }

    async fn acknowledged(&mut self, client: &mut Client, packet: Packet) -> Option<()> {
        match packet {
            Packet::PubAck(ack) => {
                assert!(!ack.reason_code.is_error(), "{ack:?}");
                self.finish(ack.packet_id);
            }
            Packet::PubRec(ack) => {
                assert!(!ack.reason_code.is_error(), "{ack:?}");
                let found = self
                    .unacknowledged
                    .iter_mut()
                    .find(|it| it.packet_id == ack.packet_id);
                let found = found.expect("published");
                found.is_released = true;
                let content = found.content;
                self.accepted(content);
                let release = Acknowledgement::new(ack.packet_id, ReasonCode::Success);
                send(client, &Packet::PubRel(release)).await?;
            }
            Packet::PubComp(ack) => self.finish(ack.packet_id),
            Packet::Disconnect(_) => return None,
            other => panic!("unexpected {other:?}"),
        }
        Some(())
    }

    fn finish(&mut self, packet_id: NonZeroU16) {
        let at = self
            .unacknowledged
            .iter()
            .position(|it| it.packet_id == packet_id);
        let finished = self.unacknowledged.remove(at.expect("published"));
        self.accepted(finished.expect("found").content);
    }

    fn accepted(&mut self, content: Content) {
        if let Content::Retained(number) = content {
            self.retained.0 = self.retained.0.max(number);
        }
    }

    /// Its retained message is the last that was acknowledged.
    pub(crate) async fn check_retained(&self, broker: &Broker) {
        let (acknowledged, sent) = self.retained;
        assert_eq!(acknowledged, sent, "all is acknowledged by now");
        if sent == 0 {
            return;
        }
        let request = connect(ProtocolVersion::V5, "retained");
        let access = broker.access();
        let (mut client, _) = access
            .connect(Carrier::Tcp, request)
            .await
            .expect("a broker");
        client
            .subscribe(&format!("r/{}", self.name), QoS::AtMostOnce)
            .await;
        let publish = client.expect_publish().await;
        let payload = String::from_utf8_lossy(&publish.message.payload);
        assert_eq!(
            payload,
            sent.to_string(),
            "retained of publisher {}",
            self.name
        );
        client.disconnect().await;
    }
}
