//! `gatemq sub`: prints what is published, and connects again when it has to.

use std::{io, ops::ControlFlow, time::Duration};

use clap::Args;
use gatemq::{
    client::{Client, ClientError, Event, Session},
    message::{Message, QoS, TopicFilter},
    mqtt::packet::{Publish, SubAck, Subscription},
    router::SubscriptionOptions,
};
use rand::RngExt as _;
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    Exit,
    client::{
        self, Command, ConnectionArguments, Interrupt, Output, OutputArguments, Plan, Received,
    },
};

const NAME: &str = "sub";

/// Between a lost connection and the next attempt; it doubles up to the other.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

#[derive(Args, Debug)]
#[command(disable_help_flag = true, after_help = client::EXIT_CODES)]
pub(super) struct SubscribeArguments {
    /// Subscribe to this filter; more than once for several
    #[arg(short = 't', long, value_name = "FILTER")]
    topic: Vec<String>,
    /// Unsubscribe from this filter, of a session that was kept
    #[arg(short = 'U', long, value_name = "FILTER")]
    unsubscribe: Vec<String>,
    /// Print nothing of what this filter matches
    #[arg(short = 'T', long, value_name = "FILTER")]
    filter_out: Vec<String>,
    /// The highest QoS of what comes
    #[arg(short = 'q', long, value_parser = client::qos, default_value = "0")]
    qos: QoS,
    /// End after so many messages
    #[arg(short = 'C', value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after so many seconds, with exit code 5
    #[arg(short = 'W', value_name = "SECONDS", value_parser = client::seconds)]
    timeout: Option<Duration>,
    /// End once the subscriptions are there
    #[arg(short = 'E')]
    exit_after_subscribing: bool,
    /// Print no retained messages
    #[arg(short = 'R')]
    no_retained: bool,
    /// Print retained messages only, and end with the first one that is not
    #[arg(long, conflicts_with = "no_retained")]
    retained_only: bool,
    /// Delete each retained message that comes
    #[arg(long)]
    remove_retained: bool,
    /// Messages keep the retain flag of whoever published them (MQTT 5)
    #[arg(long)]
    retain_as_published: bool,
    /// Print so many of a hundred messages, by chance
    #[arg(long, value_name = "PERCENT", value_parser = percentage)]
    random_filter: Option<f64>,
    #[command(flatten)]
    output: OutputArguments,
    #[command(flatten)]
    connection: ConnectionArguments,
}

/// Subscribing under way.
struct Subscriber<'a> {
    arguments: &'a SubscribeArguments,
    plan: Plan,
    filters: Vec<TopicFilter>,
    unsubscribed: Vec<TopicFilter>,
    filtered_out: Vec<TopicFilter>,
    output: Output<'a>,
    printed: u64,
    /// For `-W`, from the first connection on.
    deadline: Option<Instant>,
}

/// Why it goes no further.
enum End {
    As(Exit),
    /// The connection is gone, with what the session was.
    Lost(ClientError, Session),
}

/// Subscribes as asked.
pub(super) fn run(arguments: &SubscribeArguments) -> Exit {
    let subscriber = match arguments.subscriber() {
        Ok(subscriber) => subscriber,
        Err(wrong) => return client::misused(NAME, wrong),
    };
    client::run(async |interrupt| subscriber.run(interrupt).await)
}

impl SubscribeArguments {
    fn subscriber(&self) -> Result<Subscriber<'_>, String> {
        let plan = self.connection.plan()?;
        let mut topics = self.topic.clone();
        topics.extend(plan.target.topic.clone());
        if topics.is_empty() && self.unsubscribe.is_empty() {
            return Err("no topic; -t FILTER names one, as in -t 'demo/#'".to_owned());
        }
        Ok(Subscriber {
            filters: filters("-t", &topics)?,
            unsubscribed: filters("-U", &self.unsubscribe)?,
            filtered_out: filters("-T", &self.filter_out)?,
            output: self.output.open(),
            arguments: self,
            plan,
            printed: 0,
            deadline: None,
        })
    }
}

/// The filters behind a flag.
pub(super) fn filters(flag: &str, texts: &[String]) -> Result<Vec<TopicFilter>, String> {
    let parse = |text: &String| {
        let wrong = |error| {
            format!("{flag} {text:?} {error}; expected is a filter such as demo/# or +/state")
        };
        TopicFilter::parse(text).map_err(wrong)
    };
    texts.iter().map(parse).collect()
}

fn percentage(text: &str) -> Result<f64, String> {
    let percent = text
        .parse()
        .ok()
        .filter(|percent| (0.0..=100.0).contains(percent));
    percent.ok_or_else(|| "expected is a number from 0 to 100".to_owned())
}

