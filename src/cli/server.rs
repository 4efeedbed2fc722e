//! `gatemq run`: the broker in the foreground, until a signal or `gatemq stop` ends it.

use std::{
    error::Error as _,
    future::Future,
    io::{self, BufWriter, Write},
    path::PathBuf,
    pin::Pin,
    sync::Arc,
};

use gatemq::{
    admin::{
        DataDir, DataDirError,
        control::{self, Chunks, Control, Report, Status},
    },
    app::{App, Failed},
    config::{Loaded, Overrides},
    listener::Inherited,
    storage::{Copied, CopyError, Form},
    telemetry::{self, LogHandle},
};
use parking_lot::Mutex;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Notify,
};

use super::{Exit, RunArguments, complain, first_screen, load, reject, say_aside, service};

/// The running broker as signals and the control socket see it.
struct Server {
    /// Taken out when it stops.
    app: Mutex<Option<App>>,
    file: Option<PathBuf>,
    overrides: Overrides,
    log: LogHandle,
    stop: Notify,
}

/// Runs the broker.
pub(super) fn run(arguments: &RunArguments) -> Exit {
    // Before there is a second thread, whose environment this would change.
    let inherited = match Inherited::from_env() {
        Ok(inherited) => inherited,
        Err(error) => return complain(Exit::Configuration, Failed::because(error)),
    };
    // Before the configuration is read, whose defaults follow it.
    if let Err(error) = raise_descriptor_limit() {
        say_aside(format_args!(
            "Warning: the limit of descriptors cannot be raised: {error}"
        ));
    }
    let overrides = Overrides {
        port: arguments.port,
        ephemeral: arguments.ephemeral,
        verbose: arguments.verbose,
    };
    let loaded = match load(arguments.configuration.file.as_deref(), &overrides) {
        Ok(loaded) => loaded,
        Err(errors) => return reject(&errors),
    };
    let data_dir = match DataDir::acquire(&loaded.config.data_dir) {
        Ok(data_dir) => data_dir,
        Err(error) => {
            let hint = matches!(error, DataDirError::Unusable { .. });
            let exit = complain(Exit::Configuration, error);
            if hint {
                say_aside(
                    "    `data_dir` in the configuration or GATEMQ_DATA_DIR names another place",
                );
            }
            return exit;
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return complain(Exit::Configuration, error),
    };
    runtime.block_on(serve(loaded, overrides, data_dir, inherited))
}

async fn serve(
    loaded: Loaded,
    overrides: Overrides,
    data_dir: DataDir,
    inherited: Inherited,
) -> Exit {
    let Loaded {
        config,
        file,
        warnings,
    } = loaded;
    let log = match telemetry::init(&config.log) {
        Ok(log) => log,
        Err(error) => return complain(Exit::Configuration, error),
    };
    for warning in warnings {
        tracing::warn!(code = "config.warning", "{warning}");
    }
    let (signals, control) = match (Signals::new(), control::listen(&data_dir)) {
        (Ok(signals), Ok(control)) => (signals, control),
        (Err(error), _) => return complain(Exit::Configuration, error),
        (_, Err(error)) => return complain(Exit::Configuration, error),
    };
    let app = match App::builder(config)
        .inherited(inherited)
        .tell_loading(service::loading)
        .start()
    {
        Ok(app) => app,
        Err(failed) => return complain(Exit::Configuration, failed),
    };
    first_screen::print(&app, file.as_deref());
    service::ready(&app);
    tokio::spawn(service::keep_alive(app.pulse()));
    let server = Arc::new(Server {
        app: Mutex::new(Some(app)),
        file,
        overrides,
        log,
        stop: Notify::new(),
    });
    tokio::spawn(control::serve(control, server.clone()));
    signals.wait_for_stop(&server).await
}

/// The process may have as many descriptors as the system lets it: every connection is one.
fn raise_descriptor_limit() -> std::io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let current = maximum;
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).map_err(Into::into)
}

