//! One demo at a time on a machine, and nothing left of it, whatever ends it.

use std::{
    fs::{self, File},
    io,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};

use super::{NAME, directory};
use crate::{BPFFS, netns};

/// Exit code after Ctrl-C, as shells have it: 128 + SIGINT.
const INTERRUPTED: i32 = 130;

/// The right to run, until it is dropped or the process ends.
pub(super) struct Guard {
    state: Arc<State>,
    _lock: File,
}

#[derive(Default)]
struct State {
    /// Held during a step, and by who cleans up: no step makes anything new meanwhile.
    stepping: Mutex<()>,
    /// No step begins any more.
    ended: AtomicBool,
}

impl Guard {
    /// Takes the right, and removes what an earlier demo left.
    pub(super) fn acquire() -> Result<Self> {
        let lock = lock()?;
        wipe()?;
        let state = Arc::new(State::default());
        let (seen, (ready, armed)) = (Arc::clone(&state), std::sync::mpsc::channel());
        std::thread::spawn(move || end_on_signal(&seen, &ready));
        armed.recv().context("cannot watch for signals")?;
        Ok(Self { state, _lock: lock })
    }

    /// Runs a step that Ctrl-C does not tear apart.
    pub(super) fn step<T>(&self, step: impl FnOnce() -> Result<T>) -> Result<T> {
        let stepping = self.state.stepping.lock().unwrap_or_else(PoisonError::into_inner);
        if self.state.ended.load(Ordering::Relaxed) {
            drop(stepping);
            // The process ends as soon as the other thread has cleaned up.
            loop {
                std::thread::park();
            }
        }
        step()
    }
}

fn lock() -> Result<File> {
    let path = Path::new("/run").join(format!("{NAME}.lock"));
    let lock = File::create(&path).with_context(|| path.display().to_string())?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(fs::TryLockError::WouldBlock) => bail!("another demo is running; wait for it, or end it"),
        Err(fs::TryLockError::Error(error)) => Err(error.into()),
    }
}

/// Removes what a demo has left: namespaces with the processes inside, pins, manifests, logs.
///
/// # Errors
/// Where a demo is running.
pub fn clean_up() -> Result<()> {
    let _lock = lock()?;
    wipe()
}

pub(super) fn wipe() -> Result<()> {
    netns::list(&format!("{NAME}-")).iter().for_each(|name| netns::remove(name));
    for node in ["node-a", "node-b"] {
        remove(&Path::new(BPFFS).join(format!("{NAME}-{node}")))?;
    }
    remove(&directory())
}

fn remove(directory: &Path) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| directory.display().to_string())
        }
        _ => Ok(()),
    }
}

fn end_on_signal(state: &State, ready: &std::sync::mpsc::Sender<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return };
    let told = runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).ok()?;
        let mut terminate = signal(SignalKind::terminate()).ok()?;
        ready.send(()).ok()?;
        tokio::select! { told = interrupt.recv() => told, told = terminate.recv() => told }
    });
    if told.is_some() {
        eprintln!("\ndemo: told to end, cleaning up …");
        state.ended.store(true, Ordering::Relaxed);
        let _stepping = state.stepping.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = wipe() {
            eprintln!("demo: {error:#}");
        }
        std::process::exit(INTERRUPTED);
    }
}
