//! Secrets, each by its name: a proxy that may list them could read every password of the cluster.
//!
//! There is no watch of a single Secret that would need less than `get`, so each is read again after a while, and soon
//! where an Ingress changes that refers to it.

use std::{
    collections::{BTreeMap, BTreeSet},
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
    wanted::Names,
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
/// How old an answer is at least before an Ingress that changed has its Secret read again.
const AGAIN: Duration = Duration::from_secs(1);
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

/// A name that is wanted.
struct Name {
    /// Where the number that it is wanted under is another, it is asked for anew.
    number: u64,
    /// When to ask for it; before all others where there was no answer yet.
    due: Option<Instant>,
    /// When it was asked for the last time.
    asked: Instant,
    failures: u32,
}

/// Reads Secrets.
pub(super) struct Secrets {
    client: Client,
    reporter: Reporter,
    changes: mpsc::Sender<Change>,
    /// Names; none before it is known which.
    wanted: watch::Receiver<Option<Names>>,
    names: BTreeMap<ObjectKey, Name>,
    /// The same in the order in which they are asked for.
    queue: BTreeSet<(Option<Instant>, ObjectKey)>,
    backoff: ExponentialBackoff,
}

impl Secrets {
    pub(super) fn new(
        client: Client,
        reporter: Reporter,
        changes: mpsc::Sender<Change>,
        wanted: watch::Receiver<Option<Names>>,
    ) -> Self {
        let (names, queue) = Default::default();
        Self { client, reporter, changes, wanted, names, queue, backoff: backoff() }
    }

    /// Runs until the sets are gone.
    pub(super) async fn run(mut self) {
        let mut earliest = Instant::now();
        loop {
            // Somebody waits for the first answer about a name: what is only read again keeps the pace.
            let due = self.queue.first().map(|(due, _)| due.map(|due| due.max(earliest)));
            let time = async {
                match due {
                    Some(Some(at)) => sleep_until(at).await,
                    Some(None) => {}
                    None => pending().await,
                }
            };
            let is_heard = tokio::select! {
                biased;
                changed = self.wanted.changed() => {
                    self.take_names();
                    changed.is_ok()
                }
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

    /// Forgets names that nobody wants any more, and puts those in the queue that are to be asked for.
    fn take_names(&mut self) {
        let wanted = self.wanted.borrow_and_update();
        let Some(wanted) = wanted.as_ref() else { return };
        self.names.retain(|key, _| wanted.contains_key(key));
        self.queue.retain(|(_, key)| wanted.contains_key(key));
        for (key, number) in wanted {
            let now = Instant::now();
            let due = match self.names.get_mut(key) {
                Some(name) if name.number == *number => continue,
                Some(name) => {
                    name.number = *number;
                    let before = name.due;
                    name.due = before.map(|due| due.min(now.max(name.asked + AGAIN)));
                    self.queue.remove(&(before, key.clone()));
                    name.due
                }
                None => {
                    let name = Name { number: *number, due: None, asked: now, failures: 0 };
                    self.names.insert(key.clone(), name);
                    None
                }
            };
            self.queue.insert((due, key.clone()));
        }
        if self.queue.is_empty() {
            self.reporter.connected();
        }
    }

    /// Asks for the first name of the queue; false where nobody listens any more.
    async fn ask_next(&mut self) -> bool {
        let Some((due, key)) = self.queue.pop_first() else { return true };
        let answer = self.get(&key).await;
        let (asked, arrived) = (Instant::now(), Clock::now());
        let change = match answer {
            Answer::There(object) => {
                let translation = translate::translate(Consumer::Ingress, Kind::Secret, &object);
                Some(Change::Applied(Box::new(translation), change::applied(&object, arrived)))
            }
            Answer::Absent => Some(Change::Deleted(Kind::Secret, key.clone(), change::deleted(arrived))),
            Answer::Forbidden(status) => {
                Some(Change::Applied(Box::new(forbidden(&key, &status)), change::deleted(arrived)))
            }
            Answer::Failed(why) => {
                self.pause(&key, &why).await;
                None
            }
        };
        let Some(name) = self.names.get_mut(&key) else { return !self.changes.is_closed() };
        name.asked = asked;
        name.failures = if change.is_some() { 0 } else { name.failures + 1 };
        // One that failed is tried again at once, before the others go on without it.
        let is_again = (1..ATTEMPTS).contains(&name.failures);
        name.due = if is_again { due } else { Some(Instant::now() + AGE) };
        self.queue.insert((name.due, key.clone()));
        let change = match change {
            Some(change) => {
                self.backoff = backoff();
                self.reporter.connected();
                self.reporter.event();
                change
            }
            None if is_again => return !self.changes.is_closed(),
            None => Change::Unanswered(key),
        };
        self.send(change).await
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
