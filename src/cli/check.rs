//! `gatemq check`: whether a broker would start, and what is wrong where it would not.

use gatemq::{
    config::{Finding, Overrides, Problem, Severity, check_host, variables},
    listener::tls::{self, Certificates},
};
use serde::Serialize;

use super::{ConfigurationArguments, Exit, load, reject, remote, say, say_aside};

/// Checks the configuration, the machine and the certificates; prints everything that was found.
pub(super) fn run(arguments: &ConfigurationArguments, json: bool) -> Exit {
    let loaded = match load(arguments.file.as_deref(), &Overrides::default()) {
        Ok(loaded) => loaded,
        Err(errors) if json => {
            let found: Vec<_> = errors.problems.iter().map(Mistake::from).collect();
            remote::print_json(&found);
            return Exit::Configuration;
        }
        Err(errors) => return reject(&errors),
    };
    let config = &loaded.config;
    let mut findings: Vec<Finding> = loaded
        .warnings
        .iter()
        .map(|text| warning("configuration", text))
        .collect();
    for finding in check_host(config, remote::is_running(&config.data_dir)) {
        add(&mut findings, finding);
    }
    let (severity, found) = match Certificates::check(config.tls.clone()) {
        Ok(summary) => (Severity::Warning, summary.warnings),
        Err(errors) => (Severity::Error, errors.0),
    };
    for finding in &found {
        add(&mut findings, certificate(finding, severity));
    }
    let is_fine = findings
        .iter()
        .all(|finding| finding.severity == Severity::Warning);
    if json {
        remote::print_json(&findings);
    } else {
        for finding in &findings {
            say_aside(describe(finding));
        }
        if is_fine {
            let from = loaded.file.as_ref().map_or_else(
                || "the built-in defaults".to_owned(),
                |file| file.display().to_string(),
            );
            let environment = match variables().next() {
                Some(_) => " and what GATEMQ_… variables say",
                None => "",
            };
            say(format_args!(
                "A broker would start with {from}{environment}."
            ));
        }
    }
    if is_fine {
        Exit::Done
    } else {
        Exit::Configuration
    }
}

/// A mistake in the configuration, in the same words as a [`Finding`].
#[derive(Serialize)]
struct Mistake<'a> {
    severity: Severity,
    subject: String,
    #[serde(flatten)]
    problem: &'a Problem,
}

impl<'a> From<&'a Problem> for Mistake<'a> {
    fn from(problem: &'a Problem) -> Self {
        Self {
            severity: Severity::Error,
            subject: problem.location.to_string(),
            problem,
        }
    }
}

/// A file that cannot be read is found by whoever tries: it is told once.
fn add(findings: &mut Vec<Finding>, finding: Finding) {
    let is_known =
        |known: &Finding| known.subject == finding.subject && known.message == finding.message;
    if !findings.iter().any(is_known) {
        findings.push(finding);
    }
}

fn describe(finding: &Finding) -> String {
    let severity = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let mut text = format!("{severity}: {}: {}", finding.subject, finding.message);
    if let Some(suggestion) = &finding.suggestion {
        text.push_str(&format!("\n  {suggestion}"));
    }
    text
}

fn warning(subject: &str, message: &str) -> Finding {
    Finding {
        severity: Severity::Warning,
        subject: subject.to_owned(),
        message: message.to_owned(),
        suggestion: None,
    }
}

fn certificate(finding: &tls::Finding, severity: Severity) -> Finding {
    Finding {
        severity,
        subject: finding.path.display().to_string(),
        message: finding.problem.to_string(),
        suggestion: None,
    }
}
