//! `gatemq check`: whether a broker would start, and what is wrong where it would not.

use gatemq::{
    config::{Finding, Overrides, Severity, check_host},
    listener::tls::{self, Certificates},
};

use super::{ConfigurationArguments, Exit, complain, load, remote};

/// Checks the configuration, the machine and the certificates; prints everything that was found.
pub(super) fn run(arguments: &ConfigurationArguments, json: bool) -> Exit {
    let loaded = match load(arguments.file.as_deref(), &Overrides::default()) {
        Ok(loaded) => loaded,
        Err(errors) if json => {
            remote::print_json(&errors);
            return Exit::Configuration;
        }
        Err(errors) => return complain(Exit::Configuration, errors),
    };
    let config = &loaded.config;
    let mut findings: Vec<Finding> = loaded
        .warnings
        .iter()
        .map(|text| warning("configuration", text))
        .collect();
    findings.extend(check_host(config, remote::is_running(&config.data_dir)));
    match Certificates::check(config.tls.clone()) {
        Ok(summary) => findings.extend(
            summary
                .warnings
                .iter()
                .map(|found| certificate(found, Severity::Warning)),
        ),
        Err(errors) => findings.extend(
            errors
                .0
                .iter()
                .map(|found| certificate(found, Severity::Error)),
        ),
    }
    let is_fine = findings
        .iter()
        .all(|finding| finding.severity == Severity::Warning);
    if json {
        remote::print_json(&findings);
    } else {
        for finding in &findings {
            eprintln!("{}", describe(finding));
        }
        if is_fine {
            let from = loaded.file.as_ref().map_or_else(
                || "the built-in defaults".to_owned(),
                |file| file.display().to_string(),
            );
            println!("A broker would start with {from}.");
        }
    }
    if is_fine {
        Exit::Done
    } else {
        Exit::Configuration
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
