//! The two ends of a TLS 1.3 connection that have shaken hands.

use std::{
    future::Future,
    io::Write as _,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use gatemq::{
    listener::{
        ClientCertificates,
        tls::{Certificates, Config, HandshakePolicy, TlsStream},
    },
    telemetry::Metrics,
};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

use super::wire::{Wire, at_once};

const POLICY: HandshakePolicy = HandshakePolicy {
    client_certificates: ClientCertificates::Off,
    mqtt: true,
    http2: true,
    http1: true,
};

/// The broker's end.
pub struct Server {
    stream: TlsStream<Wire>,
    wire: Wire,
}

/// A client of rustls.
pub struct Client(ClientConnection);

/// Both ends, after the handshake.
pub fn connected() -> (Server, Client) {
    let directory = tempfile::tempdir().expect("a place for certificates");
    let config = Config {
        certificates: Vec::new(),
        own_dir: directory.path().join("own"),
        client_ca: None,
        crl: Vec::new(),
        own_names: Vec::new(),
    };
    let certificates = Certificates::open(config, Arc::new(Metrics::default())).expect("our own");
    let mut client = client(&certificates.ca_pem().expect("our own authority"));
    let wire = Wire::default();
    let mut cx = Context::from_waker(Waker::noop());
    let mut accepting = pin!(certificates.accept(wire.clone(), Vec::new(), POLICY));
    let accepted = loop {
        wire.feed(said_by(&mut client));
        let accepted = accepting.as_mut().poll(&mut cx);
        hear(&mut client, &wire.take_written());
        if let Poll::Ready(accepted) = accepted {
            break accepted.expect("a handshake");
        }
    };
    wire.becomes_sink();
    let stream = accepted.stream;
    (Server { stream, wire }, Client(client))
}

impl Client {
    /// A payload as the records that are sent.
    pub fn seal(&mut self, payload: &[u8]) -> Bytes {
        let sealed = self.0.writer().write_all(payload);
        sealed.expect("room for one write");
        said_by(&mut self.0)
    }
}

impl Server {
    /// Seals, and the network takes it all.
    pub fn write(&mut self, payload: &[u8]) -> usize {
        at_once(|cx| Pin::new(&mut self.stream).poll_write(cx, payload)).expect("written")
    }

    /// Opens what has come, which fills the buffer.
    pub fn read(&mut self, records: Bytes, buffer: &mut [u8]) {
        self.wire.feed(records);
        let mut buffer = ReadBuf::new(buffer);
        while buffer.remaining() > 0 {
            at_once(|cx| Pin::new(&mut self.stream).poll_read(cx, &mut buffer)).expect("read");
        }
    }
}

fn client(authority: &[u8]) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(authority).expect("a certificate");
    roots.add(authority).expect("an authority");
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    ClientConnection::new(Arc::new(config), name).expect("a client")
}

fn said_by(client: &mut ClientConnection) -> Bytes {
    let mut bytes = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut bytes).expect("memory takes all");
    }
    bytes.into()
}

fn hear(client: &mut ClientConnection, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        client.read_tls(&mut bytes).expect("memory gives all");
        client.process_new_packets().expect("a right record");
    }
}
