//! `gatemq reload`, `status` and `stop`: what is asked of the running broker over its control socket.

use std::path::{Path, PathBuf};

use gatemq::{
    admin::control::{self, Command, Reply, Report, Unreachable},
    config::{Config, Overrides},
};
use serde::Serialize;

use super::{Exit, RemoteArguments, complain, load, say, say_aside};

/// Lets the running broker read its configuration again.
pub(super) fn reload(arguments: &RemoteArguments) -> Exit {
    ask(arguments, Command::Reload)
}

/// Says what the running broker does.
pub(super) fn status(arguments: &RemoteArguments) -> Exit {
    ask(arguments, Command::Status)
}

/// Stops the running broker in order.
pub(super) fn stop(arguments: &RemoteArguments) -> Exit {
    ask(arguments, Command::Stop)
}

fn ask(arguments: &RemoteArguments, command: Command) -> Exit {
    match control::request(&data_dir(arguments), command) {
        Ok(reply) => tell(&reply, arguments.json),
        Err(error) => unreachable(error),
    }
}

/// Says why a broker cannot be asked.
pub(super) fn unreachable(error: Unreachable) -> Exit {
    let exit = match error {
        Unreachable::TimedOut { .. } => Exit::Timeout,
        Unreachable::PermissionDenied { .. } => Exit::Refused,
        Unreachable::NotRunning { .. }
        | Unreachable::PathTooLong(_)
        | Unreachable::NotUnderstood { .. }
        | Unreachable::Io { .. } => Exit::Unreachable,
    };
    complain(exit, error)
}

/// Where the broker is reached: as given, as configured, or, where the configuration cannot be read just now, as it
/// would be without one. `reload` is what people type after a mistake in it.
pub(super) fn data_dir(arguments: &RemoteArguments) -> PathBuf {
    if let Some(data_dir) = &arguments.data_dir {
        return data_dir.clone();
    }
    let file = arguments.configuration.file.as_deref();
    let written = || Config::data_dir(file, gatemq::config::variables());
    load(file, &Overrides::default()).map_or_else(|_| written(), |loaded| loaded.config.data_dir)
}

fn tell(reply: &Reply, json: bool) -> Exit {
    let exit = match reply {
        Reply::Rejected { .. } => Exit::Configuration,
        Reply::Error { .. } => Exit::Refused,
        Reply::Reloaded(_)
        | Reply::Status(_)
        | Reply::Stopping { .. }
        | Reply::Copying
        | Reply::Copied(_) => Exit::Done,
    };
    if json {
        print_json(reply);
        return exit;
    }
    match reply {
        Reply::Reloaded(report) => say(describe(report).trim_end()),
        Reply::Status(status) => say(status.to_string().trim_end()),
        Reply::Stopping { pid } => say(format_args!("The broker (process {pid}) is stopping.")),
        // `store` asks for copies, and has answers of its own.
        Reply::Copying | Reply::Copied(_) => {}
        Reply::Rejected { errors } => {
            say_aside(errors.join("\n"));
            say_aside("gatemq: nothing was reloaded, the broker goes on as it was");
        }
        Reply::Error { message } => say_aside(format_args!("gatemq: {message}")),
    }
    exit
}

fn describe(report: &Report) -> String {
    let mut text = if report.changed.is_empty() {
        "Reloaded: nothing has changed.\n".to_owned()
    } else {
        format!("Reloaded: {}.\n", report.changed.join(", "))
    };
    if !report.needs_restart.is_empty() {
        let settings = report.needs_restart.join(", ");
        text.push_str(&format!(
            "Takes effect when the broker starts again: {settings}.\n"
        ));
    }
    for warning in &report.warnings {
        text.push_str(&format!("Warning: {warning}\n"));
    }
    text
}

/// Prints what a program reads.
pub(super) fn print_json(value: &impl Serialize) {
    // These types have string keys and finite numbers only.
    say(serde_json::to_string_pretty(value).expect("serializable"));
}

/// Whether a broker answers in this directory.
pub(super) fn is_running(data_dir: &Path) -> bool {
    control::request(data_dir, Command::Status).is_ok()
}
