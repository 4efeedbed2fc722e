//! GateMQ: an MQTT broker whose front door is HTTPS.
//!
//! The modules stand in the order in which a packet travels; each knows only the next.

pub mod listener; // a socket becomes a Transport

pub mod mqtt; // bytes become packets, packets become decisions

pub mod router; // a message becomes deliveries

pub mod storage; // what survives a restart

pub mod message; // the words all of them share

pub mod auth; // who may connect, publish, subscribe

pub mod telemetry; // logs, the one list of metrics

pub mod sys; // $SYS topics: speaks to the router as a client does

pub mod snippets; // programs that connect, filled in for whoever asks

pub mod admin; // HTTP endpoints, local control

pub mod client; // the way to a broker from outside, for the tools of the command line

pub mod bench; // a load generator, for any broker

pub mod config; // what the operator wrote becomes the checked Config of each part

pub mod runtimes; // the threads that connections live on

pub mod app; // builds every part from its Config; starts, reloads, drains
