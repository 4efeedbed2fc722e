//! The disk under a broker: a layer that notes each write and sync, fails them on demand, and can lose power.
//!
//! `layer.c` sits in the real binary by `LD_PRELOAD` and writes a log; `log` reads it, `model` knows what a power cut
//! would have left of it, and `content` what of each file. Start at [`Disk::new`].

mod content;
mod log;
mod model;

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use self::model::Model;
use crate::Dice;

/// What the layer is told, and what it tells: places in the file that it maps, as in `layer.c`.
#[derive(Clone, Copy)]
#[repr(u64)]
pub(crate) enum Control {
    /// Bytes that may still be written, -1 without a limit.
    Space,
    /// Syncs that fail with EIO, -1 all; what they should have written is lost.
    FailingSync,
    /// 1: a write takes half of what it is given.
    ShortWrites,
    /// An errno with which fails what opens for writing or changes a name.
    ReadOnly,
    /// An errno with which writes to open files fail, too.
    Frozen,
    /// Syncs of files that were seen.
    Syncs,
    /// Syncs of directories that were seen.
    FolderSyncs,
    /// Writes that were seen.
    Writes,
}

/// How many there are.
const CONTROLS: u64 = Control::Writes as u64 + 1;

pub(crate) const EACCES: i64 = 13;
pub(crate) const EROFS: i64 = 30;

/// A directory and the layer above it.
pub(crate) struct Disk {
    folder: PathBuf,
    log: PathBuf,
    control: File,
    control_path: PathBuf,
    model: Model,
}

impl Disk {
    /// For what will be written to `folder`; `beside` takes the files of the layer.
    pub(crate) fn new(folder: &Path, beside: &Path) -> Self {
        std::fs::create_dir_all(folder).expect("made");
        let control_path = beside.join("disk-control");
        let control = File::options()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(&control_path)
            .expect("a file");
        control.set_len(CONTROLS * 8).expect("room");
        let folder = folder.canonicalize().expect("there");
        let disk = Self {
            model: Model::of(&folder),
            folder,
            log: beside.join("disk-log"),
            control,
            control_path,
        };
        disk.works();
        disk
    }

    /// What puts the layer under a process.
    pub(crate) fn environment(&self) -> [(&'static str, &Path); 4] {
        [
            ("LD_PRELOAD", library()),
            ("DISK_ROOT", &self.folder),
            ("DISK_LOG", &self.log),
            ("DISK_CONTROL", &self.control_path),
        ]
    }

    pub(crate) fn set(&self, control: Control, value: i64) {
        self.control
            .write_all_at(&value.to_ne_bytes(), control as u64 * 8)
            .expect("written");
    }

    pub(crate) fn seen(&self, control: Control) -> i64 {
        let mut bytes = [0; 8];
        self.control
            .read_exact_at(&mut bytes, control as u64 * 8)
            .expect("read");
        i64::from_ne_bytes(bytes)
    }

    /// Nothing fails any more.
    pub(crate) fn works(&self) {
        self.set(Control::Space, -1);
        for control in [
            Control::FailingSync,
            Control::ShortWrites,
            Control::ReadOnly,
            Control::Frozen,
        ] {
            self.set(control, 0);
        }
    }

    /// Takes in what a process has done that has ended.
    pub(crate) fn note(&mut self) {
        self.model.take(&self.log);
    }

    /// Leaves of the directory what a power cut would have left at the end of the process. What was chosen, in words.
    pub(crate) fn cut_power(&mut self, dice: &mut Dice) -> String {
        self.note();
        self.model.cut(dice)
    }
}

/// The layer, compiled once.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/durability/disk/layer.c");
        let library = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("disk-layer-{}.so", std::process::id()));
        let output = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"])
            .args(["-o".as_ref(), library.as_os_str(), source.as_ref()])
            .args(["-ldl", "-lpthread"])
            .output()
            .expect("no C compiler `cc`: `tests/run install` installs it");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{source}: {text}");
        library
    })
}
