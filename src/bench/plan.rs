//! What is to be done: scenario, clients and load, and what each client does of it. No I/O.

use std::time::Duration;

use super::stamp::STAMP;
use crate::{
    client::{Dial, Target},
    message::{QoS, TopicFilter, TopicName},
    mqtt::packet::Connect,
};

/// A benchmark. Built by whoever reads a command line; [`run`](super::run) does it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What is measured.
    pub scenario: Scenario,
    /// Of `fanout` the subscribers, of `fanin` the publishers, of `pairs` the pairs.
    pub count: usize,
    /// The number of the first client, for its identifier and `%i`.
    pub start_number: u64,
    /// Client identifiers begin with it; the number follows.
    pub prefix: String,
    /// Where to.
    pub target: Target,
    /// And how.
    pub dial: Dial,
    /// CONNECT, but for the client identifier.
    pub connect: Connect,
    /// How connections are opened.
    pub opening: Opening,
    /// What is published.
    pub load: Load,
    /// Where to; the placeholders are `%i`, `%c` and `%u`.
    pub topic: String,
    /// Before anything is measured.
    pub warm_up: Duration,
    /// For how long it is measured; `None`: until all of a limited number is done.
    pub duration: Option<Duration>,
    /// Threads that the clients are spread over.
    pub threads: usize,
    /// The server, on this machine.
    pub pid: Option<u32>,
}

/// What is measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scenario {
    /// Idle connections.
    Conn,
    /// Clients that are cut off and come back, all at once.
    Storm {
        /// How many times.
        rounds: u32,
    },
    /// Publishers only.
    Pub,
    /// Subscribers only.
    Sub,
    /// One publisher, many subscribers.
    FanOut,
    /// Many publishers, few subscribers.
    FanIn {
        /// How many.
        subscribers: usize,
        /// They share one subscription.
        shared: bool,
    },
    /// Publishers with a subscriber each.
    Pairs,
}

/// How connections are opened.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    /// So many a second at most; `None`: as fast as they come about.
    pub rate: Option<f64>,
    /// So many at the same time; `None`: all of them.
    pub concurrency: Option<usize>,
    /// In the rounds of a storm all come at the same time all the same.
    pub storms: bool,
    /// TLS goes on where a connection before had ended.
    pub resumes: bool,
}

/// What is published.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// When.
    pub arrival: Arrival,
    /// Bytes of each payload, at least [`STAMP`].
    pub size: usize,
    /// Of publishing and subscribing.
    pub qos: QoS,
    /// The broker keeps the last.
    pub retain: bool,
    /// Messages of a publisher that are not acknowledged; `None`: the window, or what the broker allows.
    pub in_flight: Option<u16>,
    /// Messages of all publishers together, then it is done.
    pub limit: Option<u64>,
}

/// When a message is published.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrival {
    /// Closed loop: when so many of its publisher are on their way at most.
    Window(u32),
    /// Open loop: so many a second of all publishers together, whatever becomes of those before.
    Rate(f64),
}

/// From when to when what is published counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) from: u64,
    pub(super) until: u64,
}

/// What one client does.
#[derive(Clone, Debug)]
pub(super) enum Role {
    Idle,
    Subscriber(TopicFilter),
    /// Its place among the publishers.
    Publisher(u32, TopicName),
}

/// A client, and the thread it lives on.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) client_id: String,
    pub(super) role: Role,
    pub(super) thread: usize,
}

impl Limits {
    pub(super) const fn contains(self, time: u64) -> bool {
        self.from <= time && time < self.until
    }
}

impl Scenario {
    /// As it is typed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Conn => "conn",
            Self::Storm { .. } => "storm",
            Self::Pub => "pub",
            Self::Sub => "sub",
            Self::FanOut => "fanout",
            Self::FanIn { .. } => "fanin",
            Self::Pairs => "pairs",
        }
    }
}

impl Plan {
    /// All clients together.
    #[must_use]
    pub const fn clients(&self) -> usize {
        self.publishers() + self.subscribers() + self.idle()
    }

    const fn idle(&self) -> usize {
        match self.scenario {
            Scenario::Conn | Scenario::Storm { .. } => self.count,
            Scenario::Pub
            | Scenario::Sub
            | Scenario::FanOut
            | Scenario::FanIn { .. }
            | Scenario::Pairs => 0,
        }
    }

