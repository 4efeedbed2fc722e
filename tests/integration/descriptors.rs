//! A process without a descriptor left: it waits, does not spin, does not die, and accepts again.

use std::{
    fs,
    net::{SocketAddr, TcpListener as StdTcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use gatemq::{message::QoS, mqtt::packet::ProtocolVersion};

use crate::support::{Client, Stream, connect, until, within};

/// Descriptors of the whole process. Some two dozen are its own.
const DESCRIPTORS: u32 = 64;

/// The real program, ended with the test.
struct Program {
    child: Child,
    addr: SocketAddr,
    folder: tempfile::TempDir,
}

impl Program {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = StdTcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = socket.local_addr().expect("an address");
        drop(socket);
        let toml = format!(
            "threads = 1\n[mqtt]\nallow_anonymous = true\n[limits]\nmax_connections = 1000\n\
             [[listener]]\nbind = \"{addr}\"\ntls = false\n"
        );
        fs::write(folder.path().join("gatemq.toml"), toml).expect("written");
        let log = fs::File::create(folder.path().join("log")).expect("a log");
        let limited = format!("ulimit -n {DESCRIPTORS}; exec \"$0\" run --ephemeral");
        let child = Command::new("sh")
            .args(["-c", &limited, env!("CARGO_BIN_EXE_gatemq")])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("started");
        let program = Self {
            child,
            addr,
            folder,
        };
        let mut attempts = 0;
        while Stream::tcp(addr).await.is_err() {
            attempts += 1;
            assert!(attempts < 1000, "it does not listen: {}", program.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        program
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).expect("a log")
    }

    /// CPU time that it has used.
    fn cpu_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it runs");
        // Behind the name in parentheses; fields 14 and 15 of all, in hundredths of a second.
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .expect("a name")
            .split_whitespace()
            .collect();
        let ticks = |at: usize| fields[at - 3].parse::<u64>().expect("a number");
        Duration::from_millis(10 * (ticks(14) + ticks(15)))
    }

    fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.child.id());
        fs::read_dir(Path::new(&folder)).expect("it runs").count()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_full_table_is_waited_out() {
    let mut program = Program::start().await;
    let addr = program.addr;
    let stream = Stream::tcp(addr).await.expect("connected");
    let mut inside = Client::new(stream, ProtocolVersion::V5);
    inside
        .expect_accepted(connect(ProtocolVersion::V5, "inside"))
        .await;
    inside.subscribe("t", QoS::AtLeastOnce).await;
    // The kernel takes them all; the program has descriptors only for some.
    let mut crowd = Vec::new();
    for number in 0..2 * DESCRIPTORS {
        let stream = Stream::tcp(addr).await.expect("connected");
        let mut client = Client::new(stream, ProtocolVersion::V5);
        let wanted = connect(ProtocolVersion::V5, &number.to_string());
        let bytes = client.encode(&gatemq::mqtt::packet::Packet::Connect(Box::new(wanted)));
        client.send_bytes(&bytes).await;
        crowd.push(client);
    }
    until("the table is full", || {
        program.descriptors() >= DESCRIPTORS as usize
            && program.log().contains("listener.exhausted")
    })
    .await;
    // It neither spins, nor dies, nor fills its log, nor forgets those who are in.
    let before = program.cpu_time();
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        inside.publish("t", "x", QoS::AtLeastOnce).await;
        inside.expect_message("t", "x").await;
    }
    let used = program.cpu_time() - before;
    assert!(used < Duration::from_millis(600), "{used:?} in a second");
    assert_eq!(program.log().matches("listener.exhausted").count(), 1);
    assert!(program.child.try_wait().expect("its status").is_none());
    // Those who wait are let in as others go.
    for mut client in crowd {
        let answer = within(client.expect_packet()).await;
        assert!(matches!(answer, gatemq::mqtt::packet::Packet::ConnAck(_)));
        client.disconnect().await;
    }
    let stream = Stream::tcp(addr).await.expect("connected");
    let mut after = Client::new(stream, ProtocolVersion::V5);
    after
        .expect_accepted(connect(ProtocolVersion::V5, "after"))
        .await;
    inside.expect_nothing().await;
}
