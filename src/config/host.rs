//! What a configuration meets on this machine: ports, directories, files. Start at [`check_host`].

use std::{
    fs, io,
    net::{IpAddr, SocketAddr},
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
};

use rustix::fs::{Access, access};
use serde::Serialize;

use super::{Config, local::try_bind};
use crate::listener::Bind;

/// Something that will go wrong, or may.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// Whether the broker would not start, or not do all that is configured.
    pub severity: Severity,
    /// What it is about: a listener's address, a path.
    pub subject: String,
    /// What is wrong with it: lower case, no full stop.
    pub message: String,
    /// What to do about it, a sentence of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It will not work.
    Error,
    /// It works, and is probably not meant.
    Warning,
}

/// Looks for what parsing cannot see: ports that are taken or need privilege, listeners that overlap, directories that
/// cannot be made or written, files that cannot be read. `running`: a broker runs in this `data_dir`, so the ports and
/// sockets that are taken are taken by it. Certificates are looked into by [`crate::listener::tls`].
#[must_use]
pub fn check_host(config: &Config, running: bool) -> Vec<Finding> {
    let mut findings = overlaps(config);
    for listener in &config.listeners {
        let found = match &listener.bind {
            Bind::Tcp(addr) => port(*addr, running),
            Bind::Unix(path) => unix_socket(path, running),
        };
        findings.extend(found.map(|finding| Finding {
            severity: if listener.optional {
                Severity::Warning
            } else {
                finding.severity
            },
            ..finding
        }));
    }
    findings.extend(directory(&config.data_dir));
    let makes_certificates = config.tls.certificates.is_empty();
    if makes_certificates && config.listeners.iter().any(|listener| listener.tls) {
        findings.extend(directory(&config.tls.own_dir));
    }
    findings.extend(files(config).filter_map(readable));
    findings
}

impl Finding {
    fn error(
        subject: &impl ToString,
        message: impl Into<String>,
        suggestion: Option<&str>,
    ) -> Self {
        Self {
            severity: Severity::Error,
            subject: subject.to_string(),
            message: message.into(),
            suggestion: suggestion.map(str::to_owned),
        }
    }
}

/// Pairs of listeners of which one takes every address, and the other one of those.
fn overlaps(config: &Config) -> Vec<Finding> {
    let addrs: Vec<SocketAddr> = (config.listeners.iter())
        .filter_map(|listener| match &listener.bind {
            Bind::Tcp(addr) if addr.port() != 0 => Some(*addr),
            Bind::Tcp(_) | Bind::Unix(_) => None,
        })
        .collect();
    let mut findings = Vec::new();
    for (place, one) in addrs.iter().enumerate() {
        for other in &addrs[place + 1..] {
            if one.port() == other.port()
                && (covers(one.ip(), other.ip()) || covers(other.ip(), one.ip()))
            {
                findings.push(Finding {
                    severity: Severity::Warning,
                    subject: other.to_string(),
                    message: format!("overlaps with the listener {one}"),
                    suggestion: Some("one of them is enough, unless they are to differ; the more specific one gets the connections to its address".to_owned()),
                });
            }
        }
    }
    findings
}

/// Whether listening on `all` is listening on `one` too. `[::]` takes IPv4 as well.
fn covers(all: IpAddr, one: IpAddr) -> bool {
    all.is_unspecified() && (all.is_ipv6() || one.is_ipv4())
}

fn port(addr: SocketAddr, running: bool) -> Option<Finding> {
    let error = try_bind(addr, running).err()?;
    #[expect(clippy::wildcard_enum_match_arm, reason = "the library's list is open")]
    let (message, suggestion) = match error.kind() {
        io::ErrorKind::AddrInUse if running => return None,
        io::ErrorKind::AddrInUse => (
            "another process listens there".to_owned(),
            Some(format!("`ss -tlnp sport = :{}` names it", addr.port())),
        ),
        io::ErrorKind::PermissionDenied => (
            format!("port {} needs a privilege", addr.port()),
            Some("`setcap cap_net_bind_service=+ep` on the program, AmbientCapabilities=CAP_NET_BIND_SERVICE in its unit, or a port from 1024 up".to_owned()),
        ),
        io::ErrorKind::AddrNotAvailable => (
            "is not an address of this machine".to_owned(),
            Some("`ip address` lists them".to_owned()),
        ),
        _ => (format!("cannot be bound: {error}"), None),
    };
    Some(Finding::error(&addr, message, suggestion.as_deref()))
}

