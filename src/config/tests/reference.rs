//! The reference in README.md, against the code.

use std::{fs, path::Path};

use super::{directory, load_at};
use crate::config::{Overrides, suggestion};

/// A row of the reference.
struct Row {
    section: String,
    key: String,
    default: String,
    range: String,
}

/// The rows of the reference in README.md.
fn reference() -> Vec<Row> {
    let readme =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let (_, rest) = readme.split_once("<!-- configuration -->").unwrap();
    let (reference, _) = rest.split_once("<!-- /configuration -->").unwrap();
    let mut section = String::new();
    let mut rows = Vec::new();
    for line in reference.lines() {
        if let Some(heading) = line.strip_prefix("#### ") {
            section = heading.trim_matches('`').to_owned();
            if !section.starts_with('[') {
                section.clear();
            }
        }
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        if let ["", key, default, range, ..] = cells[..]
            && let Some(key) = key.strip_prefix('`')
        {
            rows.push(Row {
                section: section.clone(),
                key: key.trim_end_matches('`').to_owned(),
                default: default.to_owned(),
                range: range.to_owned(),
            });
        }
    }
    rows
}

const LISTENER: &str = "[[listener]]\nbind = '127.0.0.1:9'\n";

/// A file with one key beside what must be there.
fn file_with(row: &Row, value: &str) -> tempfile::TempDir {
    let line = format!("{} = {value}", row.key);
    directory(match row.section.as_str() {
        "" => format!("{line}\n{LISTENER}"),
        "[[listener]]" => format!("{LISTENER}{line}"),
        section => format!("{LISTENER}{section}\n{line}"),
    })
}

#[test]
fn the_reference_lists_every_key_there_is_and_no_other() {
    let written = reference().into_iter().map(|row| (row.section, row.key));
    let mut written: Vec<_> = written.collect();
    let keys = suggestion::all_keys();
    let keys = keys.iter().filter(|key| !key.is_section());
    let mut expected: Vec<_> = keys
        .map(|key| (key.section.to_owned(), key.name.to_owned()))
        .collect();
    written.sort();
    expected.sort();
    assert_eq!(written, expected);
}

#[test]
fn the_defaults_of_the_reference_hold() {
    let mut seen = 0;
    for row in reference() {
        let Some(default) = row.default.strip_prefix('`') else {
            continue;
        };
        // Both in one directory: paths are relative to it.
        let directory = file_with(&row, default.trim_end_matches('`'));
        let load = || {
            load_at(directory.path(), &[], &Overrides::default())
                .unwrap()
                .config
        };
        let with_default = load();
        fs::write(directory.path().join("gatemq.toml"), LISTENER).unwrap();
        assert_eq!(with_default, load(), "{} {}", row.section, row.key);
        seen += 1;
    }
    assert!(seen > 30, "{seen} defaults");
}

#[test]
fn the_ranges_of_the_reference_hold() {
    let mut seen = 0;
    for row in reference().iter().filter(|row| row.range.contains(" to ")) {
        let range = row.range.split(',').next().unwrap_or_default();
        let expected = format!("{} must be {range}", row.key);
        // Beyond every range, in the type of each.
        let told = ["9000000000000000000", "'99999999w'", "'99999999GiB'"]
            .iter()
            .any(|value| {
                let directory = file_with(row, value);
                let errors = load_at(directory.path(), &[], &Overrides::default()).unwrap_err();
                errors.problems[0].message == expected
            });
        assert!(told, "{expected}");
        seen += 1;
    }
    assert!(seen > 20, "{seen} ranges");
}
