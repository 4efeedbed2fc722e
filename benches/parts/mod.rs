//! What the benches of the parts are made of: packets, a router with clients, TLS and WebSocket over a stream in memory.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "several benches include it, and each uses the part that it needs"
)]

pub mod packets;
pub mod router;
pub mod tls;
pub mod websocket;
pub mod wire;

/// With `--test` each bench runs once, to show that it works: the small sizes do.
pub fn is_test() -> bool {
    std::env::args().any(|argument| argument == "--test")
}