impl Subscriber<'_> {
    async fn run(mut self, mut interrupt: Interrupt) -> Exit {
        let mut session = Session::default();
        let mut pause = FIRST_PAUSE;
        let mut was_connected = false;
        loop {
            let opened = tokio::select! {
                opened = self.plan.open(&session) => opened,
                () = interrupt.wait() => return Exit::Done,
                () = expiry(self.deadline) => return Exit::Timeout,
            };
            let error = match opened {
                Ok(client) => {
                    was_connected = true;
                    pause = FIRST_PAUSE;
                    match self.follow(client, &mut interrupt).await {
                        End::As(exit) => return exit,
                        End::Lost(error, kept) => {
                            session = kept;
                            error
                        }
                    }
                }
                Err(error) => error,
            };
            if !was_connected || !error.is_worth_retrying() {
                return self.plan.fail(&error);
            }
            self.plan
                .say(format_args!("{error}; connecting again in {pause:?}"));
            tokio::select! {
                () = sleep(pause) => {}
                () = interrupt.wait() => return Exit::Done,
                () = expiry(self.deadline) => return Exit::Timeout,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Subscribes and prints, until one of the many ends.
    async fn follow(&mut self, mut client: Client, interrupt: &mut Interrupt) -> End {
        if let (None, Some(timeout)) = (self.deadline, self.arguments.timeout) {
            self.deadline = Some(Instant::now() + timeout);
        }
        let mut unanswered = match self.subscribe(&mut client) {
            Ok(count) => count,
            Err(error) => {
                self.plan.say(error);
                return End::As(Exit::Refused);
            }
        };
        let exit = loop {
            let event = tokio::select! {
                biased;
                () = interrupt.wait() => break Exit::Done,
                () = expiry(self.deadline) => break Exit::Timeout,
                event = client.next() => event,
            };
            let handled = match event {
                Ok(Event::Message(publish)) => self.message(&mut client, publish),
                Ok(Event::Subscribed(ack)) => {
                    unanswered -= 1;
                    self.subscribed(&ack)
                }
                Ok(Event::Unsubscribed(_)) => {
                    unanswered -= 1;
                    ControlFlow::Continue(())
                }
                Ok(Event::Published(_) | Event::Flushed) => ControlFlow::Continue(()),
                Err(error) => return End::Lost(error, client.session().clone()),
            };
            if let ControlFlow::Break(exit) = handled {
                break exit;
            }
            if self.arguments.exit_after_subscribing && unanswered == 0 {
                break Exit::Done;
            }
            if !client.has_event() && self.output.flush().is_err() {
                break Exit::Done;
            }
        };
        // Whoever reads it may be gone, and has no use for it then.
        let _ = self.output.flush();
        self.plan.close(client).await;
        End::As(exit)
    }

    /// Asks for everything; how many answers are due.
    fn subscribe(&self, client: &mut Client) -> Result<u32, gatemq::client::PublishError> {
        let options = SubscriptionOptions {
            qos: self.arguments.qos,
            retain_as_published: self.arguments.retain_as_published,
            identifier: self.plan.properties.subscription_identifier(),
            ..SubscriptionOptions::default()
        };
        let subscription = |filter: &TopicFilter| Subscription {
            topic_filter: filter.clone(),
            options,
        };
        let mut requests = 0;
        if !self.filters.is_empty() {
            let subscriptions = self.filters.iter().map(subscription).collect();
            client.subscribe(subscriptions, self.plan.properties.user(Command::Subscribe))?;
            requests += 1;
        }
        if !self.unsubscribed.is_empty() {
            let filters = self.unsubscribed.clone();
            client.unsubscribe(filters, self.plan.properties.user(Command::Unsubscribe))?;
            requests += 1;
        }
        Ok(requests)
    }

    fn subscribed(&self, ack: &SubAck) -> ControlFlow<Exit> {
        for (filter, code) in self.filters.iter().zip(&ack.reason_codes) {
            let words = client::reasoned(*code, ack.reason_string.as_deref());
            if code.is_error() {
                self.plan.say(format_args!(
                    "the broker refuses the subscription to {filter}: {words}; its log says more"
                ));
            } else {
                self.plan
                    .remark(format_args!("subscribed to {filter}: {words}"));
            }
        }
        if ack.reason_codes.iter().all(|code| code.is_error()) {
            return ControlFlow::Break(Exit::Refused);
        }
        ControlFlow::Continue(())
    }

    fn message(&mut self, client: &mut Client, publish: Publish) -> ControlFlow<Exit> {
        let topic = &publish.message.topic;
        if self.filtered_out.iter().any(|filter| filter.matches(topic)) {
            return ControlFlow::Continue(());
        }
        if publish.retain && self.arguments.remove_retained {
            let deletion = Message::new(topic.clone(), "", QoS::AtMostOnce, true);
            if let Err(error) = client.publish(&deletion.into(), None) {
                self.plan.say(error);
            }
        }
        if publish.retain && self.arguments.no_retained {
            return ControlFlow::Continue(());
        }
        if !publish.retain && self.arguments.retained_only {
            return ControlFlow::Break(Exit::Done);
        }
        let chance = self.arguments.random_filter;
        if chance.is_some_and(|percent| rand::rng().random_range(0.0..100.0) >= percent) {
            return ControlFlow::Continue(());
        }
        self.print(publish)
    }

    fn print(&mut self, publish: Publish) -> ControlFlow<Exit> {
        match print(&mut self.output, &self.plan, publish) {
            Ok(()) => self.printed += 1,
            // Nobody reads any more, as `head` after its last line.
            Err(_) => return ControlFlow::Break(Exit::Done),
        }
        if self.arguments.count == Some(self.printed) {
            return ControlFlow::Break(Exit::Done);
        }
        ControlFlow::Continue(())
    }
}

/// Prints a message, or says why it cannot be printed as it was asked for.
pub(super) fn print(output: &mut Output<'_>, plan: &Plan, publish: Publish) -> io::Result<()> {
    if let Some(wrong) = output.print(&Received::now(publish))? {
        plan.say(wrong);
    }
    Ok(())
}

/// Waits for a deadline, for ever where there is none.
pub(super) async fn expiry(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
