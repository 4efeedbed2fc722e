//! The store against a simple model of it: random transactions, with crashes between any two, journals torn anywhere,
//! and a disk that fails and recovers.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use proptest::prelude::*;

use super::{super::faults, *};
use crate::storage::disk::{
    copy_tests::check_round_trip,
    engine::Table,
    faults::Fault,
    record::{Entry, decode_entry},
};

const CLIENTS: usize = 3;

/// Part of a transaction. Sessions are named by client, deliveries picked among those there are.
#[derive(Clone, Debug)]
enum Act {
    Save(usize),
    End(usize),
    Subscribe(usize, u8),
    Unsubscribe(usize, u8),
    /// One message for all of them, of this kind, or the last one again.
    Queue(Vec<usize>, u8),
    Release(usize, usize),
    Drop(usize, usize),
    /// The next place is given up before it is taken.
    Early(usize),
    /// Somebody speaks of a session that is over.
    Late(usize),
    Receive(usize, u16),
    ReceiveReleased(usize, u16),
    Retain(u8, u8),
    Clear(u8),
}

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<Act>),
    /// A page: from the place of which delivery, how many.
    Read(usize, usize, usize),
    /// The process ends without a word, and what it leaves is gone on with.
    Crash,
    /// Looks at what a crash would leave whose last so many bytes did not reach the disk.
    Tear(usize),
    Trouble(Trouble),
    Recover,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Trouble {
    Fails(Fault),
    /// More waits for the disk than may.
    TooMuch,
}

