//! The real binary as a child process, with a folder, a configuration file and ports of its own.
//! The bench of idle connections uses it too.

#![allow(dead_code, reason = "each program uses the part of it that it needs")]

use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{net::TcpStream, time::timeout};

/// A debug binary on a machine that compiles something else meanwhile still makes its certificates within this.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// Between two tries to connect to a broker that starts.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);
/// In the broker's folder.
const CONFIGURATION_FILE: &str = "gatemq.toml";
/// A port that somebody else took after it was chosen costs one attempt.
const ATTEMPTS: usize = 5;

/// A running broker: one listener without TLS, one with. Killed when dropped; its log is shown where a test failed.
pub(crate) struct Broker {
    child: Child,
    folder: TempDir,
    plain: u16,
    secure: u16,
}

/// What carries a client's bytes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Transport {
    Tcp,
    Tls,
    Ws,
    Wss,
}

impl Broker {
    /// Starts it and returns once both ports accept. `toml` follows the listeners: more tables of the configuration.
    pub(crate) async fn start(toml: &str) -> Self {
        Self::configured("allow_anonymous = true", toml).await
    }

    /// The same, with these keys in `[mqtt]`.
    pub(crate) async fn configured(mqtt: &str, toml: &str) -> Self {
        for _ in 0..ATTEMPTS {
            let mut broker = Self::make(mqtt, toml);
            let accepted = timeout(START_PATIENCE, broker.accepts()).await;
            match accepted {
                Ok(true) => return broker,
                Ok(false) if broker.log().contains("in use") => {}
                Ok(false) => panic!("the broker ended at its start"),
                Err(_) => panic!("the broker does not accept after {START_PATIENCE:?}"),
            }
        }
        panic!("no free ports in {ATTEMPTS} attempts");
    }

    fn make(mqtt: &str, toml: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        let (plain, secure) = (free_port(), free_port());
        let configuration = format!(
            r#"data_dir = "data"
[[listener]]
bind = "127.0.0.1:{plain}"
tls = false
[[listener]]
bind = "127.0.0.1:{secure}"
tls = true
[mqtt]
{mqtt}
[log]
format = "json"
{toml}"#
        );
        fs::write(folder.path().join(CONFIGURATION_FILE), configuration)
            .expect("a configuration file");
        Self {
            child: spawn(&folder),
            folder,
            plain,
            secure,
        }
    }

    /// Ends it without a chance to say anything.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("a child of ours");
        self.child.wait().expect("a child of ours");
    }

    /// Starts it again after [`Self::kill`], with the same folder and ports.
    pub(crate) async fn restart(&mut self) {
        self.child = spawn(&self.folder);
        let accepted = timeout(START_PATIENCE, self.accepts()).await;
        assert_eq!(accepted, Ok(true), "the broker does not start again");
    }

    /// Waits until both ports accept; false where the process has ended instead.
    async fn accepts(&mut self) -> bool {
        for port in [self.plain, self.secure] {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                if self.child.try_wait().expect("a child of ours").is_some() {
                    return false;
                }
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
        }
        true
    }

    /// The port without TLS.
    pub(crate) const fn plain(&self) -> u16 {
        self.plain
    }

    /// The port with TLS.
    pub(crate) const fn secure(&self) -> u16 {
        self.secure
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The CA that its certificate leads to.
    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("certs/ca.pem")
    }

    /// Its folder; a test may put files there.
    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().to_path_buf()
    }

    /// Where a client finds it over this transport.
    pub(crate) fn url(&self, transport: Transport) -> String {
        let Self { plain, secure, .. } = self;
        match transport {
            Transport::Tcp => format!("mqtt://localhost:{plain}"),
            Transport::Tls => format!("mqtts://localhost:{secure}"),
            Transport::Ws => format!("ws://localhost:{plain}/mqtt"),
            Transport::Wss => format!("wss://localhost:{secure}/mqtt"),
        }
    }

    /// All that it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Transport {
    pub(crate) const ALL: [Self; 4] = [Self::Tcp, Self::Tls, Self::Ws, Self::Wss];

    /// Whether a client needs the CA.
    pub(crate) const fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::Wss)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of the broker\n{}---", self.log());
        }
    }
}

/// The binary as a child that logs into this folder.
fn spawn(folder: &TempDir) -> Child {
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.path().join("log"))
        .expect("a log file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatemq"));
    // These are configuration, and whoever runs the tests may have set some.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GATEMQ_") {
            command.env_remove(name);
        }
    }
    command
        .args(["run", "-c", CONFIGURATION_FILE])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log)
        .spawn()
        .expect("the binary that cargo has built")
}

/// A port that nobody listens on and that no other test of this program was given. The broker shares a port with
/// whoever asks for it as it does (`SO_REUSEPORT`), so two brokers on one port would not notice.
fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("a bound socket").port();
        if GIVEN
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(port)
        {
            return port;
        }
    }
}
