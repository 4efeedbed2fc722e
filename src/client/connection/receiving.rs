//! What comes, and what is answered by itself: acknowledgements, and the end.

use std::task::{Context, Poll};

use super::{Client, Event};
use crate::{
    client::{ClientError, session::Response},
    mqtt::packet::Packet,
};

impl Client {
    /// Ready once something has happened.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ClientError>> {
        let had_to_write = !self.frames.is_empty() || self.is_flushing;
        let mut write_error = None;
        if had_to_write {
            match self.poll_flush(cx) {
                Poll::Ready(Ok(())) => self.events.push_back(Event::Flushed),
                // The broker may have said why, and that is still to be read.
                Poll::Ready(Err(error)) => write_error = Some(error),
                Poll::Pending => {}
            }
        }
        match self.link.poll_packets(cx, false) {
            Poll::Ready(received) => {
                self.decoder.push(received?);
                Poll::Ready(self.drain())
            }
            Poll::Pending => match write_error {
                Some(error) => Poll::Ready(Err(ClientError::Io(error))),
                None if self.events.is_empty() => Poll::Pending,
                None => Poll::Ready(Ok(())),
            },
        }
    }

    /// Handles every whole packet that has come.
    pub(super) fn drain(&mut self) -> Result<(), ClientError> {
        while let Some(packet) = self.decoder.next().map_err(ClientError::Decode)? {
            self.handle(packet)?;
        }
        Ok(())
    }

    fn handle(&mut self, packet: Packet) -> Result<(), ClientError> {
        match packet {
            Packet::Publish(publish) => {
                let (is_new, acknowledgement) = self.session.receive(&publish);
                if is_new {
                    self.events.push_back(Event::Message(publish));
                }
                self.send(acknowledgement);
            }
            Packet::PubAck(ack) | Packet::PubComp(ack) => {
                let response = self.session.complete(ack);
                self.respond(response);
            }
            Packet::PubRec(ack) => {
                let response = self.session.recorded(ack);
                self.respond(response);
            }
            Packet::PubRel(ack) => {
                let completion = self.session.release(ack.packet_id);
                self.send(Some(completion));
            }
            Packet::SubAck(ack) => self.events.push_back(Event::Subscribed(ack)),
            Packet::UnsubAck(ack) => self.events.push_back(Event::Unsubscribed(ack)),
            Packet::PingResp => self.pinged = None,
            Packet::Disconnect(disconnect) => {
                return Err(ClientError::Disconnected(Box::new(disconnect)));
            }
            packet @ (Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::PingReq
            | Packet::Auth(_)) => return Err(ClientError::Unexpected(packet.name())),
        }
        Ok(())
    }

    fn respond(&mut self, response: Response) {
        self.events.extend(response.done.map(Event::Published));
        self.send(response.send);
    }

    pub(super) fn send(&mut self, packet: Option<Packet>) {
        if let Some(packet) = packet {
            // Acknowledgements and pings have a few bytes; a broker takes them or breaks the standard.
            let _ = self.encoder.encode(&packet, &mut self.frames);
        }
    }
}
