//! The units for systemd.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use gatemq::{
    config::{Config, Overrides},
    listener::Bind,
};
use tempfile::TempDir;

use crate::{file, read, succeeds};

/// A folder with all units in it, whose program is the one that cargo has built.
fn units() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let service = read("contrib/gatemq.service");
    let program = env!("CARGO_BIN_EXE_gatemq");
    assert_eq!(
        service.matches("=/usr/bin/gatemq ").count(),
        2,
        "start and reload"
    );
    let service = service.replace("/usr/bin/gatemq", program);
    write(&folder.path().join("gatemq.service"), &service);
    write(
        &folder.path().join("gatemq.socket"),
        &read("contrib/activation/gatemq.socket"),
    );
    let drop_in = "gatemq.service.d/credentials.conf";
    fs::create_dir(folder.path().join("gatemq.service.d")).expect("a folder");
    write(
        &folder.path().join(drop_in),
        &read(&format!("contrib/{drop_in}")),
    );
    folder
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).expect("ours");
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let folder = units();
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no"]);
    for unit in ["gatemq.service", "gatemq.socket"] {
        verify.arg(folder.path().join(unit));
    }
    let output = succeeds(&mut verify);
    // What it does not know it ignores, and says so about this unit among others.
    let said = String::from_utf8_lossy(&output.stderr);
    let about_us: Vec<_> = said
        .lines()
        .filter(|line| line.contains("gatemq"))
        .collect();
    assert!(about_us.is_empty(), "{about_us:?}");
}

/// The check above can fail.
#[test]
fn systemd_finds_a_mistake() {
    let folder = units();
    let path = folder.path().join("gatemq.service");
    let service = fs::read_to_string(&path).expect("written before");
    write(&path, &service.replace("Type=notify", "Type=notified"));
    let mut verify = Command::new("systemd-analyze");
    let verify = verify.args(["verify", "--man=no"]).arg(&path);
    let said = verify
        .output()
        .expect("`tests/run install` installs it")
        .stderr;
    assert!(String::from_utf8_lossy(&said).contains("notified"));
}

#[test]
fn systemd_takes_the_user() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut users = Command::new("systemd-sysusers");
    users.arg("--dry-run").arg("--root").arg(folder.path());
    let output = succeeds(users.arg(file("contrib/gatemq.sysusers")));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("gatemq"), "{said}");
}

/// As it is shipped, and with what stands in it for the network.
#[test]
fn the_configuration_is_one() {
    let shipped = read("contrib/gatemq.toml");
    for listener in check(&shipped).listeners {
        let is_local = matches!(listener.bind, Bind::Tcp(addr) if addr.ip().is_loopback());
        assert!(is_local, "{}", listener.bind);
    }

    let (before, after) = shipped.split_once("# [[listener]]").expect("listeners");
    let (commented, rest) = after.split_once("\n[tls]").expect("what follows them");
    let used = commented
        .lines()
        .map(|line| line.trim_start_matches("# ").trim_start_matches('#'));
    let used: Vec<_> = used.collect();
    let config = check(&format!(
        "{before}[[listener]]{}\n[tls]{rest}",
        used.join("\n")
    ));
    let binds: Vec<_> = config
        .listeners
        .iter()
        .map(|listener| listener.bind.to_string())
        .collect();
    // The socket unit hands over just these.
    let sockets = read("contrib/activation/gatemq.socket");
    let sockets: Vec<_> = sockets
        .lines()
        .filter_map(|line| line.strip_prefix("ListenStream="))
        .collect();
    assert_eq!(binds, sockets);
    assert!(config.allow_anonymous);
}

#[test]
fn the_configuration_of_the_container_is_one() {
    let config = check(&read("contrib/docker.toml"));
    let dockerfile = read("Dockerfile");
    let exposed = dockerfile
        .lines()
        .find_map(|line| line.strip_prefix("EXPOSE "))
        .expect("ports");
    let ports = config
        .listeners
        .iter()
        .filter_map(|listener| match listener.bind {
            Bind::Tcp(addr) => Some(addr.port().to_string()),
            Bind::Unix(_) => None,
        });
    assert_eq!(ports.collect::<Vec<_>>().join(" "), exposed);
    // The volume has all that it writes.
    let volume = dockerfile
        .lines()
        .find_map(|line| line.strip_prefix("VOLUME "))
        .expect("a volume");
    assert!(config.data_dir.starts_with(volume) && config.tls.own_dir.starts_with(volume));
}

#[track_caller]
fn check(toml: &str) -> Config {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("gatemq.toml");
    write(&path, toml);
    let loaded = Config::load(Some(&path), std::iter::empty(), &Overrides::default());
    loaded.unwrap_or_else(|errors| panic!("{errors}")).config
}

/// Both name the same certificate, and the broker reads variables of these names.
#[test]
fn credentials_are_the_first_certificate() {
    let drop_in = read("contrib/gatemq.service.d/credentials.conf");
    let variables: BTreeMap<_, _> = drop_in
        .lines()
        .filter_map(|line| line.strip_prefix("Environment=")?.split_once('='))
        .map(|(name, value)| {
            (
                name.to_owned(),
                value.replace("%d", "/run/credentials/gatemq.service"),
            )
        })
        .collect();
    assert_eq!(variables.len(), 2);
    for value in variables.values() {
        let credential = value.rsplit('/').next().unwrap_or_default();
        assert!(
            drop_in.contains(&format!("\nLoadCredential={credential}:/")),
            "{value}"
        );
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("gatemq.toml");
    write(&path, &read("contrib/gatemq.toml"));
    let loaded = Config::load(Some(&path), variables.into_iter(), &Overrides::default());
    let config = loaded.unwrap_or_else(|errors| panic!("{errors}")).config;
    assert_eq!(config.tls.certificates.len(), 1);
}
