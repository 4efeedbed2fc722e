//! Copies of a store: in which form, and what may go wrong with writing one and with making a store from one.

use std::{fmt, io, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::StorageError;

/// How a copy is written.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Row by row as it is stored, with a checksum.
    Backup,
    /// As JSON, an object on each line.
    Export,
}

/// What a copy has.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Copied {
    /// Rows of a backup, lines of an export.
    pub rows: u64,
    /// Values that are damaged and are not in an export.
    pub damaged: u64,
}

/// What a store was made from: how much of each kind.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Imported {
    /// Sessions.
    pub sessions: u64,
    /// Their subscriptions.
    pub subscriptions: u64,
    /// What is queued for them.
    pub queued: u64,
    /// Retained messages.
    pub retained: u64,
}

/// Why there is no copy.
#[derive(Debug)]
pub enum CopyError {
    /// Nothing is kept on a disk.
    Ephemeral,
    /// The store cannot be read.
    Storage(StorageError),
    /// The copy cannot be written.
    Output(io::Error),
}

/// Why no store was made from a copy. There is none then, or the one that was there before.
#[derive(Debug)]
pub enum FillError {
    /// There is a store, and it holds something.
    NotEmpty(PathBuf),
    /// The copy cannot be read.
    Input(io::Error),
    /// A backup is damaged, or is none.
    Backup(&'static str),
    /// An export has a mistake.
    Line {
        /// Which line, from 1.
        number: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// The store cannot be written.
    Storage(StorageError),
}

impl From<StorageError> for CopyError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl From<StorageError> for FillError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl fmt::Display for CopyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ephemeral => f.write_str(
                "the broker was started with --ephemeral and keeps nothing on disk that could be copied: \
                 start it without",
            ),
            Self::Storage(error) => error.fmt(f),
            Self::Output(_) => f.write_str("the copy cannot be written"),
        }
    }
}

impl std::error::Error for CopyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Ephemeral => None,
            Self::Storage(error) => error.source(),
            Self::Output(error) => Some(error),
        }
    }
}

impl fmt::Display for FillError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotEmpty(store) => write!(
                f,
                "{} is not empty, and nothing is put among what it holds: move it away first, or name another data_dir",
                store.display()
            ),
            Self::Input(_) => f.write_str("it cannot be read"),
            Self::Backup(problem) => f.write_str(problem),
            Self::Line { number, problem } => write!(f, "line {number}: {problem}"),
            Self::Storage(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for FillError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NotEmpty(_) | Self::Backup(_) | Self::Line { .. } => None,
            Self::Input(error) => Some(error),
            Self::Storage(error) => error.source(),
        }
    }
}
