//! BENCHMARKS.md: what stands between the marks of a scenario is replaced by what was measured, the rest is prose.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The document, in the folder of the package.
pub(crate) fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("BENCHMARKS.md")
}

/// Puts a text between the marks of this name.
pub(crate) fn update(name: &str, text: &str) -> io::Result<()> {
    let path = path();
    let document = fs::read_to_string(&path)?;
    let document = replaced(&document, name, text).ok_or_else(|| {
        io::Error::other(format!(
            "{} lacks the lines `{}` and `{}`",
            path.display(),
            begin(name),
            end(name)
        ))
    })?;
    fs::write(path, document)
}

/// The document with this text between the marks; `None` where they are not there in this order.
pub(crate) fn replaced(document: &str, name: &str, text: &str) -> Option<String> {
    let (before, rest) = document.split_once(&begin(name))?;
    let (_, after) = rest.split_once(&end(name))?;
    let (begin, end) = (begin(name), end(name));
    Some(format!("{before}{begin}\n{}\n{end}{after}", text.trim()))
}

fn begin(name: &str) -> String {
    format!("<!-- durability: {name} -->")
}

fn end(name: &str) -> String {
    format!("<!-- /durability: {name} -->")
}
