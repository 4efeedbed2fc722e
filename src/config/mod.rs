//! What the operator wrote becomes the checked Config of each part. Owns the file's sections and keys, their defaults
//! and ranges, and how mistakes in them are told; knows nothing of what the parts do with it.
//!
//! Start at [`Config::load`]. Two steps: `file.rs` is what was written (defaults < file < environment < flags), `check/`
//! makes of it what was meant. All mistakes are found before any is reported.

mod address;
mod check;
mod defaults;
mod diagnostics;
mod document;
mod environment;
mod file;
mod host;
mod local;
mod section;
mod suggestion;
#[cfg(test)]
mod tests;
mod units;
mod words;

pub use diagnostics::{Errors, Excerpt, Location, Problem};
pub use environment::variables;
pub use host::{Finding, Severity, check_host};

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use self::{
    check::Check,
    diagnostics::{Place, Problems, Source},
    document::{Entry, Node, Table, Understood},
    file::File,
    section::Value,
};
use crate::{listener, mqtt, router, telemetry};

/// A checked configuration: one Config for each part.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The listeners.
    pub listeners: Vec<listener::Config>,
    /// Limits and timeouts of all listeners.
    pub limits: listener::Limits,
    /// Certificates.
    pub tls: listener::tls::Config,
    /// The protocol engine.
    pub mqtt: mqtt::Config,
    /// Everyone is let in, names and passwords are not checked.
    pub allow_anonymous: bool,
    /// Subscriptions, retained messages, queues.
    pub router: router::Config,
    /// Logs.
    pub log: telemetry::LogConfig,
    /// Between two publications of `$SYS`; `None` publishes none.
    pub sys_interval: Option<Duration>,
    /// Where the control socket, the lock and what is stored lie.
    pub data_dir: PathBuf,
    /// Nothing is stored on disk.
    pub ephemeral: bool,
    /// How long a stop may take to tell every client.
    pub drain_timeout: Duration,
    /// Runtimes, one thread each.
    pub threads: usize,
}

/// What the command line says, which goes before everything else.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Overrides {
    /// `-p`: the port of the front door. That is the first listener with TLS, or the first if none has.
    pub port: Option<u16>,
    /// `--ephemeral`: nothing is stored on disk.
    pub ephemeral: bool,
    /// `-v`: 1 logs this program's debug lines too, 2 and more its trace lines.
    pub verbose: u8,
}

/// A configuration, and where it is from.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The file it is from; `None` where there was none.
    pub file: Option<PathBuf>,
    /// What is no error, and probably not meant; each a sentence for the operator.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads and checks everything that configures the broker: the file at `path`, or `gatemq.toml` in the working
    /// directory if there is one, or none; then `GATEMQ_…` among the variables; then the command line.
    ///
    /// Relative paths are relative to the file's folder; without a file, to the working directory.
    ///
    /// # Errors
    /// All that is wrong, at once.
    pub fn load(
        path: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
        overrides: &Overrides,
    ) -> Result<Loaded, Errors> {
        load_in(
            Path::new(""),
            path,
            environment,
            overrides,
            &local::free_front_door,
        )
    }

    /// Loads again while the broker runs with `self`. As [`load`](Self::load), but where no listener is configured the
    /// front door stays on the port it has, which by now is taken: by this broker.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_again(
        &self,
        path: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
        overrides: &Overrides,
    ) -> Result<Loaded, Errors> {
        let front_door = || {
            let first = self.listeners.first().map(|listener| &listener.bind);
            match first {
                Some(listener::Bind::Tcp(addr))
                    if defaults::FRONT_DOOR_PORTS.contains(&addr.port()) =>
                {
                    addr.port()
                }
                Some(_) | None => local::free_front_door(),
            }
        };
        load_in(Path::new(""), path, environment, overrides, &front_door)
    }

    /// The `data_dir` of a configuration, whatever else is wrong with it: for commands that must reach a running broker
    /// while a mistake is in its file.
    #[must_use]
    pub fn data_dir(
        path: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> PathBuf {
        let file = file(Path::new(""), path);
        let source = file.as_deref().map(read_source);
        let source = source.and_then(Result::ok).unwrap_or_default();
        let mut problems = Problems::default();
        let (mut table, _) = document::parse(&source, &mut problems);
        environment::overlay(&mut table, environment, &mut problems);
        let written = read_file(table, &mut problems);
        let check = Check {
            folder: file
                .as_deref()
                .and_then(Path::parent)
                .unwrap_or(Path::new("")),
            overrides: &Overrides::default(),
            front_door: &|| 0,
            whole: false,
            problems: &mut problems,
            warnings: Vec::new(),
        };
        check.path(&written.data_dir, defaults::DATA_DIR)
    }

    /// What holds where nothing is configured: loopback only, anonymous clients let in. The front door is at `port`, or at
    /// 443 where that may be bound (which is tried), or at 8443.
    #[must_use]
    pub fn without_file(port: Option<u16>) -> Self {
        let overrides = Overrides {
            port,
            ..Overrides::default()
        };
        let mut check = Check {
            folder: Path::new(""),
            overrides: &overrides,
            front_door: &local::free_front_door,
            whole: true,
            problems: &mut Problems::default(),
            warnings: Vec::new(),
        };
        check.config(&File::default())
    }
}

