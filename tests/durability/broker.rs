//! The real binary, killed and started again in the same folder.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread::JoinHandle,
    time::Duration,
};

use gatemq::mqtt::packet::{ConnAck, Connect, Packet, ProtocolVersion};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::{
    Dice,
    disk::Disk,
    support::{Carrier, Client, Stream, connect},
};

/// Long enough for a debug binary on a busy machine.
const START: Duration = Duration::from_secs(60);

/// For a shell whose `$0` is the program.
const RUN: &str = "exec \"$0\" run -c gatemq.toml";

pub(crate) struct Broker {
    folder: TempDir,
    child: Option<Child>,
    plain: u16,
    secure: u16,
    disk: Option<Disk>,
    /// What the shell is told.
    start: String,
    /// What writes its log.
    logs: Option<JoinHandle<()>>,
}

/// How to reach it.
#[derive(Clone)]
pub(crate) struct Access {
    plain: SocketAddr,
    secure: SocketAddr,
    ca: PathBuf,
}

impl Broker {
    /// With queues that hold what a test publishes.
    pub(crate) async fn start() -> Self {
        let mut broker = Self::stopped();
        broker.restart().await;
        broker
    }

    /// With these lines about queues.
    pub(crate) async fn start_with(queue: &str) -> Self {
        let mut broker = Self::stopped_with(queue);
        broker.restart().await;
        broker
    }

    /// On a disk that can fail and lose power.
    pub(crate) async fn start_on_disk() -> Self {
        let mut broker = Self::stopped_on_disk();
        broker.restart().await;
        broker
    }

    pub(crate) fn stopped_on_disk() -> Self {
        let mut broker = Self::stopped();
        let folder = broker.folder.path();
        broker.disk = Some(Disk::new(&folder.join("gatemq-data"), folder));
        broker
    }

    /// Not started yet.
    pub(crate) fn stopped() -> Self {
        Self::stopped_with("max_messages = 1000000\nmax_bytes = \"512MiB\"")
    }

    fn stopped_with(queue: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let free = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port"));
        let [plain, secure] = free.map(|it| it.local_addr().expect("bound").port());
        let configuration = format!(
            "sys_interval = \"off\"\n\
             [[listener]]\nbind = \"127.0.0.1:{plain}\"\ntls = false\n\
             [[listener]]\nbind = \"127.0.0.1:{secure}\"\ntls = true\n\
             [mqtt]\nallow_anonymous = true\n\
             [queue]\n{queue}\n"
        );
        fs::write(folder.path().join("gatemq.toml"), configuration).expect("written");
        Self {
            folder,
            child: None,
            plain,
            secure,
            disk: None,
            start: RUN.to_owned(),
            logs: None,
        }
    }

    /// Starts it where it was killed; returns once it accepts clients.
    pub(crate) async fn restart(&mut self) {
        if let Err(text) = self.try_restart().await {
            panic!("the broker ended at its start: {text}");
        }
    }

