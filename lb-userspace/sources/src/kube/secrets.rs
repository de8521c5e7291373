//! Secrets, each by its name: a proxy that may list them could read every password of the cluster.
//!
//! There is no watch of a single Secret that would need less than `get`, so each is read again after a while.

use std::{
    collections::{BTreeSet, VecDeque},
    future::pending,
    time::{Duration, Instant as Clock},
};

use backon::ExponentialBackoff;
use kube::{Client, api::Request, core::Status};
use lb_model::object::ObjectKey;
use serde_json::Value;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until, timeout},
};
use tracing::warn;

use super::{
    change::{self, Change},
    stream::backoff,
};
use crate::{
    Consumer,
    publish::Reporter,
    translate::{self, Finding, Kind, Outcome, Translation, reason},
};

/// How old an answer gets before the next is asked for …
const AGE: Duration = Duration::from_secs(10);
/// … or older, with so many names that more than one request in this time would be needed.
const PACE: Duration = Duration::from_millis(20);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Failures in a row of one name, after which the others need not wait for it any longer.
const ATTEMPTS: u32 = 3;
/// The longest wait after a failure, where the back-off names none.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What the API server says of a Secret.
enum Answer {
    There(Box<Value>),
    Absent,
    Forbidden(Box<Status>),
    /// Nothing, for the time being.
    Failed(String),
}

/// A name and when to ask for it.
struct Due {
    at: Instant,
    key: ObjectKey,
    failures: u32,
}

/// Reads Secrets.
pub(super) struct Secrets {
    client: Client,
    reporter: Reporter,
    changes: mpsc::Sender<Change>,
    /// Names; none before it is known which.
    wanted: watch::Receiver<Option<BTreeSet<ObjectKey>>>,
    /// Names in the order in which they are asked for.
    queue: VecDeque<Due>,
    /// Names of the first round that are still to be answered, and what was answered.
    first: Option<(BTreeSet<ObjectKey>, Vec<Translation>)>,
    backoff: ExponentialBackoff,
}

impl Secrets {
    pub(super) fn new(
        client: Client,
        reporter: Reporter,
        changes: mpsc::Sender<Change>,
        wanted: watch::Receiver<Option<BTreeSet<ObjectKey>>>,
    ) -> Self {
        let (queue, first) = (VecDeque::new(), Some(Default::default()));
        Self { client, reporter, changes, wanted, queue, first, backoff: backoff() }
    }

    /// Runs until the sets are gone.
    pub(super) async fn run(mut self) {
        let mut earliest = Instant::now();
        loop {
            let due = self.queue.front().map(|due| due.at.max(earliest));
            let time = async {
                match due {
                    Some(at) => sleep_until(at).await,
                    None => pending().await,
                }
            };
            let is_heard = tokio::select! {
                biased;
                changed = self.wanted.changed() => changed.is_ok() && self.take_names().await,
                () = time => {
                    earliest = Instant::now() + PACE;
                    self.ask_next().await
                }
            };
            if !is_heard {
                return;
            }
        }
    }

    /// Puts names that are new before all others, and forgets those that nobody wants any more.
    async fn take_names(&mut self) -> bool {
        let Some(wanted) = self.wanted.borrow_and_update().clone() else { return true };
        let (kept, gone): (VecDeque<_>, VecDeque<_>) =
            self.queue.drain(..).partition(|due| wanted.contains(&due.key));
        self.queue = kept;
        for Due { key, .. } in gone {
            if let Some((open, answers)) = &mut self.first {
                open.remove(&key);
                answers.retain(|answer| answer.key != key);
            } else if !self.send(Change::Deleted(Kind::Secret, key, change::deleted(Clock::now()))).await {
                return false;
            }
        }
        let known: BTreeSet<_> = self.queue.iter().map(|due| due.key.clone()).collect();
        for key in wanted.difference(&known).cloned() {
            if let Some((open, _)) = &mut self.first {
                open.insert(key.clone());
            }
            self.queue.push_front(Due { at: Instant::now(), key, failures: 0 });
        }
        if self.queue.is_empty() {
            self.reporter.connected();
        }
        self.end_first_round().await
    }

