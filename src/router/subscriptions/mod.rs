//! Topic name to the subscribers of every filter that matches it. Owns the index; knows no message and fills no queue.
//!
//! Start at [`Subscriptions::matching`]. Filters without a wildcard are found by one look into a hash table, the
//! others by a walk down a tree, level by level. A node of the tree is 48 bytes: its children are not in it but in one
//! table for all, by parent and level, and its subscribers are in slots of their own, which most nodes do not need.

mod slots;
mod subscribers;
mod table;
#[cfg(test)]
mod tests;

pub(super) use subscribers::{Subscriber, Subscribers};

use std::{hash::BuildHasher, sync::Arc};

use smallvec::{SmallVec, smallvec};

use self::{
    slots::Slots,
    table::{Hashed, Table},
};
use super::{Queue, SubscriptionOptions};
use crate::message::{TopicFilter, TopicName};

/// The number of the tree's root, which is nobody's child; as a child or as subscribers it stands for none.
const NONE: u32 = 0;
const ROOT: u32 = 0;

/// All subscriptions by filter.
#[derive(Debug)]
pub(super) struct Subscriptions {
    /// Clients choose levels: which ones share a bucket is not theirs to know.
    hasher: foldhash::fast::RandomState,
    exact: Table<Exact>,
    nodes: Slots<Node>,
    children: Table<Child>,
    subscribers: Slots<Subscribers>,
}

/// A filter without a wildcard.
#[derive(Debug)]
struct Exact {
    filter: TopicFilter,
    hash: u32,
    subscribers: u32,
}

/// One level of filters that have a wildcard in it or further down.
#[derive(Debug, Default)]
struct Node {
    /// Levels are short: this one lies in the node up to 16 bytes.
    level: SmallVec<[u8; 16]>,
    parent: u32,
    /// The child for `+`.
    plus: u32,
    /// How many other children it has.
    children: u32,
    /// Subscribers of the filter that ends here.
    here: u32,
    /// Subscribers of the filter that goes on with `#` and ends.
    below: u32,
}

#[derive(Debug)]
struct Child {
    hash: u32,
    node: u32,
}

/// Where the subscribers of a filter are kept.
#[derive(Clone, Copy, Debug)]
enum Holder {
    Exact(u32),
    Here(u32),
    Below(u32),
}

impl Subscriptions {
    pub(super) fn new() -> Self {
        Self {
            hasher: foldhash::fast::RandomState::default(),
            exact: Table::new(),
            nodes: Slots::new(),
            children: Table::new(),
            subscribers: Slots::new(),
        }
    }

    /// Shows the subscribers of every filter that matches a topic name, each filter once (MQTT 5, 4.7).
    pub(super) fn matching<'a>(
        &'a self,
        topic: &TopicName,
        mut visit: impl FnMut(&'a Subscribers),
    ) {
        let text = topic.as_str();
        if let Some(exact) = self.find_exact(self.hash(text), text) {
            visit(&self.subscribers[exact.subscribers]);
        }
        let mut visit = |id| {
            if id != NONE {
                visit(&self.subscribers[id]);
            }
        };
        // All nodes that the levels so far lead to: level by level, so that a level is hashed once and no topic is too
        // deep for the stack.
        let mut reached: SmallVec<[u32; 16]> = smallvec![ROOT];
        let mut next: SmallVec<[u32; 16]> = SmallVec::new();
        // A leading wildcard does not match names that begin with `$` [MQTT-4.7.2-1].
        let mut wildcards_match = !text.starts_with('$');
        for level in topic.levels() {
            let level_hash = self.hash(level);
            for &id in &reached {
                let node = &self.nodes[id];
                if wildcards_match {
                    visit(node.below);
                    if node.plus != NONE {
                        next.push(node.plus);
                    }
                }
                if node.children > 0 {
                    next.extend(self.find_child(id, level, level_hash));
                }
            }
            wildcards_match = true;
            std::mem::swap(&mut reached, &mut next);
            next.clear();
            if reached.is_empty() {
                return;
            }
        }
        for &id in &reached {
            visit(self.nodes[id].here);
            // `#` stands for its parent level, too (MQTT 5, 4.7.1.2).
            visit(self.nodes[id].below);
        }
    }

    /// The subscribers of this very filter.
    pub(super) fn of(&self, filter: &TopicFilter) -> Option<&Subscribers> {
        let id = self.subscribers_at(self.find(filter)?);
        (id != NONE).then(|| &self.subscribers[id])
    }

    /// Adds a subscription or replaces its options [MQTT-3.8.4-3].
    pub(super) fn insert(
        &mut self,
        filter: &TopicFilter,
        queue: &Arc<Queue>,
        options: SubscriptionOptions,
    ) {
        let holder = self.find_or_make(filter);
        let mut id = self.subscribers_at(holder);
        if id == NONE {
            id = self.subscribers.insert(Subscribers::default());
            match holder {
                Holder::Exact(_) => {
                    let hash = self.hash(filter.pattern());
                    self.exact.insert(Exact {
                        filter: filter.clone(),
                        hash,
                        subscribers: id,
                    });
                }
                Holder::Here(node) => self.nodes[node].here = id,
                Holder::Below(node) => self.nodes[node].below = id,
            }
        }
        let queue = queue.clone();
        self.subscribers[id].insert(filter, Subscriber { queue, options });
    }

