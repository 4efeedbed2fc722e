//! What is published: from the command line, a file, or standard input whole or line by line.

use std::{
    fs::File,
    io::{self, BufRead as _, Read},
    path::PathBuf,
    thread,
};

use bytes::Bytes;
use clap::Args;
use tokio::sync::mpsc::{Receiver, channel};

/// The largest payload: a packet has 268,435,455 bytes behind its header, and a topic of one letter takes three.
const MAX_PAYLOAD: usize = 268_435_452;

/// Lines that are read ahead.
const LINES_AHEAD: usize = 64;

#[derive(Args, Debug)]
#[command(next_help_heading = "Message")]
pub(crate) struct PayloadArguments {
    /// The payload
    #[arg(short = 'm', long, value_name = "TEXT", allow_hyphen_values = true)]
    message: Option<String>,
    /// A file with the payload
    #[arg(short = 'f', long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// All of standard input is the payload
    #[arg(short = 's', long)]
    stdin_file: bool,
    /// No payload: with -r it deletes what is retained
    #[arg(short = 'n', long)]
    null_message: bool,
}

impl PayloadArguments {
    /// How many payloads are asked for.
    pub(crate) fn count(&self) -> usize {
        let asked = [
            self.message.is_some(),
            self.file.is_some(),
            self.stdin_file,
            self.null_message,
        ];
        asked.into_iter().filter(|is_asked| *is_asked).count()
    }

    /// The payload, of exactly one that is asked for.
    pub(crate) fn read(&self) -> Result<Bytes, String> {
        if let Some(path) = &self.file {
            let named = |error: String| format!("-f {}: {error}", path.display());
            let file = File::open(path).map_err(|error| named(error.to_string()))?;
            return read(file).map_err(named);
        }
        if self.stdin_file {
            return read(io::stdin()).map_err(|error| format!("-s: {error}"));
        }
        let text = self.message.clone().unwrap_or_default();
        if text.len() > MAX_PAYLOAD {
            return Err(too_large());
        }
        Ok(text.into())
    }
}

fn read(source: impl Read) -> Result<Bytes, String> {
    let mut bytes = Vec::new();
    let mut limited = source.take(MAX_PAYLOAD as u64 + 1);
    limited
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() > MAX_PAYLOAD {
        return Err(too_large());
    }
    Ok(bytes.into())
}

fn too_large() -> String {
    format!("it has more than the {MAX_PAYLOAD} bytes that MQTT carries at once; send less")
}

/// The lines of standard input, without their ends. They come from a thread of their own, which nobody waits for.
pub(crate) fn lines() -> Receiver<Result<Bytes, String>> {
    let (sender, receiver) = channel(LINES_AHEAD);
    thread::spawn(move || {
        let mut stdin = io::stdin().lock();
        loop {
            let mut line = Vec::new();
            let mut limited = (&mut stdin).take(MAX_PAYLOAD as u64 + 1);
            let read = limited.read_until(b'\n', &mut line);
            let line = match read {
                Ok(0) => return,
                Ok(_) if line.len() > MAX_PAYLOAD => Err(too_large()),
                Ok(_) => {
                    line.pop_if(|last| *last == b'\n');
                    Ok(Bytes::from(line))
                }
                Err(error) => Err(error.to_string()),
            };
            let is_last = line.is_err();
            if sender.blocking_send(line).is_err() || is_last {
                return;
            }
        }
    });
    receiver
}
