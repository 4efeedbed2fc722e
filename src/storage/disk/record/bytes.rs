//! Bytes of stored values: numbers little-endian, texts and bytes behind their length.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::{Corrupt, Moment, Options, length, qos};
use crate::message::{ClientId, Message, MessageProperties, TopicFilter, TopicName};

pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn u16(&mut self, value: u16) {
        self.0.extend(value.to_le_bytes());
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.0.extend(value.to_le_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.0.extend(value.to_le_bytes());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.u32(length(bytes.len()));
        self.0.extend(bytes);
    }

    pub(super) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(super) fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.u8(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    /// In milliseconds, so that what is read again is what was written.
    pub(super) fn time(&mut self, at: SystemTime) {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.u64(u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
    }

    pub(super) fn message(&mut self, message: &Message, moment: Moment) {
        self.text(message.topic.as_str());
        self.bytes(&message.payload);
        self.u8(message.qos as u8 | u8::from(message.retain) << 2);
        self.optional(message.origin.as_deref(), Self::text);
        let expires_at = message.expires_at.map(|at| moment.to_wall_clock(at));
        self.optional(expires_at, Self::time);
        self.optional(message.properties.as_deref(), Self::properties);
    }

    pub(super) fn options(&mut self, options: &Options) {
        self.u32(options.bytes);
        self.u8(options.qos as u8 | u8::from(options.retain) << 2);
        self.time(options.queued_at);
        self.optional(options.share.as_ref(), |writer, share| {
            writer.text(share.as_str());
        });
        self.u32(length(options.subscription_identifiers.len()));
        for identifier in &options.subscription_identifiers {
            self.u32(*identifier);
        }
    }

    pub(super) fn properties(&mut self, properties: &MessageProperties) {
        self.optional(properties.payload_is_utf8, |writer, is_utf8| {
            writer.u8(u8::from(is_utf8));
        });
        self.optional(properties.content_type.as_deref(), Self::text);
        let response_topic = properties.response_topic.as_ref();
        self.optional(response_topic.map(TopicName::as_str), Self::text);
        self.optional(properties.correlation_data.as_deref(), Self::bytes);
        self.u32(length(properties.user_properties.len()));
        for (name, value) in &properties.user_properties {
            self.text(name);
            self.text(value);
        }
    }
}

pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    /// Nothing may follow.
    pub(super) const fn end(&self) -> Result<(), Corrupt> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Corrupt("longer than it should be"))
        }
    }

    pub(super) fn options(&mut self) -> Result<Options, Corrupt> {
        let bytes = self.u32()?;
        let bits = self.u8()?;
        Ok(Options {
            bytes,
            qos: qos(bits & 3)?,
            retain: bits & 4 != 0,
            queued_at: self.time()?,
            share: self.optional(Reader::filter)?,
            subscription_identifiers: (0..self.u32()?)
                .map(|_| self.u32())
                .collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Corrupt> {
        let (array, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or(Corrupt("shorter than it should be"))?;
        self.0 = rest;
        Ok(*array)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Corrupt> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, Corrupt> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Corrupt> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Corrupt> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Corrupt> {
        let length = self.u32()? as usize;
        let (bytes, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(Corrupt("shorter than it should be"))?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Corrupt> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Corrupt("a text that is not UTF-8"))
    }

    pub(super) fn topic(&mut self) -> Result<TopicName, Corrupt> {
        TopicName::parse(self.text()?).map_err(|_| Corrupt("a topic that cannot be one"))
    }

    pub(super) fn filter(&mut self) -> Result<TopicFilter, Corrupt> {
        TopicFilter::parse(self.text()?).map_err(|_| Corrupt("a filter that cannot be one"))
    }

    pub(super) fn optional<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Corrupt>,
    ) -> Result<Option<T>, Corrupt> {
        match self.u8()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(Corrupt("neither there nor not there")),
        }
    }

    pub(super) fn time(&mut self) -> Result<SystemTime, Corrupt> {
        UNIX_EPOCH
            .checked_add(Duration::from_millis(self.u64()?))
            .ok_or(Corrupt("a time beyond all times"))
    }

    pub(super) fn message(&mut self, moment: Moment) -> Result<Message, Corrupt> {
        let topic = self.topic()?;
        // A copy: whoever keeps the message keeps only it.
        let payload = Bytes::copy_from_slice(self.bytes()?);
        let bits = self.u8()?;
        Ok(Message {
            topic,
            payload,
            qos: qos(bits & 3)?,
            retain: bits & 4 != 0,
            origin: self.optional(Self::text)?.map(ClientId::from),
            expires_at: self.optional(Self::time)?.map(|at| moment.to_instant(at)),
            properties: self.optional(Self::properties)?.map(Box::new),
        })
    }

    pub(super) fn properties(&mut self) -> Result<MessageProperties, Corrupt> {
        Ok(MessageProperties {
            payload_is_utf8: self.optional(Self::u8)?.map(|it| it != 0),
            content_type: self.optional(Self::text)?.map(Box::from),
            response_topic: self.optional(Self::topic)?,
            correlation_data: self.optional(Self::bytes)?.map(Bytes::copy_from_slice),
            user_properties: (0..self.u32()?)
                .map(|_| Ok((self.text()?.into(), self.text()?.into())))
                .collect::<Result<_, Corrupt>>()?,
        })
    }
}
