//! A thread that reads queues beside the one that writes: whoever returns to a long queue holds up no commit.

use std::{
    path::Path,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use super::{Page, engine::Engine, page};
use crate::{storage::StorageError, telemetry::Metrics};

/// Between two attempts to read what cannot be read.
const RETRY: Duration = Duration::from_secs(1);

/// Where to send what is to be read. The thread ends with it.
pub(super) struct Reader {
    jobs: Option<mpsc::Sender<(Arc<Engine>, Page)>>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    pub(super) fn start(path: &Path, metrics: Arc<Metrics>) -> Result<Self, StorageError> {
        let (sender, jobs) = mpsc::channel::<(Arc<Engine>, Page)>();
        let thread = std::thread::Builder::new()
            .name("gatemq-pages".to_owned())
            .spawn(move || {
                for (engine, page) in jobs {
                    let read = page::read(&engine, &metrics, page.id, page.from, page.most);
                    if let Err(error) = &read {
                        tracing::error!(
                            code = "storage.failed",
                            "{error}: {}; a queue waits for what could not be read",
                            error.source
                        );
                        // It is asked again as soon as it has answered.
                        std::thread::sleep(RETRY);
                    }
                    // Whoever is told may go on at once, and the engine may have to be opened anew.
                    drop(engine);
                    (page.answer)(read);
                }
            })
            .map_err(|source| StorageError {
                path: path.to_owned(),
                source: Arc::new(source),
            })?;
        Ok(Self {
            jobs: Some(sender),
            thread: Some(thread),
        })
    }

    pub(super) fn read(&self, engine: Arc<Engine>, page: Page) {
        // Its thread lives as long as this does.
        if let Some(jobs) = &self.jobs {
            let _ = jobs.send((engine, page));
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A thread that has panicked has said so already.
            let _ = thread.join();
        }
    }
}
