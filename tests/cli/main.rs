//! The program as people meet it: what `gatemq` prints, makes and answers, and how it ends. Every test runs the real
//! binary in an empty folder of its own.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests are not in functions marked as tests"
)]

mod bench;
mod cert;
mod check;
mod client;
mod control;
mod doctor;
mod generated;
mod service;
mod snippet;
mod start;
mod stop;
mod store;
mod support;
