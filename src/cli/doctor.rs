//! `gatemq doctor URL`: why it does not connect, and what to do about it.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use gatemq::{
    client::{
        Target, Trust,
        doctor::{self, Failure, Options, Report},
    },
    listener::tls::CertificateFiles,
};

use super::{Exit, client::password, complain, remote::print_json, say, say_aside};

/// At the foot of `gatemq doctor --help`.
pub(super) const AFTER_HELP: &str = "\
Each finding is a line: ✓ as it should be, ! worth knowing, ✗ why it does not connect, with what to do about it.
A message is published to a random topic below gatemq-doctor/ and received again.

Exit codes: 0 all is well; of the first fault 3 unreachable, 4 refused, 5 timeout; 2 usage, also a file that cannot be used.";

/// What is asked on the command line.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Where to: wss://HOST/mqtt, ws://, mqtts:// or mqtt://
    url: String,
    /// Hold a silent connection for so long, and say when somebody cuts it; proxies do after 60
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    idle: Option<u64>,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
    /// Authorities to believe, instead of those of this machine (PEM)
    #[arg(long, value_name = "FILE")]
    cafile: Option<PathBuf>,
    /// A certificate to show (PEM)
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// User name, instead of the URL's
    #[arg(short = 'u', long = "username", value_name = "USER")]
    username: Option<String>,
    /// Password; others on this machine can see it, unlike --password-file and the variable MQTT_PASSWORD
    #[arg(
        short = 'P',
        long = "pw",
        visible_alias = "password",
        value_name = "PASSWORD",
        allow_hyphen_values = true
    )]
    password: Option<String>,
    /// Read the password from the first line of a file
    #[arg(long, value_name = "FILE", conflicts_with = "password")]
    password_file: Option<PathBuf>,
    /// The page a browser would come from, as https://example.com
    #[arg(long, value_name = "ORIGIN")]
    origin: Option<String>,
    /// Topic of the round trip, where the user may not use one of our own
    #[arg(short = 't', long, value_name = "TOPIC")]
    topic: Option<String>,
    /// How long each step may take
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

/// Examines, and prints each stage as soon as it is done.
pub(super) fn run(arguments: &Arguments) -> Exit {
    let options = match options(arguments) {
        Ok(options) => options,
        Err(exit) => return exit,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return complain(Exit::Configuration, error),
    };
    if !arguments.json {
        say(format_args!("{}\n", options.target));
    }
    let tell = |stage: &doctor::StageReport| {
        if !arguments.json {
            say(stage.to_string().trim_end());
        }
    };
    let report = match runtime.block_on(doctor::examine(&options, tell)) {
        Ok(report) => report,
        Err(error) => return complain(Exit::Usage, error),
    };
    // A lookup of a name blocks a thread for as long as the system likes.
    runtime.shutdown_background();
    if arguments.json {
        print_json(&report);
    } else {
        say(format_args!("\n{}", report.summary()));
    }
    exit(&report)
}

fn exit(report: &Report) -> Exit {
    match report.failure() {
        None => Exit::Done,
        Some(Failure::Unreachable) => Exit::Unreachable,
        Some(Failure::Refused) => Exit::Refused,
        Some(Failure::TimedOut) => Exit::Timeout,
    }
}

fn options(arguments: &Arguments) -> Result<Options, Exit> {
    let target = match Target::parse(&arguments.url) {
        Ok(target) => target,
        Err(error) => {
            say_aside(format_args!("gatemq: {error}"));
            return Err(Exit::Usage);
        }
    };
    let username = arguments.username.clone().or(target.username.clone());
    let given = arguments.password.clone().or(target.password.clone());
    let password = password(
        arguments.password_file.as_deref(),
        given,
        username.is_some(),
    );
    let password = password.map_err(|error| {
        say_aside(format_args!("gatemq: {error}"));
        Exit::Usage
    })?;
    let files = arguments.cert.clone().zip(arguments.key.clone());
    Ok(Options {
        trust: Trust {
            ca_file: arguments.cafile.clone(),
            client_certificate: files.map(|(chain, key)| CertificateFiles { chain, key }),
            ..Trust::default()
        },
        username,
        password,
        origin: arguments.origin.clone(),
        topic: arguments.topic.clone(),
        timeout: Duration::from_secs(arguments.timeout),
        idle: arguments.idle.map(Duration::from_secs),
        target,
    })
}
