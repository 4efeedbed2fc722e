//! What a client needs before it connects: addresses, limits, the certificate of our own CA.

use bytes::Bytes;
use hyper::{
    StatusCode,
    header::{CACHE_CONTROL, CONTENT_DISPOSITION, HeaderValue},
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde::Serialize;

use super::{
    Asked,
    answer::{allow_all_origins, body, json, problem},
    facts::{Scheme, addresses},
};
use crate::listener::http::Response;

pub(super) const PATH: &str = "/.well-known/mqtt";

/// Where and how to connect, as the client that asks sees us. Public: pages of other origins may read it.
pub(super) fn well_known(asked: &Asked<'_>) -> Response {
    #[derive(Serialize)]
    struct WellKnown {
        wss: Vec<String>,
        ws: Vec<String>,
        mqtts: Vec<String>,
        mqtt: Vec<String>,
        websocket_paths: [&'static str; 3],
        subprotocols: [&'static str; 2],
        protocol_versions: [&'static str; 3],
        max_packet_size: u32,
        max_keep_alive_seconds: Option<u64>,
        allow_anonymous: bool,
        certificate_authority: Option<String>,
    }
    let facts = asked.endpoints.facts.load();
    let addresses = addresses(asked);
    let [wss, ws, mqtts, mqtt] = Scheme::ALL.map(|scheme| {
        let of_scheme = addresses.iter().filter(|address| address.scheme == scheme);
        of_scheme.map(super::facts::Address::url).collect()
    });
    let scheme = if asked.is_secure { "https" } else { "http" };
    let certificate_authority = facts
        .certificate_authority
        .is_some()
        .then(|| format!("{scheme}://{}/ca.crt", asked.host().with_port()));
    let mut response = json(
        StatusCode::OK,
        &WellKnown {
            wss,
            ws,
            mqtts,
            mqtt,
            websocket_paths: ["/mqtt", "/ws", "/"],
            subprotocols: ["mqtt", "mqttv3.1"],
            protocol_versions: ["3.1", "3.1.1", "5.0"],
            max_packet_size: facts.max_packet_size,
            max_keep_alive_seconds: facts.max_keep_alive.map(|limit| limit.as_secs()),
            allow_anonymous: facts.allow_anonymous,
            certificate_authority,
        },
    );
    allow_all_origins(response.headers_mut());
    response
}

/// The certificate to trust where ours is of our own making: PEM, or DER with `?format=der`, which phones ask for.
pub(super) fn certificate_authority(asked: &Asked<'_>) -> Response {
    let facts = asked.endpoints.facts.load();
    let Some(pem) = &facts.certificate_authority else {
        let detail = "The certificates of this broker are not of its own making: they lead to a CA that your \
                      system knows, or to one whose certificate the operator hands out.";
        return problem(asked.head, StatusCode::NOT_FOUND, detail);
    };
    let (content, disposition) = match format(asked) {
        None | Some("pem") => (pem.clone(), "attachment; filename=\"gatemq-ca.crt\""),
        Some("der") => match CertificateDer::from_pem_slice(pem) {
            Ok(der) => (
                Bytes::copy_from_slice(&der),
                "attachment; filename=\"gatemq-ca.cer\"",
            ),
            Err(_) => {
                let detail = "The certificate cannot be read as PEM.";
                return problem(asked.head, StatusCode::INTERNAL_SERVER_ERROR, detail);
            }
        },
        Some(_) => {
            let detail = "The formats are ?format=pem and ?format=der.";
            return problem(asked.head, StatusCode::BAD_REQUEST, detail);
        }
    };
    let mut response = body(StatusCode::OK, "application/x-x509-ca-cert", content);
    let disposition = HeaderValue::from_static(disposition);
    response
        .headers_mut()
        .insert(CONTENT_DISPOSITION, disposition);
    let revalidate = HeaderValue::from_static("no-cache");
    response.headers_mut().insert(CACHE_CONTROL, revalidate);
    response
}

fn format<'a>(asked: &Asked<'a>) -> Option<&'a str> {
    let query = asked.head.uri.query()?;
    query
        .split('&')
        .find_map(|part| part.strip_prefix("format="))
}
