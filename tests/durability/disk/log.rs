//! What the layer has noted, record by record.

use std::path::{Path, PathBuf};

/// One step of the broker on a file. Files go by their inode.
#[derive(Debug)]
pub(super) enum Step {
    Opened {
        path: PathBuf,
        is_created: bool,
        is_folder: bool,
        is_truncated: bool,
    },
    Written {
        offset: u64,
        bytes: Vec<u8>,
    },
    Cut(u64),
    /// Everything of this file that was noted before is on the disk.
    Synced {
        before: u64,
        is_data_only: bool,
    },
    Renamed(PathBuf, PathBuf),
    Unlinked(PathBuf),
    Made(PathBuf),
    /// Everything of this file that was noted before and not synced will never be on the disk.
    Lost {
        before: u64,
    },
    /// Of the write before this only so many bytes.
    Shortened(u64),
}

/// The records of a log, each with its inode.
pub(super) fn read(log: &Path) -> Vec<(u64, Step)> {
    let bytes = std::fs::read(log).unwrap_or_default();
    let mut rest = &bytes[..];
    let mut steps = Vec::new();
    // The last one may be torn: its step was not done then.
    while let Some((head, after)) = rest.split_first_chunk::<32>() {
        let number = |at: usize| u64::from_ne_bytes(head[at * 8..][..8].try_into().expect("8"));
        let (kind, inode, a, length) = (number(0), number(1), number(2), number(3));
        let length = usize::try_from(length).expect("a length");
        let Some((payload, after)) = after.split_at_checked(length) else {
            break;
        };
        rest = after;
        steps.push((inode, step(kind, a, payload)));
    }
    steps
}

fn step(kind: u64, a: u64, payload: &[u8]) -> Step {
    let path = |bytes: &[u8]| PathBuf::from(std::str::from_utf8(bytes).expect("a path"));
    match kind {
        1 => Step::Opened {
            path: path(payload),
            is_created: a & 1 != 0,
            is_folder: a & 2 != 0,
            is_truncated: a & 4 != 0,
        },
        2 => Step::Written {
            offset: a,
            bytes: payload.to_vec(),
        },
        3 => Step::Cut(a),
        4 => Step::Synced {
            before: a,
            is_data_only: !payload.is_empty(),
        },
        5 => {
            let middle = payload.iter().position(|byte| *byte == 0).expect("two");
            Step::Renamed(path(&payload[..middle]), path(&payload[middle + 1..]))
        }
        6 => Step::Unlinked(path(payload)),
        7 => Step::Made(path(payload)),
        8 => Step::Lost { before: a },
        9 => Step::Shortened(a),
        other => panic!("a record of kind {other}"),
    }
}
