//! `gatemq` as a child process in a folder of its own. Start at [`Folder::start`] and [`Folder::run`].

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// Whatever takes longer has gone wrong. Long, since the machine that runs the tests may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A listener on whatever port is free, and another without TLS.
pub(crate) const TWO_LISTENERS: &str = "\
[[listener]]
bind = \"127.0.0.1:0\"
tls = true

[[listener]]
bind = \"127.0.0.1:0\"
tls = false

[mqtt]
allow_anonymous = true
";

/// A working directory of a test's own.
pub(crate) struct Folder(TempDir);

/// How a command has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A running broker. Dropped, it is killed.
pub(crate) struct Broker {
    child: Child,
    pub(crate) out: Output,
    pub(crate) err: Output,
}

/// What a process has written so far.
#[derive(Clone, Default)]
pub(crate) struct Output(Arc<(Mutex<Written>, Condvar)>);

#[derive(Default)]
struct Written {
    text: String,
    has_ended: bool,
}

impl Folder {
    /// An empty one.
    pub(crate) fn new() -> Self {
        // With a space: whoever prints its path must know what a shell does to it.
        let folder = tempfile::Builder::new().prefix("gatemq test ").tempdir();
        Self(folder.unwrap())
    }

    /// One with a configuration.
    pub(crate) fn with(configuration: &str) -> Self {
        let folder = Self::new();
        folder.write("gatemq.toml", configuration);
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap()
    }

    /// `gatemq` with these arguments, not yet started. Nothing of the environment of the tests configures it.
    pub(crate) fn gatemq(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gatemq"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GATEMQ_")) {
            command.env_remove(name);
        }
        command.args(arguments).current_dir(self.path());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        finish(&mut self.gatemq(arguments))
    }

    /// Starts a broker and waits until it has said that it runs.
    pub(crate) fn start(&self, arguments: &[&str]) -> Broker {
        Broker::start(&mut self.gatemq(arguments))
    }

    /// What `gatemq status --json` says.
    pub(crate) fn status(&self) -> Value {
        let finished = self.run(&["status", "--json"]);
        assert_eq!(finished.code, Some(0), "{finished:?}");
        serde_json::from_str(&finished.out).unwrap()
    }

    /// Where the first listener with or without TLS is.
    pub(crate) fn addr(&self, tls: bool) -> SocketAddr {
        let status = self.status();
        let listeners = status["listeners"].as_array().unwrap();
        let listener = listeners.iter().find(|listener| listener["tls"] == tls);
        listener.unwrap()["bind"].as_str().unwrap().parse().unwrap()
    }
}

/// Runs a command to its end.
pub(crate) fn finish(command: &mut Command) -> Finished {
    let mut process = Broker::spawn(command);
    let status = process.wait();
    Finished {
        code: status.code(),
        out: process.out.text(),
        err: process.err.text(),
    }
}

impl Broker {
    /// Starts it and waits until it has said that it runs.
    pub(crate) fn start(command: &mut Command) -> Self {
        let broker = Self::spawn(command);
        let is_running = broker.out.wait_for("Ctrl-C stops it.");
        assert!(is_running, "{}{}", broker.out.text(), broker.err.text());
        broker
    }

    /// Starts any command.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => panic!("{command:?}: {error}"),
        };
        Self {
            out: Output::of(child.stdout.take().unwrap()),
            err: Output::of(child.stderr.take().unwrap()),
            child,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until it has ended.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let has_ended = self.out.wait_for_end() && self.err.wait_for_end();
        let written = (self.out.text(), self.err.text());
        assert!(has_ended, "still running: {written:?}");
        self.child.wait().unwrap()
    }

    /// Waits for a line of the log.
    pub(crate) fn logs(&self, text: &str) {
        let has_logged = self.err.wait_for(text);
        assert!(has_logged, "no {text:?} in {}", self.err.text());
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It has ended already where a test has waited for it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Output {
    fn of(mut source: impl Read + Send + 'static) -> Self {
        let output = Self::default();
        let sink = output.clone();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                let count = source.read(&mut buffer).unwrap_or(0);
                let mut written = sink.0.0.lock().unwrap();
                written.has_ended = count == 0;
                let text = String::from_utf8_lossy(&buffer[..count]);
                written.text.push_str(&text);
                sink.0.1.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        output
    }

    pub(crate) fn text(&self) -> String {
        self.0.0.lock().unwrap().text.clone()
    }

    /// Whether it comes before the process ends or patience does.
    pub(crate) fn wait_for(&self, text: &str) -> bool {
        self.wait_until(|written| written.text.contains(text) || written.has_ended);
        self.text().contains(text)
    }

    fn wait_for_end(&self) -> bool {
        self.wait_until(|written| written.has_ended);
        self.0.0.lock().unwrap().has_ended
    }

    fn wait_until(&self, is_so: impl Fn(&Written) -> bool) {
        let (written, changed) = &*self.0;
        let written = written.lock().unwrap();
        let waited = changed.wait_timeout_while(written, PATIENCE, |written| !is_so(written));
        drop(waited.unwrap());
    }
}

/// Tries until it works, for as long as given.
pub(crate) fn within(patience: Duration, mut works: impl FnMut() -> bool) -> bool {
    let deadline = now() + patience;
    while !works() {
        if now() > deadline {
            return false;
        }
        thread::yield_now();
    }
    true
}

#[expect(
    clippy::disallowed_methods,
    reason = "the time that another process takes is the clock's"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A port that nobody uses just now, on IPv4 and, where there is one, IPv6.
pub(crate) fn free_port() -> u16 {
    for _ in 0..100 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let taken = TcpListener::bind(("::1", port))
            .is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse);
        if !taken {
            return port;
        }
    }
    panic!("no free port");
}

/// Sends these bytes and reads until there are as many as wanted, or the connection has ended.
pub(crate) fn exchange(addr: SocketAddr, sent: &[u8], wanted: usize) -> (TcpStream, Vec<u8>) {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(sent).unwrap();
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    while received.len() < wanted {
        match stream.read(&mut buffer).unwrap() {
            0 => break,
            count => received.extend_from_slice(&buffer[..count]),
        }
    }
    (stream, received)
}
