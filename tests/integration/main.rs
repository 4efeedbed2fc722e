//! A whole broker, and everything around the protocol: who gets in and how, what changes while it runs, how it stops.
//! A module for each subject; the statements of the standards are in `tests/conformance`.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a test names what it expects, and everything else fails it"
)]

#[path = "../support/mod.rs"]
mod support;

mod certificates; // which one is shown, and asked for
mod config_reload; // all or nothing, under running connections
mod deadlines; // silence at each stage of the way in
mod descriptors; // a process without one left
mod detection; // one port, every protocol
mod drain; // stopping in order
mod endpoints; // over real HTTP
mod limits; // of the front door
mod probe; // how far a connection came that asks for it
mod proxies; // PROXY header, X-Forwarded-For, Forwarded
mod queues; // full ones, and slow readers
mod renegotiation; // of TLS 1.2, by OpenSSL
mod storm; // all at once
mod sys; // $SYS
mod takeover; // one session, many connections
mod tls_reload; // certificates change while a crowd publishes
