//! HTTP/1.1 by hand: requests as they are written, answers as they come.

use super::{Stream, within};

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        let named = |(header, _): &&(String, String)| header.eq_ignore_ascii_case(name);
        let header = self.headers.iter().find(named);
        header.map_or("", |(_, value)| value)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// Asks for a path and keeps the connection.
pub async fn get(stream: &mut Stream, path: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    ask(stream, &request).await
}

/// Writes a request and reads its answer.
pub async fn ask(stream: &mut Stream, request: &str) -> Answer {
    // A refusal may come, and the stream end, before all of it is written.
    let _ = within(stream.write(request.as_bytes())).await;
    let has_body = !request.starts_with("HEAD ");
    answer(stream, has_body).await.expect("an answer")
}

/// Reads an answer; `None` where the stream ends without one.
pub async fn answer(stream: &mut Stream, has_body: bool) -> Option<Answer> {
    let mut bytes = Vec::new();
    loop {
        let more = within(stream.read()).await;
        let has_ended = more.is_empty();
        bytes.extend(more);
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Response::new(&mut headers);
        if let httparse::Status::Complete(at) = head.parse(&bytes).expect("an HTTP answer") {
            let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
            let header = |header: &httparse::Header<'_>| (header.name.into(), text(header.value));
            let mut answer = Answer {
                status: head.code.expect("parsed"),
                headers: head.headers.iter().map(header).collect(),
                body: Vec::new(),
            };
            let length = answer.header("content-length").parse().unwrap_or(0);
            let length = if has_body && answer.status != 304 {
                length
            } else {
                0
            };
            if bytes.len() - at >= length {
                answer.body = bytes.split_off(at);
                return Some(answer);
            }
        }
        if has_ended {
            assert!(bytes.is_empty(), "half an answer: {}", bytes.escape_ascii());
            return None;
        }
    }
}
