//! The files of a store before and after the engine opens them. It takes a keyspace whose manifest is missing for one
//! that was never finished, removes it, and skips what the journal has of it: so what there has to be is written down,
//! and looked for. It does not sync the directory that keyspaces are made in either: that is done here.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, ErrorKind, Write},
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::xxh3_128;

use super::journal;

/// The keyspaces, a line with number and name for each; written once the store is complete.
const LIST: &str = "keyspaces.list";

/// How long each journal was when the store was closed, a line with number and length for each. It is there while the
/// store is closed.
const CLOSED: &str = "closed";

/// What is wrong with which file.
type Fault = (PathBuf, io::Error);

/// Looks at what is there. How many damaged places were passed over.
pub(super) fn prepare(store: &Path) -> Result<u64, Fault> {
    let kind = match fs::metadata(store) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err((store.to_owned(), error)),
    };
    if !kind.is_dir() {
        let what = if kind.is_socket() { "socket" } else { "file" };
        return Err(refusal(
            store,
            format!("it is a {what}, not a directory: name another data_dir"),
        ));
    }
    let list = store.join(LIST);
    match fs::read_to_string(&list) {
        Ok(text) => require(store, &text)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if is_unfinished(store).map_err(|error| (store.to_owned(), error))? {
                return begin_anew(store).map(|()| 0);
            }
        }
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            return Err(refusal(&list, damaged("it is damaged")));
        }
        Err(error) => return Err((list, error)),
    }
    let closed = store.join(CLOSED);
    let lengths = match fs::read_to_string(&closed) {
        Ok(text) => text
            .lines()
            .filter_map(|line| {
                let (number, length) = line.split_once(' ')?;
                Some((number.parse().ok()?, length.parse().ok()?))
            })
            .collect(),
        // It only tells damage from an unfinished write.
        Err(_) => HashMap::new(),
    };
    if let Some(number) = lengths
        .keys()
        .find(|number| !journal_path(store, **number).exists())
    {
        return Err(refusal(
            &journal_path(store, *number),
            damaged("it is missing"),
        ));
    }
    let found = journal::mend(store, &lengths)?;
    match fs::remove_file(&closed) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err((closed, error)),
        _ => sync(store).map(|()| found),
    }
}

fn journal_path(store: &Path, number: u64) -> PathBuf {
    store.join(format!("{number}.jnl"))
}

/// Notes what is there of a store that nothing is written to any more. Without the note it is opened as after a crash.
pub(super) fn close(store: &Path) -> io::Result<()> {
    let mut text = String::new();
    for (number, path) in journal::list(store)? {
        text.push_str(&format!("{number} {}\n", journal::length(&path)?));
    }
    let new = store.join("closed.new");
    let mut file = File::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, store.join(CLOSED))?;
    File::open(store)?.sync_all()
}

/// Makes sure that all of it is on the disk, by name, too.
pub(super) fn settle(store: &Path, keyspaces: &[(u64, &'static str)]) -> Result<(), Fault> {
    let lines = keyspaces
        .iter()
        .map(|(number, name)| format!("{number} {name}\n"));
    let text: String = lines.collect();
    let list = store.join(LIST);
    let known = fs::read_to_string(&list).ok();
    if known.as_ref().is_some_and(|known| *known != text) {
        return Err(refusal(
            &list,
            damaged("it names other keyspaces than there are"),
        ));
    }
    sync_folders(store)?;
    // Its own name and that of its parent may be new.
    for folder in store.ancestors().skip(1).take(2) {
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        sync(folder)?;
    }
    if known.is_none() {
        let new = store.join("keyspaces.new");
        let written = File::create(&new).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &list)
        });
        written.map_err(|error| (list, error))?;
        sync(store)?;
    }
    Ok(())
}

fn sync(folder: &Path) -> Result<(), Fault> {
    let synced = File::open(folder).and_then(|file| file.sync_all());
    match synced {
        // Whoever may not list a directory above may still use what is in it.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        synced => synced.map_err(|error| (folder.to_owned(), error)),
    }
}

