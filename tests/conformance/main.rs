//! The statements of the standards, one test each, over TCP, TLS, WebSocket and WebSocket over TLS.
//! A module for each chapter; a test names its statement. `MQTT-x.y.z-n` without more is of MQTT 5.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "whatever else has come, the test has failed"
)]

#[path = "../support/mod.rs"]
mod support;

mod acknowledgements; // 3.4 to 3.7
mod authentication; // 4.12
mod codes; // 2.4, 4.13
mod connect; // 3.1, 3.2
mod delivery; // 4.3, 4.4, 4.6
mod disconnect; // 3.12 to 3.14
mod flow_control; // 4.9, Maximum Packet Size
mod malformed; // 1.5, 2, 4.13
mod old_versions; // MQTT 3.1
mod publish; // 3.3 to 3.7
mod retained; // 3.3.1.3, 3.8.4
mod session; // 4.1, takeover
mod shared; // 4.8.2
mod subscribe; // 3.8 to 3.11
mod topics; // 4.7
mod will; // 3.1.2.5

mod http; // RFC 9110, 9112
mod http2; // RFC 9113, 8441
mod websocket; // RFC 6455
