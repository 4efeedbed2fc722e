//! The configurations that we hand out for proxies, each started as it stands in front of the real binary: nginx
//! (`nginx-example.conf`), HAProxy and Caddy (`contrib/`). Only ports, paths of files, names and limits of time are
//! replaced, which have to be other ones in a test. `tests/run install` installs the proxies.
//!
//! A row is a proxy and a way to use it ([`setup::Row`]); [`checks`] is what each of them is held to.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a test names what it expects, and everything else fails it"
)]

#[path = "../support/mod.rs"]
mod support;

mod broker;
mod checks;
mod proxy;
mod script;
mod setup;
