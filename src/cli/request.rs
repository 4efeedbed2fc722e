//! `gatemq rr`: publishes a request and waits for the response (MQTT 5, 4.10).

use std::{sync::Arc, time::Duration};

use clap::Args;
use gatemq::{
    client::{Client, ClientError, Event, Session},
    message::{Message, QoS, TopicFilter, TopicName},
    mqtt::packet::{ProtocolVersion, Publish, ReasonCode, SubAck, Subscription},
    router::SubscriptionOptions,
};
use tokio::time::Instant;

use super::{
    Exit,
    client::{
        self, Command, ConnectionArguments, Interrupt, Output, OutputArguments, PayloadArguments,
        Plan,
    },
    publish, subscribe,
};

const NAME: &str = "rr";

#[derive(Args, Debug)]
#[command(disable_help_flag = true, after_help = client::EXIT_CODES)]
pub(super) struct RequestArguments {
    /// The topic of the request
    #[arg(short = 't', long)]
    topic: Option<String>,
    /// The topic of the response [default: one of this command's own]
    #[arg(short = 'e', long, value_name = "TOPIC")]
    response_topic: Option<String>,
    /// The QoS of the request, and the highest of the response
    #[arg(short = 'q', long, value_parser = client::qos, default_value = "0")]
    qos: QoS,
    /// Give up after so many seconds, with exit code 5 [default: wait for ever]
    #[arg(short = 'W', value_name = "SECONDS", value_parser = client::seconds)]
    timeout: Option<Duration>,
    #[command(flatten)]
    payload: PayloadArguments,
    #[command(flatten)]
    output: OutputArguments,
    #[command(flatten)]
    connection: ConnectionArguments,
}

/// A request under way.
struct Requester<'a> {
    timeout: Option<Duration>,
    plan: Plan,
    request: Message,
    response_topic: TopicName,
    output: Output<'a>,
}

/// Asks and waits.
pub(super) fn run(arguments: &RequestArguments) -> Exit {
    let requester = match arguments.requester() {
        Ok(requester) => requester,
        Err(wrong) => return client::misused(NAME, wrong),
    };
    client::run(async |interrupt| requester.run(interrupt).await)
}

impl RequestArguments {
    fn requester(&self) -> Result<Requester<'_>, String> {
        let plan = self.connection.plan()?;
        let topic = publish::topic(self.topic.as_deref(), &plan)?;
        if self.payload.count() != 1 {
            return Err("exactly one payload is expected: -m TEXT, -f FILE, -s or -n".to_owned());
        }
        let own = || format!("gatemq/response/{}", client::random_letters(12));
        let response_topic = self.response_topic.clone().unwrap_or_else(own);
        let wrong =
            |error| format!("the response topic {response_topic:?} {error}; -e TOPIC names one");
        let response_topic = TopicName::parse(&response_topic).map_err(wrong)?;
        let mut properties = plan
            .properties
            .message(Command::Publish)
            .unwrap_or_default();
        properties.response_topic = Some(response_topic.clone());
        let own = || client::random_letters(12).into();
        properties.correlation_data.get_or_insert_with(own);
        let request = Message {
            properties: Some(Box::new(properties)),
            ..Message::new(topic, self.payload.read()?, self.qos, false)
        };
        Ok(Requester {
            timeout: self.timeout,
            plan,
            request,
            response_topic,
            output: self.output.open(),
        })
    }
}

impl Requester<'_> {
    async fn run(mut self, mut interrupt: Interrupt) -> Exit {
        let session = Session::default();
        let opened = tokio::select! {
            opened = self.plan.open(&session) => opened,
            () = interrupt.wait() => return Exit::Timeout,
        };
        let mut client = match opened {
            Ok(client) => client,
            Err(error) => return self.plan.fail(&error),
        };
        let deadline = self.timeout.map(|timeout| Instant::now() + timeout);
        let exit = tokio::select! {
            asked = self.ask(&mut client) => match asked {
                Ok(exit) => exit,
                Err(error) => return self.plan.fail(&error),
            },
            () = interrupt.wait() => Exit::Timeout,
            () = subscribe::expiry(deadline) => {
                let topic = &self.request.topic;
                self.plan.say(format_args!(
                    "no response to {topic} in time; does somebody answer there? A longer -W waits longer"
                ));
                Exit::Timeout
            }
        };
        self.plan.close(client).await;
        exit
    }

    /// Subscribes to the response before it asks, so that none is missed.
    async fn ask(&mut self, client: &mut Client) -> Result<Exit, ClientError> {
        let filter = TopicFilter::parse(self.response_topic.as_str());
        let subscription = Subscription {
            topic_filter: filter.expect("every topic name is a filter, too"),
            options: SubscriptionOptions {
                qos: self.request.qos,
                ..SubscriptionOptions::default()
            },
        };
        let user_properties = self.plan.properties.user(Command::Subscribe);
        if let Err(error) = client.subscribe(vec![subscription], user_properties) {
            self.plan.say(error);
            return Ok(Exit::Refused);
        }
        loop {
            let ended = match client.next().await? {
                Event::Subscribed(ack) => self.subscribed(client, &ack),
                Event::Published(ack) => {
                    if ack.reason_code == ReasonCode::NoMatchingSubscribers {
                        let topic = &self.request.topic;
                        self.plan.say(format_args!(
                            "nobody has subscribed to {topic} just now; waiting all the same"
                        ));
                    }
                    publish::refusal(&ack).map(|wrong| {
                        self.plan.say(wrong);
                        Exit::Refused
                    })
                }
                Event::Message(publish) => self.response(publish),
                Event::Unsubscribed(_) | Event::Flushed => None,
            };
            if let Some(exit) = ended {
                return Ok(exit);
            }
        }
    }

    fn subscribed(&self, client: &mut Client, ack: &SubAck) -> Option<Exit> {
        if let Some(code) = ack.reason_codes.iter().find(|code| code.is_error()) {
            let words = client::reasoned(*code, ack.reason_string.as_deref());
            let topic = &self.response_topic;
            self.plan.say(format_args!(
                "the broker refuses the subscription to {topic}: {words}; -e TOPIC names another one"
            ));
            return Some(Exit::Refused);
        }
        let expiry = self
            .plan
            .properties
            .message_expiry_interval(Command::Publish);
        let request = Arc::new(self.request.clone());
        client.publish(&request, expiry).err().map(|error| {
            self.plan.say(error);
            Exit::Refused
        })
    }

    /// Prints the response, and leaves others alone: a topic that was chosen with -e may have several askers.
    fn response(&mut self, publish: Publish) -> Option<Exit> {
        let correlation = |message: &Message| {
            message
                .properties
                .as_ref()
                .and_then(|properties| properties.correlation_data.clone())
        };
        let found = correlation(&publish.message);
        let is_ours = publish.message.topic == self.response_topic
            && (found.is_none() || found == correlation(&self.request));
        if !is_ours && self.plan.connect.version == ProtocolVersion::V5 {
            return None;
        }
        // Nobody may read any more: the answer has come all the same.
        let _ = subscribe::print(&mut self.output, &self.plan, publish)
            .and_then(|()| self.output.flush());
        Some(Exit::Done)
    }
}
