//! What the service manager is told, as systemd's `Type=notify` understands it: ready, reloading, stopping, still alive.
//! Without `NOTIFY_SOCKET` nobody listens, and nothing is said.

use std::{fmt, io, time::Duration};

use gatemq::{app::App, runtimes::Pulse, storage::Loading};
use sd_notify::NotifyState;

/// Beyond `drain_timeout`, until the process has ended: what the last connections take, and more.
const LAST_STEPS: Duration = Duration::from_secs(15);

/// How long the manager may wait for the next word while a store is read: 30 times what there is between two.
const LOADING: Duration = Duration::from_secs(30);

/// A large store is being read, and nothing listens yet. The manager does not give up for as long as it hears this.
pub(super) fn loading(loading: Loading) {
    let time = u32::try_from(LOADING.as_micros()).unwrap_or(u32::MAX);
    notify(&[
        NotifyState::Status(&line(format_args!("reading the store: {loading}"))),
        NotifyState::ExtendTimeoutUsec(time),
    ]);
}

/// Every listener accepts.
pub(super) fn ready(app: &App) {
    let listeners = app.local_addrs();
    let addrs: Vec<String> = listeners.iter().map(ToString::to_string).collect();
    running(format_args!("listening on {}", addrs.join(", ")));
}

/// It runs with the configuration that it has, old or new.
pub(super) fn running(status: impl fmt::Display) {
    notify(&[NotifyState::Ready, NotifyState::Status(&line(status))]);
}

/// A reload begins; it ends with [`ready`] or [`running`].
pub(super) fn reloading() {
    // Newer managers tell by the clock which of several reloads this one is.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => complain(&error),
    }
}

/// A stop begins. The manager may not know of it yet, and waits for as long as it may take.
pub(super) fn stopping(drain_timeout: Duration) {
    let time = (drain_timeout + LAST_STEPS).as_micros();
    notify(&[
        NotifyState::Stopping,
        NotifyState::Status("telling every client"),
        NotifyState::ExtendTimeoutUsec(u32::try_from(time).unwrap_or(u32::MAX)),
    ]);
}

/// Says twice in the time of the watchdog that everything runs, if everything does: a runtime that hangs keeps this
/// waiting, and the manager restarts the broker.
pub(super) async fn keep_alive(pulse: Pulse) {
    let Some(within) = sd_notify::watchdog_enabled() else {
        return;
    };
    let mut interval = tokio::time::interval((within / 2).max(Duration::from_millis(1)));
    loop {
        interval.tick().await;
        if !pulse.beat().await {
            return;
        }
        notify(&[NotifyState::Watchdog]);
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        complain(&error);
    }
}

fn complain(error: &io::Error) {
    tracing::warn!(
        code = "service.notify_failed",
        "the service manager cannot be told (NOTIFY_SOCKET): {error}"
    );
}

/// A status is one line: another one would be another assignment.
fn line(status: impl fmt::Display) -> String {
    status.to_string().lines().collect::<Vec<_>>().join("; ")
}
