//! The command line: what people type, and what they read. Start at [`run`].

mod bench;
mod cert;
mod check;
mod client;
mod doctor;
mod first_screen;
mod generate;
mod publish;
mod remote;
mod request;
mod server;
mod service;
mod snippet;
mod store;
mod stream;
mod subscribe;

use std::{
    error::Error,
    fmt,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use gatemq::config::{Config, Errors, Loaded, Overrides};

/// How a command ends: the process exit code that scripts rely on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
enum Exit {
    /// Done.
    Done = 0,
    /// The configuration is wrong, or the broker cannot start.
    Configuration = 1,
    /// The command line is wrong, in a way that only the command itself can see.
    Usage = 2,
    /// Nobody answers.
    Unreachable = 3,
    /// Somebody answers, and says no.
    Refused = 4,
    /// No answer in time.
    Timeout = 5,
}

/// What scripts rely on, at the foot of `--help`.
const EXIT_CODES: &str = "\
Without a command it runs the broker; without a configuration on this machine only.

Exit codes: 0 done, 1 configuration or start error, 2 usage, 3 unreachable, 4 refused, 5 timeout.";

/// An MQTT broker whose front door is HTTPS.
#[derive(Debug, Parser)]
#[command(name = "gatemq", version, args_conflicts_with_subcommands = true, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the broker (also without a command)
    Run(RunArguments),
    /// Say whether a broker would start with this configuration, and what is wrong with it
    Check {
        #[command(flatten)]
        configuration: ConfigurationArguments,
        /// Print the findings as JSON
        #[arg(long)]
        json: bool,
    },
    /// Let the running broker read its configuration and certificates again, all or nothing
    Reload(RemoteArguments),
    /// Say what the running broker does
    Status(RemoteArguments),
    /// Stop the running broker in order
    Stop(RemoteArguments),
    /// Write everything the broker keeps to a file, while it runs or not
    #[command(after_help = store::BACKUP_HELP)]
    Backup(store::BackupArguments),
    /// Read a backup into an empty store; the broker must not run
    #[command(after_help = store::RESTORE_HELP)]
    Restore(store::BackupArguments),
    /// Write everything the broker keeps as JSON lines, while it runs or not
    #[command(after_help = store::EXPORT_HELP)]
    Export(store::ExportArguments),
    /// Read JSON lines into an empty store; the broker must not run
    #[command(after_help = store::IMPORT_HELP)]
    Import(store::ExportArguments),
    /// Print a program that connects, for a library you name
    Snippet(snippet::Arguments),
    /// Say why it does not connect, and what to do about it
    #[command(after_help = doctor::AFTER_HELP)]
    Doctor(doctor::Arguments),
    /// Certificates: make, show, renew
    #[command(subcommand)]
    Cert(cert::Command),
    /// Publish a message, as mosquitto_pub does
    Pub(Box<publish::PublishArguments>),
    /// Subscribe and print what comes, as mosquitto_sub does
    Sub(Box<subscribe::SubscribeArguments>),
    /// Publish a request and print the response, as mosquitto_rr does
    Rr(Box<request::RequestArguments>),
    /// Load a broker with many clients, and measure it and what it does, as emqtt_bench does
    #[command(subcommand, after_help = bench::FIELDS)]
    Bench(bench::Command),
    /// Print what makes a shell complete this command line
    Completion {
        /// Which shell
        shell: Shell,
    },
    /// Print the manual page, or write those of all commands into a directory
    Man {
        /// Where to
        #[arg(value_name = "DIR")]
        directory: Option<PathBuf>,
    },
}

#[derive(Args, Debug)]
struct RunArguments {
    #[command(flatten)]
    configuration: ConfigurationArguments,
    /// Port of the front door: the first listener with TLS
    #[arg(short, long, value_name = "PORT")]
    port: Option<u16>,
    /// Write more to the log; twice: even more
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Keep nothing on disk: sessions and retained messages end with the process
    #[arg(long)]
    ephemeral: bool,
}

#[derive(Args, Clone, Debug)]
struct ConfigurationArguments {
    /// Configuration file; without it gatemq.toml where there is one, else the built-in defaults on loopback
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct RemoteArguments {
    #[command(flatten)]
    configuration: ConfigurationArguments,
    /// The data_dir of the broker, instead of what the configuration says
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command that the process was started with.
pub(crate) fn run() -> ExitCode {
    let words = client::join(std::env::args_os(), &Arguments::command());
    let arguments = Arguments::parse_from(words);
    let exit = match arguments.command.unwrap_or(Command::Run(arguments.run)) {
        Command::Run(arguments) => server::run(&arguments),
        Command::Check {
            configuration,
            json,
        } => check::run(&configuration, json),
        Command::Reload(arguments) => remote::reload(&arguments),
        Command::Status(arguments) => remote::status(&arguments),
        Command::Stop(arguments) => remote::stop(&arguments),
        Command::Backup(arguments) => store::backup(&arguments),
        Command::Restore(arguments) => store::restore(&arguments),
        Command::Export(arguments) => store::export(&arguments),
        Command::Import(arguments) => store::import(&arguments),
        Command::Snippet(arguments) => snippet::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Cert(command) => cert::run(&command),
        Command::Pub(arguments) => publish::run(&arguments),
        Command::Sub(arguments) => subscribe::run(&arguments),
        Command::Rr(arguments) => request::run(&arguments),
        Command::Bench(command) => bench::run(&command),
        Command::Completion { shell } => generate::completion(shell),
        Command::Man { directory } => generate::man(directory.as_deref()),
    };
    ExitCode::from(exit as u8)
}

/// Reads the configuration as [`Command::Run`] would.
fn load(file: Option<&Path>, overrides: &Overrides) -> Result<Loaded, Errors> {
    Config::load(file, gatemq::config::variables(), overrides)
}

/// Says what went wrong, with its causes.
fn complain(exit: Exit, error: impl Error) -> Exit {
    let mut text = format!("gatemq: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    say_aside(text);
    exit
}

/// Says what is wrong with a configuration: each error begins its line with the place, as editors understand it.
fn reject(errors: &Errors) -> Exit {
    let count = match errors.problems.len() {
        1 => "an error".to_owned(),
        count => format!("{count} errors"),
    };
    say_aside(errors);
    say_aside(format_args!("gatemq: {count} in the configuration"));
    Exit::Configuration
}

/// Prints a line of what was asked for. Whoever has closed the other end does not want it any more: no failure.
fn say(line: impl fmt::Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Prints a line that is not what was asked for: errors, warnings.
fn say_aside(line: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{line}");
}
