//! `gatemq pub`: publishes one message, one many times, or each line of standard input.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use clap::Args;
use gatemq::{
    client::{Client, ClientError, Event, Session},
    message::{Message, QoS, TopicName},
    mqtt::packet::Acknowledgement,
};
use tokio::{
    sync::mpsc::Receiver,
    time::{Instant, sleep_until},
};

use super::{
    Exit,
    client::{self, Command, ConnectionArguments, Interrupt, PayloadArguments, Plan},
};

const NAME: &str = "pub";

#[derive(Args, Debug)]
#[command(disable_help_flag = true, after_help = client::EXIT_CODES)]
pub(super) struct PublishArguments {
    /// The topic
    #[arg(short = 't', long)]
    topic: Option<String>,
    #[command(flatten)]
    payload: PayloadArguments,
    /// Each line of standard input is a message
    #[arg(short = 'l', long, help_heading = "Message")]
    stdin_line: bool,
    /// 0: at most once; 1: at least once; 2: exactly once
    #[arg(short = 'q', long, value_parser = client::qos, default_value = "0", help_heading = "Message")]
    qos: QoS,
    /// The broker keeps the message for whoever subscribes later
    #[arg(short = 'r', long, help_heading = "Message")]
    retain: bool,
    /// Publish it so many times
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 1,
        help_heading = "Message"
    )]
    repeat: u64,
    /// Seconds between one delivery and the next publication
    #[arg(long, value_name = "SECONDS", value_parser = client::seconds, default_value = "0", help_heading = "Message")]
    repeat_delay: Duration,
    #[command(flatten)]
    connection: ConnectionArguments,
}

/// What is still to be published.
enum Source {
    Repeat {
        payload: Bytes,
        left: u64,
        delay: Duration,
        next_at: Instant,
    },
    Lines(Receiver<Result<Bytes, String>>),
}

/// Publishing under way.
struct Publisher {
    plan: Plan,
    source: Source,
    message: Message,
    message_expiry_interval: Option<u32>,
    exit: Exit,
}

/// Publishes what is asked.
pub(super) fn run(arguments: &PublishArguments) -> Exit {
    let publisher = match arguments.publisher() {
        Ok(publisher) => publisher,
        Err(wrong) => return client::misused(NAME, wrong),
    };
    client::run(async |interrupt| publisher.run(interrupt).await)
}

impl PublishArguments {
    fn publisher(&self) -> Result<Publisher, String> {
        let plan = self.connection.plan()?;
        let topic = topic(self.topic.as_deref(), &plan)?;
        let source = match (self.payload.count(), self.stdin_line) {
            (0, true) if self.repeat != 1 => {
                return Err("--repeat goes with one message, not with -l".to_owned());
            }
            (0, true) => Source::Lines(client::lines()),
            (1, false) => Source::Repeat {
                payload: self.payload.read()?,
                left: self.repeat,
                delay: self.repeat_delay,
                next_at: Instant::now(),
            },
            _ => {
                return Err(
                    "exactly one payload is expected: -m TEXT, -f FILE, -s, -l or -n".to_owned(),
                );
            }
        };
        let properties = plan.properties.message(Command::Publish);
        let message = Message {
            properties: properties.map(Box::new),
            ..Message::new(topic, Bytes::new(), self.qos, self.retain)
        };
        Ok(Publisher {
            message_expiry_interval: plan.properties.message_expiry_interval(Command::Publish),
            plan,
            source,
            message,
            exit: Exit::Done,
        })
    }
}

/// The topic to publish to.
pub(super) fn topic(given: Option<&str>, plan: &Plan) -> Result<TopicName, String> {
    let Some(topic) = given.or(plan.target.topic.as_deref()) else {
        return Err("no topic; -t TOPIC names one".to_owned());
    };
    let wrong =
        |error| format!("the topic {topic:?} {error}; -t TOPIC takes one such as demo/hello");
    TopicName::parse(topic).map_err(wrong)
}

impl Publisher {
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
        match self.publish_all(&mut client, &mut interrupt).await {
            Ok(()) => {
                self.plan.close(client).await;
                self.exit
            }
            Err(error) => self.plan.fail(&error),
        }
    }

    /// Until everything is out, and acknowledged where that is due.
    async fn publish_all(
        &mut self,
        client: &mut Client,
        interrupt: &mut Interrupt,
    ) -> Result<(), ClientError> {
        let mut has_more = true;
        while has_more || client.in_flight() > 0 {
            let may_publish = has_more && client.has_room() && self.source.may_go_on(client);
            tokio::select! {
                biased;
                () = interrupt.wait() => {
                    self.plan.say(format_args!("interrupted; {} not acknowledged", client.in_flight()));
                    self.exit = Exit::Timeout;
                    return Ok(());
                }
                payload = self.source.next(), if may_publish => {
                    has_more = self.publish(client, payload);
                }
                event = client.next() => self.handle(event?),
            }
        }
        Ok(())
    }

    /// Hands one message over; whether there may be more.
    fn publish(&mut self, client: &mut Client, payload: Option<Result<Bytes, String>>) -> bool {
        let payload = match payload {
            None => return false,
            Some(Ok(payload)) => payload,
            Some(Err(error)) => {
                self.plan.say(format_args!("standard input: {error}"));
                self.exit = Exit::Usage;
                return false;
            }
        };
        let message = Arc::new(Message {
            payload,
            ..self.message.clone()
        });
        if let Err(error) = client.publish(&message, self.message_expiry_interval) {
            self.plan.say(&error);
            self.exit = Exit::Refused;
            return false;
        }
        true
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Published(acknowledgement) => {
                if let Some(wrong) = refusal(&acknowledgement) {
                    self.plan.say(wrong);
                    self.exit = Exit::Refused;
                } else {
                    let code = acknowledgement.reason_code;
                    let words = client::reasoned(code, acknowledgement.reason_string.as_deref());
                    self.plan.remark(format_args!("acknowledged: {words}"));
                }
                self.source.delivered();
            }
            Event::Flushed => self.source.delivered(),
            // Of a session that is kept: not for us.
            Event::Message(_) | Event::Subscribed(_) | Event::Unsubscribed(_) => {}
        }
    }
}

/// What a broker says that does not take a message.
pub(super) fn refusal(acknowledgement: &Acknowledgement) -> Option<String> {
    let code = acknowledgement.reason_code;
    let words = || client::reasoned(code, acknowledgement.reason_string.as_deref());
    code.is_error().then(|| {
        format!(
            "the broker does not take the message: {}; its log says more",
            words()
        )
    })
}

impl Source {
    /// With a delay, one message is delivered before the next begins.
    fn may_go_on(&self, client: &Client) -> bool {
        match self {
            Self::Repeat { delay, .. } => delay.is_zero() || client.in_flight() == 0,
            Self::Lines(_) => true,
        }
    }

    /// The next payload, `None` after the last. Nothing is lost where it is dropped.
    async fn next(&mut self) -> Option<Result<Bytes, String>> {
        match self {
            Self::Repeat { left: 0, .. } => None,
            Self::Repeat {
                payload,
                left,
                delay,
                next_at,
            } => {
                sleep_until(*next_at).await;
                *left -= 1;
                *next_at = Instant::now() + *delay;
                Some(Ok(payload.clone()))
            }
            Self::Lines(lines) => lines.recv().await,
        }
    }

    fn delivered(&mut self) {
        if let Self::Repeat { delay, next_at, .. } = self {
            *next_at = Instant::now() + *delay;
        }
    }
}
