//! A directory as a disk has it: what was synced, and what a power cut may leave of the rest.
//!
//! Two kinds of file system, chosen for each cut. *Ordered* is ext4 with `data=ordered`: names change in the order in
//! which they were changed, up to a point, and an fsync of anything brings all changes of names before it to the disk.
//! *Strict* promises what POSIX does and no more: a name is there when its directory was synced, and each other change of
//! a name is there or not, whatever became of the rest. Both treat the bytes alike (`content`): ext4 does not promise
//! any order of data without fsync either, and what it does in practice depends on the device below.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::Write,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{
    content::{Content, File, Survival},
    log::{self, Step},
};
use crate::Dice;

/// Names to files, which go by a number of our own: a file system uses inodes again.
type Names = BTreeMap<PathBuf, usize>;

pub(super) struct Model {
    root: PathBuf,
    files: Vec<File>,
    inodes: HashMap<u64, usize>,
    /// After the last cut.
    synced: Names,
    /// As a process sees them.
    current: Names,
    /// How the one became the other.
    changes: Vec<Naming>,
    /// Records of all logs before.
    records: u64,
}

/// A change of a name.
struct Naming {
    record: u64,
    from: Option<PathBuf>,
    /// `None`: it is gone.
    to: Option<PathBuf>,
    file: usize,
    /// Its directory was synced afterwards.
    is_synced: bool,
    /// Anything was.
    is_committed: bool,
}

impl Model {
    /// Of a directory with nothing in it.
    pub(super) fn of(root: &Path) -> Self {
        Self::with(root, |_| panic!("{} is not empty", root.display()))
    }

    /// Of what lies there and is all synced.
    fn with(root: &Path, mut content: impl FnMut(&Path) -> Content) -> Self {
        let mut model = Self {
            root: root.to_owned(),
            files: Vec::new(),
            inodes: HashMap::new(),
            synced: Names::new(),
            current: Names::new(),
            changes: Vec::new(),
            records: 0,
        };
        // It stays, and has no name of its own here.
        let inode = fs::metadata(root).expect("a directory").ino();
        model.inodes.insert(inode, 0);
        model.files.push(File::new(true));
        model.look();
        for (path, file) in &model.current {
            let file = &mut model.files[*file];
            if !file.is_folder {
                file.synced = content(path);
            }
        }
        model.synced = model.current.clone();
        model.changes.clear();
        model
    }

    /// Takes a log in, and makes an end of it.
    pub(super) fn take(&mut self, log: &Path) {
        let steps = log::read(log);
        let begin = self.records;
        for (inode, step) in steps {
            self.apply(begin, inode, step);
            self.records += 1;
        }
        // One that was torn would be in the way of the next.
        let _ = fs::remove_file(log);
        self.look();
    }

    fn apply(&mut self, begin: u64, inode: u64, step: Step) {
        let record = self.records;
        match step {
            Step::Opened {
                path,
                is_created,
                is_folder,
                is_truncated,
            } => {
                if is_created {
                    self.inodes.remove(&inode);
                }
                self.found(path, inode, is_folder);
                if is_truncated && !is_created {
                    self.file(inode).cut(record, 0);
                }
            }
            Step::Made(path) => {
                self.inodes.remove(&inode);
                self.found(path, inode, true);
            }
            Step::Written { offset, bytes } => self.file(inode).write(record, offset, bytes),
            Step::Shortened(written) => self.file(inode).shorten(written),
            Step::Cut(length) => self.file(inode).cut(record, length),
            Step::Lost { before } => self.file(inode).lose(begin + before),
            Step::Synced {
                before,
                is_data_only,
            } => {
                self.file(inode).sync(begin + before);
                self.names_synced(self.inodes[&inode], begin + before, is_data_only);
            }
            Step::Renamed(from, to) => {
                let file = self.inodes[&inode];
                self.change(Some(from), Some(to), file);
            }
            Step::Unlinked(path) => {
                if let Some(file) = self.current.get(&path).copied() {
                    self.change(Some(path), None, file);
                }
            }
        }
    }

    fn file(&mut self, inode: u64) -> &mut File {
        let file = self.inodes.get(&inode).expect("opened before");
        &mut self.files[*file]
    }

    /// A name refers to an inode: it was made, or something was renamed to it.
    fn found(&mut self, path: PathBuf, inode: u64, is_folder: bool) {
        let known = self.inodes.get(&inode).copied();
        if path == self.root {
            return;
        }
        if known.is_some() && self.current.get(&path).copied() == known {
            return;
        }
        if let Some(file) = known {
            let before = self.current.iter().find(|(_, it)| **it == file);
            let before = before.map(|(path, _)| path.clone());
            self.change(before, Some(path), file);
            return;
        }
        let file = self.files.len();
        self.files.push(File::new(is_folder));
        self.inodes.insert(inode, file);
        self.change(None, Some(path), file);
    }

