//! As a service: what the service manager is told, and sockets that it hands over.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    os::unix::net::{UnixDatagram, UnixStream},
    process::Command,
};

use rustix::process::Signal;

use crate::support::{
    Broker, Folder, PATIENCE, TWO_LISTENERS, exchange, finish, free_port, within,
};

const READY: &str = "READY=1\nSTATUS=listening on 127.0.0.1:";

/// The manager's end of `NOTIFY_SOCKET`.
struct Manager(UnixDatagram);

impl Manager {
    fn of(folder: &Folder) -> Self {
        let socket = UnixDatagram::bind(folder.path().join("notify.sock")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    /// The next message; those of the watchdog come in between at any time.
    fn next(&self) -> String {
        loop {
            let message = self.receive();
            if message != "WATCHDOG=1\n" {
                return message;
            }
        }
    }

    fn receive(&self) -> String {
        let mut buffer = [0; 4096];
        let length = self.0.recv(&mut buffer).expect("a message in time");
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[track_caller]
    fn expect(&self, start: &str) -> String {
        let message = self.next();
        assert!(
            message.starts_with(start),
            "{start:?} expected, not {message:?}"
        );
        message
    }
}

/// `gatemq` as the manager of this folder starts it.
fn managed(folder: &Folder) -> Command {
    let mut command = folder.gatemq(&[]);
    command.env("NOTIFY_SOCKET", folder.path().join("notify.sock"));
    command
}

#[test]
fn the_manager_is_told_of_start_reload_and_stop() {
    let folder = Folder::with(TWO_LISTENERS);
    let manager = Manager::of(&folder);
    let mut broker = Broker::spawn(&mut managed(&folder));
    let ready = manager.expect(READY);
    let (_, addrs) = ready.trim_end().split_once("listening on ").unwrap();
    for addr in addrs.split(", ") {
        // At once: ready is ready.
        TcpStream::connect(addr).unwrap();
    }

    let reloaded = folder.run(&["reload"]);
    assert_eq!(reloaded.code, Some(0), "{reloaded:?}");
    let reloading = manager.expect("RELOADING=1\nMONOTONIC_USEC=");
    let time = reloading.trim_end().rsplit('=').next().unwrap();
    assert!(time.parse::<u64>().unwrap() > 0, "{reloading}");
    manager.expect(READY);

    folder.write("gatemq.toml", "nonsense = true\nmore = 1\n");
    broker.signal(Signal::HUP);
    manager.expect("RELOADING=1\n");
    let failed = manager.expect("READY=1\nSTATUS=reload failed, runs as before: ");
    // Every mistake, and still two lines: each line is an assignment.
    assert_eq!(failed.lines().count(), 2, "{failed}");
    assert!(failed.contains("nonsense"), "{failed}");

    broker.signal(Signal::TERM);
    manager.expect("STOPPING=1\nSTATUS=telling every client\nEXTEND_TIMEOUT_USEC=23000000\n");
    assert_eq!(broker.wait().code(), Some(0));
}

#[test]
fn the_watchdog_is_fed_where_there_is_one() {
    let folder = Folder::with(TWO_LISTENERS);
    let manager = Manager::of(&folder);
    let mut command = managed(&folder);
    command.env("WATCHDOG_USEC", "200000");
    let mut broker = Broker::spawn(&mut command);
    manager.expect(READY);
    let beats = (0..3).map(|_| manager.receive());
    assert_eq!(beats.collect::<Vec<_>>(), ["WATCHDOG=1\n"; 3]);
    broker.signal(Signal::TERM);
    manager.expect("STOPPING=1\n");
    broker.wait();
}

/// Somebody else's watchdog, left in the environment.
#[test]
fn a_watchdog_of_another_process_is_not_fed() {
    let folder = Folder::with(TWO_LISTENERS);
    let manager = Manager::of(&folder);
    let mut command = managed(&folder);
    command
        .env("WATCHDOG_USEC", "1000")
        .env("WATCHDOG_PID", "1");
    let broker = Broker::spawn(&mut command);
    manager.expect(READY);
    broker.signal(Signal::TERM);
    assert!(manager.receive().starts_with("STOPPING=1\n"));
}

#[test]
fn a_manager_that_is_gone_is_no_reason_not_to_run() {
    let folder = Folder::with(TWO_LISTENERS);
    let broker = Broker::start(&mut managed(&folder));
    broker.logs("code=service.notify_failed");
}

/// The configuration of listeners without TLS at these addresses.
fn listeners(binds: &[String]) -> String {
    let listener = |bind: &String| format!("[[listener]]\nbind = \"{bind}\"\ntls = false\n");
    let listeners: String = binds.iter().map(listener).collect();
    format!("mqtt.allow_anonymous = true\n{listeners}")
}

/// `gatemq` behind a program that listens as systemd does for a socket unit, and starts it for the first client.
fn activated(folder: &Folder, sockets: &[&str]) -> Command {
    let mut command = Command::new("systemd-socket-activate");
    for socket in sockets {
        command.arg("--listen").arg(socket);
    }
    command.arg(env!("CARGO_BIN_EXE_gatemq"));
    command.current_dir(folder.path());
    command
}

/// Starts it, and waits until it listens.
fn activate(command: &mut Command) -> Broker {
    let installed = Command::new(command.get_program())
        .arg("--version")
        .output();
    assert!(
        installed.is_ok(),
        "systemd-socket-activate is missing; `tests/run install` installs it"
    );
    let broker = Broker::spawn(command);
    broker.logs("Listening on");
    broker
}

fn get_livez(mut stream: impl Read + Write) -> String {
    stream
        .write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn is_alive(addr: SocketAddr) -> bool {
    get_livez(TcpStream::connect(addr).unwrap()).starts_with("HTTP/1.1 200")
}

#[test]
fn sockets_that_are_handed_over_become_listeners_and_stay_over_reloads() {
    let folder = Folder::new();
    let tcp = format!("127.0.0.1:{}", free_port());
    let unix = folder.path().join("gatemq.sock").display().to_string();
    let binds = [tcp.clone(), format!("unix:{unix}")];
    // Every runtime accepts from the same socket.
    let config = format!("threads = 3\n{}", listeners(&binds));
    folder.write("gatemq.toml", &config);
    let mut broker = activate(&mut activated(&folder, &[&tcp, &unix]));
    let addr: SocketAddr = tcp.parse().unwrap();
    // The first clients come before there is a broker.
    let early: Vec<_> = (0..10).map(|_| TcpStream::connect(addr).unwrap()).collect();
    for client in early {
        assert!(get_livez(client).starts_with("HTTP/1.1 200"));
    }
    let through_file = || get_livez(UnixStream::connect(&unix).unwrap());
    assert!(through_file().starts_with("HTTP/1.1 200"));

    // A client, a reload that leaves a socket without a listener, and one that adds a listener.
    let connect = b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x00";
    let (mut client, connack) = exchange(addr, connect, 5);
    assert_eq!((connack[0], connack[3]), (0x20, 0), "{connack:?}");
    folder.write("gatemq.toml", &listeners(&binds[1..]));
    let refused = folder.run(&["reload"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let advice = format!("the socket {tcp} was handed over (LISTEN_FDS), and no listener has");
    assert!(refused.err.contains(&advice), "{refused:?}");
    let more = format!("{config}[[listener]]\nbind = \"127.0.0.1:0\"\n");
    folder.write("gatemq.toml", &more);
    let reloaded = folder.run(&["reload"]);
    assert_eq!(reloaded.code, Some(0), "{reloaded:?}");
    assert!(is_alive(addr));
    client.write_all(b"\xc0\x00").unwrap();
    let mut pong = [0; 2];
    client.read_exact(&mut pong).unwrap();
    assert_eq!(pong, [0xd0, 0]);

    broker.signal(Signal::TERM);
    assert_eq!(broker.wait().code(), Some(0));
    // It is systemd's, which goes on to listen there.
    assert!(folder.path().join("gatemq.sock").exists());
}

#[test]
fn a_socket_without_a_listener_is_an_error_that_names_both() {
    let folder = Folder::with(TWO_LISTENERS);
    let addr = format!("127.0.0.1:{}", free_port());
    let mut broker = activate(&mut activated(&folder, &[&addr]));
    let _client = TcpStream::connect(&addr).unwrap();
    assert_eq!(broker.wait().code(), Some(1));
    let expected = format!(
        "the socket {addr} was handed over (LISTEN_FDS), and no listener has `bind = \"{addr}\"`"
    );
    assert!(
        broker.err.text().contains(&expected),
        "{}",
        broker.err.text()
    );
}

#[test]
fn a_socket_of_another_kind_is_an_error() {
    let folder = Folder::with(TWO_LISTENERS);
    let addr = format!("127.0.0.1:{}", free_port());
    let mut command = Command::new("systemd-socket-activate");
    command.args([
        "--datagram",
        "--listen",
        &addr,
        env!("CARGO_BIN_EXE_gatemq"),
    ]);
    let mut broker = activate(command.current_dir(folder.path()));
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.send_to(b"?", &addr).unwrap();
    assert_eq!(broker.wait().code(), Some(1));
    let log = broker.err.text();
    assert!(log.contains("socket 1 of those handed over"), "{log}");
    assert!(log.contains("ListenStream="), "{log}");
}

/// The unit names credentials by variables, as contrib/gatemq.service.d does.
#[test]
fn certificates_may_be_named_by_variables() {
    let folder = Folder::new();
    let made = folder.run(&["cert", "init"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    std::fs::rename(
        folder.path().join("certs"),
        folder.path().join("credentials"),
    )
    .unwrap();
    folder.write(
        "gatemq.toml",
        "[[listener]]\nbind = \"127.0.0.1:0\"\ntls = true\n",
    );
    let mut command = folder.gatemq(&[]);
    for (name, file) in [("CHAIN", "server.pem"), ("KEY", "server.key")] {
        let path = folder.path().join("credentials").join(file);
        command.env(format!("GATEMQ_TLS__CERTIFICATE__0__{name}"), path);
    }
    let _broker = Broker::start(&mut command);
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--cacert"]);
    curl.arg(folder.path().join("credentials/ca.pem"));
    let port = folder.addr(true).port();
    curl.arg(format!("https://localhost:{port}/livez"));
    let answered = within(PATIENCE, || finish(&mut curl).code == Some(0));
    assert!(answered, "{curl:?}");
    assert!(!folder.path().join("certs").exists());
}
