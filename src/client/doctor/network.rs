//! DNS and TCP: a name becomes addresses, and somebody listens there.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    net::{TcpStream, lookup_host},
    time::{Instant, timeout},
};

use super::report::{Failure, Finding};
use crate::client::Target;

/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;

/// The addresses of the target's name.
pub(super) async fn resolve(
    target: &Target,
    patience: Duration,
) -> (Vec<Finding>, Vec<SocketAddr>) {
    if let Ok(address) = target.host.parse() {
        let finding = Finding::good(
            "address",
            format!("{address} is an address: no name to look up"),
        );
        return (vec![finding], vec![SocketAddr::new(address, target.port)]);
    }
    let looked_up = timeout(patience, lookup_host((target.host.as_str(), target.port))).await;
    let addresses = looked_up.map(|found| {
        found.map(|found| {
            let mut addresses = Vec::new();
            for address in found {
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
            addresses
        })
    });
    match addresses {
        Ok(Ok(addresses)) if !addresses.is_empty() => {
            let list: Vec<String> = addresses.iter().map(|addr| addr.ip().to_string()).collect();
            let detail = format!("{} is {}", target.host, list.join(", "));
            (vec![Finding::good("resolved", detail)], addresses)
        }
        Ok(result) => {
            let cause = result
                .err()
                .map_or_else(|| "it has no address".to_owned(), |error| error.to_string());
            (vec![not_resolved(target, &cause)], Vec::new())
        }
        Err(_) => {
            let detail = format!("nobody says within {patience:?} what {} is", target.host);
            let finding = Finding::fault(Failure::TimedOut, "dns-timeout", detail).fix(
                "see whether this machine reaches its name server: /etc/resolv.conf, VPN, firewall",
            );
            (vec![finding], Vec::new())
        }
    }
}

fn not_resolved(target: &Target, cause: &str) -> Finding {
    let host = &target.host;
    let detail = format!("the name {host} does not lead to an address: {cause}");
    Finding::fault(Failure::Unreachable, "name-not-resolved", detail)
        .fix(format_args!(
            "see that the name is spelt right, and that getent hosts {host} knows it"
        ))
        .fix("a name of your own needs an A or AAAA record, or a line in /etc/hosts of each client")
        .fix("or connect by address, which the certificate must then have, too")
}

/// The first address where somebody listens.
pub(super) async fn connect(
    target: &Target,
    addresses: &[SocketAddr],
    patience: Duration,
) -> (Vec<Finding>, Option<SocketAddr>) {
    let mut failed = Vec::new();
    let mut findings = Vec::new();
    let mut answering = None;
    for addr in addresses.iter().take(MAX_ADDRESSES) {
        let begin = Instant::now();
        let connected = timeout(patience, TcpStream::connect(addr)).await;
        match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(_) => {
                let milliseconds = begin.elapsed().as_secs_f64() * 1000.0;
                let detail = format!("{addr} answers ({milliseconds:.1} ms)");
                findings.push(Finding::good("connected", detail));
                answering = answering.or(Some(*addr));
            }
            Err(error) => failed.push((*addr, error)),
        }
    }
    let is_partial = answering.is_some();
    findings.extend(failed.iter().map(|(addr, error)| {
        let fault = not_connected(target, *addr, error, patience);
        if is_partial { as_note(&fault) } else { fault }
    }));
    (findings, answering)
}

/// Clients that take the addresses one after the other come through all the same.
fn as_note(fault: &Finding) -> Finding {
    let detail = format!(
        "{}; clients that try one address only may fail",
        fault.detail
    );
    Finding::note(fault.code, detail)
}

fn not_connected(
    target: &Target,
    addr: SocketAddr,
    error: &io::Error,
    patience: Duration,
) -> Finding {
    let port = target.port;
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the system has its own words for the others"
    )]
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            let detail = format!("{addr} refuses: nobody listens at this port");
            Finding::fault(Failure::Unreachable, "connection-refused", detail)
                .fix("see on the broker's machine whether it runs, and where it listens: gatemq status")
                .fix(format_args!(
                    "bind = \"[::]:{port}\" in [[listener]] listens on all addresses; 127.0.0.1 and [::1] are this machine only"
                ))
                .fix("the ports without a configuration: 8443, 8883, 8084 (TLS), 1883, 8083 (plain), 443 as root; in Docker: -p")
        }
        io::ErrorKind::TimedOut => {
            let detail = format!(
                "{addr} says nothing within {patience:?}: something on the way drops what is sent there"
            );
            Finding::fault(Failure::TimedOut, "filtered", detail)
                .fix(format_args!(
                    "let TCP port {port} in: firewall of the machine (nft, ufw, firewalld), security group of the cloud, router"
                ))
                .fix("see that the address is the right one, and that the machine is on")
                .fix("where only 443 gets out of a network, use wss:// or mqtts:// on 443")
        }
        _ => {
            let detail = format!("{addr} cannot be reached: {error}");
            Finding::fault(Failure::Unreachable, "unreachable", detail)
                .fix("see that this machine has a way there: ip route get ADDRESS, VPN, IPv6 without a router")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_not_to_connect_has_its_advice() {
        let target = Target::parse("mqtt://a:1884").unwrap();
        let addr = "192.0.2.1:1884".parse().unwrap();
        let check = |kind: io::ErrorKind, code: &str, failure: Failure, advice: &str| {
            let finding = not_connected(&target, addr, &kind.into(), Duration::from_secs(3));
            assert_eq!(finding.code, code);
            assert_eq!(
                finding,
                Finding::fault(failure, finding.code, &finding.detail)
                    .fixes(&finding.fix.iter().map(String::as_str).collect::<Vec<_>>())
            );
            assert!(finding.fix.join("\n").contains(advice), "{finding:?}");
        };
        check(
            io::ErrorKind::ConnectionRefused,
            "connection-refused",
            Failure::Unreachable,
            "[::]:1884",
        );
        check(
            io::ErrorKind::TimedOut,
            "filtered",
            Failure::TimedOut,
            "port 1884",
        );
        check(
            io::ErrorKind::HostUnreachable,
            "unreachable",
            Failure::Unreachable,
            "ip route",
        );
    }
}
