//! What was found: stages, findings, and what to do about each. No I/O.

use std::fmt;

use serde::{Serialize, Serializer, ser::SerializeStruct};

/// Letters of what a server has said that are repeated: a certificate may have a hundred names.
const MAX_DETAIL: usize = 400;

/// The way to a broker, step by step.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// A name becomes addresses.
    Dns,
    /// Somebody listens at the port.
    Tcp,
    /// Handshake and certificate.
    Tls,
    /// Which protocols may be agreed on inside TLS.
    Alpn,
    /// Whoever answers speaks HTTP, and is a GateMQ.
    Http,
    /// HTTP becomes a WebSocket.
    Upgrade,
    /// CONNECT is accepted.
    Connect,
    /// A message comes back.
    RoundTrip,
    /// Nobody on the way cuts what is silent.
    Idle,
}

/// How good or bad a finding is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// As it should be.
    Good,
    /// Worth knowing, and in nobody's way.
    Note,
    /// This is why it does not connect.
    Fault,
}

/// What kind of failure a fault is, for the exit code.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Failure {
    /// Nobody there who speaks what was asked for.
    Unreachable,
    /// Somebody answers, and says no.
    Refused,
    /// No answer in time.
    TimedOut,
}

/// One line of the report.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// Good, note or fault.
    pub level: Level,
    /// For programs, in kebab case.
    pub code: &'static str,
    /// For people, half a sentence without a full stop.
    pub detail: String,
    /// What to do about it, a line each.
    pub fix: Vec<String>,
    #[serde(skip)]
    failure: Option<Failure>,
}

/// What was found in one stage.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StageReport {
    /// Which.
    pub stage: Stage,
    /// In the order in which they were made.
    pub findings: Vec<Finding>,
    /// It was not even tried, and why.
    pub skipped: Option<&'static str>,
}

/// The whole examination.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Report {
    /// What was examined.
    pub target: String,
    /// In order.
    pub stages: Vec<StageReport>,
}

impl Stage {
    /// As people read it.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Dns => "DNS",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Alpn => "ALPN",
            Self::Http => "HTTP",
            Self::Upgrade => "Upgrade",
            Self::Connect => "CONNECT",
            Self::RoundTrip => "Round trip",
            Self::Idle => "Idle",
        }
    }
}

impl Finding {
    pub(super) fn good(code: &'static str, detail: impl fmt::Display) -> Self {
        Self::new(Level::Good, code, &detail, None)
    }

    pub(super) fn note(code: &'static str, detail: impl fmt::Display) -> Self {
        Self::new(Level::Note, code, &detail, None)
    }

    pub(super) fn fault(failure: Failure, code: &'static str, detail: impl fmt::Display) -> Self {
        Self::new(Level::Fault, code, &detail, Some(failure))
    }

    fn new(
        level: Level,
        code: &'static str,
        detail: &dyn fmt::Display,
        failure: Option<Failure>,
    ) -> Self {
        Self {
            level,
            code,
            detail: printable(&detail.to_string()),
            fix: Vec::new(),
            failure,
        }
    }

    /// One more thing to do about it.
    pub(super) fn fix(mut self, line: impl fmt::Display) -> Self {
        self.fix.push(printable(&line.to_string()));
        self
    }

    pub(super) fn fixes(self, lines: &[&str]) -> Self {
        lines.iter().fold(self, Self::fix)
    }

    pub(super) fn is_fault(&self) -> bool {
        self.level == Level::Fault
    }
}

impl StageReport {
    pub(super) const fn new(stage: Stage, findings: Vec<Finding>) -> Self {
        Self {
            stage,
            findings,
            skipped: None,
        }
    }

    pub(super) const fn skipped(stage: Stage, why: &'static str) -> Self {
        Self {
            stage,
            findings: Vec::new(),
            skipped: Some(why),
        }
    }

    /// Whether it went well; `None` where it was not tried.
    #[must_use]
    pub fn ok(&self) -> Option<bool> {
        let has_fault = self.findings.iter().any(Finding::is_fault);
        self.skipped.is_none().then_some(!has_fault)
    }
}

