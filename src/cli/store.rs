//! `gatemq backup` and `restore`, `export` and `import`: what a broker keeps, out of it and into another.

use std::{
    io::{self, BufReader, BufWriter, IsTerminal as _},
    path::{Path, PathBuf},
};

use clap::Args;
use gatemq::{
    admin::{
        DataDir, DataDirError,
        control::{self, Interrupted, Reply, Unreachable},
    },
    app::STORE,
    storage::{Copied, CopyError, Disk, FillError, Form, StorageError},
};
use serde_json::json;

use super::{
    Exit, RemoteArguments, complain, remote, say_aside,
    stream::{Input, Metered, Output, WRITTEN},
};

pub(super) const BACKUP_HELP: &str = "\
A backup has everything as it was at one moment, with a checksum, for this and later versions of GateMQ. A file that is
there already is replaced once the new one is complete; it is for its owner only, since all messages are in it.";

pub(super) const RESTORE_HELP: &str = "\
The store must be empty: move `store` in the data_dir away first, or name another data_dir. All of the backup is
restored or nothing.";

pub(super) const EXPORT_HELP: &str = "\
One JSON object on each line: a first line with the version, messages that are queued, each session followed by what
belongs to it, retained messages, and a last line with the counts. The README describes them. A file that is there
already is replaced once the new one is complete.

  gatemq export | jq -r 'select(.type == \"retained\") | .topic'";

