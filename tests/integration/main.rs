//! A whole broker, and everything around the protocol: who gets in and how, what changes while it runs, how it stops.
//! A module for each subject; the statements of the standards are in `tests/conformance`.

#[path = "../support/mod.rs"]
mod support;

mod certificates;
mod deadlines;
mod detection;
mod drain;
mod endpoints;
mod limits;
mod proxies;
mod queues;
mod sys;
mod takeover;
mod tls_reload;