fn act() -> impl Strategy<Value = Act> {
    let client = || 0..CLIENTS;
    let clients = prop::collection::vec(client(), 1..4);
    prop_oneof![
        4 => client().prop_map(Act::Save),
        1 => client().prop_map(Act::End),
        1 => (client(), 0..3_u8).prop_map(|(client, it)| Act::Subscribe(client, it)),
        1 => (client(), 0..3_u8).prop_map(|(client, it)| Act::Unsubscribe(client, it)),
        8 => (clients, any::<u8>()).prop_map(|(clients, kind)| Act::Queue(clients, kind)),
        2 => (client(), 0..9_usize).prop_map(|(client, pick)| Act::Release(client, pick)),
        5 => (client(), 0..9_usize).prop_map(|(client, pick)| Act::Drop(client, pick)),
        1 => client().prop_map(Act::Early),
        1 => client().prop_map(Act::Late),
        1 => (client(), 1..4_u16).prop_map(|(client, it)| Act::Receive(client, it)),
        1 => (client(), 1..4_u16).prop_map(|(client, it)| Act::ReceiveReleased(client, it)),
        1 => (0..3_u8, any::<u8>()).prop_map(|(topic, it)| Act::Retain(topic, it)),
        1 => (0..3_u8).prop_map(Act::Clear),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let troubles = [
        Trouble::Fails(Fault::Refused),
        Trouble::Fails(Fault::Doubtful),
        Trouble::TooMuch,
    ];
    prop_oneof![
        30 => prop::collection::vec(act(), 1..5).prop_map(Step::Commit),
        3 => (0..CLIENTS, 0..9_usize, 1..6_usize).prop_map(|(client, from, most)| Step::Read(client, from, most)),
        1 => Just(Step::Crash),
        1 => (0..600_usize).prop_map(Step::Tear),
        2 => prop::sample::select(troubles.to_vec()).prop_map(Step::Trouble),
        3 => Just(Step::Recover),
    ]
}

type Contents = (Vec<(String, Vec<u8>)>, Vec<StoredSession>);

/// The session of one client.
#[derive(Default)]
struct Client {
    /// Whether it has one.
    id: Option<u64>,
    /// The one before.
    ended: Option<u64>,
    next_place: u64,
    /// The next place was given up already.
    is_early: bool,
    /// Places that are taken.
    places: Vec<u64>,
    received: BTreeSet<u16>,
}

struct World {
    directory: TempDir,
    disk: Disk,
    model: Memory,
    clients: [Client; CLIENTS],
    last_session: u64,
    messages: u64,
    last_message: Option<Arc<Message>>,
    trouble: Option<Trouble>,
    /// Places whose message was refused.
    refused: HashSet<(u64, u64)>,
    /// What a crash might have left, at each moment since the last failure.
    history: Vec<Contents>,
    /// The journal, and how much of it was there then: what failed and was taken back must not come to light.
    whole: (PathBuf, usize),
}

impl World {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        Self {
            disk: open(directory.path()),
            directory,
            model: Memory::default(),
            clients: Default::default(),
            last_session: 0,
            messages: 0,
            last_message: None,
            trouble: None,
            refused: HashSet::new(),
            history: vec![(Vec::new(), Vec::new())],
            whole: Default::default(),
        }
    }

    fn begin_history(&mut self) {
        keep(&self.disk, Vec::new()).unwrap();
        self.whole = last_journal(self.directory.path());
        self.history = vec![contents(&self.model)];
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Commit(acts) => self.commit(acts),
            Step::Read(client, from, most) => self.read(*client, *from, *most),
            Step::Crash => self.crash(),
            Step::Tear(bytes) => self.tear(*bytes),
            Step::Trouble(trouble) => {
                self.recover();
                self.trouble = Some(*trouble);
                match trouble {
                    Trouble::Fails(fault) => faults::set(self.directory.path(), Some(*fault)),
                    Trouble::TooMuch => self.disk.max_pending = 0,
                }
            }
            Step::Recover => self.recover(),
        }
    }

    fn commit(&mut self, acts: &[Act]) {
        let is_message = |it: &Act| matches!(it, Act::Queue(..) | Act::Late(_));
        let has_message = acts.iter().any(is_message);
        let mut changes = Vec::new();
        for act in acts {
            // What was written although it was said not to be is not known to the model.
            if has_message
                && self.trouble == Some(Trouble::Fails(Fault::Doubtful))
                && matches!(act, Act::Drop(..))
            {
                continue;
            }
            self.act(act, &mut changes);
        }
        let is_awaited = |change: &Change| {
            matches!(
                change,
                Change::MessageQueued(..)
                    | Change::Received(..)
                    | Change::RetainedSet(_)
                    | Change::RetainedCleared(_)
            )
        };
        let is_kept = if changes.iter().any(is_awaited) {
            keep(&self.disk, changes.clone()).is_ok()
        } else {
            self.disk.commit(changes.clone(), None);
            true
        };
        assert!(is_kept || self.trouble.is_some());
        self.note(changes, is_kept);
        self.history.push(contents(&self.model));
    }

    /// What the model is to have of a transaction.
    fn note(&mut self, changes: Vec<Change>, is_kept: bool) {
        let is_message = |it: &Change| matches!(it, Change::MessageQueued(..));
        let keeps_old = !is_kept && changes.iter().any(is_message);
        for change in changes {
            if let Change::MessageQueued(id, place, _) = &change
                && !is_kept
            {
                self.refused.insert((id.0, *place));
                continue;
            }
            if let Change::Received(id, packet) = &change
                && !is_kept
            {
                let mut clients = self.clients.iter_mut();
                if let Some(client) = clients.find(|it| it.id == Some(id.0)) {
                    client.received.remove(&packet.get());
                }
                continue;
            }
            if let Change::MessageDropped(id, place) = &change
                && (self.refused.remove(&(id.0, *place)) || keeps_old)
            {
                continue;
            }
            self.model.commit(vec![change], None);
        }
    }

    fn act(&mut self, act: &Act, changes: &mut Vec<Change>) {
        match act {
            Act::Save(client) => {
                let last = &mut self.last_session;
                let id = *self.clients[*client].id.get_or_insert_with(|| {
                    *last += 1;
                    *last
                });
                changes.push(saved(id));
            }
            Act::Queue(clients, kind) => self.queue(clients, *kind, changes),
            Act::Retain(it, payload) => {
                let topic = format!("r/{it}");
                let message = message(&topic, &payload.to_string(), QoS::AtMostOnce);
                changes.push(Change::RetainedSet(message));
            }
            Act::Clear(it) => changes.push(Change::RetainedCleared(topic(&format!("r/{it}")))),
            Act::Late(client) => {
                if let Some(id) = self.clients[*client].ended.map(SessionId) {
                    let message = message("late", "x", QoS::AtLeastOnce);
                    let place = 1000 + self.messages;
                    self.messages += 1;
                    changes.push(Change::Subscribed(id, filter(0), options(0)));
                    changes.push(Change::MessageQueued(id, place, delivery(&message)));
                    changes.push(Change::MessageReleased(id, place));
                    changes.push(Change::Received(id, NonZeroU16::MIN));
                }
            }
            Act::End(client)
            | Act::Subscribe(client, _)
            | Act::Unsubscribe(client, _)
            | Act::Release(client, _)
            | Act::Drop(client, _)
            | Act::Early(client)
            | Act::Receive(client, _)
            | Act::ReceiveReleased(client, _) => {
                if let Some(id) = self.clients[*client].id {
                    changes.extend(self.of_session(act, *client, SessionId(id)));
                }
            }
        }
    }

    fn of_session(&mut self, act: &Act, client: usize, id: SessionId) -> Option<Change> {
        let packet = |it: u16| NonZeroU16::new(it).expect("not zero");
        let refused = &self.refused;
        let client = &mut self.clients[client];
        Some(match act {
            Act::End(_) => {
                *client = Client {
                    ended: client.id,
                    ..Client::default()
                };
                Change::SessionEnded(id)
            }
            Act::Subscribe(_, it) => Change::Subscribed(id, filter(*it), options(*it)),
            Act::Unsubscribe(_, it) => Change::Unsubscribed(id, filter(*it)),
            Act::Release(_, pick) => {
                let place = *client.places.get(*pick)?;
                // What could not be kept was not sent, and is not acknowledged.
                (!refused.contains(&(id.0, place))).then_some(())?;
                Change::MessageReleased(id, place)
            }
            Act::Drop(_, pick) => {
                (*pick < client.places.len()).then_some(())?;
                Change::MessageDropped(id, client.places.remove(*pick))
            }
            Act::Early(_) => {
                (!std::mem::replace(&mut client.is_early, true)).then_some(())?;
                Change::MessageDropped(id, client.next_place)
            }
            Act::Receive(_, it) => {
                client.received.insert(*it).then_some(())?;
                Change::Received(id, packet(*it))
            }
            Act::ReceiveReleased(_, it) => {
                client.received.remove(it);
                Change::ReceivedReleased(id, packet(*it))
            }
            Act::Save(_) | Act::Queue(..) | Act::Late(_) | Act::Retain(..) | Act::Clear(_) => {
                return None;
            }
        })
    }

    fn queue(&mut self, clients: &[usize], kind: u8, changes: &mut Vec<Change>) {
        let qos = QoS::from_bits(1 + (kind & 1)).expect("1 or 2");
        let mut sent = Message::clone(&message("t", &self.messages.to_string(), qos));
        self.messages += 1;
        if kind & 2 != 0 {
            sent.properties = Some(Box::new(crate::message::MessageProperties {
                content_type: Some("text/plain".into()),
                user_properties: vec![("a".into(), "b".into())],
                ..Default::default()
            }));
        }
        let again = self.last_message.take().filter(|_| kind & 8 != 0);
        let sent = again.unwrap_or_else(|| Arc::new(sent));
        self.last_message = Some(sent.clone());
        let clients: BTreeSet<_> = clients.iter().copied().collect();
        for client in clients {
            let client = &mut self.clients[client];
            let Some(id) = client.id else { continue };
            let place = client.next_place;
            client.next_place += 1;
            if !std::mem::take(&mut client.is_early) {
                client.places.push(place);
            }
            let mut delivery = delivery(&sent);
            let share = || TopicFilter::parse("$share/g/f").expect("valid");
            delivery.share = (kind & 4 != 0).then(share);
            changes.push(Change::MessageQueued(SessionId(id), place, delivery));
        }
    }

    fn read(&self, client: usize, from: usize, most: usize) {
        let Some(id) = self.clients[client].id else {
            return;
        };
        // While the store fails the answer comes once it works again.
        if self.trouble.is_some() {
            return;
        }
        let places = &self.clients[client].places;
        let from = places.get(from).copied().unwrap_or(from as u64);
        let page = |storage: &dyn Storage| {
            let (told, answer) = std::sync::mpsc::channel();
            let take = move |read| told.send(read).expect("somebody waits");
            storage.read(SessionId(id), from, most, Box::new(take));
            let mut part = answer.recv().unwrap().unwrap();
            part.deliveries.iter_mut().for_each(|(_, it)| round(it));
            part
        };
        assert_eq!(page(&self.disk), page(&self.model));
    }

    fn recover(&mut self) {
        if self.trouble.take().is_none() {
            return;
        }
        // Whatever was told before has failed by then.
        let _ = keep(&self.disk, Vec::new());
        faults::set(self.directory.path(), None);
        self.disk.max_pending = usize::MAX;
        while self.disk.shared.engine.lock().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.begin_history();
    }

    /// A copy of the files as they are while the store is open is what a killed process leaves.
    fn copy(&mut self) -> TempDir {
        self.recover();
        keep(&self.disk, Vec::new()).unwrap();
        let copy = TempDir::new().unwrap();
        copy_files(self.directory.path(), copy.path());
        copy
    }

    fn crash(&mut self) {
        let copy = self.copy();
        self.disk = open(copy.path());
        self.directory = copy;
        assert_eq!(contents(&self.disk), contents(&self.model));
        for client in &mut self.clients {
            // Who was about to take it is gone.
            client.next_place += u64::from(std::mem::take(&mut client.is_early));
        }
        self.begin_history();
    }

    fn tear(&mut self, bytes: usize) {
        let copy = self.copy();
        let (name, end) = last_journal(copy.path());
        let whole = if name == self.whole.0 {
            self.whole.1
        } else {
            0
        };
        let path = copy.path().join(name);
        let mut journal = std::fs::read(&path).unwrap();
        journal[end.saturating_sub(bytes).max(whole)..].fill(0);
        std::fs::write(&path, journal).unwrap();
        let left = contents(&open(copy.path()));
        assert!(
            self.history.contains(&left),
            "half of something is there: {left:?}"
        );
    }

    /// Nothing is left behind of what was given up.
    fn check_rows(mut self) {
        self.recover();
        // Before what sessions have left is swept.
        let copies = TempDir::new().unwrap();
        check_round_trip(copies.path(), &self.disk, &self.model).unwrap();
        for _ in 0..2 * self.last_session + 2 {
            // Each goes on with the sweeping.
            keep(&self.disk, Vec::new()).unwrap();
        }
        drop(self.disk);
        let disk = open(self.directory.path());
        assert_eq!(contents(&disk), contents(&self.model));
        drop(disk);
        let engine = Engine::open(self.directory.path()).unwrap();
        let (mut referred, mut stored) = (BTreeSet::new(), BTreeSet::new());
        let mut rows = BTreeMap::new();
        for table in Table::ALL {
            let read = engine.view().scan(table, &[], |key, value| {
                *rows.entry(table.name()).or_insert(0) += 1;
                if table == Table::Queues
                    && let Ok(Entry::Elsewhere(number, _)) = decode_entry(key, value)
                {
                    referred.insert(number.to_be_bytes().to_vec());
                } else if table == Table::Messages {
                    stored.insert(key.to_vec());
                }
                Ok::<_, StorageError>(())
            });
            read.unwrap();
        }
        assert_eq!(
            referred, stored,
            "each message has somebody who waits for it"
        );
        let (retained, sessions) = contents(&self.model);
        let sum = |of: fn(&StoredSession) -> usize| sessions.iter().map(of).sum();
        for (table, expected) in [
            (Table::Meta, 1),
            (Table::Sessions, sessions.len()),
            (Table::Subscriptions, sum(|it| it.subscriptions.len())),
            (Table::Queues, sum(|it| it.queue.len() + it.released.len())),
            (Table::Received, sum(|it| it.received.len())),
            (Table::Retained, retained.len()),
        ] {
            let found = rows.get(table.name()).copied().unwrap_or_default();
            assert_eq!(found, expected, "rows of {}", table.name());
        }
    }
}

fn filter(it: u8) -> TopicFilter {
    TopicFilter::parse(&format!("f/{it}")).expect("valid")
}

fn options(it: u8) -> SubscriptionOptions {
    SubscriptionOptions {
        qos: QoS::from_bits(it).expect("below 3"),
        ..SubscriptionOptions::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 500, ..ProptestConfig::default() })]

    /// Whatever happens in whatever order, the store holds what the model holds.
    #[test]
    fn it_is_as_the_model(steps in prop::collection::vec(step(), 1..80)) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
        }
        world.check_rows();
    }
}
