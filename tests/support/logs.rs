//! What the brokers of a test program have logged. A broker is told from the others by the address of its listener.

use std::{
    io,
    sync::{Arc, OnceLock},
};

use parking_lot::Mutex;
use tracing_subscriber::fmt::MakeWriter;

/// Lines of the log, from the first call of [`capture`] on.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

static LINES: OnceLock<Lines> = OnceLock::new();

/// Begins to keep what is logged; before the broker starts.
pub fn capture() {
    LINES.get_or_init(|| {
        let lines = Lines::default();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing::Level::INFO)
            .with_writer(lines.clone())
            .finish();
        tracing::subscriber::set_global_default(subscriber).expect("the only one");
        lines
    });
}

/// The lines that have all of these in them.
pub fn lines_with(parts: &[&str]) -> Vec<String> {
    let lines = LINES.get().expect("captured");
    let text = String::from_utf8_lossy(&lines.0.lock()).into_owned();
    let has_all = |line: &&str| parts.iter().all(|part| line.contains(part));
    text.lines().filter(has_all).map(str::to_owned).collect()
}

/// Waits for a line that has all of these in it.
pub async fn wait_for(parts: &[&str]) -> String {
    super::until(&format!("a line with {parts:?}"), || {
        !lines_with(parts).is_empty()
    })
    .await;
    lines_with(parts).swap_remove(0)
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
