//! Stopping by signals: in order, and at once.

use std::{
    io::Read,
    net::{SocketAddr, TcpStream},
};

use rustix::process::Signal;

use crate::support::{Folder, TWO_LISTENERS, exchange};

/// DISCONNECT with 0x8B, server shutting down.
const SHUTTING_DOWN: [u8; 2] = [0xe0, 0x8b];

/// An MQTT 5 client that has its CONNACK.
fn connected(addr: SocketAddr) -> TcpStream {
    let connect = b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x00";
    let (stream, received) = exchange(addr, connect, 5);
    assert_eq!((received[0], received[3]), (0x20, 0), "{received:?}");
    stream
}

/// Everything until the connection ends.
fn rest(mut stream: TcpStream) -> Vec<u8> {
    let mut received = Vec::new();
    // An end by reset is an end.
    let _ = stream.read_to_end(&mut received);
    received
}

/// The type and the reason of a DISCONNECT.
fn is_told(received: &[u8]) -> bool {
    received.first() == Some(&SHUTTING_DOWN[0]) && received.get(2) == Some(&SHUTTING_DOWN[1])
}

#[test]
fn sigterm_and_sigint_tell_every_client_and_end_with_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = Folder::with(&format!("drain_timeout = \"1s\"\n{TWO_LISTENERS}"));
        let mut broker = folder.start(&[]);
        let addr = folder.addr(false);
        let clients = [connected(addr), connected(addr), connected(addr)];
        broker.signal(signal);
        for client in clients {
            let received = rest(client);
            assert!(is_told(&received), "{signal:?}: {received:?}");
        }
        assert_eq!(broker.wait().code(), Some(0), "{signal:?}");
        broker.logs("code=app.stopping");
        broker.logs("code=app.stopped");
    }
}

#[test]
fn a_second_signal_stops_at_once() {
    let folder = Folder::with(&format!("drain_timeout = \"1h\"\n{TWO_LISTENERS}"));
    let mut broker = folder.start(&[]);
    let addr = folder.addr(false);
    let clients = [connected(addr), connected(addr), connected(addr)];
    broker.signal(Signal::TERM);
    broker.logs("code=app.stopping");
    let status = folder.status();
    assert_eq!(status["not_ready"], "draining");
    assert_eq!(status["pid"], broker.pid());
    assert!(TcpStream::connect(addr).is_err());
    broker.signal(Signal::TERM);
    assert_eq!(broker.wait().code(), Some(0));
    broker.logs("stopped at once");
    drop(clients);
}

#[test]
fn without_clients_it_ends_without_waiting() {
    let folder = Folder::with(&format!("drain_timeout = \"1h\"\n{TWO_LISTENERS}"));
    let mut broker = folder.start(&[]);
    broker.signal(Signal::TERM);
    assert_eq!(broker.wait().code(), Some(0));
}