    /// Asks for the first name of the queue; false where nobody listens any more.
    async fn ask_next(&mut self) -> bool {
        let Some(Due { key, failures, .. }) = self.queue.pop_front() else { return true };
        let answer = self.get(&key).await;
        let arrived = Clock::now();
        let (change, failures) = match answer {
            Answer::There(object) => {
                let translation = translate::translate(Consumer::Ingress, Kind::Secret, &object);
                (Some(Change::Applied(Box::new(translation), change::applied(&object, arrived))), 0)
            }
            Answer::Absent => (Some(Change::Deleted(Kind::Secret, key.clone(), change::deleted(arrived))), 0),
            Answer::Forbidden(status) => {
                (Some(Change::Applied(Box::new(forbidden(&key, &status)), change::deleted(arrived))), 0)
            }
            Answer::Failed(why) => {
                self.pause(&key, &why).await;
                (None, failures + 1)
            }
        };
        if change.is_some() {
            self.backoff = backoff();
            self.reporter.connected();
            self.reporter.event();
        }
        let is_heard = match &mut self.first {
            Some((open, answers)) => {
                if change.is_some() || failures >= ATTEMPTS {
                    open.remove(&key);
                }
                if let Some(Change::Applied(translation, _)) = change {
                    answers.push(*translation);
                }
                self.end_first_round().await
            }
            None => match change {
                Some(change) => self.send(change).await,
                None => !self.changes.is_closed(),
            },
        };
        if (1..ATTEMPTS).contains(&failures) {
            self.queue.push_front(Due { at: Instant::now(), key, failures });
        } else {
            self.queue.push_back(Due { at: Instant::now() + AGE, key, failures });
        }
        is_heard
    }

    /// Says what there is as soon as every name was asked for.
    async fn end_first_round(&mut self) -> bool {
        match self.first.take_if(|(open, _)| open.is_empty()) {
            Some((_, answers)) => self.send(Change::Listed(Kind::Secret, answers)).await,
            None => true,
        }
    }

    async fn send(&self, change: Change) -> bool {
        self.changes.send(change).await.is_ok()
    }

    async fn get(&self, key: &ObjectKey) -> Answer {
        let ObjectKey { namespace, name } = key;
        let request = Request::new(format!("/api/v1/namespaces/{namespace}/secrets"));
        let Ok(request) = request.get(name, &Default::default()) else { return Answer::Absent };
        match timeout(PATIENCE, self.client.request::<Value>(request)).await {
            Ok(Ok(object)) => Answer::There(Box::new(object)),
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => Answer::Absent,
            Ok(Err(kube::Error::Api(status))) if status.code == 403 => Answer::Forbidden(status),
            Ok(Err(error)) => Answer::Failed(error.to_string()),
            Err(_) => Answer::Failed(format!("no answer in {} seconds", PATIENCE.as_secs())),
        }
    }

    /// Reports a failure and waits. What was read before stays served.
    async fn pause(&mut self, key: &ObjectKey, why: &str) {
        let message = format!("get of Secret {key} failed: {why}");
        warn!("{message}; what is known stays served");
        self.reporter.error(message);
        sleep(self.backoff.next().unwrap_or(LONGEST_WAIT)).await;
    }
}

/// A Secret that may not be read is refused by name; what it held when it could be read stays.
fn forbidden(key: &ObjectKey, status: &Status) -> Translation {
    let message = format!("cannot be read: {}; allow get on this Secret in the role", status.message);
    Translation {
        kind: Kind::Secret,
        key: key.clone(),
        outcome: Outcome::Refused,
        findings: vec![Finding::new("", reason::FORBIDDEN, message)],
    }
}
