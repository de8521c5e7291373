//! What systemd is told, as sd_notify(3) does; nobody where no unit of `Type=notify` has started this process.

use sd_notify::NotifyState;

/// The program may be relied on.
pub fn ready() {
    notify(NotifyState::Ready);
}

/// The program is about to end.
pub fn stopping() {
    notify(NotifyState::Stopping);
}

fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "cannot tell systemd, which will wait in vain");
    }
}
