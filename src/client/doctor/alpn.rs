//! ALPN: which protocols the server agrees to inside TLS.

use std::io;

use super::{
    report::{Failure, Finding},
    way::Way,
};
use crate::client::Carrier;

/// Which protocols the server agrees to.
pub(super) async fn examine(way: &Way) -> Vec<Finding> {
    let Some(config) = &way.tls else {
        return Vec::new();
    };
    let is_websocket = way.target.carrier != Carrier::Tcp;
    let mut findings = Vec::new();
    for offered in ["", "mqtt", "http/1.1", "h2"] {
        let list: &[&[u8]] = if offered.is_empty() {
            &[]
        } else {
            &[offered.as_bytes()]
        };
        let shaken = way.open_tls(config.clone(), list).await;
        let chosen = shaken.map(|stream| {
            let chosen = stream.get_ref().1.alpn_protocol();
            chosen.map(|chosen| String::from_utf8_lossy(chosen).into_owned())
        });
        findings.push(judge_alpn(offered, chosen, is_websocket));
    }
    findings
}

fn judge_alpn(offered: &str, chosen: io::Result<Option<String>>, is_websocket: bool) -> Finding {
    let is_needed = match offered {
        "" => true,
        "http/1.1" => is_websocket,
        _ => false,
    };
    match chosen {
        Ok(None) if offered.is_empty() => Finding::good("alpn-none", "without ALPN: accepted"),
        Ok(None) => Finding::good("alpn-ignored", format!("{offered}: accepted without ALPN")),
        Ok(Some(chosen)) => {
            Finding::good("alpn", format!("{offered}: the server chooses {chosen}"))
        }
        Err(_) if !is_needed => Finding::note("alpn-refused", format!("{offered}: refused")),
        Err(error) => {
            let what = if offered.is_empty() {
                "no ALPN"
            } else {
                offered
            };
            let detail = format!("a client that offers {what} is refused: {error}");
            Finding::fault(Failure::Unreachable, "alpn-refused", detail)
                .fix("GateMQ: protocols in [[listener]] says what is taken, \"websocket\" or \"http\" for http/1.1")
                .fix("nginx: remove ssl_alpn; HAProxy: alpn h2,http/1.1 on the bind line of mode http")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_cannot_do_without_is_a_fault() {
        let refused = || Err(io::Error::other("no application protocol"));
        let check = |offered: &str, is_websocket: bool, is_fault: bool| {
            let finding = judge_alpn(offered, refused(), is_websocket);
            assert_eq!(finding.is_fault(), is_fault, "{offered}");
            assert_eq!(finding.fix.is_empty(), !is_fault, "{offered}");
        };
        check("", true, true);
        check("", false, true);
        check("http/1.1", true, true);
        check("http/1.1", false, false);
        check("h2", true, false);
        check("mqtt", false, false);
        assert!(!judge_alpn("h2", Ok(None), true).is_fault());
    }
}