    /// How many publish.
    #[must_use]
    pub const fn publishers(&self) -> usize {
        match self.scenario {
            Scenario::Conn | Scenario::Storm { .. } | Scenario::Sub => 0,
            Scenario::FanOut => 1,
            Scenario::Pub | Scenario::FanIn { .. } | Scenario::Pairs => self.count,
        }
    }

    /// How many subscribe.
    #[must_use]
    pub const fn subscribers(&self) -> usize {
        match self.scenario {
            Scenario::Conn | Scenario::Storm { .. } | Scenario::Pub => 0,
            Scenario::FanIn { subscribers, .. } => subscribers,
            Scenario::Sub | Scenario::FanOut | Scenario::Pairs => self.count,
        }
    }

    /// How many subscribers get each message that is published here.
    #[must_use]
    pub const fn receivers(&self) -> u64 {
        match self.scenario {
            Scenario::Conn | Scenario::Storm { .. } | Scenario::Pub | Scenario::Sub => 0,
            Scenario::FanOut => self.count as u64,
            Scenario::FanIn { shared: true, .. } | Scenario::Pairs => 1,
            Scenario::FanIn { subscribers, .. } => subscribers as u64,
        }
    }

    /// What cannot be, in words; the topics included.
    ///
    /// # Errors
    /// The first that is wrong.
    pub fn check(&self) -> Result<(), String> {
        if self.load.size < STAMP {
            return Err(format!(
                "-s {} is too small: publisher, number and time need {STAMP} bytes; use -s {STAMP} or more",
                self.load.size
            ));
        }
        let topic = |text: &str| {
            let name = TopicName::parse(text);
            name.map(|_| ()).map_err(|error| {
                format!("the topic {text:?} {error}; -t TOPIC takes one such as bench/%i")
            })
        };
        if self.publishers() > 0 {
            topic(&self.topic_of(0))?;
        }
        if self.subscribers() > 0 {
            self.filter_of(0)?;
        }
        Ok(())
    }

    /// Every client, in the order they connect: subscribers before publishers.
    pub(super) fn members(&self) -> Result<Vec<Member>, String> {
        let subscribers = self.subscribers();
        (0..self.clients())
            .map(|place| {
                let (number, role) = if self.idle() > 0 {
                    (place, Role::Idle)
                } else if place < subscribers {
                    (place, Role::Subscriber(self.filter_of(place)?))
                } else {
                    let number = place - subscribers;
                    let wrong = |error| format!("the topic {error}");
                    let topic = TopicName::parse(&self.topic_of(number)).map_err(wrong)?;
                    let index = u32::try_from(number).map_err(|_| "too many clients".to_owned())?;
                    (number, Role::Publisher(index, topic))
                };
                Ok(Member {
                    client_id: self.client_id(place),
                    role,
                    // The two of a pair share a thread.
                    thread: number % self.threads,
                })
            })
            .collect()
    }

    fn client_id(&self, place: usize) -> String {
        format!("{}{}", self.prefix, self.start_number + place as u64)
    }

    /// What publisher or pair `number` publishes to.
    fn topic_of(&self, number: usize) -> String {
        let place = if self.idle() > 0 {
            number
        } else {
            self.subscribers() + number
        };
        self.fill(&self.topic, number, place)
    }

    fn fill(&self, topic: &str, number: usize, place: usize) -> String {
        let username = self.connect.username.as_deref().unwrap_or_default();
        topic
            .replace("%i", &(self.start_number + number as u64).to_string())
            .replace("%c", &self.client_id(place))
            .replace("%u", username)
    }

    fn filter_of(&self, number: usize) -> Result<TopicFilter, String> {
        let filter = match self.scenario {
            Scenario::FanIn { shared, .. } => {
                // One for all publishers: what differs between their topics is a wildcard.
                let differs = |level: &str| level.contains("%i") || level.contains("%c");
                let levels = self.topic.split('/');
                let levels: Vec<_> = levels
                    .map(|it| if differs(it) { "+" } else { it })
                    .collect();
                let filter = self.fill(&levels.join("/"), number, number);
                if shared {
                    format!("$share/gatemq-bench/{filter}")
                } else {
                    filter
                }
            }
            // The publisher's, whatever the subscriber's own number.
            Scenario::Pairs => self.topic_of(number),
            Scenario::FanOut => self.topic_of(0),
            Scenario::Conn | Scenario::Storm { .. } | Scenario::Pub | Scenario::Sub => {
                self.fill(&self.topic, number, number)
            }
        };
        TopicFilter::parse(&filter).map_err(|error| {
            format!("the filter {filter:?} {error}; -t TOPIC takes one such as bench/%i")
        })
    }
}
