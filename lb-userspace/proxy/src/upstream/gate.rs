//! The waker that an inline connection registers: it wakes its task, unless the task is what caused the wake.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Wake, Waker},
};

use futures::task::AtomicWaker;

/// One connection's waker. It stays the same while the connection serves one task after the other, so that the
/// sockets and channels that keep it need no new one for each request.
#[derive(Debug)]
pub(super) struct Gate {
    shared: Arc<Shared>,
    waker: Waker,
}

#[derive(Debug, Default)]
struct Shared {
    /// Whoever waits for the connection.
    task: AtomicWaker,
    is_shut: AtomicBool,
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // The flag is set and read by the thread that the connection belongs to.
        if !self.is_shut.load(Relaxed) {
            self.task.wake();
        }
    }
}

impl Default for Gate {
    fn default() -> Self {
        let shared = Arc::<Shared>::default();
        Self { waker: Waker::from(shared.clone()), shared }
    }
}

impl Gate {
    /// Polls something on behalf of a task, which is woken when it goes on.
    pub(super) fn open<T>(&self, cx: &Context<'_>, poll: impl FnOnce(&mut Context<'_>) -> T) -> T {
        self.shared.task.register(cx.waker());
        poll(&mut Context::from_waker(&self.waker))
    }

    /// Does something that would wake the task for what it is about to look at anyway.
    pub(super) fn shut<T>(&self, act: impl FnOnce() -> T) -> T {
        self.shared.is_shut.store(true, Relaxed);
        let result = act();
        self.shared.is_shut.store(false, Relaxed);
        result
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn wakes_pass_to_the_latest_task_but_for_those_it_causes() {
        let (first, second) = (Arc::<Counter>::default(), Arc::<Counter>::default());
        let gate = Gate::default();
        let keep = |task: &Arc<Counter>| {
            let waker = Waker::from(task.clone());
            gate.open(&Context::from_waker(&waker), |cx| cx.waker().clone())
        };
        let (kept, same) = (keep(&first), keep(&second));
        assert!(kept.will_wake(&same));
        gate.shut(|| kept.wake_by_ref());
        assert_eq!((first.0.load(Relaxed), second.0.load(Relaxed)), (0, 0));
        kept.wake_by_ref();
        assert_eq!((first.0.load(Relaxed), second.0.load(Relaxed)), (0, 1));
    }
}
