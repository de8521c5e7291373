//! From snapshots to what is served, published and said.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use lb_model::object::{Refusal, Snapshot};
use lb_sources::{Announcer, Feed};
use tokio::{sync::watch, time::timeout};

use crate::{
    Error, Options,
    compile::{self, Cache},
    config::Config,
    observe::Readiness,
    serve::Shared,
    status::{self, Wanted},
};

/// How long a configuration that is served no more is kept at most after its last use.
const SWEEP: Duration = Duration::from_secs(1);

/// Turns snapshots into configurations, one after the other.
pub(crate) struct Compiler {
    settings: compile::Settings,
    cache: Cache,
}

impl Compiler {
    /// Compiles as the flags say.
    pub(crate) fn new(options: &Options) -> Self {
        Self { settings: options.compile_settings(), cache: Cache::default() }
    }

    /// The configuration of a snapshot.
    pub(crate) fn compile(&mut self, snapshot: &Snapshot) -> Config {
        compile::compile(snapshot, &self.settings, &mut self.cache)
    }
}

/// Serves what a source publishes.
pub(crate) struct Follower {
    pub(crate) compiler: Compiler,
    pub(crate) shared: Arc<Shared>,
    pub(crate) readiness: Arc<Readiness>,
    /// Writes Events; none where there is no cluster.
    pub(crate) announcer: Option<Announcer>,
    /// `--publish-address`.
    pub(crate) addresses: Vec<IpAddr>,
    /// The address of this pod.
    pub(crate) own: Option<IpAddr>,
    /// For whoever publishes the status of Ingresses.
    pub(crate) wanted: watch::Sender<Wanted>,
    /// What was refused the last time.
    pub(crate) refused: BTreeSet<Refusal>,
}

impl Follower {
    /// Runs until the source ends, which it should not.
    pub(crate) async fn run(mut self, feed: &mut Feed) -> Error {
        loop {
            match timeout(SWEEP, feed.snapshots.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Error::Ended { what: "the source" },
                Err(_) => {
                    self.shared.drop_retired();
                    continue;
                }
            }
            let snapshot = feed.snapshots.borrow_and_update().clone();
            if let Some(snapshot) = snapshot {
                self.take(&snapshot);
            }
        }
    }

    fn take(&mut self, snapshot: &Snapshot) {
        let since = Instant::now();
        let config = self.compiler.compile(snapshot);
        let refused: BTreeSet<_> = snapshot.refused.iter().chain(&config.refusals).cloned().collect();
        self.shared.swap(config, since);
        self.readiness.configured();
        self.say(snapshot, refused);
        self.wanted.send_if_modified(|wanted| {
            let now = wanted_status(snapshot, &self.compiler.settings, &self.addresses, self.own);
            let changed = *wanted != now;
            *wanted = now;
            changed
        });
    }

    /// Says each refusal once, for as long as it lasts. The source logs its own.
    fn say(&mut self, snapshot: &Snapshot, refused: BTreeSet<Refusal>) {
        let sources: BTreeSet<_> = snapshot.refused.iter().collect();
        for refusal in refused.difference(&self.refused).filter(|refusal| !sources.contains(refusal)) {
            let Refusal { kind, object, reason, message } = refusal;
            tracing::warn!(kind, %object, reason, "refused: {message}");
        }
        if let Some(announcer) = &self.announcer {
            announcer.announce(refused.difference(&self.refused));
        }
        self.refused = refused;
    }
}

/// What the status of the Ingresses that are served should say.
fn wanted_status(
    snapshot: &Snapshot,
    settings: &compile::Settings,
    given: &[IpAddr],
    own: Option<IpAddr>,
) -> Wanted {
    let is_ours = |ingress| settings.class.selects(ingress, &snapshot.ingress_classes);
    let ours = snapshot.ingresses.iter().filter(|(_, ingress)| is_ours(ingress));
    Wanted {
        addresses: status::addresses(given, own, snapshot),
        ingresses: ours.map(|(key, ingress)| (key.clone(), ingress.published.clone())).collect(),
    }
}
