//! Noticing that files have changed, by looking at their metadata twice a second: that sees renames, swapped symlinks,
//! rewriting in place, bind mounts and network file systems alike, which no notification does.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::MissedTickBehavior;
use tracing::{error, info, warn};

use super::{Certificates, Config, Repeated, error::Finding, own, set::Set};

/// How often is looked. A set is loaded once it has been the same twice, so a change is in force after one second.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// What cannot be read now may be readable later without any sign of it (a full table of file descriptors, a date), so
/// a failed load is tried again every ten seconds.
const RETRY_POLLS: u32 = 20;

/// Every hour: is our own certificate due for renewal, is any certificate near its end?
const UPKEEP_POLLS: u32 = 2 * 60 * 60;

/// What the files of a configuration look like from outside.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Snapshot(Vec<Option<FileState>>);

/// What one file looks like.
#[derive(Clone, Debug, Eq, PartialEq)]
struct FileState {
    /// Where all symlinks lead: a swap may leave everything else as it was.
    resolved: PathBuf,
    device: u64,
    inode: u64,
    size: u64,
    /// Of the content, seconds and nanoseconds.
    modified: (i64, i64),
    /// Of anything: a copy that keeps the time of modification changes this.
    changed: (i64, i64),
}

impl Snapshot {
    /// Of every file that the configuration names, our own ones included where it names none.
    pub(super) fn of(config: &Config) -> Self {
        let own = own::Paths::new(&config.own_dir);
        let mut paths: Vec<&Path> = Vec::new();
        for files in &config.certificates {
            paths.extend([files.chain.as_path(), files.key.as_path()]);
        }
        if config.certificates.is_empty() {
            paths.extend([own.ca.as_path(), &own.server.chain, &own.server.key]);
        }
        paths.extend(config.client_ca.as_deref());
        paths.extend(config.crl.iter().map(PathBuf::as_path));
        Self(paths.into_iter().map(FileState::of).collect())
    }
}

impl FileState {
    /// `None` where it is not there.
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            resolved: fs::canonicalize(path).ok()?,
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// What the watcher remembers between two looks.
#[derive(Debug, Default)]
pub(super) struct Watcher {
    /// Differs from what was loaded last, and was seen once.
    candidate: Option<Snapshot>,
    /// Looks since the last load that failed.
    since_failure: u32,
    polls: u32,
    /// Of the set whose warnings were written.
    digest: Vec<u8>,
    /// The warnings and failures written last, so that each is written once.
    warned: Vec<Finding>,
    renewal_failure: Option<String>,
}

impl Watcher {
    /// One look at the files; loads them where they have changed and then been the same for one interval.
    pub(super) fn poll(&mut self, certificates: &Certificates) {
        self.polls = self.polls.wrapping_add(1);
        let set = certificates.in_force();
        if self.polls % UPKEEP_POLLS == 1 || self.digest != set.digest {
            self.upkeep(&set, SystemTime::now());
        }
        let seen = Snapshot::of(&set.config);
        drop(set);
        let last = certificates.last_attempt();
        if seen == last.snapshot {
            self.candidate = None;
            self.since_failure = if last.failure.is_some() {
                self.since_failure + 1
            } else {
                0
            };
            if self.since_failure < RETRY_POLLS {
                return;
            }
        } else if self.candidate.as_ref() != Some(&seen) {
            self.candidate = Some(seen);
            return;
        }
        self.candidate = None;
        self.since_failure = 0;
        // Its outcome is logged and counted there.
        let _ = certificates.load_again(Repeated::Hush);
    }

    /// Renews our own certificate where it is due (the next look then loads it), and warns about what ends soon.
    fn upkeep(&mut self, set: &Set, now: SystemTime) {
        self.digest.clone_from(&set.digest);
        if set.config.certificates.is_empty() {
            let (dir, names) = (&set.config.own_dir, &set.config.own_names);
            let failure = own::ensure(dir, names, now, false).err();
            let failure = failure.map(|errors| errors.to_string());
            if let Some(text) = &failure
                && self.renewal_failure != failure
            {
                error!(code = "tls.renewal_failed", "{text}");
            }
            self.renewal_failure = failure;
        }
        let warnings = set.warnings(now.into());
        for warning in warnings.iter().filter(|new| !self.warned.contains(new)) {
            warn!(code = "tls.warning", "{warning}");
        }
        self.warned = warnings;
    }
}

impl Certificates {
    /// Watches the files, loads them where they change, and renews certificates of our own making, for as long as it
    /// is polled. Reads on a thread where blocking is allowed.
    pub async fn watch(self: Arc<Self>) {
        let mut watcher = Watcher::default();
        let mut ticks = tokio::time::interval(POLL_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let certificates = Arc::clone(&self);
            let poll = tokio::task::spawn_blocking(move || {
                watcher.poll(&certificates);
                watcher
            });
            match poll.await {
                Ok(polled) => watcher = polled,
                // The runtime is shutting down.
                Err(_) => {
                    info!("certificates are no longer watched");
                    return;
                }
            }
        }
    }
}
