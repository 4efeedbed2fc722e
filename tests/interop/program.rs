//! A client of another project as a child process: each wait has a deadline, and what it wrote is shown where it fails.

#![allow(dead_code, reason = "each program uses the part of it that it needs")]

use std::{
    io,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, Command},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::timeout,
};

/// For a line, and for the end of a program. The longest takes seconds; the machine that runs the tests may be busy.
const PATIENCE: Duration = Duration::from_secs(180);

/// A program that runs. Killed when dropped.
pub(crate) struct Program {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: UnboundedReceiver<String>,
    transcript: Transcript,
}

/// All that a program has written, in the order it came.
#[derive(Clone, Default)]
struct Transcript(Arc<Mutex<String>>);

impl Program {
    /// Starts it. Where it is not installed the test fails and says what installs it.
    pub(crate) fn start(mut command: Command) -> Self {
        let name = format!("{:?}", command.as_std());
        let spawned = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                panic!("{name} is not there; `tests/run install` installs it")
            }
            Err(error) => panic!("{name}: {error}"),
        };
        let (lines, receiver) = unbounded_channel();
        let transcript = Transcript::default();
        let stdout = child.stdout.take().expect("a pipe, as asked for");
        let stderr = child.stderr.take().expect("a pipe, as asked for");
        tokio::spawn(follow(stdout, transcript.clone(), lines.clone(), true));
        // It holds a sender too: the lines end when both streams have, and the transcript is whole then.
        tokio::spawn(follow(stderr, transcript.clone(), lines, false));
        Self {
            name,
            stdin: child.stdin.take(),
            child,
            lines: receiver,
            transcript,
        }
    }

    /// The next line of its standard output.
    pub(crate) async fn line(&mut self) -> String {
        match timeout(PATIENCE, self.lines.recv()).await {
            Ok(Some(line)) => line,
            Ok(None) => self.fail("ended where a line was expected"),
            Err(_) => self.fail("wrote no line in time"),
        }
    }

    /// Reads lines up to this one.
    pub(crate) async fn until(&mut self, line: &str) {
        while self.line().await != line {}
    }

    /// Writes a line to its standard input.
    pub(crate) async fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("not closed yet");
        if stdin
            .write_all(format!("{line}\n").as_bytes())
            .await
            .is_err()
        {
            self.fail("does not read its standard input");
        }
    }

    /// Closes its standard input, waits for its end, and returns its exit code and the rest of its standard output.
    pub(crate) async fn end(&mut self) -> (Option<i32>, Vec<String>) {
        self.stdin = None;
        let Ok(status) = timeout(PATIENCE, self.child.wait()).await else {
            self.fail("does not end")
        };
        let mut rest = Vec::new();
        while let Some(line) = self.lines.recv().await {
            rest.push(line);
        }
        (status.expect("a child of ours").code(), rest)
    }

    /// Waits for its end, which must be a good one, and returns the rest of its standard output.
    pub(crate) async fn succeeds(mut self) -> Vec<String> {
        let (code, rest) = self.end().await;
        if code != Some(0) {
            self.fail(&format!("ended with {code:?}"));
        }
        rest
    }

    /// Ends it without a chance to say anything.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("a child of ours");
    }

    fn fail(&self, how: &str) -> ! {
        let written = self
            .transcript
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        panic!("{} {how}; it wrote\n{written}", self.name)
    }
}

impl Transcript {
    fn add(&self, line: &str) {
        let mut text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        text.push_str(line);
        text.push('\n');
    }
}

/// Reads a stream to its end, line by line.
async fn follow(
    stream: impl AsyncRead + Unpin,
    transcript: Transcript,
    lines: UnboundedSender<String>,
    pass_on: bool,
) {
    let mut stream = BufReader::new(stream);
    let mut bytes = Vec::new();
    while stream
        .read_until(b'\n', &mut bytes)
        .await
        .is_ok_and(|read| read > 0)
    {
        let line = String::from_utf8_lossy(&bytes)
            .trim_end_matches('\n')
            .to_owned();
        transcript.add(&line);
        if pass_on {
            let _ = lines.send(line);
        }
        bytes.clear();
    }
}
