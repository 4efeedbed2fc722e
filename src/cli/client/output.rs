//! Messages on standard output.

use std::io::{self, BufWriter, StdoutLock, Write as _};

use clap::Args;

use super::{format::Format, json, received::Received};

#[derive(Args, Debug)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArguments {
    /// Print the topic before each payload
    #[arg(short = 'v', long)]
    verbose: bool,
    /// Print each message by this format: %t topic, %p payload, %q QoS, %j JSON, and the others of mosquitto_sub(1)
    #[arg(short = 'F', long, value_name = "FORMAT", value_parser = Format::parse)]
    format: Option<Format>,
    /// Print each message as JSON, one object a line; payload_base64 instead of payload where it is no text
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Indent JSON for people
    #[arg(long)]
    pretty: bool,
    /// Print no end of line
    #[arg(short = 'N')]
    no_newline: bool,
}

/// Where messages go.
pub(crate) struct Output<'a> {
    arguments: &'a OutputArguments,
    out: BufWriter<StdoutLock<'static>>,
    line: Vec<u8>,
}

impl OutputArguments {
    pub(crate) fn open(&self) -> Output<'_> {
        Output {
            arguments: self,
            out: BufWriter::new(io::stdout().lock()),
            line: Vec::new(),
        }
    }
}

impl Output<'_> {
    /// Prints a message. What cannot be printed as it was asked for is returned in words; an error means that nobody
    /// reads any more.
    pub(crate) fn print(&mut self, received: &Received) -> io::Result<Option<String>> {
        self.line.clear();
        let message = &received.publish.message;
        if let Some(format) = &self.arguments.format {
            if let Err(wrong) = format.write(received, &mut self.line, self.arguments.pretty) {
                return Ok(Some(wrong));
            }
        } else if self.arguments.json {
            self.line
                .extend(json::line(received, self.arguments.pretty).into_bytes());
        } else {
            if self.arguments.verbose {
                self.line.extend(message.topic.as_str().as_bytes());
                self.line.push(b' ');
            }
            if self.arguments.verbose && message.payload.is_empty() {
                // As mosquitto_sub has it, for the scripts that look for it.
                self.line.extend(b"(null)");
            }
            self.line.extend(&message.payload);
        }
        if !self.arguments.no_newline {
            self.line.push(b'\n');
        }
        self.out.write_all(&self.line)?;
        Ok(None)
    }

    /// What was printed is to be seen.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
