//! What follows a handshake: records in pieces, new keys, ends of either side, a peer that breaks the protocol.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use rustls::{ProtocolVersion, version};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use super::*;

/// A server, and clients that trust it, of one version of TLS or both.
struct Ends {
    certificates: Arc<Certificates>,
    client: Arc<ClientConfig>,
    _files: Files,
}

impl Ends {
    fn new(versions: &[&'static rustls::SupportedProtocolVersion]) -> Self {
        let ca = Ca::new("ca");
        let files = Files::with(&ca.issue(&["a.example"]));
        let mut roots = RootCertStore::empty();
        roots.add(ca.0.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            certificates: files.open(),
            client: Arc::new(client),
            _files: files,
        }
    }

    async fn pair(&self) -> (Client, TlsStream<DuplexStream>) {
        let (client, served) =
            connect(&self.certificates, OPEN, self.client.clone(), "a.example").await;
        (client, served.stream)
    }
}

const BOTH: &[&rustls::SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];

/// Not all alike, so that nothing changes places unseen.
fn noise(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 % 251) as u8).collect()
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) {
    stream.write_all(bytes).await.unwrap();
    stream.flush().await.unwrap();
}

async fn expect<S: AsyncRead + Unpin>(stream: &mut S, bytes: &[u8]) {
    let mut read = vec![0; bytes.len()];
    stream.read_exact(&mut read).await.unwrap();
    assert!(read == bytes, "{} bytes are others", bytes.len());
}

/// Megabytes both ways at once, through a stream that takes a few bytes at a time: records in pieces, records that the
/// network does not take, more plaintext than is asked for.
#[tokio::test]
async fn both_directions_at_once_in_any_pieces() {
    for version in [&version::TLS13, &version::TLS12] {
        let ends = Ends::new(&[version]);
        for capacity in [1, 100, 50_000] {
            let (near, far) = tokio::io::duplex(capacity);
            let name = ServerName::try_from("a.example").unwrap();
            let connector = TlsConnector::from(ends.client.clone());
            let bytes = noise(if capacity == 1 { 70_000 } else { 1_000_000 });
            let client = async {
                let client = connector.connect(name, near).await.unwrap();
                assert_eq!(client.get_ref().1.protocol_version(), Some(version.version));
                both_ways(client, &bytes, bytes.len()).await;
            };
            let served = async {
                let served = ends.certificates.accept(far, Vec::new(), OPEN).await;
                both_ways(served.unwrap().stream, &bytes, 777).await;
            };
            tokio::join!(client, served);
        }
    }
}

/// Sends these bytes, and expects the same in parts.
async fn both_ways<S: AsyncRead + AsyncWrite>(stream: S, bytes: &[u8], part: usize) {
    let (mut reads, mut writes) = tokio::io::split(stream);
    let reading = async {
        for part in bytes.chunks(part) {
            expect(&mut reads, part).await;
        }
    };
    tokio::join!(send(&mut writes, bytes), reading);
}

/// While nothing is under way, nothing is held: neither after the handshake nor after a busy time.
#[tokio::test]
async fn an_idle_stream_holds_no_buffer() {
    let (mut client, mut served) = Ends::new(BOTH).pair().await;
    assert_eq!(served.held(), 0);
    for length in [1, 5000, 60_000] {
        let bytes = noise(length);
        tokio::join!(send(&mut client, &bytes), expect(&mut served, &bytes));
        tokio::join!(send(&mut served, &bytes), expect(&mut client, &bytes));
        assert_eq!(served.held(), 0, "{length}");
    }
}

/// RFC 8446, 4.6.3: either side may take new keys at any time, and the other answers with its own.
#[tokio::test]
async fn new_keys_are_taken_and_answered() {
    let (mut client, mut served) = Ends::new(&[&version::TLS13]).pair().await;
    for round in 0..3 {
        client.get_mut().1.refresh_traffic_keys().unwrap();
        send(&mut client, b"by new keys").await;
        expect(&mut served, b"by new keys").await;
        let answer = noise(20_000 + round);
        tokio::join!(send(&mut served, &answer), expect(&mut client, &answer));
    }
}