    fn change(&mut self, from: Option<PathBuf>, to: Option<PathBuf>, file: usize) {
        let change = Naming {
            record: self.records,
            from,
            to,
            file,
            is_synced: false,
            is_committed: false,
        };
        change.apply(&mut self.current);
        self.changes.push(change);
    }

    fn names_synced(&mut self, file: usize, before: u64, is_data_only: bool) {
        let folder = self.files[file].is_folder.then(|| {
            let found = self.current.iter().find(|(_, it)| **it == file);
            found.map_or_else(|| self.root.clone(), |(path, _)| path.clone())
        });
        let changes = self.changes.iter_mut();
        for change in changes.filter(|it| it.record < before) {
            change.is_committed |= !is_data_only;
            change.is_synced |= folder.is_some() && change.folder() == folder.as_deref();
        }
    }

    /// Compares with what lies there: a process may have been killed before its last change of a name was noted, and
    /// what is not noted at all (a rename by rustix) is seen here at the latest.
    fn look(&mut self) {
        let mut there = BTreeMap::new();
        walk(&self.root, &mut there);
        for (path, (inode, is_folder)) in &there {
            self.found(path.clone(), *inode, *is_folder);
        }
        let gone = self.current.iter().filter(|it| !there.contains_key(it.0));
        for (path, file) in gone
            .map(|(path, file)| (path.clone(), *file))
            .collect::<Vec<_>>()
        {
            self.change(Some(path), None, file);
        }
    }

    /// Leaves what a power cut would have left, and says how it was chosen.
    pub(super) fn cut(&mut self, dice: &mut Dice) -> String {
        let survival = Survival::choose(dice);
        let is_strict = dice.below(2) == 0;
        let mut names = self.synced.clone();
        let committed = self.changes.iter().rposition(|it| it.is_committed);
        let committed = committed.map_or(0, |at| at + 1);
        let more = (self.changes.len() - committed) as u64;
        let survive = committed as u64 + survival.state(more, dice);
        for (at, change) in self.changes.iter().enumerate() {
            let survives = if is_strict {
                change.is_synced || survival.state(1, dice) == 1
            } else {
                (at as u64) < survive
            };
            if survives {
                change.apply(&mut names);
            }
        }
        let mut contents: HashMap<usize, Content> = HashMap::new();
        for file in names.values() {
            if !contents.contains_key(file) {
                contents.insert(*file, self.files[*file].after_cut(survival, dice));
            }
        }
        self.write(&names, &contents);
        let files = names.len();
        let kind = if is_strict { "strict" } else { "ordered" };
        let (changes, lost) = (self.changes.len(), self.current.len().saturating_sub(files));
        let text = format!(
            "{kind}, {survival:?}: {files} files, {lost} fewer; {changes} changes of names"
        );
        // One that had two names is two files now.
        let content = |path: &Path| contents[&names[path]].clone();
        *self = Self::with(&self.root.clone(), content);
        text
    }

    fn write(&self, names: &Names, contents: &HashMap<usize, Content>) {
        for entry in fs::read_dir(&self.root).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                fs::remove_dir_all(path).expect("removed");
            } else {
                fs::remove_file(path).expect("removed");
            }
        }
        // A directory comes before what lies in it.
        for (path, file) in names {
            if path.parent().is_none_or(|it| !it.is_dir()) {
                continue;
            }
            if self.files[*file].is_folder {
                fs::create_dir(path).expect("made");
                continue;
            }
            let content = &contents[file];
            let mut out = fs::File::create(path).expect("made");
            out.write_all(&content.bytes).expect("written");
            out.set_len(content.length).expect("sized");
        }
    }
}

impl Naming {
    fn apply(&self, names: &mut Names) {
        if let Some(from) = &self.from
            && names.get(from) == Some(&self.file)
        {
            names.remove(from);
        }
        if let Some(to) = &self.to {
            names.insert(to.clone(), self.file);
        }
    }

    /// Where the name is.
    fn folder(&self) -> Option<&Path> {
        self.to.as_ref().or(self.from.as_ref())?.parent()
    }
}

/// Each regular file and directory, with its inode.
fn walk(folder: &Path, found: &mut BTreeMap<PathBuf, (u64, bool)>) {
    for entry in fs::read_dir(folder).expect("a directory") {
        let path = entry.expect("an entry").path();
        let metadata = fs::symlink_metadata(&path).expect("there");
        if metadata.is_dir() {
            walk(&path, found);
        } else if !metadata.is_file() {
            continue;
        }
        found.insert(path, (metadata.ino(), metadata.is_dir()));
    }
}
