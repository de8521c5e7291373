//! What is served no more, until nobody uses it.
//!
//! Whoever lets go of a configuration last has to drop it, which takes 16 ms for 5,000 Ingresses: that must not be a
//! thread that serves requests.

use std::sync::{Arc, Mutex, PoisonError};

/// What is served no more.
#[derive(Debug)]
pub(super) struct Retired<T>(Mutex<Vec<Arc<T>>>);

impl<T> Retired<T> {
    /// Keeps one until nobody else uses it. It must not be reachable for others any more.
    pub(super) fn keep(&self, retired: Arc<T>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(retired);
    }

    /// Drops those that nobody else uses.
    pub(super) fn drop_unused(&self) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|retired| Arc::strong_count(retired) > 1);
    }
}

impl<T> Default for Retired<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::mpsc,
        thread::{self, ThreadId},
    };

    use arc_swap::ArcSwap;

    use super::*;

    /// Tells which thread drops it.
    struct Told(mpsc::Sender<ThreadId>);

    impl Drop for Told {
        fn drop(&mut self) {
            self.0.send(thread::current().id()).unwrap();
        }
    }

    #[test]
    fn the_last_user_does_not_drop_what_is_retired() {
        let (sender, dropped) = mpsc::channel();
        let served = ArcSwap::from_pointee(Told(sender.clone()));
        let (retired, taken) =
            (Retired::default(), thread::scope(|scope| scope.spawn(|| served.load()).join()));
        // A request has it, and another is served from now on.
        let used = taken.unwrap();
        retired.keep(served.swap(Arc::new(Told(sender))));
        retired.drop_unused();
        assert!(dropped.try_recv().is_err(), "it is in use");
        thread::scope(|scope| scope.spawn(move || drop(used)).join().unwrap());
        assert!(dropped.try_recv().is_err(), "who used it last let go of it, and no more");
        retired.drop_unused();
        assert_eq!(dropped.try_recv(), Ok(thread::current().id()));
        assert!(dropped.try_recv().is_err(), "what is served stays");
    }
}
