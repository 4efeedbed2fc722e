//! How a running broker is, as `gatemq status` prints it: for programs by serde, for people by `Display`.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// How a running broker is.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Status {
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Since it began.
    pub uptime_seconds: u64,
    /// It takes clients.
    pub ready: bool,
    /// Why it does not.
    pub not_ready: Option<String>,
    /// Where it listens.
    pub listeners: Vec<ListenerStatus>,
    /// Clients connected.
    pub connections: u64,
    /// Sessions, connected or not.
    pub sessions: u64,
    /// Subscriptions.
    pub subscriptions: u64,
    /// Retained messages.
    pub retained: u64,
    /// Messages that wait in queues, in storage or not.
    #[serde(default)]
    pub queued: u64,
    /// The longest queues of sessions that wait for their client, the longest first.
    #[serde(default)]
    pub longest_queues: Vec<QueueStatus>,
    /// The certificates in use.
    pub certificates: Vec<CertificateStatus>,
    /// `ok`, or why the last reload failed.
    pub last_reload: String,
}

/// Where a broker listens.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ListenerStatus {
    /// The address, with the port that was taken.
    pub bind: String,
    /// TLS comes first.
    pub tls: bool,
    /// `mqtt`, `websocket`, `http`.
    pub protocols: Vec<String>,
}

/// The queue of a session that waits for its client.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct QueueStatus {
    /// Whose session.
    pub client_id: String,
    /// Messages that wait.
    pub messages: u64,
}

/// A certificate in use.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct CertificateStatus {
    /// The host names and addresses it covers.
    pub names: Vec<String>,
    /// The end of its validity, as RFC 3339 writes it.
    pub not_after: String,
    /// Whole days until then; negative once it has passed.
    pub days_left: i64,
}

impl CertificateStatus {
    /// Of a certificate that is valid until `not_after`; both times in seconds since 1970.
    #[must_use]
    pub fn new(names: Vec<String>, not_after: i64, now: i64) -> Self {
        /// Seconds of a day.
        const DAY: i64 = 86_400;
        let written = OffsetDateTime::from_unix_timestamp(not_after)
            .ok()
            .and_then(|at| at.format(&Rfc3339).ok());
        Self {
            names,
            // A year beyond 9999, which RFC 5280 uses for "never", cannot be written.
            not_after: written.unwrap_or_else(|| "never".to_owned()),
            days_left: not_after.saturating_sub(now).div_euclid(DAY),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uptime = super::super::status::in_words(Duration::from_secs(self.uptime_seconds));
        let ready = match (&self.not_ready, self.ready) {
            (_, true) => "yes".to_owned(),
            (None, false) => "no".to_owned(),
            (Some(reason), false) => format!("no: {reason}"),
        };
        writeln!(f, "gatemq {} is running", self.version)?;
        writeln!(f)?;
        writeln!(f, "process        {}", self.pid)?;
        writeln!(f, "uptime         {uptime}")?;
        writeln!(f, "ready          {ready}")?;
        writeln!(f, "last reload    {}", self.last_reload)?;
        writeln!(f, "connections    {}", self.connections)?;
        writeln!(f, "sessions       {}", self.sessions)?;
        writeln!(f, "subscriptions  {}", self.subscriptions)?;
        writeln!(f, "retained       {}", self.retained)?;
        writeln!(f, "queued         {}", self.queued)?;
        for queue in &self.longest_queues {
            // A client chooses its identifier: what it has in it is not to move anybody's cursor.
            let client_id = queue.client_id.escape_debug();
            writeln!(f, "queue          {} for {client_id}", queue.messages)?;
        }
        for listener in &self.listeners {
            let tls = if listener.tls { "tls, then " } else { "" };
            let protocols = listener.protocols.join(", ");
            writeln!(f, "listener       {} ({tls}{protocols})", listener.bind)?;
        }
        for certificate in &self.certificates {
            writeln!(
                f,
                "certificate    {} (until {}, {} days left)",
                certificate.names.join(", "),
                certificate.not_after,
                certificate.days_left,
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_left_are_whole_days() {
        let check = |not_after, now, expected| {
            let certificate = CertificateStatus::new(Vec::new(), not_after, now);
            assert_eq!(certificate.days_left, expected);
        };
        check(86_400, 0, 1);
        check(86_399, 0, 0);
        check(0, 1, -1);
        check(i64::MAX, -10, i64::MAX / 86_400);
    }

    #[test]
    fn the_end_of_validity_is_a_date() {
        let until = |at| CertificateStatus::new(Vec::new(), at, 0).not_after;
        assert_eq!(until(1_767_225_600), "2026-01-01T00:00:00Z");
        assert_eq!(until(i64::MAX), "never");
    }

    #[test]
    fn people_read_a_line_for_each_fact() {
        let status = Status {
            version: "1.2.3".into(),
            uptime_seconds: 61,
            not_ready: Some("draining".into()),
            listeners: vec![ListenerStatus {
                bind: "[::]:443".into(),
                tls: true,
                protocols: vec!["mqtt".into(), "http".into()],
            }],
            certificates: vec![CertificateStatus::new(vec!["a.example".into()], 0, 0)],
            queued: 12,
            longest_queues: vec![QueueStatus {
                client_id: "away\u{1b}[2J".into(),
                messages: 7,
            }],
            last_reload: "ok".into(),
            ..Status::default()
        };
        let text = status.to_string();
        for line in [
            "gatemq 1.2.3 is running",
            "uptime         1 min 1 s",
            "ready          no: draining",
            "queued         12",
            "queue          7 for away\\u{1b}[2J",
            "listener       [::]:443 (tls, then mqtt, http)",
            "certificate    a.example (until 1970-01-01T00:00:00Z, 0 days left)",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }
}