/// What the process listens to.
struct Signals {
    reload: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            reload: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Reloads when asked to; stops in order when asked to, and at once when asked again.
    async fn wait_for_stop(mut self, server: &Arc<Server>) -> Exit {
        loop {
            tokio::select! {
                Some(()) = self.reload.recv() => {
                    // The log has said how it went.
                    let _ = server.reload_now();
                }
                Some(()) = self.terminate.recv() => break,
                Some(()) = self.interrupt.recv() => break,
                () = server.stop.notified() => break,
            }
        }
        tracing::info!(code = "app.stopping", "stopping; again to stop at once");
        let Some(app) = server.app.lock().take() else {
            return Exit::Done;
        };
        service::stopping(app.config().drain_timeout);
        tokio::select! {
            () = app.drain() => tracing::info!(code = "app.stopped", "stopped"),
            Some(()) = self.terminate.recv() => tracing::warn!(code = "app.stopped", "stopped at once"),
            Some(()) = self.interrupt.recv() => tracing::warn!(code = "app.stopped", "stopped at once"),
        }
        Exit::Done
    }
}

impl Server {
    fn reload_now(&self) -> Result<Report, Failed> {
        let app = self.app.lock();
        let Some(app) = &*app else {
            return Err(Failed::because("the broker is stopping"));
        };
        service::reloading();
        let reloaded = self.load_again(app).and_then(|loaded| {
            let log = loaded.config.log.clone();
            let mut report = app.reload(loaded.config)?;
            report.warnings.extend(loaded.warnings);
            let applied = self.log.set(&log);
            applied.map_err(|error| Failed::because(error.to_string()))?;
            Ok(report)
        });
        match &reloaded {
            Ok(report) => {
                tracing::info!(code = "config.reloaded", changed = ?report.changed,
                    needs_restart = ?report.needs_restart, "configuration reloaded");
                for warning in &report.warnings {
                    tracing::warn!(code = "config.warning", "{warning}");
                }
                service::ready(app);
            }
            Err(failed) => {
                tracing::error!(
                    code = "config.reload_failed",
                    "reload failed, everything stays as it was: {failed}"
                );
                service::running(format_args!("reload failed, runs as before: {failed}"));
            }
        }
        reloaded
    }

    fn load_again(&self, app: &App) -> Result<Loaded, Failed> {
        let running = app.config();
        running
            .load_again(
                self.file.as_deref(),
                gatemq::config::variables(),
                &self.overrides,
            )
            .map_err(|errors| app.reload_failed(errors))
    }
}

impl Control for Server {
    fn reload(&self) -> Pin<Box<dyn Future<Output = Result<Report, Vec<String>>> + Send + '_>> {
        let reloaded = self.reload_now().map_err(|failed| failed.lines().to_vec());
        Box::pin(std::future::ready(reloaded))
    }

    fn status(&self) -> Status {
        self.app.lock().as_ref().map_or_else(
            || Status {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                pid: std::process::id(),
                not_ready: Some("draining".to_owned()),
                ..Status::default()
            },
            App::status,
        )
    }

    fn copy(
        &self,
        form: Form,
        to: Chunks,
    ) -> Pin<Box<dyn Future<Output = Result<Copied, String>> + Send + '_>> {
        let app = self.app.lock();
        let storage = app.as_ref().map(|app| app.broker().storage.clone());
        Box::pin(async move {
            let storage = storage.ok_or("the broker is stopping")?;
            let copied = tokio::task::spawn_blocking(move || {
                let mut to = BufWriter::with_capacity(control::CHUNK, Sending(to));
                let copied = storage.copy(form, &mut to)?;
                to.flush().map_err(CopyError::Output)?;
                Ok::<_, CopyError>(copied)
            });
            let copied = copied.await.map_err(|error| error.to_string())?;
            copied.map_err(|error| match error.source() {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            })
        })
    }

    fn stop(&self) {
        self.stop.notify_one();
    }
}

/// Where a copy goes that somebody asked for. It ends when that one has gone or the broker stops.
struct Sending(Chunks);

impl Write for Sending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A long value comes in one piece, and need not be copied as one.
        let chunk = &bytes[..bytes.len().min(control::CHUNK)];
        let sent = self.0.blocking_send(chunk.to_vec());
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(chunk.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