fn unix_socket(path: &Path, running: bool) -> Option<Finding> {
    let subject = format!("unix:{}", path.display());
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Some(Finding::error(
                &subject,
                "is there already, and is no socket",
                None,
            ));
        }
        Ok(_) if !running && std::os::unix::net::UnixStream::connect(path).is_ok() => {
            return Some(Finding::error(
                &subject,
                "another process listens there",
                None,
            ));
        }
        Ok(_) | Err(_) => {}
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Some(Finding::error(&subject, "its directory is not there", None));
    }
    access(folder, Access::WRITE_OK | Access::EXEC_OK)
        .err()
        .map(|error| {
            Finding::error(
                &subject,
                format!("its directory cannot be written: {error}"),
                None,
            )
        })
}

/// A directory that is there and can be written, or can be made.
fn directory(path: &Path) -> Option<Finding> {
    let subject = path.display();
    let existing = path
        .ancestors()
        .find(|ancestor| ancestor.as_os_str().is_empty() || ancestor.exists());
    let existing = existing
        .filter(|existing| !existing.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    if !existing.is_dir() {
        let message = if existing == path {
            "is there already, and is no directory".to_owned()
        } else {
            format!("cannot be made: {} is no directory", existing.display())
        };
        return Some(Finding::error(&subject, message, None));
    }
    let error = access(existing, Access::WRITE_OK | Access::EXEC_OK).err()?;
    let verb = if existing == path { "written" } else { "made" };
    let suggestion = format!(
        "it must belong to the user that runs gatemq: `chown gatemq {}`",
        existing.display()
    );
    Some(Finding::error(
        &subject,
        format!("cannot be {verb}: {error}"),
        Some(&suggestion),
    ))
}

/// Every file that is only read.
fn files(config: &Config) -> impl Iterator<Item = &PathBuf> {
    let certificates = config.tls.certificates.iter();
    certificates
        .flat_map(|files| [&files.chain, &files.key])
        .chain(&config.tls.client_ca)
        .chain(&config.tls.crl)
}

fn readable(path: &PathBuf) -> Option<Finding> {
    // Only files: to open a pipe would wait for its other end.
    let opened = fs::metadata(path).and_then(|metadata| {
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if metadata.is_file() {
            fs::File::open(path).map(drop)
        } else {
            Ok(())
        }
    });
    let error = opened.err()?;
    Some(Finding::error(
        &path.display(),
        format!("cannot be read: {error}"),
        None,
    ))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::listener::tls::CertificateFiles;

    /// A configuration that has nothing wrong with it, in a directory of its own.
    fn config(folder: &Path, bind: &[Bind]) -> Config {
        let mut config = Config::without_file(Some(0));
        let listener = config.listeners.remove(0);
        config.listeners = (bind.iter())
            .map(|bind| crate::listener::Config {
                bind: bind.clone(),
                ..listener.clone()
            })
            .collect();
        config.data_dir = folder.join("data");
        config.tls.own_dir = folder.join("certs");
        config
    }

    fn tcp(addr: &str) -> Bind {
        Bind::Tcp(addr.parse().unwrap())
    }

    fn check(config: &Config, running: bool, expected: &[(Severity, &str, &str)]) {
        let findings = check_host(config, running);
        let found: Vec<_> = (findings.iter())
            .map(|finding| {
                (
                    finding.severity,
                    finding.subject.as_str(),
                    finding.message.as_str(),
                )
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_machine_where_everything_is_well_has_no_findings() {
        let folder = tempfile::tempdir().unwrap();
        let socket = Bind::Unix(folder.path().join("mqtt.sock"));
        check(
            &config(folder.path(), &[tcp("127.0.0.1:0"), socket]),
            false,
            &[],
        );
    }

    #[test]
    fn a_port_that_is_taken_is_found_unless_the_broker_itself_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = taken.local_addr().unwrap().to_string();
        let mut config = config(folder.path(), &[tcp(&addr)]);
        check(
            &config,
            false,
            &[(Severity::Error, &addr, "another process listens there")],
        );
        check(&config, true, &[]);
        config.listeners[0].optional = true;
        check(
            &config,
            false,
            &[(Severity::Warning, &addr, "another process listens there")],
        );
    }

    #[test]
    fn an_address_of_another_machine_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let expected = [(
            Severity::Error,
            "192.0.2.1:0",
            "is not an address of this machine",
        )];
        check(
            &config(folder.path(), &[tcp("192.0.2.1:0")]),
            false,
            &expected,
        );
    }

    #[test]
    fn listeners_that_overlap_are_found() {
        for (one, other, overlap) in [
            ("0.0.0.0", "127.0.0.1", true),
            ("127.0.0.1", "0.0.0.0", true),
            ("[::]", "0.0.0.0", true),
            ("[::]", "[::1]", true),
            ("0.0.0.0", "[::1]", false),
            ("127.0.0.1", "127.0.0.2", false),
        ] {
            let folder = tempfile::tempdir().unwrap();
            // Port 9 needs no free port: overlaps are found without binding.
            let config = config(
                folder.path(),
                &[tcp(&format!("{one}:9")), tcp(&format!("{other}:9"))],
            );
            assert_eq!(!overlaps(&config).is_empty(), overlap, "{one} {other}");
        }
    }

    #[test]
    fn files_that_cannot_be_read_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(folder.path(), &[tcp("127.0.0.1:0")]);
        let chain = folder.path().join("chain.pem");
        config.tls.certificates = vec![CertificateFiles {
            chain: chain.clone(),
            key: folder.path().to_owned(),
        }];
        let expected = [
            (
                Severity::Error,
                chain.to_str().unwrap(),
                "cannot be read: No such file or directory (os error 2)",
            ),
            (
                Severity::Error,
                folder.path().to_str().unwrap(),
                "cannot be read: is a directory",
            ),
        ];
        check(&config, false, &expected);
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let mut config = config(folder.path(), &[tcp("127.0.0.1:0")]);
        config.data_dir.clone_from(&file);
        config.tls.own_dir = file.join("certs");
        let expected = [
            (
                Severity::Error,
                file.display().to_string(),
                "is there already, and is no directory".to_owned(),
            ),
            (
                Severity::Error,
                config.tls.own_dir.display().to_string(),
                format!("cannot be made: {} is no directory", file.display()),
            ),
        ];
        let expected: Vec<_> = expected
            .iter()
            .map(|(s, p, m)| (*s, p.as_str(), m.as_str()))
            .collect();
        check(&config, false, &expected);
    }

    #[test]
    fn a_unix_socket_takes_no_place_that_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let (file, socket) = (folder.path().join("file"), folder.path().join("socket"));
        fs::write(&file, "").unwrap();
        let _taken = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let absent = folder.path().join("absent/socket");
        let binds = [&file, &socket, &absent].map(|path| Bind::Unix(path.clone()));
        let subjects = binds.clone().map(|bind| bind.to_string());
        let config = config(folder.path(), &binds);
        let expected = [
            (
                Severity::Error,
                subjects[0].as_str(),
                "is there already, and is no socket",
            ),
            (
                Severity::Error,
                subjects[1].as_str(),
                "another process listens there",
            ),
            (
                Severity::Error,
                subjects[2].as_str(),
                "its directory is not there",
            ),
        ];
        check(&config, false, &expected);
        check(&config, true, &[expected[0], expected[2]]);
    }
}