pub(super) const IMPORT_HELP: &str = "\
Takes what `gatemq export` writes, and what is written by hand. All lines are checked, and imported or none: a mistake
is named with its line and field. The store must be empty: move `store` in the data_dir away first, or name another
data_dir. The least that there is:

  {\"type\":\"gatemq-export\",\"version\":1}
  {\"type\":\"retained\",\"topic\":\"home/light\",\"payload\":\"on\"}
  {\"type\":\"session\",\"client_id\":\"phone\"}
  {\"type\":\"subscription\",\"client_id\":\"phone\",\"filter\":\"home/#\",\"qos\":1}
  {\"type\":\"end\"}";

#[derive(Args, Debug)]
pub(super) struct BackupArguments {
    /// The backup; - is the standard output or input
    #[arg(id = "copy", value_name = "BACKUP")]
    file: PathBuf,
    #[command(flatten)]
    remote: RemoteArguments,
}

#[derive(Args, Debug)]
pub(super) struct ExportArguments {
    /// The file; - is the standard output or input
    #[arg(id = "copy", value_name = "FILE", default_value = "-")]
    file: PathBuf,
    #[command(flatten)]
    remote: RemoteArguments,
}

pub(super) fn backup(arguments: &BackupArguments) -> Exit {
    copy(Form::Backup, &arguments.file, &arguments.remote)
}

pub(super) fn export(arguments: &ExportArguments) -> Exit {
    copy(Form::Export, &arguments.file, &arguments.remote)
}

pub(super) fn restore(arguments: &BackupArguments) -> Exit {
    fill(&arguments.file, &arguments.remote, |input, store| {
        let rows = Disk::restore(input, store)?;
        Ok((format!("Restored: {rows} rows"), json!({ "rows": rows })))
    })
}

pub(super) fn import(arguments: &ExportArguments) -> Exit {
    fill(&arguments.file, &arguments.remote, |input, store| {
        let imported = Disk::import(input, store)?;
        let text = format!(
            "Imported: sessions {}, subscriptions {}, queued messages {}, retained messages {}",
            imported.sessions, imported.subscriptions, imported.queued, imported.retained
        );
        let json = json!({
            "sessions": imported.sessions,
            "subscriptions": imported.subscriptions,
            "queued": imported.queued,
            "retained": imported.retained,
        });
        Ok((text, json))
    })
}

/// From the broker where it runs, else from its directory.
fn copy(form: Form, file: &Path, remote: &RemoteArguments) -> Exit {
    let data_dir = remote::data_dir(remote);
    let output = match Output::create(file) {
        Ok(output) => output,
        Err(error) => return complain(Exit::Configuration, error),
    };
    let is_stdout = output.is_stdout();
    let is_replaced = output.replaces();
    let mut output = BufWriter::new(Metered::new(output, None, WRITTEN));
    let copied = match control::copy(&data_dir, form, &mut output) {
        Ok(Reply::Copied(copied)) => Ok(copied),
        Ok(Reply::Error { message }) => Err(complain(Exit::Refused, io::Error::other(message))),
        Ok(_) => Err(complain(
            Exit::Unreachable,
            io::Error::other(
                "the broker has answered something else: it may be of another version than this program",
            ),
        )),
        Err(Interrupted::Unreachable(Unreachable::NotRunning { .. })) => {
            copy_at_rest(form, &data_dir, &mut output)
        }
        Err(Interrupted::Unreachable(error)) => Err(remote::unreachable(error)),
        Err(Interrupted::Output(error)) => Err(not_written(file, &error)),
    };
    let copied = match copied {
        Ok(copied) => copied,
        Err(exit) => return exit,
    };
    let finished = output
        .into_inner()
        .map_err(io::IntoInnerError::into_error)
        .and_then(|output| output.into_inner().finish());
    if let Err(error) = finished {
        return not_written(file, &error);
    }
    tell(form, copied, remote.json, is_stdout, is_replaced)
}

fn copy_at_rest(
    form: Form,
    data_dir: &Path,
    output: &mut BufWriter<Metered<Output>>,
) -> Result<Copied, Exit> {
    let store = data_dir.join(STORE);
    if !store.is_dir() {
        let text = format!(
            "{} is not there, so there is nothing to copy: name the configuration of the broker with -c, \
             or its directory with --data-dir",
            store.display()
        );
        return Err(complain(Exit::Configuration, io::Error::other(text)));
    }
    let _lock = lock(data_dir)?;
    let file = output.get_ref().get_ref().path().to_owned();
    Disk::copy_at_rest(&store, form, output).map_err(|error| match error {
        CopyError::Output(error) => not_written(&file, &error),
        CopyError::Ephemeral | CopyError::Storage(_) => complain(Exit::Configuration, error),
    })
}

/// Whoever reads a pipe no longer has had enough: no failure.
fn not_written(file: &Path, error: &io::Error) -> Exit {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Exit::Done;
    }
    let text = format!(
        "{} cannot be written: {error}; name a file on a disk with room for it",
        file.display()
    );
    complain(Exit::Configuration, io::Error::other(text))
}

fn tell(form: Form, copied: Copied, json: bool, is_stdout: bool, is_replaced: bool) -> Exit {
    if copied.damaged > 0 {
        say_aside(format_args!(
            "Warning: {} stored values are damaged and were left out; the broker names them in its log when it starts",
            copied.damaged
        ));
    }
    let (done, rows) = match form {
        Form::Backup => ("Backed up", "rows"),
        Form::Export => ("Exported", "lines"),
    };
    let note = if is_replaced {
        "; the file that was there is replaced"
    } else {
        ""
    };
    let text = format!("{done}: {} {rows}{note}.", copied.rows);
    let json = json.then(|| json!({ rows: copied.rows, "damaged": copied.damaged }));
    report(&text, json.as_ref(), is_stdout);
    Exit::Done
}

/// Says what has come of it, beside the standard output where that is taken.
fn report(text: &str, json: Option<&serde_json::Value>, is_stdout: bool) {
    match json {
        Some(json) if is_stdout => say_aside(json),
        Some(json) => remote::print_json(json),
        None if is_stdout => say_aside(text),
        None => super::say(text),
    }
}

type Filled = Result<(String, serde_json::Value), FillError>;

/// Makes the store of a broker that does not run.
fn fill(
    file: &Path,
    remote: &RemoteArguments,
    make: impl FnOnce(&mut BufReader<Metered<Input>>, &Path) -> Filled,
) -> Exit {
    if file == Path::new("-") && io::stdin().is_terminal() {
        let text = "the standard input is a terminal: name a file, or pipe one in";
        return complain(Exit::Usage, io::Error::other(text));
    }
    let data_dir = remote::data_dir(remote);
    let input = match Input::open(file) {
        Ok(input) => input,
        Err(error) => return complain(Exit::Configuration, error),
    };
    let _lock = match lock(&data_dir) {
        Ok(lock) => lock,
        Err(exit) => return exit,
    };
    let bytes = input.bytes();
    let mut input = BufReader::with_capacity(64 * 1024, Metered::new(input, bytes, "read"));
    let store = data_dir.join(STORE);
    let made = make(&mut input, &store);
    drop(input);
    match made {
        Ok((text, json)) => {
            let text = format!("{text}, into {}.", store.display());
            report(&text, remote.json.then_some(&json), false);
            Exit::Done
        }
        Err(FillError::Storage(error)) => complain(Exit::Configuration, with_advice(&error)),
        Err(error @ FillError::NotEmpty(_)) => complain(Exit::Configuration, error),
        Err(error) => {
            let text = format!(
                "{}: {}; nothing was changed",
                file.display(),
                in_full(&error)
            );
            complain(Exit::Configuration, io::Error::other(text))
        }
    }
}

fn in_full(error: &FillError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn with_advice(error: &StorageError) -> io::Error {
    let text = error.with_cause();
    io::Error::other(format!("{text}; nothing was changed"))
}

/// No broker begins with it meanwhile.
fn lock(data_dir: &Path) -> Result<DataDir, Exit> {
    DataDir::acquire(data_dir).map_err(|error| match error {
        DataDirError::InUse { path, pid } => {
            let process = pid.map_or_else(String::new, |pid| format!(" (process {pid})"));
            let text = format!(
                "a broker{process} runs with data_dir {}: stop it first, with `gatemq stop`",
                path.display()
            );
            complain(Exit::Refused, io::Error::other(text))
        }
        DataDirError::Unusable { path, source } => {
            let text = format!(
                "{} cannot be used: {source}; run this as the user that runs the broker, or name another data_dir",
                path.display()
            );
            complain(Exit::Configuration, io::Error::other(text))
        }
    })
}
