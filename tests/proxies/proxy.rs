//! nginx, HAProxy and Caddy as processes, each with the file that we hand out.

use std::{
    fs::{self, File},
    io,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::within;

/// Which program.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Nginx,
    HaProxy,
    Caddy,
}

/// Where everybody listens in a test.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    /// Passthrough, shared with another site.
    pub(crate) passthrough: u16,
    pub(crate) termination: u16,
    /// The other site, behind the passthrough.
    pub(crate) site: u16,
    /// Where Caddy is told to reload.
    pub(crate) admin: u16,
    pub(crate) broker: [u16; 2],
}

/// A running proxy. Killed when dropped; its log is shown where a test failed.
pub(crate) struct Proxy {
    kind: Kind,
    child: Child,
    folder: PathBuf,
}

/// What silence costs in a test, in seconds: long enough for PINGs of a second on a busy machine.
pub(crate) const IDLE_LIMIT: u64 = 5;

impl Kind {
    /// The file, from the top of the repository.
    const fn file(self) -> &'static str {
        match self {
            Self::Nginx => "nginx-example.conf",
            Self::HaProxy => "contrib/haproxy.cfg",
            Self::Caddy => "contrib/Caddyfile",
        }
    }

    const fn program(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::HaProxy => "haproxy",
            Self::Caddy => "caddy",
        }
    }

    /// The file with other ports, paths, names and limits.
    fn configuration(self, folder: &Path, ports: &Ports) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(self.file());
        let example = fs::read_to_string(path).expect("the file that we hand out");
        let changes = match self {
            Self::Nginx => nginx(folder, ports),
            Self::HaProxy => haproxy(folder, ports),
            Self::Caddy => caddy(folder, ports),
        };
        let changes: Vec<_> = changes
            .iter()
            .map(|(from, to)| (*from, to.as_str()))
            .collect();
        replaced(&example, &changes)
    }

    /// The program with this configuration, in the foreground.
    fn command(self, folder: &Path) -> Command {
        let mut command = Command::new(self.program());
        let file = folder.join("proxy.conf");
        match self {
            Self::Nginx => {
                // Debian's places for these are root's.
                let log = folder.join("proxy.log").display().to_string();
                let pid = folder.join("nginx.pid").display().to_string();
                let global = format!("daemon off; pid {pid}; error_log {log};");
                command
                    .arg("-c")
                    .arg(file)
                    .args(["-e", &log, "-g", &global]);
            }
            Self::HaProxy => {
                command.arg("-W").arg("-f").arg(file);
            }
            Self::Caddy => {
                command
                    .args(["run", "--adapter", "caddyfile", "--config"])
                    .arg(file);
                command
                    .env("XDG_DATA_HOME", folder)
                    .env("XDG_CONFIG_HOME", folder);
            }
        }
        command.current_dir(folder);
        command
    }
}

impl Proxy {
    /// Starts it in this folder, where its certificate lies: `proxy.pem`, `proxy.key`, and both in `proxy-both.pem`.
    pub(crate) fn spawn(kind: Kind, folder: &Path, ports: &Ports) -> Self {
        fs::write(folder.join("proxy.conf"), kind.configuration(folder, ports)).expect("written");
        let log = File::create(folder.join("proxy.log")).expect("a log file");
        let mut command = kind.command(folder);
        let spawned = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn();
        let child = match spawned {
            Ok(child) => child,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                panic!(
                    "{} is not there; `tests/run install` installs it",
                    kind.program()
                )
            }
            Err(error) => panic!("{kind:?}: {error}"),
        };
        Self {
            kind,
            child,
            folder: folder.to_owned(),
        }
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child of ours").is_some()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("proxy.log")).unwrap_or_default()
    }

    /// As its unit in Debian does, and people by hand.
    pub(crate) async fn reload(&self) {
        let mut command = match self.kind {
            Kind::Nginx => {
                let mut command = self.kind.command(&self.folder);
                command.args(["-s", "reload"]);
                command
            }
            Kind::HaProxy => return self.signal_haproxy().await,
            Kind::Caddy => {
                let mut command = Command::new("caddy");
                command.args(["reload", "--force", "--adapter", "caddyfile", "--config"]);
                command.arg(self.folder.join("proxy.conf"));
                command
            }
        };
        let finished = command.output().expect("started");
        assert!(finished.status.success(), "{finished:?}");
    }

    /// Its workers accept before the master heeds signals: one that comes too early is lost, and one too many does no
    /// harm.
    async fn signal_haproxy(&self) {
        let workers = || self.log().matches(" forked").count();
        let before = workers();
        within(async {
            while workers() == before {
                kill_process(Pid::from_child(&self.child), Signal::USR2).expect("it runs");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        })
        .await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // In order: it has workers, which would outlive it.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of {:?}\n{}---", self.kind, self.log());
        }
    }
}

