//! Why does it not connect? Goes the way of a client step by step (DNS, TCP, TLS, ALPN, HTTP, Upgrade, CONNECT, a
//! message and back, silence), says at each what it has found, and at each fault what to do.
//!
//! Start at [`examine`]. A file for each step: what it does on the network, and apart from that what it makes of it.
//! `way` is the way found so far, `advice` the lines for the configuration of proxies.

mod advice;
mod alpn;
mod certificate;
mod connect;
mod http;
mod idle;
mod link;
mod network;
mod report;
mod request;
mod round_trip;
mod sniff;
mod tls;
mod upgrade;
mod way;

pub use report::{Failure, Finding, Level, Report, Stage, StageReport};

use std::{net::SocketAddr, time::Duration};

use self::{tls::Prepared, way::Way};
use super::{Carrier, Target, Trust, TrustError};

/// What is examined, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to.
    pub target: Target,
    /// Whose certificate is believed.
    pub trust: Trust,
    /// For CONNECT; goes before what the URL says.
    pub username: Option<String>,
    /// For CONNECT; never sent to whom the certificate does not prove.
    pub password: Option<String>,
    /// The page from which a browser would connect.
    pub origin: Option<String>,
    /// The topic of the round trip, instead of one of our own.
    pub topic: Option<String>,
    /// How long each step may take.
    pub timeout: Duration,
    /// How long a connection is to be held in silence.
    pub idle: Option<Duration>,
}

/// Examines a way to a broker; `tell` is called with each stage as soon as it is done.
///
/// # Errors
/// A file of certificates that was named cannot be used.
pub async fn examine(
    options: &Options,
    tell: impl FnMut(&StageReport),
) -> Result<Report, TrustError> {
    let target = &options.target;
    let prepared = target
        .tls
        .then(|| Prepared::new(&options.trust, target))
        .transpose()?;
    let report = Report {
        target: target.to_string(),
        stages: Vec::new(),
    };
    let mut examination = Examination {
        options,
        report,
        tell,
    };
    examination.run(prepared.as_ref()).await;
    Ok(examination.report)
}

struct Examination<'a, F> {
    options: &'a Options,
    report: Report,
    tell: F,
}

impl<F: FnMut(&StageReport)> Examination<'_, F> {
    async fn run(&mut self, prepared: Option<&Prepared>) {
        let patience = self.options.timeout;
        let target = &self.options.target;
        let (findings, addresses) = network::resolve(target, patience).await;
        self.found(Stage::Dns, findings);
        if addresses.is_empty() {
            return self.skip_from(Stage::Tcp, "the name leads nowhere");
        }
        let (findings, addr) = network::connect(target, &addresses, patience).await;
        self.found(Stage::Tcp, findings);
        let Some(addr) = addr else {
            return self.skip_from(Stage::Tls, "nobody answers");
        };
        let Some(way) = self.shake_hands(addr, prepared).await else {
            return;
        };
        if target.carrier == Carrier::Tcp {
            self.skip(Stage::Http, "mqtt:// and mqtts:// have none");
            self.skip(Stage::Upgrade, "mqtt:// and mqtts:// have none");
            return self.speak(&way, None).await;
        }
        let (findings, host) = http::examine(&way).await;
        self.found(Stage::Http, findings);
        let Some(host) = host else {
            return self.skip_from(Stage::Upgrade, "no HTTP that would lead on");
        };
        let origin = self.options.origin.as_deref();
        let (findings, path) = upgrade::examine(&way, host, origin).await;
        self.found(Stage::Upgrade, findings);
        match path {
            Some(path) => self.speak(&way, Some(&path)).await,
            None => self.skip_from(Stage::Connect, "no WebSocket opens"),
        }
    }

    async fn shake_hands(&mut self, addr: SocketAddr, prepared: Option<&Prepared>) -> Option<Way> {
        let patience = self.options.timeout;
        let target = &self.options.target;
        let Some(prepared) = prepared else {
            let why = "the URL asks for none";
            self.skip(Stage::Tls, why);
            self.skip(Stage::Alpn, why);
            return Some(Way {
                target: target.clone(),
                addr,
                patience,
                tls: None,
                is_trusted: true,
            });
        };
        let (findings, way) = tls::examine(target, addr, patience, prepared).await;
        self.found(Stage::Tls, findings);
        let Some(way) = way else {
            self.skip_from(Stage::Alpn, "no TLS that would lead on");
            return None;
        };
        let findings = alpn::examine(&way).await;
        self.found(Stage::Alpn, findings);
        Some(way)
    }

    /// From CONNECT on, over a WebSocket at a path or over the stream itself.
    async fn speak(&mut self, way: &Way, path: Option<&str>) {
        if !way.is_trusted && self.options.password.is_some() {
            return self.skip_from(
                Stage::Connect,
                "the password is not sent to a server that its certificate does not prove",
            );
        }
        let (findings, connected) = connect::examine(way, path, self.options).await;
        self.found(Stage::Connect, findings);
        let Some(mut connected) = connected else {
            return self.skip_from(Stage::RoundTrip, "CONNECT was not accepted");
        };
        let findings = round_trip::examine(way, &mut connected, self.options).await;
        self.found(Stage::RoundTrip, findings);
        drop(connected);
        if let Some(idle) = self.options.idle {
            let findings = idle::examine(way, path, self.options, idle).await;
            self.found(Stage::Idle, findings);
        }
    }

    fn found(&mut self, stage: Stage, findings: Vec<Finding>) {
        self.done(StageReport::new(stage, findings));
    }

    fn skip(&mut self, stage: Stage, why: &'static str) {
        self.done(StageReport::skipped(stage, why));
    }

    /// Notes that nothing from this stage on was tried.
    fn skip_from(&mut self, first: Stage, why: &'static str) {
        let all = [
            Stage::Tcp,
            Stage::Tls,
            Stage::Alpn,
            Stage::Http,
            Stage::Upgrade,
            Stage::Connect,
            Stage::RoundTrip,
            Stage::Idle,
        ];
        let is_idle_asked = self.options.idle.is_some();
        for stage in all.into_iter().skip_while(|stage| *stage != first) {
            if stage != Stage::Idle || is_idle_asked {
                self.skip(stage, why);
            }
        }
    }

    fn done(&mut self, stage: StageReport) {
        (self.tell)(&stage);
        self.report.stages.push(stage);
    }
}
