//! Imports follow the arrows of ARCHITECTURE.md and never point back.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Each part, and what it may import beside itself.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("message", &[]),
    ("telemetry", &[]),
    ("auth", &["message", "telemetry"]),
    // A delivery and the options of a subscription are the router's words for what storage keeps.
    ("storage", &["message", "telemetry", "router"]),
    ("router", &["message", "telemetry", "auth", "storage"]),
    (
        "mqtt",
        &["message", "telemetry", "auth", "router", "storage"],
    ),
    ("listener", &["message", "telemetry", "auth", "mqtt"]),
    ("sys", &["message", "telemetry", "router"]),
    // From the broker it takes packets, their codec, and the words for certificates.
    ("client", &["message", "mqtt", "router", "listener"]),
    ("bench", &["message", "mqtt", "router", "client"]),
    ("snippets", &["message", "client"]),
];

#[test]
fn imports_follow_the_arrows() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for (part, allowed) in MAY_IMPORT {
        let files = rust_files(&source.join(part));
        assert!(!files.is_empty(), "no files in src/{part}");
        for file in files {
            let text = fs::read_to_string(&file).expect("a readable source file");
            for import in imports(&text) {
                if import != *part && !allowed.contains(&import.as_str()) {
                    wrong.push(format!("{}: {import}", file.display()));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "imports against the arrows:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn an_import_against_the_arrows_is_found() {
    let text = "use crate::{\n    auth::Authority,\n    mqtt::{packet::Packet, session},\n};\nfn f() { crate::admin::g(); }\n//! `crate::listener` in a comment";
    assert_eq!(imports(text), ["admin", "auth", "mqtt"]);
}

#[test]
fn versions_end_at_the_codec() {
    let mqtt = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/mqtt");
    for file in rust_files(&mqtt.join("session"))
        .into_iter()
        .chain(rust_files(&mqtt.join("connection")))
    {
        let text = fs::read_to_string(&file).expect("a readable source file");
        let code = text.split("mod tests").next().unwrap_or_default();
        for version in ["ProtocolVersion::V3", "ProtocolVersion::V5"] {
            let is_test = file.ends_with("tests.rs") || file.iter().any(|part| part == "tests");
            let named = is_test || !code.contains(version) || file.ends_with("link.rs");
            assert!(
                named,
                "{} asks for a version; ask what the client can be told",
                file.display()
            );
        }
    }
}

/// The parts of this crate that a source text names by `crate::`, sorted.
fn imports(text: &str) -> Vec<String> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let mut found = Vec::new();
    for rest in code.split("crate::").skip(1) {
        if let Some(list) = rest.strip_prefix('{') {
            found.extend(names_of_list(list));
        } else {
            found.push(name(rest));
        }
    }
    found.sort();
    found.dedup();
    found
}

/// The first name of each entry of `{a::B, c::{d, e}}`, the opening brace taken off.
fn names_of_list(list: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 0_u32;
    let mut entry = String::new();
    for letter in list.chars() {
        match letter {
            '}' if depth == 0 => break,
            ',' if depth == 0 => names.push(name(std::mem::take(&mut entry).trim())),
            '{' => depth += 1,
            '}' => depth -= 1,
            _ if depth == 0 => entry.push(letter),
            _ => {}
        }
    }
    names.push(name(entry.trim()));
    names.retain(|name| !name.is_empty());
    names
}

fn name(text: &str) -> String {
    text.chars()
        .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
        .collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)
        .expect("a folder of the source")
        .flatten()
    {
        let path = entry.path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}