/// A side that has ended still hears the other (RFC 8446, 6.1).
#[tokio::test]
async fn each_side_ends_by_itself() {
    for version in [&version::TLS13, &version::TLS12] {
        let (mut client, mut served) = Ends::new(&[version]).pair().await;
        send(&mut client, b"last words").await;
        client.shutdown().await.unwrap();
        let mut heard = Vec::new();
        served.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"last words");
        assert_eq!(served.read(&mut [0; 9]).await.unwrap(), 0, "and again");
        if version.version == ProtocolVersion::TLSv1_3 {
            send(&mut served, b"an answer").await;
            expect(&mut client, b"an answer").await;
        }
        served.shutdown().await.unwrap();
        assert_eq!(client.read(&mut [0; 9]).await.unwrap(), 0, "close_notify");
    }
}

/// Whoever cuts the stream could be anybody: that is no end in order.
#[tokio::test]
async fn a_stream_that_is_cut_is_an_error() {
    let (client, mut served) = Ends::new(BOTH).pair().await;
    drop(client.into_inner());
    let error = served.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

/// The alert says what was wrong; nothing goes in or out afterwards, and what came before it was read.
#[tokio::test]
async fn a_record_that_is_wrong_ends_the_stream() {
    let (mut client, mut served) = Ends::new(BOTH).pair().await;
    send(&mut client, b"right").await;
    let (io, tls) = client.get_mut();
    io.write_all(&[23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
        .await
        .unwrap();
    io.write_all(&[1; 10]).await.unwrap();
    assert!(!tls.wants_write());
    expect(&mut served, b"right").await;
    assert!(served.read_u8().await.is_err());
    assert!(served.read_u8().await.is_err());
    assert!(served.write_all(b"more").await.is_err());
    served.shutdown().await.unwrap();
    let alert = client.read_u8().await.unwrap_err().to_string();
    assert!(alert.contains("BadRecordMac"), "{alert}");
}

/// A handshake message of a client that goes over several records, as long as it may be.
#[tokio::test]
async fn a_long_certificate_chain_is_read() {
    let ca = Ca::new("ca");
    let mut files = Files::with(&ca.issue(&["a.example"]));
    files.config.client_ca = Some(files.write("clients.pem", ca.0.pem()));
    let certificates = files.open();
    let required = HandshakePolicy {
        client_certificates: ClientCertificates::Required,
        ..OPEN
    };
    let pair = ca.client("device", 1);
    let mut roots = RootCertStore::empty();
    roots.add(ca.0.der().clone()).unwrap();
    let leaf = CertificateDer::from_pem_slice(pair.chain.as_bytes()).unwrap();
    // Nobody asks what else is in it: a chain of 60 KiB.
    let mut chain = vec![leaf];
    while chain.iter().map(|it| it.len()).sum::<usize>() < 60_000 {
        chain.push(ca.0.der().clone());
    }
    let client = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(
            chain,
            PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap(),
        )
        .unwrap();
    let (mut client, mut served) = connect(&certificates, required, client, "a.example").await;
    assert!(served.client_certificate.is_some());
    send(&mut client, b"in").await;
    expect(&mut served.stream, b"in").await;
    assert_eq!(served.stream.held(), 0);
}

/// Counts writes.
struct Counted<S>(S, Arc<AtomicU64>);

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// A ticket waits for the answer to a request that came with the client's Finished, and for nothing else.
#[tokio::test]
async fn a_ticket_leaves_with_the_first_answer() {
    let ends = Ends::new(&[&version::TLS13]);
    for speaks_at_once in [true, false] {
        let (near, far) = tokio::io::duplex(1 << 16);
        let writes = Arc::new(AtomicU64::new(0));
        let name = ServerName::try_from("a.example").unwrap();
        let connector = TlsConnector::from(ends.client.clone());
        let connecting = connector.connect_with(name, near, |tls| {
            if speaks_at_once {
                // It leaves with Finished.
                std::io::Write::write_all(&mut tls.writer(), b"request").unwrap();
            }
        });
        let far = Counted(far, writes.clone());
        let accepting = ends.certificates.accept(far, Vec::new(), OPEN);
        let (client, served) = tokio::join!(connecting, accepting);
        let (mut client, mut served) = (client.unwrap(), served.unwrap().stream);
        let count = || writes.load(std::sync::atomic::Ordering::Relaxed);
        let before = count();
        if !speaks_at_once {
            send(&mut client, b"request").await;
        }
        expect(&mut served, b"request").await;
        send(&mut served, b"answer").await;
        expect(&mut client, b"answer").await;
        assert_eq!(
            (before, count()),
            if speaks_at_once { (1, 2) } else { (2, 3) }
        );
    }
}
