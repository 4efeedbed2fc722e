//! `gatemq backup` and `restore`: what a broker keeps, as one file.

use std::{error::Error, path::PathBuf, sync::Arc};

use clap::Args;
use gatemq::{
    admin::DataDir,
    app::STORE,
    storage::{Disk, Storage, StorageError},
};

use super::{Exit, RemoteArguments, complain, remote, say};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The backup
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// By the broker where it runs, else from its directory.
pub(super) fn backup(arguments: &Arguments) -> Exit {
    let data_dir = remote::data_dir(&arguments.remote);
    // The broker was started somewhere else.
    let to = match std::path::absolute(&arguments.backup) {
        Ok(path) => path,
        Err(error) => return complain(Exit::Usage, error),
    };
    if remote::is_running(&data_dir) {
        return remote::backup(&arguments.remote, to);
    }
    let store = data_dir.join(STORE);
    if !store.exists() {
        let missing = std::io::Error::new(
            std::io::ErrorKind::NotFound,
            "there is nothing to back up: name the configuration with -c or the directory with --data-dir",
        );
        let path = store;
        let source = Arc::new(missing);
        return complain(Exit::Configuration, StorageError { path, source });
    }
    let written = locked(&data_dir).and_then(|_lock| {
        let disk = Disk::open(&store, Arc::default(), Box::new(|_| {}))?;
        Ok(disk.backup(&to)?)
    });
    tell(written, "Backed up")
}

pub(super) fn restore(arguments: &Arguments) -> Exit {
    let data_dir = remote::data_dir(&arguments.remote);
    let restored = locked(&data_dir)
        .and_then(|_lock| Ok(Disk::restore(&arguments.backup, &data_dir.join(STORE))?));
    tell(restored, "Restored")
}

/// No broker begins with it meanwhile.
fn locked(data_dir: &std::path::Path) -> Result<DataDir, Box<dyn Error>> {
    Ok(DataDir::acquire(data_dir)?)
}

fn tell(rows: Result<u64, Box<dyn Error>>, done: &str) -> Exit {
    match rows {
        Ok(rows) => {
            say(format_args!("{done}: {rows} rows."));
            Exit::Done
        }
        Err(error) => complain(Exit::Configuration, Boxed(error)),
    }
}

/// An error of any kind as one of a kind.
#[derive(Debug)]
struct Boxed(Box<dyn Error>);

impl std::fmt::Display for Boxed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Boxed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}
