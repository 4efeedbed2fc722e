//! Who has subscribed to one filter. Most filters have one subscriber, some have a hundred thousand.

use std::sync::Arc;

use hashbrown::HashTable;
use smallvec::SmallVec;

use crate::{
    message::TopicFilter,
    router::{Queue, SubscriptionOptions, shared::Group},
};

/// From here on members are found by a table instead of by looking at each.
const MANY: usize = 64;

/// A session, and how it wants the messages of a filter.
#[derive(Clone, Debug)]
pub(in crate::router) struct Subscriber {
    pub(in crate::router) queue: Arc<Queue>,
    pub(in crate::router) options: SubscriptionOptions,
}

/// The subscribers of one filter: sessions, and groups of sessions that share a subscription.
#[derive(Debug, Default)]
pub(in crate::router) struct Subscribers {
    members: SmallVec<[Subscriber; 1]>,
    rest: Option<Box<Rest>>,
}

/// What few filters have.
#[derive(Debug, Default)]
struct Rest {
    /// The place of each member, by the address of its queue. Empty unless there are many.
    places: HashTable<u32>,
    groups: Vec<Group>,
}

impl Subscribers {
    /// The sessions that are no part of a group, each once.
    pub(in crate::router) fn members(&self) -> &[Subscriber] {
        &self.members
    }

    /// The groups: each gets a message once.
    pub(in crate::router) fn groups(&self) -> &[Group] {
        self.rest.as_ref().map_or(&[], |rest| &rest.groups)
    }

    /// The group of a shared subscription.
    pub(in crate::router) fn group(&self, filter: &TopicFilter) -> Option<&Group> {
        self.groups().iter().find(|group| group.filter() == filter)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.groups().is_empty()
    }

    /// Adds a subscriber or replaces its options.
    pub(super) fn insert(&mut self, filter: &TopicFilter, subscriber: Subscriber) {
        if filter.share_name().is_none() {
            return self.insert_member(subscriber);
        }
        let groups = &mut self.rest.get_or_insert_default().groups;
        match groups.iter_mut().find(|group| group.filter() == filter) {
            Some(group) => group.insert(subscriber),
            None => groups.push(Group::new(filter.clone(), subscriber)),
        }
    }

    /// Takes a subscriber out, if it is there.
    pub(super) fn remove(&mut self, filter: &TopicFilter, queue: &Arc<Queue>) {
        if filter.share_name().is_none() {
            return self.remove_member(queue);
        }
        let Some(rest) = &mut self.rest else {
            return;
        };
        let Some(at) = rest
            .groups
            .iter()
            .position(|group| group.filter() == filter)
        else {
            return;
        };
        rest.groups[at].remove(queue);
        if rest.groups[at].is_empty() {
            rest.groups.swap_remove(at);
            self.drop_rest();
        }
    }

    fn insert_member(&mut self, subscriber: Subscriber) {
        if let Some(at) = self.position(&subscriber.queue) {
            self.members[at].options = subscriber.options;
            return;
        }
        self.members.push(subscriber);
        if self.members.len() < MANY {
            return;
        }
        let places = &mut self.rest.get_or_insert_default().places;
        let known = places.len();
        for at in known..self.members.len() {
            let hash = hash(&self.members[at].queue);
            places.insert_unique(hash, place(at), |at| hash_at(&self.members, *at));
        }
    }

    fn remove_member(&mut self, queue: &Arc<Queue>) {
        let Some(at) = self.position(queue) else {
            return;
        };
        let last = self.members.len() - 1;
        if let Some(rest) = &mut self.rest
            && !rest.places.is_empty()
        {
            if let Ok(entry) = rest.places.find_entry(hash(queue), |it| *it == place(at)) {
                entry.remove();
            }
            let moved = hash(&self.members[last].queue);
            if let Some(it) = rest.places.find_mut(moved, |it| *it == place(last)) {
                *it = place(at);
            }
        }
        self.members.swap_remove(at);
        if last < MANY / 2 {
            if let Some(rest) = &mut self.rest {
                rest.places = HashTable::new();
            }
            self.drop_rest();
        }
        if self.members.capacity() > 8 * self.members.len() {
            self.members.shrink_to_fit();
        }
    }

    fn position(&self, queue: &Arc<Queue>) -> Option<usize> {
        let is_it = |at: usize| Arc::ptr_eq(&self.members[at].queue, queue);
        match &self.rest {
            Some(rest) if !rest.places.is_empty() => rest
                .places
                .find(hash(queue), |at| is_it(*at as usize))
                .map(|at| *at as usize),
            Some(_) | None => (0..self.members.len()).find(|at| is_it(*at)),
        }
    }

    fn drop_rest(&mut self) {
        if let Some(rest) = &self.rest
            && rest.places.is_empty()
            && rest.groups.is_empty()
        {
            self.rest = None;
        }
    }
}

fn place(at: usize) -> u32 {
    u32::try_from(at).expect("memory ends before four billion sessions")
}

fn hash_at(members: &[Subscriber], at: u32) -> u64 {
    hash(&members[at as usize].queue)
}

/// Addresses are no peer's to choose: multiplying spreads them well enough.
fn hash(queue: &Arc<Queue>) -> u64 {
    let address = Arc::as_ptr(queue) as u64 >> 4;
    address.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(32)
}
