//! The directory in which a broker keeps what is its own, locked for as long as it runs.

use std::{
    fmt,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::control;

/// A data directory that no other broker uses. Dropping it gives it free.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    // Locked. The file stays when the lock goes: whoever removed it could remove another broker's.
    _lock: File,
}

/// Why a directory cannot be used.
#[derive(Debug)]
pub enum DataDirError {
    /// Another broker uses it.
    InUse {
        /// Which directory.
        path: PathBuf,
        /// The process of that broker, where it has said so.
        pid: Option<u32>,
    },
    /// It cannot be made, read or written.
    Unusable {
        /// Which directory or file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl DataDir {
    /// Makes the directory where it is missing, and locks it. A control socket that a crash has left is removed.
    ///
    /// # Errors
    /// Another broker runs with it, or it cannot be written.
    pub fn acquire(path: &Path) -> Result<Self, DataDirError> {
        let unusable = |path: &Path| {
            let path = path.to_owned();
            move |source| DataDirError::Unusable { path, source }
        };
        // Sessions and messages of all clients will lie in it: for nobody but its owner.
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(path).map_err(unusable(path))?;
        let lock_path = path.join("lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(unusable(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DataDirError::InUse {
                    path: path.to_owned(),
                    pid: read_pid(&lock),
                });
            }
            Err(TryLockError::Error(source)) => return Err(unusable(&lock_path)(source)),
        }
        write_pid(&mut lock).map_err(unusable(&lock_path))?;
        let directory = Self {
            path: path.to_owned(),
            _lock: lock,
        };
        let socket = directory.path.join(control::SOCKET);
        match fs::remove_file(&socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unusable(&socket)(error)),
            Ok(()) | Err(_) => Ok(directory),
        }
    }

    /// Which directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        // Nobody will listen on it any more; where it cannot be removed, the next start does.
        let _ = fs::remove_file(self.path.join(control::SOCKET));
    }
}

fn write_pid(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

fn read_pid(lock: &File) -> Option<u32> {
    let mut text = String::new();
    // A number and a line feed; whatever else it may be is not read.
    lock.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

impl fmt::Display for DataDirError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { path, pid } => {
                write!(f, "data_dir {} is used by another broker", path.display())?;
                if let Some(pid) = pid {
                    write!(f, " (process {pid})")?;
                }
                f.write_str(": stop that one first, or give this one a data_dir of its own")
            }
            Self::Unusable { path, .. } => write!(f, "{} cannot be used", path.display()),
        }
    }
}

impl std::error::Error for DataDirError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::InUse { .. } => None,
            Self::Unusable { source, .. } => Some(source),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_second_broker_on_the_same_directory_is_refused_with_the_process_of_the_first() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let first = DataDir::acquire(&path).unwrap();
        let error = DataDir::acquire(&path).unwrap_err();
        let pid = std::process::id();
        assert!(matches!(&error, DataDirError::InUse { pid: Some(found), .. } if *found == pid));
        assert!(
            error.to_string().contains(&format!("(process {pid})")),
            "{error}"
        );
        drop(first);
        assert_eq!(DataDir::acquire(&path).unwrap().path(), path);
    }

    #[test]
    fn it_is_made_for_its_owner_only() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        let _directory = DataDir::acquire(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let lock = path.join("lock").metadata().unwrap();
        assert_eq!(lock.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_socket_left_by_a_crash_is_removed_once_the_lock_is_held() {
        let parent = tempfile::tempdir().unwrap();
        let socket = parent.path().join(control::SOCKET);
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        assert!(socket.exists());
        let directory = DataDir::acquire(parent.path()).unwrap();
        assert!(!socket.exists());
        // The one who is refused leaves the socket of the other alone.
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(DataDir::acquire(parent.path()).is_err());
        assert!(socket.exists());
        drop(directory);
        assert!(!socket.exists());
    }

    #[test]
    fn a_file_in_its_place_is_named() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("file");
        fs::write(&path, "").unwrap();
        let error = DataDir::acquire(&path).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("{} cannot be used", path.display())
        );
    }
}
