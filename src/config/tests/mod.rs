//! The whole way: files, environment and flags to a configuration, or to the text of what is wrong.

mod garbage;
mod meaning;
mod mistakes;
mod reference;
mod sources;

use std::{fs, path::Path};

use tempfile::TempDir;

use super::*;

/// A directory with a configuration file.
fn directory(text: impl AsRef<[u8]>) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("gatemq.toml"), text).unwrap();
    directory
}

fn load_at(
    directory: &Path,
    environment: &[(&str, &str)],
    overrides: &Overrides,
) -> Result<Loaded, Errors> {
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    load_in(directory, None, environment, overrides, &|| 8443)
}

/// What the file, the environment and the flags mean; relative to the directory `D`.
fn load(text: &str, environment: &[(&str, &str)], overrides: &Overrides) -> Config {
    let directory = directory(text);
    match load_at(directory.path(), environment, overrides) {
        Ok(loaded) => loaded.config,
        Err(errors) => panic!("{errors}"),
    }
}

fn file(text: &str) -> Config {
    load(text, &[], &Overrides::default())
}

/// All that is wrong, as it is shown; the directory taken off.
fn errors(text: impl AsRef<[u8]>, environment: &[(&str, &str)], overrides: &Overrides) -> String {
    let directory = directory(text);
    let errors = match load_at(directory.path(), environment, overrides) {
        Ok(loaded) => panic!("{loaded:?}"),
        Err(errors) => errors.to_string(),
    };
    errors.replace(&format!("{}/", directory.path().display()), "")
}

fn binds(config: &Config) -> Vec<String> {
    let listeners = config.listeners.iter();
    listeners
        .map(|listener| listener.bind.to_string())
        .collect()
}