    /// The same, or what it said when it ended.
    pub(crate) async fn try_restart(&mut self) -> Result<(), String> {
        self.begin();
        let accepts = async {
            while TcpStream::connect(self.access().secure).await.is_err() {
                if let Some(child) = &mut self.child
                    && let Ok(Some(status)) = child.try_wait()
                {
                    self.kill();
                    return Err(format!("{status}: {}", self.log()));
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            Ok(())
        };
        let accepts = tokio::time::timeout(START, accepts).await;
        accepts.expect("a broker that accepts")
    }

    /// Starts it, and does not wait.
    pub(crate) fn begin(&mut self) {
        self.kill();
        if let Some(disk) = &mut self.disk {
            disk.note();
        }
        let mut log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .expect("a log");
        // A file that grows beyond its limit is an error for the broker, not its end.
        let mut child = Command::new("sh")
            .args(["-c", &format!("trap '' XFSZ; {}", self.start)])
            .arg(env!("CARGO_BIN_EXE_gatemq"))
            .current_dir(self.folder.path())
            .envs(self.disk.iter().flat_map(Disk::environment))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        // By a pipe: the limit of file sizes is not to meet the log.
        let mut output = child.stderr.take().expect("a pipe");
        self.logs = Some(std::thread::spawn(move || {
            // Its end is the end of the broker.
            let _ = std::io::copy(&mut output, &mut log);
        }));
        self.child = Some(child);
    }

    /// With its data on a small file system of its own, which it takes with it; `None` where none may be mounted.
    pub(crate) async fn start_on_tmpfs(options: &str) -> Option<Self> {
        let mut broker = Self::stopped();
        let data = broker.folder.path().join("gatemq-data");
        fs::create_dir(&data).expect("made");
        let mount = format!("mount -t tmpfs -o {options} tmpfs gatemq-data");
        let may = Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c", &mount])
            .current_dir(broker.folder.path())
            .output();
        if !may.is_ok_and(|it| it.status.success()) {
            return None;
        }
        broker.start =
            format!("exec unshare --map-root-user --mount sh -c '{mount} && {RUN}' \"$0\"");
        broker.restart().await;
        Some(broker)
    }

    /// Its data as it sees them itself.
    pub(crate) fn inside(&self) -> PathBuf {
        let root = format!("/proc/{}/root", self.pid().as_raw_nonzero());
        let data = self.folder.path().join("gatemq-data");
        PathBuf::from(root).join(data.strip_prefix("/").expect("absolute"))
    }

    pub(crate) async fn ensure_running(&mut self) {
        if self.child.is_none() {
            self.restart().await;
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("killed");
            child.wait().expect("waited for");
        }
        if let Some(logs) = self.logs.take() {
            logs.join().expect("all of it");
        }
    }

    /// SIGKILL, and nothing is there that was not synced, or only some of it.
    pub(crate) fn cut_power(&mut self, dice: &mut Dice) -> String {
        self.kill();
        self.disk.as_mut().expect("a disk").cut_power(dice)
    }

    /// What is under it.
    pub(crate) fn disk(&self) -> &Disk {
        self.disk.as_ref().expect("a disk")
    }

    /// SIGTERM, and it ends well.
    pub(crate) fn stop(mut self) {
        self.terminate();
    }

    /// The same, to be started again.
    pub(crate) fn terminate(&mut self) {
        let mut child = self.child.take().expect("running");
        kill_process(Pid::from_child(&child), Signal::TERM).expect("told");
        assert!(child.wait().expect("waited for").success());
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(self.child.as_ref().expect("running"))
    }

    /// Where it was started.
    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Where its store is.
    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("gatemq-data/store")
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).expect("a log")
    }

    /// As if it had never said anything.
    pub(crate) fn forget_log(&self) {
        fs::write(self.folder.path().join("log"), "").expect("written");
    }

    pub(crate) fn access(&self) -> Access {
        let addr = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Access {
            plain: addr(self.plain),
            secure: addr(self.secure),
            ca: self.folder.path().join("certs/ca.pem"),
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            let tail: Vec<_> = log.lines().rev().take(40).collect();
            for line in tail.into_iter().rev() {
                eprintln!("{line}");
            }
        }
        self.kill();
    }
}

impl Access {
    pub(crate) const fn plain(&self) -> SocketAddr {
        self.plain
    }

    /// A client that goes on with its session, and what it was answered; `None` where the broker is gone.
    pub(crate) async fn resume(
        &self,
        carrier: Carrier,
        client_id: &str,
        receive_maximum: u16,
    ) -> Option<(Client, ConnAck)> {
        let mut request = connect(ProtocolVersion::V5, client_id);
        request.clean_start = false;
        request.session_expiry_interval = 3600;
        request.receive_maximum = receive_maximum;
        self.connect(carrier, request).await
    }

    pub(crate) async fn connect(
        &self,
        carrier: Carrier,
        request: Connect,
    ) -> Option<(Client, ConnAck)> {
        let stream = match carrier {
            Carrier::Tcp => Stream::tcp(self.plain).await,
            Carrier::Tls => Stream::tls(self.secure, &self.ca, &[]).await,
            Carrier::Ws => Stream::ws(self.plain).await,
            Carrier::Wss => Stream::wss(self.secure, &self.ca).await,
        };
        let mut client = Client::new(stream.ok()?, request.version);
        send(&mut client, &Packet::Connect(Box::new(request))).await?;
        match client.receive().await? {
            Packet::ConnAck(answer) => Some((client, *answer)),
            other => panic!("not CONNACK but {other:?}"),
        }
    }
}

/// Sends a packet; `None` where the broker is gone.
pub(crate) async fn send(client: &mut Client, packet: &Packet) -> Option<()> {
    let bytes = client.encode(packet);
    client.stream.write(&bytes).await.ok()
}
