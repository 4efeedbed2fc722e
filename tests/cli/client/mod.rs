//! `gatemq pub`, `sub` and `rr` with a real broker, and mosquitto's clients at the other end.

mod mistakes;
mod publishing;
mod subscribing;

use std::process::Command;

use crate::support::{Broker, Finished, Folder, TWO_LISTENERS, finish};

/// A broker, and where it is.
pub(crate) struct Gate {
    pub(crate) folder: Folder,
    pub(crate) broker: Broker,
    pub(crate) plain: u16,
    pub(crate) secure: u16,
}

impl Gate {
    pub(crate) fn open() -> Self {
        Self::with(TWO_LISTENERS)
    }

    pub(crate) fn with(configuration: &str) -> Self {
        let folder = Folder::with(configuration);
        let broker = folder.start(&[]);
        Self {
            plain: folder.addr(false).port(),
            secure: folder.addr(true).port(),
            folder,
            broker,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("mqtt://localhost:{}", self.plain)
    }

    /// Every way to it, as flags. Certificates are those of the working directory.
    pub(crate) fn ways(&self) -> [Vec<String>; 6] {
        let (plain, secure) = (self.plain, self.secure);
        [
            vec![format!("mqtt://localhost:{plain}")],
            vec![format!("mqtts://localhost:{secure}")],
            vec![format!("ws://localhost:{plain}")],
            vec![format!("wss://localhost:{secure}/mqtt")],
            vec!["--http2".to_owned(), format!("ws://localhost:{plain}")],
            vec!["--http2".to_owned(), format!("wss://localhost:{secure}")],
        ]
    }

    pub(crate) fn gatemq(&self, command: &str, way: &[String], flags: &[&str]) -> Command {
        let mut gatemq = self.folder.gatemq(&[command]);
        gatemq.args(way).args(flags);
        gatemq
    }

    /// Publishes, or asks, to the end.
    fn run(&self, command: &str, flags: &[&str]) -> Finished {
        finish(&mut self.gatemq(command, &[self.url()], flags))
    }

    pub(crate) fn publish(&self, flags: &[&str]) {
        let finished = self.run("pub", flags);
        let written = (finished.out.as_str(), finished.err.as_str());
        assert_eq!((finished.code, written), (Some(0), ("", "")), "{flags:?}");
    }

    /// Subscribes and waits until it has.
    pub(crate) fn subscribe(&self, flags: &[&str]) -> Broker {
        self.subscribe_by(&[self.url()], flags)
    }

    fn subscribe_by(&self, way: &[String], flags: &[&str]) -> Broker {
        let subscriber = Broker::spawn(self.gatemq("sub", way, flags).arg("-d"));
        subscriber.logs("subscribed to");
        subscriber
    }

    /// A client of mosquitto's.
    fn mosquitto(&self, program: &str, flags: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(["-h", "localhost", "-p", &self.plain.to_string()])
            .args(flags);
        command
    }

    /// A shell that knows `$GATEMQ` and `$URL`.
    fn shell(&self, script: &str) -> Finished {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", script])
            .env("GATEMQ", env!("CARGO_BIN_EXE_gatemq"));
        shell.env("URL", self.url()).current_dir(self.folder.path());
        // It configures a broker, and nobody looks at it here.
        finish(shell.env_remove("GATEMQ_DATA_DIR"))
    }
}

/// Waits for the end, which is in order.
fn ends(subscriber: &mut Broker, code: i32) -> String {
    let ended = subscriber.wait().code();
    assert_eq!(
        ended,
        Some(code),
        "{}{}",
        subscriber.out.text(),
        subscriber.err.text()
    );
    subscriber.out.text()
}
