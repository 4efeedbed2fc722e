//! Kills a real broker at random instants, again and again, and proves that nothing was lost that it had acknowledged.
//!
//! Publishers send at full speed over TCP and `wss`; subscribers with persistent sessions take what they are sent, or are
//! away. After each `kill -9` the broker is started again, publishers send again what was not acknowledged, and every
//! session is drained: QoS 1 at least once, QoS 2 exactly once, in the order of each publisher; retained messages and
//! subscriptions as they were acknowledged. Every second crash takes the power, too: what was not synced is gone, or any
//! part of it (`disk`). `failing` and `damage` are about disks that fail and stores that are not as they were left.
//!
//! `DURABILITY_CRASHES` says how often, `DURABILITY_SEED` repeats what is chosen at random (instants aside, which depend
//! on the machine), `DURABILITY_DAMAGES` how many files are damaged, `DURABILITY_VERBOSE=1` prints each power cut.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "whatever else has come, the test has failed"
)]

#[path = "../support/mod.rs"]
mod support;

mod backup;
mod broker;
mod churn;
mod damage;
mod disk;
mod export;
mod failing;
mod faults;
mod offline;
mod publisher;
mod soak;
mod subscriber;

use std::{sync::Arc, time::Duration};

use gatemq::message::QoS;
use tokio::sync::watch;

use self::{broker::Broker, churn::Churn, publisher::Publisher, subscriber::Subscriber};
use support::Carrier;

/// In CI: three to six minutes on two cores.
const CRASHES: u32 = 200;

/// Draining takes as long as it takes, on a machine that compiles something else meanwhile.
const PATIENCE: Duration = Duration::from_secs(120);

/// Numbers that a seed repeats.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Everybody who uses the broker. What they know outlives it.
struct World {
    broker: Broker,
    publishers: Vec<Publisher>,
    subscribers: Vec<Subscriber>,
    churn: Churn,
    is_verbose: bool,
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

/// The one that is asked for, or another one, which is printed.
fn seed() -> u64 {
    number("DURABILITY_SEED").unwrap_or_else(|| {
        let seed = rand::random::<u64>() | 1;
        eprintln!("DURABILITY_SEED={seed}");
        seed
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost() {
    let crashes =
        number("DURABILITY_CRASHES").map_or(CRASHES, |it| u32::try_from(it).expect("few"));
    let seed = seed();
    eprintln!("DURABILITY_CRASHES={crashes} DURABILITY_SEED={seed}");
    let mut dice = Dice(seed);
    let mut world = World::begin().await;
    let mut crashed = 0;
    while crashed < crashes {
        world = world.live(&mut dice).await;
        world.maybe_cut_power(&mut dice);
        crashed += 1;
        // Now and then it does not even survive the recovery.
        while dice.below(4) == 0 && crashed < crashes {
            world = world.interrupted_recovery(&mut dice).await;
            world.maybe_cut_power(&mut dice);
            crashed += 1;
        }
        world = world.recover().await;
        if crashed % 10 == 0 {
            let messages: u64 = world.publishers.iter().map(Publisher::sent).sum();
            eprintln!("{crashed} crashes, {messages} messages");
        }
    }
    world.broker.stop();
}

impl World {
    async fn begin() -> Self {
        let broker = Broker::start_on_disk().await;
        let carriers = [Carrier::Tcp, Carrier::Wss, Carrier::Wss, Carrier::Tcp];
        let qos = [
            QoS::AtLeastOnce,
            QoS::ExactlyOnce,
            QoS::AtLeastOnce,
            QoS::ExactlyOnce,
        ];
        let publishers = (0..4_usize).map(|it| Publisher::new(it, qos[it], carriers[it]));
        let subscribers =
            (0..4_usize).map(|it| Subscriber::new(it, qos[it], carriers[3 - it], [7, 100][it % 2]));
        let world = Self {
            broker,
            publishers: publishers.collect(),
            subscribers: subscribers.collect(),
            churn: Churn::default(),
            is_verbose: std::env::var_os("DURABILITY_VERBOSE").is_some(),
        };
        // Everybody has a session before the first crash.
        world.recover().await
    }

    /// Every second crash takes the power, too.
    fn maybe_cut_power(&mut self, dice: &mut Dice) {
        if dice.below(2) == 0 {
            let cut = self.broker.cut_power(dice);
            if self.is_verbose {
                eprintln!("power cut ({cut})");
            }
        }
    }

    /// Publishers at full speed, some subscribers there, until the broker is killed.
    async fn live(self, dice: &mut Dice) -> Self {
        let there: Vec<_> = self
            .subscribers
            .iter()
            .map(|_| dice.below(2) == 0)
            .collect();
        // Now and then long enough for queues that memory does not hold.
        let longest = if dice.below(12) == 0 {
            1_200_000
        } else {
            300_000
        };
        let instant = Duration::from_micros(1000 + dice.below(longest));
        self.run(&there, true, Some(instant)).await
    }

    /// What recovery does, until the broker is killed again.
    async fn interrupted_recovery(mut self, dice: &mut Dice) -> Self {
        self.broker.restart().await;
        let there = vec![true; self.subscribers.len()];
        let instant = Duration::from_micros(1000 + dice.below(150_000));
        self.run(&there, false, Some(instant)).await
    }

    /// Everything is sent, received and compared.
    async fn recover(mut self) -> Self {
        self.broker.ensure_running().await;
        let there = vec![true; self.subscribers.len()];
        let mut world = tokio::time::timeout(PATIENCE, self.run(&there, false, None))
            .await
            .expect("drained");
        world.churn.check(&world.broker).await;
        for publisher in &world.publishers {
            publisher.check_retained(&world.broker).await;
        }
        world
    }

    /// `is_live`: publishers go on until the broker is gone. Otherwise they end once all is acknowledged, and
    /// subscribers once they have everything.
    async fn run(mut self, there: &[bool], is_live: bool, kill_after: Option<Duration>) -> Self {
        let access = Arc::new(self.broker.access());
        let (says_sent, sent) = watch::channel(None);
        let publishers: Vec<_> = std::mem::take(&mut self.publishers)
            .into_iter()
            .map(|publisher| tokio::spawn(publisher.run(access.clone(), is_live)))
            .collect();
        let subscribers: Vec<_> = std::mem::take(&mut self.subscribers)
            .into_iter()
            .zip(there)
            .map(|(subscriber, is_there)| {
                tokio::spawn(subscriber.run(access.clone(), *is_there, sent.clone()))
            })
            .collect();
        let churn = tokio::spawn(std::mem::take(&mut self.churn).run(access.clone(), is_live));
        if let Some(instant) = kill_after {
            tokio::time::sleep(instant).await;
            self.broker.kill();
        }
        for publisher in publishers {
            self.publishers.push(publisher.await.expect("a publisher"));
        }
        if kill_after.is_none() {
            let sent = self.publishers.iter().map(Publisher::sent).collect();
            says_sent.send_replace(Some(sent));
        }
        for subscriber in subscribers {
            self.subscribers
                .push(subscriber.await.expect("a subscriber"));
        }
        self.churn = churn.await.expect("who changes its subscriptions");
        drop(says_sent);
        self
    }
}
