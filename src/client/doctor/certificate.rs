//! A server's certificate: what it says, and everything that is wrong with it. No I/O.

use rustls::{client::verify_server_name, pki_types::CertificateDer, server::ParsedCertificate};
use x509_parser::{certificate::X509Certificate, extensions::ParsedExtension, prelude::FromDer};

use super::report::{Failure, Finding};
use crate::{
    client::{Target, TlsFailure},
    listener::tls::{self, CertificateInfo, Timestamp},
};

/// A certificate that ends within three weeks has missed its renewal: most are renewed a month ahead.
const EXPIRES_SOON_DAYS: i64 = 21;

/// Names of a certificate that are shown.
const MAX_NAMES: usize = 8;

/// What the server's certificate says.
pub(super) fn describe(chain: &[CertificateDer<'_>]) -> Option<Finding> {
    let certificates = tls::describe_chain(chain);
    let leaf = certificates.first()?;
    let others = match certificates.len() {
        1 => "no certificate".to_owned(),
        2 => "one certificate".to_owned(),
        count => format!("{} certificates", count - 1),
    };
    let detail = format!(
        "for {}; issued by {}; until {} ({}); {}; {others} behind it",
        names(leaf),
        leaf.issuer,
        leaf.not_after,
        days(leaf.not_after.days_from(now())),
        leaf.key_type
    );
    Some(Finding::good("certificate", detail))
}

fn days(count: i64) -> String {
    match count {
        1 => "1 day".to_owned(),
        count => format!("{count} days"),
    }
}

fn names(leaf: &CertificateInfo) -> String {
    match leaf.names.len() {
        0 => "no name".to_owned(),
        count if count > MAX_NAMES => {
            format!(
                "{} and {} more",
                leaf.names[..MAX_NAMES].join(", "),
                count - MAX_NAMES
            )
        }
        _ => leaf.names.join(", "),
    }
}

/// It is valid, but not for long.
pub(super) fn ending(chain: &[CertificateDer<'_>], now: Timestamp) -> Option<Finding> {
    let certificates = tls::describe_chain(chain);
    let left = certificates.first()?.not_after.days_from(now);
    (left < EXPIRES_SOON_DAYS).then(|| {
        let detail = format!("the certificate ends in {}", days(left));
        Finding::note("expires-soon", detail)
            .fix("renew it now: gatemq cert renew, or certbot renew; GateMQ serves the new file by itself")
    })
}

/// Everything that is wrong with a certificate: rustls stops at the first.
pub(super) fn judge(
    failure: &TlsFailure,
    chain: &[CertificateDer<'_>],
    target: &Target,
    now: Timestamp,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let certificates = tls::describe_chain(chain);
    let Some(leaf) = certificates.first() else {
        return vec![unreadable(failure)];
    };
    match failure {
        TlsFailure::UnknownIssuer { .. } => findings.push(untrusted(chain, &certificates, target)),
        TlsFailure::WrongName { .. } | TlsFailure::Expired(_) | TlsFailure::NotYetValid(_) => {}
        TlsFailure::ClientCertificate(_) => findings.push(client_certificate(failure)),
        TlsFailure::Certificate(_)
        | TlsFailure::NotTls
        | TlsFailure::Closed
        | TlsFailure::NoCommonProtocol
        | TlsFailure::Alert(_)
        | TlsFailure::Other(_) => findings.push(unreadable(failure)),
    }
    if leaf.not_after < now {
        let detail = format!(
            "the certificate has expired on {}, {} ago",
            leaf.not_after,
            days(-leaf.not_after.days_from(now))
        );
        findings.push(
            Finding::fault(Failure::Unreachable, "expired", detail)
                .fix("on the broker: gatemq cert renew for one of its own making; certbot renew for Let's Encrypt")
                .fix("GateMQ serves the new file by itself; a proxy in front: nginx -s reload, systemctl reload haproxy"),
        );
    } else if now < leaf.not_before {
        let detail = format!("the certificate is not valid before {}", leaf.not_before);
        findings.push(
            Finding::fault(Failure::Unreachable, "not-yet-valid", detail)
                .fix("set the clocks of both machines: timedatectl"),
        );
    }
    findings.extend(wrong_name(chain, leaf, target));
    if findings.is_empty() {
        findings.push(unreadable(failure));
    }
    findings
}

fn untrusted(
    chain: &[CertificateDer<'_>],
    certificates: &[CertificateInfo],
    target: &Target,
) -> Finding {
    let leaf = &certificates[0];
    let last = &certificates[certificates.len() - 1];
    let by_hand = format!(
        "a GateMQ hands its authority out: curl -k https://{}/ca.crt -o ca.crt, then --cafile ca.crt (and compare it: gatemq cert show)",
        target.authority()
    );
    if leaf.issuer == leaf.subject {
        let detail = format!("the certificate is signed by itself ({})", leaf.subject);
        return Finding::fault(Failure::Unreachable, "self-signed", detail)
            .fix("where it is the right one: --cafile FILE with a copy of it, and trust it on each client")
            .fix("better an authority of your own, trusted once: gatemq cert init NAME (certs/README.md), or Let's Encrypt");
    }
    if last.issuer != last.subject && names_its_issuer(chain) {
        let detail = format!(
            "the chain is incomplete: the server does not send the certificate of {}, which has issued its own",
            last.issuer
        );
        return Finding::fault(Failure::Unreachable, "incomplete-chain", detail)
            .fix("GateMQ: chain = \"fullchain.pem\" in [[tls.certificate]], not cert.pem")
            .fix("nginx: ssl_certificate fullchain.pem; HAProxy: crt FILE with certificate, intermediates and key")
            .fix("it works in browsers that know the missing one from elsewhere, and fails in clients");
    }
    let detail = format!("the authority {} is not trusted here", last.issuer);
    Finding::fault(Failure::Unreachable, "unknown-issuer", detail)
        .fix(by_hand)
        .fix("browsers and phones: certs/README.md says how they come to trust it")
        .fix("if it was itself signed by an authority that is trusted, the server must send it, too: chain = \"fullchain.pem\"")
}

/// Certificates of public authorities say where the certificate of their issuer is (RFC 5280, 4.2.2.1); those of
/// private ones do not, and are mostly signed by a root.
fn names_its_issuer(chain: &[CertificateDer<'_>]) -> bool {
    let Some(Ok((_, last))) = chain.last().map(|der| X509Certificate::from_der(der)) else {
        return false;
    };
    last.extensions().iter().any(|extension| {
        matches!(extension.parsed_extension(), ParsedExtension::AuthorityInfoAccess(access)
            if access.iter().any(|access| access.access_method.to_id_string() == "1.3.6.1.5.5.7.48.2"))
    })
}

fn wrong_name(
    chain: &[CertificateDer<'_>],
    leaf: &CertificateInfo,
    target: &Target,
) -> Option<Finding> {
    let parsed = ParsedCertificate::try_from(chain.first()?).ok()?;
    if verify_server_name(&parsed, &target.server_name()).is_ok() {
        return None;
    }
    let detail = format!(
        "the certificate is not for {} but for {}",
        target.host,
        names(leaf)
    );
    let finding = Finding::fault(Failure::Unreachable, "wrong-name", detail);
    let finding = match leaf.names.iter().find(|name| !name.starts_with('*')) {
        Some(name) => finding.fix(format!("connect by a name that it has, as {name}")),
        None => finding,
    };
    Some(finding.fix(format!(
        "or have it made for {0}: own_names = [\"{0}\"] in [tls] and gatemq cert renew; certbot -d {0}",
        target.host
    )))
}

pub(super) fn unreadable(failure: &TlsFailure) -> Finding {
    Finding::fault(Failure::Unreachable, "tls-failed", failure)
        .fix("the server's log says its side of it; openssl s_client -connect HOST:PORT shows more")
}

/// The server asks for a certificate of the client's.
pub(super) fn client_certificate(failure: &TlsFailure) -> Finding {
    Finding::fault(Failure::Refused, "client-certificate", failure)
        .fix("show one: --cert FILE --key FILE, issued by what client_ca in [tls] names")
        .fix("or let the listener do without: client_certificates = \"optional\" or \"off\" in [[listener]]")
}

/// What this machine's clock says.
pub(super) fn now() -> Timestamp {
    Timestamp::from(std::time::SystemTime::now())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, CertifiedIssuer, DnType, KeyPair};

    use super::*;

    const DAY: i64 = 24 * 60 * 60;

    fn params(name: &str, names: &[&str]) -> CertificateParams {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params
    }

    /// What a private authority has issued for `broker.example`, or the certificate has for itself.
    fn chain(is_self_signed: bool) -> Vec<CertificateDer<'static>> {
        let key = KeyPair::generate().unwrap();
        let params = params("server", &["*.broker.example", "broker.example"]);
        if is_self_signed {
            return vec![params.self_signed(&key).unwrap().der().clone()];
        }
        let authority = KeyPair::generate().unwrap();
        let authority = CertifiedIssuer::self_signed(self::params("an authority", &[]), authority);
        let leaf = params.signed_by(&key, &authority.unwrap()).unwrap();
        vec![leaf.der().clone()]
    }

    fn codes(chain: &[CertificateDer<'_>], url: &str, at: Timestamp) -> Vec<&'static str> {
        let failure = TlsFailure::UnknownIssuer {
            issuer: String::new(),
            is_self_signed: false,
        };
        let findings = judge(&failure, chain, &Target::parse(url).unwrap(), at);
        findings.iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn everything_that_is_wrong_is_told() {
        let url = "wss://broker.example";
        let valid = Timestamp(1_800_000_000);
        assert_eq!(codes(&chain(false), url, valid), ["unknown-issuer"]);
        assert_eq!(codes(&chain(true), url, valid), ["self-signed"]);
        let other = codes(&chain(false), "wss://other.example", valid);
        assert_eq!(other, ["unknown-issuer", "wrong-name"]);
        let end = tls::describe_chain(&chain(false))[0].not_after;
        let late = codes(&chain(false), url, Timestamp(end.0 + DAY));
        assert_eq!(late, ["unknown-issuer", "expired"]);
        let begin = tls::describe_chain(&chain(false))[0].not_before;
        let early = codes(&chain(false), url, Timestamp(begin.0 - DAY));
        assert_eq!(early, ["unknown-issuer", "not-yet-valid"]);
    }

    #[test]
    fn three_weeks_before_its_end_it_is_worth_a_note() {
        let chain = chain(false);
        let end = tls::describe_chain(&chain)[0].not_after;
        let at = |days: i64| ending(&chain, Timestamp(end.0 - days * DAY));
        assert_eq!(at(EXPIRES_SOON_DAYS), None);
        let note = at(EXPIRES_SOON_DAYS - 1).unwrap();
        assert_eq!(note.detail, "the certificate ends in 20 days");
        assert!(note.fix[0].contains("gatemq cert renew"), "{note:?}");
    }
}
