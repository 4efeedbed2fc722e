//! The least client that can be: CONNECT of MQTT 3.1.1 and PINGREQ, over TCP or `wss`, by hand, so that thousands fit in
//! one process.

use std::{io, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    crypto::aws_lc_rs::{self, cipher_suite::TLS13_AES_128_GCM_SHA256, kx_group::X25519},
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::broker::{Broker, Transport};

const CONNACK: [u8; 4] = [0x20, 2, 0, 0];
const PINGREQ: [u8; 2] = [0xC0, 0];
const PINGRESP: [u8; 2] = [0xD0, 0];
/// The key of the example of RFC 6455, and what must be answered (section 1.3).
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// Any will do against a broker of ours (RFC 6455, 5.3).
const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];
/// An answer to an upgrade is a tenth of it.
const MAX_HEAD_BYTES: usize = 4096;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;

/// Where to connect, and how.
#[derive(Clone)]
pub(crate) struct Connector {
    port: u16,
    tls: Option<TlsConnector>,
}

/// A connection that was accepted.
pub(crate) struct Client {
    stream: Box<dyn Stream>,
    is_websocket: bool,
    /// Read and not yet used.
    pending: Vec<u8>,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Connector {
    /// Over `wss` or plain TCP.
    pub(crate) fn new(broker: &Broker, transport: Transport) -> Result<Self, String> {
        Ok(match transport {
            Transport::Wss => Self {
                port: broker.secure(),
                tls: Some(tls(broker)?),
            },
            Transport::Tcp => Self {
                port: broker.plain(),
                tls: None,
            },
            Transport::Tls | Transport::Ws => return Err("not measured".to_owned()),
        })
    }

    /// A connection whose CONNACK accepts it.
    pub(crate) async fn connect(&self, number: usize) -> io::Result<Client> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        stream.set_nodelay(true)?;
        let mut client = Client {
            stream: Box::new(stream),
            is_websocket: self.tls.is_some(),
            pending: Vec::new(),
        };
        if let Some(tls) = &self.tls {
            let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
            client.stream = Box::new(tls.connect(name, client.stream).await?);
            client.upgrade(self.port).await?;
        }
        client.send(&connect_packet(number)).await?;
        client.expect(&CONNACK).await?;
        Ok(client)
    }
}

impl Client {
    pub(crate) async fn send_ping(&mut self) -> io::Result<()> {
        self.send(&PINGREQ).await
    }

    pub(crate) async fn expect_pong(&mut self) -> io::Result<()> {
        self.expect(&PINGRESP).await
    }

    async fn upgrade(&mut self, port: u16) -> io::Result<()> {
        let request = format!(
            "GET /mqtt HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
        );
        self.stream.write_all(request.as_bytes()).await?;
        self.stream.flush().await?;
        let end = loop {
            let found = self.pending.windows(4).position(|four| four == b"\r\n\r\n");
            match found {
                Some(at) => break at + 4,
                None if self.pending.len() > MAX_HEAD_BYTES => {
                    return Err(unexpected(&self.pending));
                }
                None => self.read().await?,
            }
        };
        let head: Vec<u8> = self.pending.drain(..end).collect();
        let text = String::from_utf8_lossy(&head);
        if text.starts_with("HTTP/1.1 101 ") && text.contains(ACCEPT) {
            Ok(())
        } else {
            Err(unexpected(&head))
        }
    }

    /// Sends a packet of fewer than 126 bytes, over WebSocket in a masked frame of its own.
    async fn send(&mut self, packet: &[u8]) -> io::Result<()> {
        if self.is_websocket {
            let length = u8::try_from(packet.len()).map_err(io::Error::other)?;
            let mut frame = vec![BINARY, 0x80 | length];
            frame.extend(MASK);
            frame.extend(
                packet
                    .iter()
                    .zip(MASK.iter().cycle())
                    .map(|(byte, mask)| byte ^ mask),
            );
            self.stream.write_all(&frame).await?;
        } else {
            self.stream.write_all(packet).await?;
        }
        self.stream.flush().await
    }

    /// Reads a packet, which must be this one.
    async fn expect(&mut self, packet: &[u8]) -> io::Result<()> {
        let length = if self.is_websocket {
            self.frame().await?
        } else {
            packet.len()
        };
        self.fill(length).await?;
        let received: Vec<u8> = self.pending.drain(..length).collect();
        // Thousands of empty buffers would be memory of this process that nobody needs.
        self.pending.shrink_to_fit();
        if received == packet {
            Ok(())
        } else {
            Err(unexpected(&received))
        }
    }

    /// Takes the header of the next binary frame, and the PINGs before it: the bytes of its payload.
    async fn frame(&mut self) -> io::Result<usize> {
        loop {
            self.fill(2).await?;
            let (opcode, length) = (self.pending[0], usize::from(self.pending[1]));
            // The broker has nothing to say here that takes 126 bytes, and does not mask.
            if opcode == CLOSE || length >= 126 {
                return Err(unexpected(&self.pending));
            }
            self.pending.drain(..2);
            if opcode == BINARY {
                return Ok(length);
            }
            self.fill(length).await?;
            self.pending.drain(..length);
        }
    }

    async fn fill(&mut self, length: usize) -> io::Result<()> {
        while self.pending.len() < length {
            self.read().await?;
        }
        Ok(())
    }

    async fn read(&mut self) -> io::Result<()> {
        let mut buffer = [0; 512];
        match self.stream.read(&mut buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                self.pending.extend_from_slice(&buffer[..read]);
                Ok(())
            }
        }
    }
}

/// Clean session, no keep alive.
fn connect_packet(number: usize) -> Vec<u8> {
    let client_id = format!("idle-{number}");
    let mut packet = vec![0x10, 12 + client_id.len() as u8, 0, 4];
    packet.extend(b"MQTT");
    packet.extend([4, 2, 0, 0, 0, client_id.len() as u8]);
    packet.extend(client_id.bytes());
    packet
}

fn tls(broker: &Broker) -> Result<TlsConnector, String> {
    let mut roots = RootCertStore::empty();
    let ca =
        CertificateDer::from_pem_file(broker.ca()).map_err(|error| format!("the CA: {error}"))?;
    roots.add(ca).map_err(|error| error.to_string())?;
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![X25519];
    provider.cipher_suites = vec![TLS13_AES_128_GCM_SHA256];
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn unexpected(bytes: &[u8]) -> io::Error {
    io::Error::other(format!("unexpected: {:?}", String::from_utf8_lossy(bytes)))
}
