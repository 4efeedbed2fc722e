//! Whatever the file and the environment say, the answer is a configuration or a text.

use proptest::prelude::*;

use super::{directory, load_at};
use crate::config::{Overrides, suggestion};

/// Something that looks like a configuration from afar.
fn garbage() -> impl Strategy<Value = String> {
    let keys: Vec<String> = suggestion::all_keys()
        .into_iter()
        .map(|key| key.path)
        .collect();
    let key = prop_oneof![proptest::sample::select(keys), "[a-z_\"'.]{0,12}"];
    let value = prop_oneof![
        "[0-9]{1,22}",
        "\"[a-z0-9:\\[\\]/. ]{0,16}\"",
        Just("true".to_owned()),
        Just("[1, 'x', {a = 1}]".to_owned()),
        "[^\n]{0,12}",
    ];
    let line = prop_oneof![
        (key.clone(), value).prop_map(|(key, value)| format!("{key} = {value}")),
        key.clone().prop_map(|key| format!("[{key}]")),
        key.prop_map(|key| format!("[[{key}]]")),
        ".*",
    ];
    proptest::collection::vec(line, 0..12).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn no_file_panics(text in garbage()) {
        let directory = directory(&text);
        let _ = load_at(directory.path(), &[], &Overrides::default()).map_err(|errors| errors.to_string());
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let directory = directory(&bytes);
        let _ = load_at(directory.path(), &[], &Overrides::default()).map_err(|errors| errors.to_string());
    }

    #[test]
    fn no_variable_panics(name in "[A-Z0-9_a-z]{0,30}", value in ".*", text in garbage()) {
        let directory = directory(&text);
        let environment = [(&*format!("GATEMQ_{name}"), &*value)];
        let _ = load_at(directory.path(), &environment, &Overrides::default()).map_err(|errors| errors.to_string());
    }
}

#[test]
fn what_is_nested_deeply_is_refused_and_not_followed() {
    const DEEP: usize = 50_000;
    for text in [
        format!("a = {}", "[".repeat(DEEP)),
        format!("a = {}", "{a = ".repeat(DEEP)),
        format!("{}a = 1", "a.".repeat(DEEP)),
        format!("[{}a]", "a.".repeat(DEEP)),
        format!("[[{}a]]", "a.".repeat(DEEP)),
    ] {
        let directory = directory(&text);
        let errors = load_at(directory.path(), &[], &Overrides::default()).unwrap_err();
        let lines = errors.to_string().lines().map(str::len).max();
        assert!(lines < Some(300), "{errors}");
    }
}

#[test]
fn no_more_is_told_than_anybody_reads() {
    for line in ["a\n", "threads = 1\n", "a = b\n", "[[listener]]\n"] {
        let directory = directory(line.repeat(20_000));
        let errors = load_at(directory.path(), &[], &Overrides::default()).unwrap_err();
        assert!(errors.problems.len() <= 100);
    }
}
