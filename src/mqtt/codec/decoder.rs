//! From pieces of a stream to whole packets.

use bytes::{Buf, Bytes, BytesMut};

use super::{
    aliases::IncomingAliases,
    decode::{self, Context},
    error::DecodeError,
    reader::{Variable, variable},
};
use crate::mqtt::packet::{Packet, ProtocolVersion};

/// What a decoder lets through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// The largest packet, in bytes, fixed header included.
    pub max_packet_size: u32,
    /// The highest topic alias.
    pub topic_alias_maximum: u16,
    /// Levels of a topic name or filter.
    pub max_topic_levels: usize,
}

/// Who sends what is decoded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Sender {
    Client,
    Server,
}

/// One direction of one connection. While no packet has begun it holds no buffer.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    sender: Sender,
    /// Known from CONNECT on.
    version: Option<ProtocolVersion>,
    /// The client is a bridge of MQTT 3, which cannot ask for No Local and Retain As Published and means them.
    is_bridge: bool,
    aliases: IncomingAliases,
    /// What came last and was not looked at.
    input: Bytes,
    /// A packet that has begun in an earlier piece.
    begun: BytesMut,
}

/// How far a packet has come.
enum Progress {
    /// It ends after so many bytes, with its body after so many.
    Ends { header: usize, end: usize },
    /// Not even its length is known.
    HeaderIncomplete,
}

impl Decoder {
    /// What a client sends: CONNECT first, and nothing that only servers send.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self::of(Sender::Client, None, limits)
    }

    /// What a server sends to a client that speaks this version.
    #[must_use]
    pub fn for_client(version: ProtocolVersion, limits: Limits) -> Self {
        Self::of(Sender::Server, Some(version), limits)
    }

    fn of(sender: Sender, version: Option<ProtocolVersion>, limits: Limits) -> Self {
        Self {
            limits,
            sender,
            version,
            is_bridge: false,
            aliases: IncomingAliases::default(),
            input: Bytes::new(),
            begun: BytesMut::new(),
        }
    }

    /// The version that is spoken, known from CONNECT on.
    #[must_use]
    pub const fn version(&self) -> Option<ProtocolVersion> {
        self.version
    }

    /// More bytes have come. [`next`](Self::next) is to be called until it has no more packets.
    pub fn push(&mut self, bytes: Bytes) {
        if self.input.is_empty() {
            self.input = bytes;
        } else {
            let mut joined = BytesMut::with_capacity(self.input.len() + bytes.len());
            joined.extend_from_slice(&self.input);
            joined.extend_from_slice(&bytes);
            self.input = joined.freeze();
        }
    }

    /// The next whole packet of what was pushed, `None` where more bytes are needed.
    ///
    /// # Errors
    /// What is wrong, as soon as it can be seen; nothing after it can be read.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would end at the first None, this goes on"
    )]
    pub fn next(&mut self) -> Result<Option<Packet>, DecodeError> {
        if self.begun.is_empty()
            && let Progress::Ends { header, end } = self.progress(&self.input)?
            && end <= self.input.len()
        {
            // Out of here for as long as the packet is looked at. Splitting it off would count references up and down: 11 of
            // the 60 ns of a PUBACK, measured.
            let mut input = std::mem::take(&mut self.input);
            let packet = self.decode(&input[..end], header);
            input.advance(end);
            if !input.is_empty() {
                self.input = input;
            }
            return packet.map(Some);
        }
        self.collect()
    }

    /// Moves what belongs to one packet out of the network's buffer, until it is whole.
    fn collect(&mut self) -> Result<Option<Packet>, DecodeError> {
        while !self.input.is_empty() {
            let missing = match self.progress(&self.begun)? {
                Progress::HeaderIncomplete => 1,
                Progress::Ends { end, .. } => end - self.begun.len(),
            };
            let taken = missing.min(self.input.len());
            self.begun.extend_from_slice(&self.input[..taken]);
            self.input.advance(taken);
            if let Progress::Ends { header, end } = self.progress(&self.begun)?
                && end == self.begun.len()
            {
                let packet = std::mem::take(&mut self.begun);
                return self.decode(&packet, header).map(Some);
            }
        }
        self.input = Bytes::new();
        Ok(None)
    }

    /// Looks at a fixed header: what cannot become a packet is refused before its body has come.
    fn progress(&self, bytes: &[u8]) -> Result<Progress, DecodeError> {
        let Some((first, rest)) = bytes.split_first() else {
            return Ok(Progress::HeaderIncomplete);
        };
        decode::check_first_byte(*first, self.sender, self.version)?;
        match variable(rest) {
            Variable::Begun => Ok(Progress::HeaderIncomplete),
            Variable::TooLong => Err(DecodeError::malformed(
                "the remaining length of a packet has more than four bytes",
            )),
            // Only MQTT 5 asks for the shortest form [MQTT-1.5.5-1].
            Variable::Whole {
                is_shortest: false, ..
            } if self.version == Some(ProtocolVersion::V5) => Err(DecodeError::malformed(
                "the remaining length of a packet is not in its shortest form",
            )),
            Variable::Whole { value, length, .. } => {
                let header = 1 + length;
                let end = header + value as usize;
                decode::check_size(end, self.limits.max_packet_size)?;
                Ok(Progress::Ends { header, end })
            }
        }
    }

    fn decode(&mut self, packet: &[u8], header: usize) -> Result<Packet, DecodeError> {
        let (header, body) = packet.split_at(header);
        let Some(version) = self.version else {
            let is_shortest = matches!(
                variable(&header[1..]),
                Variable::Whole {
                    is_shortest: true,
                    ..
                }
            );
            let levels = self.limits.max_topic_levels;
            let (connect, is_bridge) = decode::connect(body, is_shortest, levels)?;
            self.version = Some(connect.version);
            self.is_bridge = is_bridge;
            return Ok(Packet::Connect(Box::new(connect)));
        };
        let context = Context {
            version,
            is_bridge: self.is_bridge,
            sender: self.sender,
            limits: self.limits,
            aliases: &mut self.aliases,
        };
        decode::packet(header[0], body, context)
    }
}
