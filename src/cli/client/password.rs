//! Where a password comes from: a file, the command line or the URL, the environment, in this order.

use std::{fs::File, io::Read as _, path::Path};

/// The longest password that MQTT can carry.
const MAX_PASSWORD: u64 = 65_535;

/// The password to connect with; `given` is what the command line or the URL has.
///
/// # Errors
/// What is wrong with the file.
pub(in crate::cli) fn password(
    file: Option<&Path>,
    given: Option<String>,
    has_user: bool,
) -> Result<Option<String>, String> {
    if let Some(path) = file {
        return first_line(path).map(Some);
    }
    // Not for whoever connects anonymously: the variable may be set for all commands of a shell.
    let variable = || has_user.then(|| std::env::var("MQTT_PASSWORD").ok());
    Ok(given.or_else(|| variable().flatten()))
}

/// Reads no further than a password may go, whatever the file is.
fn first_line(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_PASSWORD).read_to_string(&mut text));
    read.map_err(|error| {
        let path = path.display();
        format!(
            "--password-file {path}: {error}; expected is a file whose first line is the password"
        )
    })?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
