//! The Debian package: what Cargo.toml says of it can be found. Building it takes a release build, which no test does.

use std::process::Command;

use serde_json::Value;

use crate::{file, read, succeeds};

fn metadata() -> Value {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--offline", "--no-deps", "--format-version=1"]);
    cargo.arg("--manifest-path").arg(file("Cargo.toml"));
    let metadata: Value = serde_json::from_slice(&succeeds(&mut cargo).stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let is_ours = |package: &&Value| package["name"] == "gatemq";
    let ours = packages.iter().find(is_ours).expect("this package");
    ours["metadata"]["deb"].clone()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

#[test]
fn every_asset_is_there() {
    let metadata = metadata();
    let mut installed = Vec::new();
    for asset in metadata["assets"].as_array().expect("a list") {
        let [from, to] = [0, 1].map(|at| text(&asset[at]).to_owned());
        let is_there = from == "target/release/gatemq" || file(&from).is_file();
        assert!(is_there, "{from}");
        let name = from.rsplit('/').next().unwrap_or_default();
        let place = if to.ends_with('/') { to + name } else { to };
        installed.push(format!("/{place}"));
    }
    for conf_file in metadata["conf-files"].as_array().expect("a list") {
        assert!(
            installed.iter().any(|path| path == text(conf_file)),
            "{conf_file}"
        );
    }
    assert!(file(text(&metadata["license-file"][0])).is_file());
}

#[test]
fn what_becomes_a_unit_is_there() {
    let metadata = metadata();
    for unit in metadata["systemd-units"].as_array().expect("a list") {
        let folder = file(text(&unit["unit-scripts"]));
        let service = folder.join(format!("{}.service", text(&unit["unit-name"])));
        assert!(service.is_file(), "{}", service.display());
    }
    // A socket unit beside the service would be enabled and started with it, before there are listeners for its ports.
    assert!(!file("contrib/gatemq.socket").exists());
    assert!(file("contrib/gatemq.sysusers").is_file());
}

/// No engine builds the image in a test; what it copies from the repository is there, and each instruction is one.
#[test]
fn the_container_copies_what_there_is() {
    let dockerfile = read("Dockerfile").replace("\\\n", " ");
    for line in dockerfile.lines() {
        let Some((instruction, arguments)) = line.split_once(' ') else {
            continue;
        };
        let known = [
            "#",
            "FROM",
            "RUN",
            "WORKDIR",
            "COPY",
            "LABEL",
            "USER",
            "VOLUME",
            "EXPOSE",
            "STOPSIGNAL",
            "HEALTHCHECK",
            "ENTRYPOINT",
            "CMD",
        ];
        assert!(known.contains(&instruction), "{line}");
        if instruction == "COPY" && !arguments.starts_with("--from") {
            let (from, _) = arguments.split_once(' ').expect("from and to");
            assert!(file(from).exists(), "{line}");
        }
    }
}

/// The list of contents is one: every file is in it.
#[test]
fn the_readme_names_every_file() {
    let readme = read("contrib/README.md");
    let mut folders = vec![String::from("contrib")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(file(&folder))
            .expect("a folder")
            .flatten()
        {
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                folders.push(path);
                continue;
            }
            let link = path.trim_start_matches("contrib/");
            assert!(
                link == "README.md" || readme.contains(&format!("]({link})")),
                "{link}"
            );
        }
    }
}
