//! The outcome of many requests.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::IpAddr,
};

use super::{Answer, Session, Target, describe};
use crate::netns::Namespace;

/// The outcome of many requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many each pod answered.
    pub answered: BTreeMap<String, u64>,
    /// The client addresses that each pod saw.
    pub seen: BTreeSet<(String, IpAddr)>,
    /// How many failed, by what the client met.
    pub failed: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts one request.
    pub fn count(&mut self, outcome: io::Result<Answer>) {
        match outcome {
            Ok(answer) => {
                self.seen.insert((answer.pod.clone(), answer.client.ip()));
                *self.answered.entry(answer.pod).or_default() += 1;
            }
            Err(error) => *self.failed.entry(describe(&error)).or_default() += 1,
        }
    }

    /// Adds another tally.
    pub fn add(&mut self, other: Self) {
        let add = |into: &mut BTreeMap<String, u64>, from: BTreeMap<String, u64>| {
            from.into_iter().for_each(|(key, count)| *into.entry(key).or_default() += count);
        };
        add(&mut self.answered, other.answered);
        add(&mut self.failed, other.failed);
        self.seen.extend(other.seen);
    }

    /// How many failed.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }
}

/// Sends `total` requests, each over a session of its own, `concurrency` at a time.
pub fn requests(from: &Namespace, target: Target, total: u32, concurrency: u32) -> Tally {
    from.enter(|| {
        let share = |worker| total / concurrency + u32::from(worker < total % concurrency);
        let worker = |count: u32| {
            let mut tally = Tally::default();
            (0..count)
                .for_each(|_| tally.count(Session::open_here(target).and_then(|mut session| session.ask())));
            tally
        };
        std::thread::scope(|scope| {
            // Threads start in the namespace of the thread that makes them.
            let workers: Vec<_> =
                (0..concurrency).map(|number| scope.spawn(move || worker(share(number)))).collect();
            let mut tally = Tally::default();
            for result in workers.into_iter().map(|worker| worker.join()) {
                match result {
                    Ok(part) => tally.add(part),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            tally
        })
    })
}