/// What stands in a file, and what a test puts there.
type Changes = Vec<(&'static str, String)>;

fn nginx(folder: &Path, ports: &Ports) -> Changes {
    let listen = |port: u16| format!("listen 127.0.0.1:{port}");
    let mut changes = vec![
        ("mqtt.example.com", "localhost".to_owned()),
        ("listen 443", listen(ports.passthrough)),
        ("listen 8443", listen(ports.termination)),
        ("127.0.0.1:9443", local(ports.broker[0])),
        ("127.0.0.1:9083", local(ports.broker[1])),
        ("127.0.0.1:9444", local(ports.site)),
        ("certs/server.pem", path(folder, "proxy.pem")),
        ("certs/server.key", path(folder, "proxy.key")),
        ("/var/www/html", path(folder, "site")),
        ("proxy_timeout 1d", format!("proxy_timeout {IDLE_LIMIT}s")),
        (
            "proxy_read_timeout 2m",
            format!("proxy_read_timeout {IDLE_LIMIT}s"),
        ),
        ("http {\n", format!("http {{\n{}", writable(folder))),
    ];
    // On loopback only, and where there is no IPv6 not at all.
    let has_ipv6 = TcpListener::bind("[::1]:0").is_ok();
    for (from, port) in [
        ("listen [::]:443", ports.passthrough),
        ("listen [::]:8443", ports.termination),
    ] {
        let to = if has_ipv6 {
            format!("listen [::1]:{port}")
        } else {
            format!("# {from}")
        };
        changes.push((from, to));
    }
    changes
}

fn haproxy(folder: &Path, ports: &Ports) -> Changes {
    vec![
        ("mqtt.example.com", "localhost".to_owned()),
        ("bind :443", format!("bind {}", local(ports.passthrough))),
        ("bind :8443", format!("bind {}", local(ports.termination))),
        ("127.0.0.1:9443", local(ports.broker[0])),
        ("127.0.0.1:9083", local(ports.broker[1])),
        ("127.0.0.1:9444", local(ports.site)),
        ("/etc/haproxy/site.pem", path(folder, "proxy-both.pem")),
        ("/etc/haproxy/gatemq.pem", path(folder, "proxy-both.pem")),
        ("timeout tunnel 1d", format!("timeout tunnel {IDLE_LIMIT}s")),
    ]
}

fn caddy(folder: &Path, ports: &Ports) -> Changes {
    let site = format!("https://localhost:{}", ports.termination);
    vec![
        ("https://mqtt.example.com", site),
        ("localhost:2019", format!("localhost:{}", ports.admin)),
        ("127.0.0.1:9083", local(ports.broker[1])),
        ("/etc/caddy/gatemq.pem", path(folder, "proxy.pem")),
        ("/etc/caddy/gatemq.key", path(folder, "proxy.key")),
    ]
}

fn local(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

/// What nginx writes into besides its log, at places of ours: Debian's are root's.
fn writable(folder: &Path) -> String {
    let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let folder = folder.display();
    let temporary = kinds.map(|kind| format!("    {kind}_temp_path {folder}/{kind};\n"));
    format!(
        "    access_log {folder}/access.log;\n{}",
        temporary.concat()
    )
}

/// A text with other words in it, every one of which must be there.
pub(crate) fn replaced(text: &str, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from:?} is not there any more");
        text.replace(from, to)
    })
}
