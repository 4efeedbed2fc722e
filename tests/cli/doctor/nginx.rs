//! An nginx of a test's own, in a folder of its own.

use std::{
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::support::{Folder, free_port, within};

/// A running nginx. Dropped, it is killed.
pub(crate) struct Nginx {
    child: Child,
    pub(crate) port: u16,
    _folder: Folder,
}

impl Nginx {
    /// Starts one with this `server { … }` at a port that is free.
    pub(crate) fn start(server: impl Fn(u16) -> String) -> Self {
        // Between finding a free port and listening on it, somebody else may take it.
        for _ in 0..5 {
            let port = free_port();
            if let Some(nginx) = Self::start_at(port, &server(port)) {
                return nginx;
            }
        }
        panic!("nginx does not start");
    }

    fn start_at(port: u16, server: &str) -> Option<Self> {
        let folder = Folder::new();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|what| format!("{what}_temp_path temp_{what};\n"))
            .concat();
        // One process, so that killing it leaves nothing behind.
        let configuration = format!(
            "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log error.log;\nevents {{}}\n\
             http {{\naccess_log off;\n{temporary}{server}\n}}\n"
        );
        folder.write("nginx.conf", &configuration);
        let mut child = Command::new(program())
            .args(["-p", ".", "-c", "nginx.conf", "-e", "error.log"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("nginx: {error}; `tests/run install` installs it"));
        let mut has_ended = false;
        let is_up = within(Duration::from_secs(60), || {
            has_ended = child.try_wait().unwrap().is_some();
            has_ended || TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        if !is_up || has_ended {
            // The port was taken, or the test that fails next wants to know why.
            eprintln!("nginx: {}", folder.read("error.log"));
        }
        assert!(is_up, "nginx does not listen");
        (!has_ended).then_some(Self {
            child,
            port,
            _folder: folder,
        })
    }

    /// What passes everything on as it should be.
    pub(crate) fn passing(to: SocketAddr) -> String {
        Self::location(
            to,
            "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\";",
        )
    }

    /// What passes everything on, and has these lines beside.
    pub(crate) fn location(to: SocketAddr, lines: &str) -> String {
        format!(
            "location / {{ proxy_pass http://{to}; proxy_set_header Host $http_host; {lines} }}"
        )
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://localhost:{}/mqtt", self.port)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Debian has it where only root's PATH leads.
fn program() -> &'static str {
    let sbin = "/usr/sbin/nginx";
    if Path::new(sbin).exists() {
        sbin
    } else {
        "nginx"
    }
}
