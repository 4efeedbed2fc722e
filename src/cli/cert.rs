//! `gatemq cert`: certificates of our own making, and a look at any.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use gatemq::{
    config::Overrides,
    listener::tls::{self, CertificateInfo, Certificates, own},
};

use super::{ConfigurationArguments, Exit, complain, load, reject, say, say_aside};

/// What is asked about certificates.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make the private CA and the server certificate, where they are missing
    Init(Names),
    /// Show the certificates that are configured, or those of a file
    Show {
        #[command(flatten)]
        configuration: ConfigurationArguments,
        /// A PEM file
        #[arg(value_name = "FILE")]
        path: Option<PathBuf>,
    },
    /// Make a new server certificate of the private CA; a running broker serves it within a second
    Renew(Names),
}

#[derive(Args, Debug)]
pub(super) struct Names {
    #[command(flatten)]
    configuration: ConfigurationArguments,
    /// Host names and addresses it is for, beside localhost, this machine's own and those of tls.own_names
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// Does what is asked.
pub(super) fn run(command: &Command) -> Exit {
    match command {
        Command::Init(names) => make(names, own::init),
        Command::Renew(names) => make(names, own::renew),
        Command::Show {
            path: Some(path), ..
        } => show(tls::describe(path)),
        Command::Show {
            configuration,
            path: None,
        } => match config(configuration) {
            Ok(config) => show(Certificates::check(config).map(|summary| summary.certificates)),
            Err(exit) => exit,
        },
    }
}

type Make = fn(&std::path::Path, &[String]) -> Result<own::Report, tls::Errors>;

fn make(names: &Names, make: Make) -> Exit {
    let config = match config(&names.configuration) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let all = [config.own_names, names.names.clone()].concat();
    match make(&config.own_dir, &all) {
        Ok(report) => {
            for step in &report.steps {
                say(step);
            }
            for warning in &report.warnings {
                say_aside(format_args!("Warning: {warning}"));
            }
            Exit::Done
        }
        Err(errors) => complain(Exit::Configuration, errors),
    }
}

fn show(certificates: Result<Vec<CertificateInfo>, tls::Errors>) -> Exit {
    let certificates = match certificates {
        Ok(certificates) => certificates,
        Err(errors) => return complain(Exit::Configuration, errors),
    };
    if certificates.is_empty() {
        say(
            "There is no certificate yet: `gatemq cert init` makes one, and so does the first start.",
        );
    }
    for certificate in certificates {
        say(certificate.path.display());
        for (label, value) in [
            ("names", certificate.names.join(", ")),
            ("subject", certificate.subject),
            ("issuer", certificate.issuer),
            ("valid from", certificate.not_before.to_string()),
            ("valid until", certificate.not_after.to_string()),
            ("key", certificate.key_type),
            ("serial", certificate.serial_number),
            ("SHA-256", certificate.fingerprint),
        ] {
            // An authority has no names.
            if !value.is_empty() {
                say(format_args!("  {label:<12} {value}"));
            }
        }
    }
    Exit::Done
}

fn config(arguments: &ConfigurationArguments) -> Result<tls::Config, Exit> {
    match load(arguments.file.as_deref(), &Overrides::default()) {
        Ok(loaded) => Ok(loaded.config.tls),
        Err(errors) => Err(reject(&errors)),
    }
}
