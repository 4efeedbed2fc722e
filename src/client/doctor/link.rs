//! MQTT packets over whatever carries them, in the client's part.

use std::{collections::VecDeque, io};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Error, Message, protocol::Role},
};

use super::{request::Upgraded, way::Io};
use crate::mqtt::{
    codec::{Decoder, Encoder, Frames, Limits},
    packet::{Packet, ProtocolVersion},
};

/// What the doctor takes: it subscribes to one topic of its own.
const LIMITS: Limits = Limits {
    max_packet_size: 256 * 1024,
    topic_alias_maximum: 0,
    max_topic_levels: 128,
};

/// A connection of MQTT.
pub(super) struct Link {
    carrier: Carrier,
    encoder: Encoder,
    decoder: Decoder,
    /// PINGs of WebSocket that have come.
    pub(super) pings: u32,
    /// How the other end has closed its WebSocket: code and reason.
    pub(super) close: Option<(u16, String)>,
}

enum Carrier {
    Stream(Box<dyn Io>),
    WebSocket(Box<WebSocketStream<Box<dyn Io>>>),
}

impl Link {
    pub(super) fn over_stream(stream: Box<dyn Io>, version: ProtocolVersion) -> Self {
        Self::new(Carrier::Stream(stream), version)
    }

    pub(super) async fn over_websocket(upgraded: Upgraded, version: ProtocolVersion) -> Self {
        let Upgraded { stream, rest, .. } = upgraded;
        let websocket =
            WebSocketStream::from_partially_read(stream, rest, Role::Client, None).await;
        Self::new(Carrier::WebSocket(Box::new(websocket)), version)
    }

    fn new(carrier: Carrier, version: ProtocolVersion) -> Self {
        Self {
            carrier,
            encoder: Encoder::for_client(version),
            decoder: Decoder::for_client(version, LIMITS),
            pings: 0,
            close: None,
        }
    }

    pub(super) async fn send(&mut self, packet: &Packet) -> io::Result<()> {
        let mut frames = Frames::default();
        self.encoder
            .encode(packet, &mut frames)
            .map_err(|error| io::Error::other(format!("{error:?}")))?;
        let frames: &VecDeque<Bytes> = frames.finish();
        let bytes: Vec<u8> = frames.iter().flatten().copied().collect();
        match &mut self.carrier {
            Carrier::Stream(stream) => {
                stream.write_all(&bytes).await?;
                stream.flush().await
            }
            Carrier::WebSocket(websocket) => {
                let sent = websocket.send(Message::binary(bytes)).await;
                sent.map_err(into_io)
            }
        }
    }

    /// The next packet; an error of kind `UnexpectedEof` at the end of the stream. Cancel-safe.
    pub(super) async fn receive(&mut self) -> io::Result<Packet> {
        loop {
            let decoded = self.decoder.next();
            let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
            if let Some(packet) = decoded.map_err(invalid)? {
                return Ok(packet);
            }
            let bytes = self.read().await?;
            self.decoder.push(bytes);
        }
    }

    async fn read(&mut self) -> io::Result<Bytes> {
        match &mut self.carrier {
            Carrier::Stream(stream) => {
                let mut buffer = [0; 4096];
                match stream.read(&mut buffer).await? {
                    0 => Err(io::ErrorKind::UnexpectedEof.into()),
                    count => Ok(Bytes::copy_from_slice(&buffer[..count])),
                }
            }
            Carrier::WebSocket(websocket) => loop {
                match websocket.next().await {
                    None => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Some(Err(error)) => return Err(into_io(error)),
                    Some(Ok(Message::Binary(bytes))) => return Ok(bytes),
                    // Answered by the library.
                    Some(Ok(Message::Ping(_))) => self.pings += 1,
                    Some(Ok(Message::Close(frame))) => {
                        self.close =
                            frame.map(|frame| (frame.code.into(), frame.reason.to_string()));
                    }
                    Some(Ok(Message::Text(_) | Message::Pong(_) | Message::Frame(_))) => {}
                }
            },
        }
    }

    pub(super) const fn is_websocket(&self) -> bool {
        matches!(self.carrier, Carrier::WebSocket(_))
    }
}

fn into_io(error: Error) -> io::Error {
    // A stream that ends without a Close frame is a protocol error to the library.
    let is_end = matches!(
        error,
        Error::ConnectionClosed | Error::AlreadyClosed | Error::Protocol(_)
    );
    if let Error::Io(error) = error {
        error
    } else if is_end {
        io::ErrorKind::UnexpectedEof.into()
    } else {
        io::Error::other(error)
    }
}
