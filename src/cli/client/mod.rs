//! What `gatemq pub`, `sub` and `rr` share: flags, formats, and the connection with its errors. Start at [`run`].

mod arguments;
mod format;
mod json;
mod output;
mod password;
mod payload;
mod plan;
mod properties;
mod received;

pub(super) use arguments::{ConnectionArguments, qos, seconds};
pub(super) use output::{Output, OutputArguments};
pub(super) use password::password;
pub(super) use payload::{PayloadArguments, lines};
pub(super) use plan::Plan;
pub(super) use properties::{Command, join};
pub(super) use received::Received;

use std::{fmt, io};

use gatemq::{
    client::{Client, ClientError, Kind, Session, reason},
    mqtt::packet::{NEVER_EXPIRES, ProtocolVersion, ReasonCode},
};
use rand::RngExt as _;
use tokio::{
    runtime::Builder,
    signal::unix::{Signal, SignalKind, signal},
};

use super::{Exit, say_aside};

/// At the foot of each `--help`.
pub(super) const EXIT_CODES: &str = "\
Exit codes: 0 done, 2 usage, 3 unreachable, 4 refused, 5 timeout (where mosquitto's clients have 27).";

/// Ctrl-C and its like.
pub(super) struct Interrupt {
    int: Signal,
    term: Signal,
}

/// Runs a client to its end.
pub(super) fn run(work: impl AsyncFnOnce(Interrupt) -> Exit) -> Exit {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return super::complain(Exit::Configuration, error),
    };
    let exit = runtime.block_on(async {
        match Interrupt::new() {
            Ok(interrupt) => work(interrupt).await,
            Err(error) => super::complain(Exit::Configuration, error),
        }
    });
    // A look-up of a host that nobody waits for any more.
    runtime.shutdown_background();
    exit
}

/// Says what in a command makes no sense.
pub(super) fn misused(command: &str, what: impl fmt::Display) -> Exit {
    say_aside(format_args!("gatemq {command}: {what}"));
    say_aside(format_args!("`gatemq {command} --help` lists all flags"));
    Exit::Usage
}

impl Plan {
    /// Connects; with an older version of MQTT where the broker knows no newer one and none was asked for.
    pub(super) async fn open(&mut self, session: &Session) -> Result<Client, ClientError> {
        let target = &self.target;
        let first = Client::connect(&self.dial, target, &self.connect, session.clone()).await;
        let opened = match first {
            Err(error) if self.may_fall_back && error.is_about_version() => {
                self.remark(format_args!("{error}; with MQTT 3.1.1 instead"));
                self.connect.version = ProtocolVersion::V3_1_1;
                let kept = !self.connect.clean_start;
                self.connect.session_expiry_interval = if kept { NEVER_EXPIRES } else { 0 };
                Client::connect(&self.dial, target, &self.connect, session.clone()).await
            }
            opened => opened,
        };
        if let Ok(client) = &opened {
            let assigned = client.connack().assigned_client_identifier.as_deref();
            self.remark(format_args!(
                "connected to {} with MQTT {} as {:?}",
                self.place(),
                self.connect.version.as_str(),
                assigned.unwrap_or(&self.connect.client_id)
            ));
        }
        opened
    }

    /// The broker, as it was named.
    fn place(&self) -> String {
        match &self.dial.unix {
            Some(path) => path.display().to_string(),
            None => self.target.to_string(),
        }
    }

    /// Says why it does not go on.
    pub(super) fn fail(&self, error: &ClientError) -> Exit {
        self.say(format_args!("{}: {error}", self.place()));
        match error.kind() {
            Kind::Usage => Exit::Usage,
            Kind::Unreachable => Exit::Unreachable,
            Kind::Refused => Exit::Refused,
            Kind::Timeout => Exit::Timeout,
        }
    }

    /// Says what went wrong, unless nothing is to be said.
    pub(super) fn say(&self, what: impl fmt::Display) {
        if !self.quiet {
            say_aside(format_args!("gatemq: {what}"));
        }
    }

    /// Says what happens, where that is wanted.
    pub(super) fn remark(&self, what: impl fmt::Display) {
        if self.debug {
            self.say(what);
        }
    }

    /// Ends in order. What was to be done is done: a network that fails now takes nothing away.
    pub(super) async fn close(&self, client: Client) {
        if let Err(error) = client.disconnect(self.properties.disconnect()).await {
            self.remark(error);
        }
    }
}

/// A reason code with the broker's words, where it has any.
pub(super) fn reasoned(code: ReasonCode, text: Option<&str>) -> String {
    match text {
        Some(text) => format!("{}: {text}", reason::words(code)),
        None => reason::words(code),
    }
}

impl Interrupt {
    fn new() -> io::Result<Self> {
        Ok(Self {
            int: signal(SignalKind::interrupt())?,
            term: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for it.
    pub(super) async fn wait(&mut self) {
        tokio::select! {
            _ = self.int.recv() => {}
            _ = self.term.recv() => {}
        }
    }
}

/// Lower-case letters and digits that nobody else has just now.
pub(super) fn random_letters(count: usize) -> String {
    let mut random = rand::rng();
    let mut letter = || char::from_digit(random.random_range(0..36), 36).expect("below 36");
    (0..count).map(|_| letter()).collect()
}