    /// Takes a subscription out, if it is there, and with it what only it needed.
    pub(super) fn remove(&mut self, filter: &TopicFilter, queue: &Arc<Queue>) {
        let Some(holder) = self.find(filter) else {
            return;
        };
        let id = self.subscribers_at(holder);
        if id == NONE {
            return;
        }
        self.subscribers[id].remove(filter, queue);
        if !self.subscribers[id].is_empty() {
            return;
        }
        self.subscribers.remove(id);
        match holder {
            Holder::Exact(_) => {
                let hash = self.hash(filter.pattern());
                self.exact.remove(hash, |exact| exact.subscribers == id);
            }
            Holder::Here(node) => {
                self.nodes[node].here = NONE;
                self.prune(node);
            }
            Holder::Below(node) => {
                self.nodes[node].below = NONE;
                self.prune(node);
            }
        }
    }

    fn subscribers_at(&self, holder: Holder) -> u32 {
        match holder {
            Holder::Exact(id) => id,
            Holder::Here(node) => self.nodes[node].here,
            Holder::Below(node) => self.nodes[node].below,
        }
    }

    fn find(&self, filter: &TopicFilter) -> Option<Holder> {
        let pattern = filter.pattern();
        if !filter.has_wildcard() {
            let exact = self.find_exact(self.hash(pattern), pattern)?;
            return Some(Holder::Exact(exact.subscribers));
        }
        let mut node = ROOT;
        for level in filter.levels() {
            node = match level {
                "#" => return Some(Holder::Below(node)),
                "+" => Some(self.nodes[node].plus).filter(|id| *id != NONE)?,
                level => self.find_child(node, level, self.hash(level))?,
            };
        }
        Some(Holder::Here(node))
    }

    fn find_or_make(&mut self, filter: &TopicFilter) -> Holder {
        if !filter.has_wildcard() {
            return self.find(filter).unwrap_or(Holder::Exact(NONE));
        }
        let mut node = ROOT;
        for level in filter.levels() {
            node = match level {
                "#" => return Holder::Below(node),
                "+" if self.nodes[node].plus != NONE => self.nodes[node].plus,
                "+" => {
                    let plus = self.nodes.insert(Node::new(level, node));
                    self.nodes[node].plus = plus;
                    plus
                }
                level => {
                    let hash = self.hash(level);
                    match self.find_child(node, level, hash) {
                        Some(child) => child,
                        None => self.add_child(node, level, hash),
                    }
                }
            };
        }
        Holder::Here(node)
    }

    fn add_child(&mut self, parent: u32, level: &str, level_hash: u32) -> u32 {
        let node = self.nodes.insert(Node::new(level, parent));
        let hash = child_hash(parent, level_hash);
        self.children.insert(Child { hash, node });
        self.nodes[parent].children += 1;
        node
    }

    /// Takes a node out that leads nowhere any more, and its parents likewise.
    fn prune(&mut self, mut id: u32) {
        while id != ROOT && self.nodes[id].is_empty() {
            let node = self.nodes.remove(id);
            let parent = &mut self.nodes[node.parent];
            if parent.plus == id {
                parent.plus = NONE;
            } else {
                parent.children -= 1;
                let level_hash = self.hasher.hash_one(&*node.level);
                let hash = child_hash(node.parent, fold(level_hash));
                self.children.remove(hash, |child| child.node == id);
            }
            id = node.parent;
        }
    }

    fn find_exact(&self, hash: u32, pattern: &str) -> Option<&Exact> {
        self.exact
            .find(hash, |exact| exact.filter.pattern() == pattern)
    }

    fn find_child(&self, parent: u32, level: &str, level_hash: u32) -> Option<u32> {
        let hash = child_hash(parent, level_hash);
        let is_it = |child: &Child| {
            let node = &self.nodes[child.node];
            child.hash == hash && node.parent == parent && &*node.level == level.as_bytes()
        };
        self.children.find(hash, is_it).map(|child| child.node)
    }

    fn hash(&self, text: &str) -> u32 {
        fold(self.hasher.hash_one(text.as_bytes()))
    }
}

impl Node {
    fn new(level: &str, parent: u32) -> Self {
        Self {
            level: SmallVec::from_slice(level.as_bytes()),
            parent,
            ..Self::default()
        }
    }

    const fn is_empty(&self) -> bool {
        self.plus == NONE && self.children == 0 && self.here == NONE && self.below == NONE
    }
}

impl Hashed for Exact {
    fn hash(&self) -> u32 {
        self.hash
    }
}

impl Hashed for Child {
    fn hash(&self) -> u32 {
        self.hash
    }
}

/// The same level below each of a million parents spreads evenly: multiplying by an odd number is one to one.
const fn child_hash(parent: u32, level_hash: u32) -> u32 {
    level_hash ^ parent.wrapping_mul(0x9E37_79B9)
}

const fn fold(hash: u64) -> u32 {
    (hash ^ hash >> 32) as u32
}