impl Report {
    /// What kind of failure the first fault is; `None` where all is well.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        let mut findings = self.stages.iter().flat_map(|stage| &stage.findings);
        findings.find_map(|finding| finding.failure)
    }

    /// The last line, for people.
    #[must_use]
    pub fn summary(&self) -> String {
        let faults: Vec<_> = self
            .stages
            .iter()
            .filter(|stage| stage.ok() == Some(false))
            .collect();
        let Some(first) = faults.first() else {
            return format!("All is well: {} works.", self.target);
        };
        let count: usize = faults
            .iter()
            .map(|stage| {
                stage
                    .findings
                    .iter()
                    .filter(|finding| finding.is_fault())
                    .count()
            })
            .sum();
        match count {
            1 => format!(
                "One fault, in {}. Mend it and ask again.",
                first.stage.title()
            ),
            count => format!(
                "{count} faults. Begin with the first, in {}; others may go with it.",
                first.stage.title()
            ),
        }
    }
}

/// A line for each finding, and each of what to do.
impl fmt::Display for StageReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = self.stage.title();
        if let Some(why) = self.skipped {
            return writeln!(f, "- {title:<11}not tried: {why}");
        }
        for finding in &self.findings {
            let mark = match finding.level {
                Level::Good => '✓',
                Level::Note => '!',
                Level::Fault => '✗',
            };
            writeln!(f, "{mark} {title:<11}{}", finding.detail)?;
            for line in &finding.fix {
                writeln!(f, "{:13}fix: {line}", "")?;
            }
        }
        Ok(())
    }
}

impl Serialize for StageReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut stage = serializer.serialize_struct("StageReport", 4)?;
        stage.serialize_field("stage", &self.stage)?;
        stage.serialize_field("ok", &self.ok())?;
        stage.serialize_field("skipped", &self.skipped)?;
        stage.serialize_field("findings", &self.findings)?;
        stage.end()
    }
}

/// What a stranger has said goes to a terminal: no control characters, and not without end.
fn printable(text: &str) -> String {
    let mut letters = text.chars();
    let mut printed: String = letters
        .by_ref()
        .take(MAX_DETAIL)
        .map(|letter| {
            if letter.is_control() {
                '\u{fffd}'
            } else {
                letter
            }
        })
        .collect();
    if letters.next().is_some() {
        printed.push('…');
    }
    printed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(findings: Vec<Finding>) -> Report {
        Report {
            target: "wss://a/mqtt".to_owned(),
            stages: vec![
                StageReport::new(Stage::Dns, vec![Finding::good("resolved", "a is 1.2.3.4")]),
                StageReport::new(Stage::Tcp, findings),
                StageReport::skipped(Stage::Tls, "nobody answers"),
            ],
        }
    }

    #[test]
    fn the_first_fault_decides() {
        let refused = || Finding::fault(Failure::Unreachable, "refused", "closed").fix("open it");
        let silent = Finding::fault(Failure::TimedOut, "silent", "nothing comes");
        let both = report(vec![Finding::note("x", "y"), refused(), silent]);
        assert_eq!(both.failure(), Some(Failure::Unreachable));
        assert!(
            both.summary().starts_with("2 faults."),
            "{}",
            both.summary()
        );
        let text = both.stages[1].to_string();
        assert!(
            text.contains("✗ TCP        closed\n             fix: open it\n"),
            "{text}"
        );
        assert_eq!(
            both.stages[2].to_string(),
            "- TLS        not tried: nobody answers\n"
        );
        let fine = report(vec![Finding::note("x", "y")]);
        assert_eq!(fine.failure(), None);
        assert!(fine.summary().starts_with("All is well"));
    }

    #[test]
    fn json_has_the_same() {
        let json = serde_json::to_value(report(vec![Finding::good("x", "y")])).unwrap();
        assert_eq!(json["stages"][0]["stage"], "dns");
        assert_eq!(json["stages"][0]["ok"], true);
        assert_eq!(json["stages"][0]["findings"][0]["code"], "resolved");
        assert_eq!(json["stages"][2]["ok"], serde_json::Value::Null);
    }

    #[test]
    fn a_terminal_is_told_nothing_by_strangers() {
        let finding = Finding::good("x", "\u{1b}[31mred\r\n");
        assert_eq!(finding.detail, "\u{fffd}[31mred\u{fffd}\u{fffd}");
        let long = Finding::good("x", "é".repeat(MAX_DETAIL + 1));
        assert_eq!(long.detail.chars().count(), MAX_DETAIL + 1);
    }
}