/// The settings that differ and that a reload cannot change: a restart is needed for them.
#[must_use]
pub fn changes_needing_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let changes = [
        ("data_dir", old.data_dir != new.data_dir),
        ("threads", old.threads != new.threads),
        ("--ephemeral", old.ephemeral != new.ephemeral),
    ];
    changes
        .into_iter()
        .filter(|(_, changed)| *changed)
        .map(|(name, _)| name)
        .collect()
}

/// As [`Config::load`], in a directory that tests can choose.
fn load_in(
    directory: &Path,
    path: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
    overrides: &Overrides,
    front_door: &dyn Fn() -> u16,
) -> Result<Loaded, Errors> {
    let file = file(directory, path);
    let source = match &file {
        Some(path) => read_source(path)?,
        None => Source::default(),
    };
    let mut problems = Problems::default();
    let (mut table, understood) = document::parse(&source, &mut problems);
    if understood == Understood::Lost {
        return Err(problems.into_errors(&source));
    }
    environment::overlay(&mut table, environment, &mut problems);
    let written = read_file(table, &mut problems);
    let mut check = Check {
        folder: file.as_deref().and_then(Path::parent).unwrap_or(directory),
        overrides,
        front_door,
        whole: understood == Understood::Whole,
        problems: &mut problems,
        warnings: Vec::new(),
    };
    let config = check.config(&written);
    let mut warnings = check.warnings;
    if let (Some(file), true) = (
        &file,
        config.listeners.iter().any(|listener| listener.optional),
    ) {
        warnings.push(format!(
            "{} has no [[listener]]: only this machine can connect",
            file.display()
        ));
    }
    if !problems.is_empty() {
        return Err(problems.into_errors(&source));
    }
    Ok(Loaded {
        config,
        file,
        warnings,
    })
}

/// The file that configures: the one that is named, or the one that lies in the directory.
fn file(directory: &Path, path: Option<&Path>) -> Option<PathBuf> {
    match path {
        Some(path) => Some(path.to_owned()),
        // One that is there and cannot be read is an error, not the absence of one.
        None => Some(directory.join(defaults::FILE)).filter(|path| {
            let found = fs::symlink_metadata(path);
            !found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        }),
    }
}

fn read_file(table: Table, problems: &mut Problems) -> File {
    let place = Place::File(0..0);
    let root = Entry {
        key: place.clone(),
        place,
        node: Node::Table(table),
    };
    File::read(&root, "", problems).unwrap_or_default()
}

/// The file's text.
fn read_source(path: &Path) -> Result<Source, Errors> {
    let name = path.display().to_string();
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = fs::File::open(path)?;
        file.take(defaults::MAX_FILE_BYTES + 1)
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = match read() {
        Ok(bytes) if bytes.len() as u64 > defaults::MAX_FILE_BYTES => {
            let message = "is larger than 1MiB, which no configuration is".to_owned();
            return Err(Errors::unreadable(name, message, None));
        }
        Ok(bytes) => bytes,
        Err(error) => {
            let suggestion = (error.kind() == io::ErrorKind::NotFound).then(|| {
                "without -c, gatemq.toml in the working directory is read if it is there".to_owned()
            });
            return Err(Errors::unreadable(
                name,
                format!("cannot be read: {error}"),
                suggestion,
            ));
        }
    };
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Source { name, text }),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let mut problems = Problems::default();
            let place = Place::File(at..at + char::REPLACEMENT_CHARACTER.len_utf8());
            problems.add(
                &place,
                "this is not UTF-8",
                Some("save the file as UTF-8".to_owned()),
            );
            Err(problems.into_errors(&Source { name, text }))
        }
    }
}
