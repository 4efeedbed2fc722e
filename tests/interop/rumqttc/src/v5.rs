//! rumqttc's client of MQTT 5.

use std::{collections::VecDeque, time::Duration};

use rumqttc::{
    Outgoing,
    v5::{
        AsyncClient, Event, EventLoop, Incoming, MqttOptions,
        mqttbytes::{
            QoS, qos,
            v5::{LastWill, SubscribeReasonCode},
        },
    },
};

use crate::{Client, Message, Target, fail};

pub(crate) struct Client5 {
    client: AsyncClient,
    events: EventLoop,
    inbox: VecDeque<Message>,
}

impl Client5 {
    /// Lets the library work until it reports such an event; messages go to the inbox meanwhile.
    async fn until(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self.events.poll().await.unwrap_or_else(|error| fail(error));
            if let Event::Incoming(Incoming::Publish(publish)) = &event {
                self.inbox.push_back(Message {
                    payload: String::from_utf8_lossy(&publish.payload).into_owned(),
                    qos: publish.qos as u8,
                    retain: publish.retain,
                });
            }
            if wanted(&event) {
                return event;
            }
        }
    }
}

impl Client for Client5 {
    async fn open(
        target: &Target,
        client_id: &str,
        kept: bool,
        will: Option<(&str, &str)>,
    ) -> (Self, bool) {
        let (host, port) = target.address();
        let mut options = MqttOptions::new(client_id, host, port);
        options.set_keep_alive(Duration::from_secs(60));
        options.set_clean_start(!kept);
        options.set_session_expiry_interval(kept.then_some(300));
        options.set_transport(target.transport());
        if let Some((topic, payload)) = will {
            options.set_last_will(LastWill::new(topic, payload, QoS::AtLeastOnce, false, None));
        }
        let (client, events) = AsyncClient::new(options, 10);
        let mut opened = Self {
            client,
            events,
            inbox: VecDeque::new(),
        };
        let accepted = opened
            .until(|event| matches!(event, Event::Incoming(Incoming::ConnAck(_))))
            .await;
        let Event::Incoming(Incoming::ConnAck(accepted)) = accepted else {
            fail("no CONNACK")
        };
        (opened, accepted.session_present)
    }

    async fn subscribe(&mut self, filter: &str, level: u8) {
        let level = qos(level).unwrap_or_else(|| fail("no such QoS"));
        self.client
            .subscribe(filter, level)
            .await
            .unwrap_or_else(|error| fail(error));
        let answer = self
            .until(|event| matches!(event, Event::Incoming(Incoming::SubAck(_))))
            .await;
        let Event::Incoming(Incoming::SubAck(answer)) = answer else {
            fail("no SUBACK")
        };
        crate::expect(
            vec![SubscribeReasonCode::Success(level)],
            answer.return_codes,
        );
    }

    async fn publish(&mut self, topic: &str, payload: &str, level: u8, retain: bool) {
        let at = qos(level).unwrap_or_else(|| fail("no such QoS"));
        self.client
            .publish(topic, at, retain, payload.to_owned())
            .await
            .unwrap_or_else(|error| fail(error));
        self.until(|event| match level {
            0 => matches!(event, Event::Outgoing(Outgoing::Publish(_))),
            1 => matches!(event, Event::Incoming(Incoming::PubAck(_))),
            _ => matches!(event, Event::Incoming(Incoming::PubComp(_))),
        })
        .await;
    }

    async fn receive(&mut self) -> Message {
        loop {
            if let Some(message) = self.inbox.pop_front() {
                return message;
            }
            self.until(|event| matches!(event, Event::Incoming(Incoming::Publish(_))))
                .await;
        }
    }

    async fn close(mut self) {
        self.client
            .disconnect()
            .await
            .unwrap_or_else(|error| fail(error));
        self.until(|event| matches!(event, Event::Outgoing(Outgoing::Disconnect)))
            .await;
    }
}
