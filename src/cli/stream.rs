//! Where a copy of a store goes to or comes from, and how far it is.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, IsTerminal as _, Read, Write},
    os::{fd::AsFd as _, unix::fs::OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// What is done with a copy that is made.
pub(super) const WRITTEN: &str = "written";

/// Between two words on the progress, on a terminal.
const OFTEN: Duration = Duration::from_millis(500);

/// Elsewhere, where each is a line of a log.
const SELDOM: Duration = Duration::from_secs(10);

/// What is written to: a file that is there whole or not at all, or the standard output.
pub(super) struct Output {
    path: PathBuf,
    file: File,
    kind: Kind,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Kind {
    Stdout,
    /// A device or a pipe: nothing to put in its place.
    Special,
    /// Beside its place until it is complete.
    Unfinished {
        replaces: bool,
    },
    /// In its place.
    Finished,
}

impl Output {
    /// # Errors
    /// It cannot be written; says what to do about it.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let advice = |error: io::Error| {
            let text = format!(
                "{} cannot be written: {error}; name a file in a directory that is there and may be written to",
                path.display()
            );
            io::Error::new(error.kind(), text)
        };
        let (kind, file) = if path == Path::new("-") {
            let stdout = io::stdout().as_fd().try_clone_to_owned();
            (Kind::Stdout, stdout.map(File::from))
        } else {
            match fs::metadata(path) {
                Ok(metadata) if metadata.is_dir() => {
                    return Err(advice(io::ErrorKind::IsADirectory.into()));
                }
                Ok(metadata) if !metadata.is_file() => {
                    (Kind::Special, OpenOptions::new().write(true).open(path))
                }
                found => {
                    let replaces = found.is_ok();
                    (
                        Kind::Unfinished { replaces },
                        create_private(&unfinished(path)),
                    )
                }
            }
        };
        Ok(Self {
            path: path.to_owned(),
            file: file.map_err(advice)?,
            kind,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn is_stdout(&self) -> bool {
        self.kind == Kind::Stdout
    }

    /// Whether a file of that name is there already.
    pub(super) fn replaces(&self) -> bool {
        self.kind == Kind::Unfinished { replaces: true }
    }

    /// Puts it in its place, where it stays whatever happens to the machine.
    pub(super) fn finish(mut self) -> io::Result<()> {
        if !matches!(self.kind, Kind::Unfinished { .. }) {
            return Ok(());
        }
        self.file.sync_all()?;
        fs::rename(unfinished(&self.path), &self.path)?;
        self.kind = Kind::Finished;
        let parent = self.path.parent().filter(|it| !it.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
    }
}

/// For its owner only: the messages of all clients are in it.
fn create_private(path: &Path) -> io::Result<File> {
    // What an attempt has left that was killed.
    let _ = fs::remove_file(path);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(path)
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".unfinished");
    name.into()
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if matches!(self.kind, Kind::Unfinished { .. }) {
            // What is left of it helps nobody; where it cannot be removed, it bears a name that says so.
            let _ = fs::remove_file(unfinished(&self.path));
        }
    }
}

/// What is read from: a file, or the standard input.
pub(super) struct Input {
    file: File,
    bytes: Option<u64>,
}

impl Input {
    /// # Errors
    /// It cannot be read; says what to do about it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let opened = if path == Path::new("-") {
            let stdin = io::stdin().as_fd().try_clone_to_owned();
            stdin.map(File::from)
        } else {
            File::open(path)
        };
        let advice = |error: io::Error| {
            let text = format!(
                "{} cannot be read: {error}; name a file that is there and may be read, or - for the standard input",
                path.display()
            );
            io::Error::new(error.kind(), text)
        };
        let file = opened.map_err(advice)?;
        let metadata = file.metadata().map_err(advice)?;
        if metadata.is_dir() {
            return Err(advice(io::ErrorKind::IsADirectory.into()));
        }
        let bytes = metadata.is_file().then_some(metadata.len());
        Ok(Self { file, bytes })
    }

    /// How long it is, where that is known.
    pub(super) const fn bytes(&self) -> Option<u64> {
        self.bytes
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

/// Passes on, and says how much.
pub(super) struct Metered<T> {
    inner: T,
    progress: Progress,
}

/// How much has passed: on a terminal in one line that changes, elsewhere once in a while.
struct Progress {
    passed: u64,
    total: Option<u64>,
    verb: &'static str,
    is_terminal: bool,
    next: Instant,
    /// There is a line to be cleared.
    has_said: bool,
}

impl<T> Metered<T> {
    /// `total`: how much there will be; `verb`: what is done with it.
    pub(super) fn new(inner: T, total: Option<u64>, verb: &'static str) -> Self {
        // Nobody wants it in the midst of an export that scrolls by.
        let is_terminal =
            io::stderr().is_terminal() && !(verb == WRITTEN && io::stdout().is_terminal());
        let progress = Progress {
            passed: 0,
            total,
            verb,
            is_terminal,
            next: now() + if is_terminal { OFTEN } else { SELDOM },
            has_said: false,
        };
        Self { inner, progress }
    }

    pub(super) const fn get_ref(&self) -> &T {
        &self.inner
    }

    pub(super) fn into_inner(self) -> T {
        self.inner
    }
}

impl Progress {
    fn add(&mut self, bytes: usize) {
        self.passed += bytes as u64;
        let now = now();
        if now < self.next {
            return;
        }
        let mut text = format!("{} MiB {}", self.passed / (1024 * 1024), self.verb);
        if let Some(total) = self.total.filter(|total| *total > 0) {
            text.push_str(&format!(", {} %", (self.passed * 100 / total).min(100)));
        }
        // It is only a word on the way: whoever does not take it misses nothing.
        let _ = if self.is_terminal {
            write!(io::stderr(), "\r{text}\x1b[K")
        } else {
            writeln!(io::stderr(), "{text}")
        };
        self.has_said = true;
        self.next = now + if self.is_terminal { OFTEN } else { SELDOM };
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.has_said && self.is_terminal {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

impl<T: Write> Write for Metered<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.progress.add(written);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Read for Metered<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.progress.add(read);
        Ok(read)
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
