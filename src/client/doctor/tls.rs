//! TLS: the handshake, with what is wrong with it where there is none.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use rustls::{ClientConfig, pki_types::UnixTime, time_provider::TimeProvider};

use super::{
    certificate,
    report::{Failure, Finding},
    sniff::{self, Spoken},
    way::Way,
};
use crate::{
    client::{Carrier, Dialect, Target, TlsFailure, Trust, TrustError},
    listener::tls,
};

/// What is needed for TLS, all files read.
pub(super) struct Prepared {
    checking: Dialect,
    /// Goes on where the certificate is not believed, so that what lies behind it is examined, too.
    unchecked: ClientConfig,
    /// Whose authorities are believed, for people.
    authorities: String,
}

impl Prepared {
    pub(super) fn new(trust: &Trust, target: &Target) -> Result<Self, TrustError> {
        let unchecked = Trust {
            insecure: true,
            client_certificate: trust.client_certificate.clone(),
            ..Trust::default()
        };
        let authorities = match (&trust.ca_file, &trust.ca_directory) {
            (Some(path), _) | (None, Some(path)) => format!("trusted by {}", path.display()),
            (None, None) if target.is_loopback() => {
                "trusted by this machine, or by certs/ca.pem here".to_owned()
            }
            (None, None) => "trusted by this machine".to_owned(),
        };
        Ok(Self {
            checking: trust.dialect(target)?,
            unchecked: unchecked.dialect(target)?.config,
            authorities,
        })
    }
}

/// Shakes hands. Where that works at all, there is a way on.
pub(super) async fn examine(
    target: &Target,
    addr: SocketAddr,
    patience: Duration,
    prepared: &Prepared,
) -> (Vec<Finding>, Option<Way>) {
    let mut way = Way {
        target: target.clone(),
        addr,
        patience,
        tls: Some(prepared.checking.config.clone()),
        is_trusted: true,
    };
    let shaken = way.open_tls(prepared.checking.config.clone(), &[]).await;
    let error = match shaken {
        Ok(stream) => {
            let mut findings = vec![agreed(stream.get_ref().1)];
            let chain = prepared.checking.presented.chain();
            findings.extend(certificate::describe(&chain));
            findings.push(Finding::good("trusted", &prepared.authorities));
            findings.extend(certificate::ending(&chain, certificate::now()));
            return (findings, Some(way));
        }
        Err(error) => error,
    };
    let chain = prepared.checking.presented.chain();
    if error.kind() == io::ErrorKind::TimedOut {
        return (vec![silent(patience)], None);
    }
    let failure = TlsFailure::of(&error, target, &prepared.checking.presented);
    if chain.is_empty() {
        return (vec![no_handshake(&failure, &way).await], None);
    }
    let mut findings: Vec<Finding> = certificate::describe(&chain).into_iter().collect();
    let failure = beyond_dates(failure, &way, prepared).await;
    findings.extend(certificate::judge(
        &failure,
        &chain,
        target,
        certificate::now(),
    ));
    way.tls = Some(prepared.unchecked.clone());
    way.is_trusted = false;
    let goes_on = way.open().await.is_ok();
    (findings, goes_on.then_some(way))
}

/// rustls looks at the dates before it looks for the issuer. What it would say at a time when the dates were right.
async fn beyond_dates(failure: TlsFailure, way: &Way, prepared: &Prepared) -> TlsFailure {
    if !matches!(failure, TlsFailure::Expired(_) | TlsFailure::NotYetValid(_)) {
        return failure;
    }
    let chain = tls::describe_chain(&prepared.checking.presented.chain());
    let from = chain.first().map(|leaf| leaf.not_before.0);
    let Some(seconds) = from.and_then(|from| u64::try_from(from).ok()) else {
        return failure;
    };
    let mut config = prepared.checking.config.clone();
    let begin = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    config.time_provider = Arc::new(At(begin));
    match way.open_tls(config, &[]).await {
        Ok(_) => failure,
        Err(error) => TlsFailure::of(&error, &way.target, &prepared.checking.presented),
    }
}

/// A clock that stands.
#[derive(Debug)]
struct At(UnixTime);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.0)
    }
}

fn agreed(connection: &rustls::ClientConnection) -> Finding {
    let version = connection
        .protocol_version()
        .and_then(|version| version.as_str())
        .unwrap_or("TLS");
    let group = connection.negotiated_key_exchange_group();
    let group = group.map_or_else(String::new, |group| format!(", {:?}", group.name()));
    let suite = connection.negotiated_cipher_suite();
    let suite = suite.map_or_else(String::new, |suite| format!(", {:?}", suite.suite()));
    let version = version.replace('_', ".").replace("TLSv", "TLS ");
    Finding::good("handshake", format!("{version}{group}{suite}"))
}

fn silent(patience: Duration) -> Finding {
    let detail = format!("the port accepts and then says nothing within {patience:?}");
    Finding::fault(Failure::TimedOut, "tls-timeout", detail)
        .fix("see that this port belongs to the broker: ss -ltnp on its machine")
        .fix("a proxy or firewall in between may have accepted and not got through: its log says")
}

/// No certificate was seen: something else speaks there.
async fn no_handshake(failure: &TlsFailure, way: &Way) -> Finding {
    let target = &way.target;
    let spoken = match failure {
        TlsFailure::NotTls | TlsFailure::Closed => sniff::spoken(&way.plain()).await,
        TlsFailure::UnknownIssuer { .. }
        | TlsFailure::WrongName { .. }
        | TlsFailure::Expired(_)
        | TlsFailure::NotYetValid(_)
        | TlsFailure::Certificate(_)
        | TlsFailure::ClientCertificate(_)
        | TlsFailure::NoCommonProtocol
        | TlsFailure::Alert(_)
        | TlsFailure::Other(_) => return certificate::unreadable(failure),
    };
    let (what, scheme, path) = match (spoken, target.carrier) {
        (Spoken::Mqtt, _) => ("MQTT", "mqtt", ""),
        (Spoken::Http, Carrier::Tcp) => ("HTTP", "ws", "/mqtt"),
        (Spoken::Http, _) => ("HTTP", "ws", target.path.as_str()),
        (Spoken::Tls | Spoken::Nothing, _) => return certificate::unreadable(failure),
    };
    let asked = target.scheme();
    let detail =
        format!("this port has no TLS: it speaks plain {what}, and was asked by {asked}://");
    Finding::fault(Failure::Unreachable, "plain-port", detail)
        .fix(format!(
            "{scheme}://{}:{}{path} for this port",
            target.host, target.port
        ))
        .fix(format!(
            "or {asked}:// at the port with TLS (443, 8443, 8883, 8084)"
        ))
        .fix("or tls = true in this [[listener]]")
}
