//! A report as lines for people, latencies in milliseconds.

use std::fmt;

use super::{Connections, Failure, Latency, Messages, Report, Round, Server};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            scenario,
            url,
            mqtt_version,
            clients,
            seconds,
            ..
        } = self;
        writeln!(
            f,
            "{scenario} at {url}, MQTT {mqtt_version}: {clients} clients, {seconds:.1} s"
        )?;
        write!(f, "{}", self.connections)?;
        for (number, round) in self.rounds.iter().enumerate() {
            let Round {
                seconds,
                connected,
                failed,
                resumed,
            } = round;
            let number = number + 1;
            writeln!(
                f,
                "round {number}       {connected} back in {seconds:.2} s, {resumed} resumed, {failed} failed"
            )?;
        }
        if let Some(messages) = &self.messages {
            write!(f, "{messages}")?;
        }
        latency(f, "to delivery", self.delivery_latency_us)?;
        latency(f, "to ack", self.acknowledgement_latency_us)?;
        if let Some(server) = &self.server {
            write!(f, "{server}")?;
        }
        write!(f, "generator     {:.2} cores", self.generator.cores)
    }
}

impl fmt::Display for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            opened,
            failed,
            lost,
            opened_per_second,
            ..
        } = self;
        writeln!(
            f,
            "connections   {opened} opened ({opened_per_second:.0}/s), {failed} failed, {lost} lost"
        )?;
        for Failure { reason, count, .. } in &self.failures {
            writeln!(f, "              {count} × {reason}")?;
        }
        latency(f, "handshake", self.handshake_latency_us)
    }
}

impl fmt::Display for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            sent,
            acknowledged,
            refused,
            delivered,
            ..
        } = self;
        write!(
            f,
            "messages      {sent} sent ({:.0}/s), {acknowledged} acknowledged, ",
            self.sent_per_second
        )?;
        writeln!(
            f,
            "{delivered} delivered ({:.0}/s)",
            self.delivered_per_second
        )?;
        let Self {
            duplicates,
            out_of_order,
            stalls,
            ..
        } = self;
        let dropped = self
            .dropped
            .map_or("-".to_owned(), |dropped| dropped.to_string());
        writeln!(
            f,
            "              {dropped} dropped, {duplicates} duplicates, {out_of_order} out of order, {refused} refused, {stalls} stalls"
        )
    }
}

fn latency(f: &mut fmt::Formatter<'_>, name: &str, latency: Option<Latency>) -> fmt::Result {
    let Some(Latency {
        p50,
        p90,
        p99,
        p99_9,
        max,
        ..
    }) = latency
    else {
        return Ok(());
    };
    let milliseconds = |micros: f64| micros / 1000.0;
    let [p50, p90, p99, p99_9, max] = [p50, p90, p99, p99_9, max].map(milliseconds);
    writeln!(
        f,
        "{name:<13} p50 {p50:.3}  p90 {p90:.3}  p99 {p99:.3}  p99.9 {p99_9:.3}  max {max:.3} ms"
    )
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "server        {:.2} cores", self.cores)?;
        if let Some(cpu) = self.cpu_us_per_message {
            write!(f, ", {cpu:.2} µs per message")?;
        }
        if let Some(cpu) = self.cpu_us_per_connection {
            write!(f, ", {cpu:.0} µs per connection")?;
        }
        write!(f, ", {} KiB", self.rss_bytes / 1024)?;
        if let Some(bytes) = self.rss_bytes_per_connection {
            write!(f, ", {bytes:.0} bytes per connection")?;
        }
        writeln!(f)
    }
}