fn sync_folders(folder: &Path) -> Result<(), Fault> {
    let failed = |error| (folder.to_owned(), error);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            sync_folders(&path)?;
        }
    }
    sync(folder)
}

/// A store that was complete has these, and a journal without gaps.
fn require(store: &Path, list: &str) -> Result<(), Fault> {
    let numbers = list
        .lines()
        .map(|line| line.split(' ').next().unwrap_or_default());
    for number in ["0"].into_iter().chain(numbers) {
        manifest(&store.join("keyspaces").join(number))?;
    }
    let version = store.join("version");
    if !version.is_file() {
        return Err(refusal(&version, damaged("it is missing")));
    }
    let journals = journal::list(store).map_err(|error| (store.to_owned(), error))?;
    let missing = match journals.windows(2).find(|pair| pair[1].0 != pair[0].0 + 1) {
        Some(pair) => Some(pair[0].0 + 1),
        None => journals.is_empty().then_some(0),
    };
    if let Some(number) = missing {
        return Err(refusal(
            &journal_path(store, number),
            damaged("it is missing"),
        ));
    }
    // Nothing is in it, and it is only looked for.
    let lock = store.join("lock");
    let made = File::options().create(true).append(true).open(&lock);
    made.map(drop).map_err(|error| (lock, error))
}

/// The manifest of a keyspace is the one that its pointer names: the engine reads both without their checksum.
fn manifest(keyspace: &Path) -> Result<(), Fault> {
    let current = keyspace.join("current");
    let read = |path: &Path| match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(refusal(path, damaged("it is missing")))
        }
        read => read.map_err(|error| (path.to_owned(), error)),
    };
    let pointer = read(&current)?;
    let parts = pointer
        .split_first_chunk::<8>()
        .and_then(|(version, rest)| Some((version, rest.split_first_chunk::<16>()?.0)));
    let Some((version, checksum)) = parts else {
        return Err(refusal(&current, damaged("it is too short")));
    };
    let path = keyspace.join(format!("v{}", u64::from_le_bytes(*version)));
    if xxh3_128(&read(&path)?) != u128::from_le_bytes(*checksum) {
        return Err(refusal(&path, damaged("its checksum is wrong")));
    }
    Ok(())
}

/// Whether a store was being made when the process ended: nothing was ever kept in it.
fn is_unfinished(store: &Path) -> io::Result<bool> {
    for (_, path) in journal::list(store)? {
        if journal::length(&path)? > 0 {
            return Ok(false);
        }
    }
    let keyspaces = match fs::read_dir(store.join("keyspaces")) {
        Ok(keyspaces) => keyspaces,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    for entry in keyspaces {
        let path = entry?.path();
        // The first keyspace lists the others, and has a table for each.
        let is_list = path.file_name().is_some_and(|name| name == "0");
        let has_tables =
            || fs::read_dir(path.join("tables")).is_ok_and(|mut it| it.next().is_some());
        if !is_list && has_tables() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Removes what the engine has begun. What is not the engine's is not touched, and refused.
fn begin_anew(store: &Path) -> Result<(), Fault> {
    let failed = |error| (store.to_owned(), error);
    let mut paths = Vec::new();
    for entry in fs::read_dir(store).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_known = ["lock", "version", "keyspaces", "keyspaces.new"].contains(&&*name);
        if !is_known && !name.ends_with(".jnl") {
            let text = "it does not belong to a store: name another data_dir, or move it away";
            return Err(refusal(&entry.path(), text.to_owned()));
        }
        paths.push(entry.path());
    }
    for path in paths {
        let removed = if path.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        removed.map_err(|error| (path, error))?;
    }
    Ok(())
}

fn damaged(what: &str) -> String {
    format!(
        "{what}: `gatemq restore` a backup into another data_dir, or begin anew with another data_dir"
    )
}

fn refusal(path: &Path, text: String) -> Fault {
    (
        path.to_owned(),
        io::Error::new(ErrorKind::InvalidData, text),
    )
}
