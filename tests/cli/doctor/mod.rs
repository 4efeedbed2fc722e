//! `gatemq doctor URL` against set-ups that are broken, each in its own way, and against some that are not. Proxies are
//! real ones of nginx; whatever else is broken is a few lines of a server here.

#[expect(
    dead_code,
    unreachable_pub,
    reason = "several test programs include it, and each uses the part that it needs"
)]
#[path = "../../support/certificates.rs"]
mod certificates;
mod network;
mod nginx;
mod proxies;
mod speaking;
mod tls;

use serde_json::Value;

use crate::support::{Broker, Folder};

/// Where there is nothing that could be found by chance.
const EMPTY: &str = "";

/// What a broker's plain listener is behind a proxy.
const PLAIN: &str = "\
[[listener]]
bind = \"127.0.0.1:0\"
tls = false

[mqtt]
allow_anonymous = true
";

/// A broker, and the folder that it runs in.
struct Running {
    folder: Folder,
    _broker: Broker,
}

impl Running {
    fn with(configuration: &str) -> Self {
        let folder = Folder::with(configuration);
        let broker = folder.start(&[]);
        Self {
            folder,
            _broker: broker,
        }
    }

    /// `localhost:PORT` of the listener with TLS, or of the one without.
    fn authority(&self, tls: bool) -> String {
        format!("localhost:{}", self.folder.addr(tls).port())
    }

    fn ca(&self) -> String {
        let ca = self.folder.path().join("certs/ca.pem");
        ca.to_str().unwrap().to_owned()
    }
}

/// What the doctor has said.
struct Examined {
    exit: Option<i32>,
    json: Value,
}

/// Asks the doctor in a folder without anything that it might find by chance.
fn examine(url: &str, arguments: &[&str]) -> Examined {
    let folder = Folder::with(EMPTY);
    let arguments = [&["doctor", url, "--json"], arguments].concat();
    let finished = folder.run(&arguments);
    let json = serde_json::from_str(&finished.out);
    Examined {
        exit: finished.code,
        json: json.unwrap_or_else(|error| panic!("{error}: {finished:?}")),
    }
}

impl Examined {
    fn stage(&self, stage: &str) -> &Value {
        let stages = self.json["stages"].as_array().unwrap();
        let named = stages.iter().find(|named| named["stage"] == stage);
        named.unwrap_or_else(|| panic!("no stage {stage} in {}", self.json))
    }

    fn finding(&self, stage: &str, code: &str) -> &Value {
        let findings = self.stage(stage)["findings"].as_array().unwrap();
        let named = findings.iter().find(|finding| finding["code"] == code);
        named.unwrap_or_else(|| panic!("no {code} in {stage} of {:#}", self.json))
    }

    /// The fault, which is in this stage, has advice with these words, and decides the exit code.
    #[track_caller]
    fn expect_fault(&self, stage: &str, code: &str, advice: &str, exit: i32) -> &Self {
        let finding = self.finding(stage, code);
        assert_eq!(finding["level"], "fault", "{finding:#}");
        assert_eq!(self.stage(stage)["ok"], false);
        let fix = finding["fix"].as_array().unwrap();
        let has_words = fix
            .iter()
            .any(|line| line.as_str().unwrap().contains(advice));
        assert!(has_words, "no {advice:?} in {finding:#}");
        assert_eq!(self.exit, Some(exit), "{:#}", self.json);
        self
    }

    /// These stages went well.
    #[track_caller]
    fn expect_good(&self, stages: &[&str]) -> &Self {
        for stage in stages {
            assert_eq!(self.stage(stage)["ok"], true, "{:#}", self.json);
        }
        self
    }

    /// These stages were not tried.
    #[track_caller]
    fn expect_skipped(&self, stages: &[&str]) -> &Self {
        for stage in stages {
            assert_eq!(self.stage(stage)["ok"], Value::Null, "{:#}", self.json);
        }
        self
    }
}

const ALL_STAGES: [&str; 8] = [
    "dns",
    "tcp",
    "tls",
    "alpn",
    "http",
    "upgrade",
    "connect",
    "round-trip",
];
