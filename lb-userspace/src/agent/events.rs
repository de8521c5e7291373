//! The agent's one loop: everything that happens on the node meets here.

use std::{
    collections::BTreeSet,
    mem,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{Stream, StreamExt};
use lb_model::{
    config::NodeConfig,
    desired::health_check::health_checks,
    object::{Node, Snapshot},
    policy::ExternalIpPolicy,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::{block_in_place, spawn_blocking},
    time::{MissedTickBehavior, interval, interval_at, sleep_until},
};

use super::{
    AgentError,
    health_check::HealthChecks,
    memory,
    metrics::Metrics,
    network::Network,
    policy::{self, Loaded},
    readiness::Readiness,
    reconcile::{Reconciler, remote_endpoints},
    refusals::{Origin, Refusals},
};
use crate::dataplane::{maps::Maps, netlink::Change};
use lb_sources::{Arrival, Arrivals, Feed};

/// Pause before a change of devices, routes or neighbours to keep is looked at: such changes come in bursts.
const SETTLE: Duration = Duration::from_millis(100);
/// Pause before devices are looked at again after that failed.
const RETRY: Duration = Duration::from_secs(1);
/// Pause before a port of health checks that could not be opened is tried again.
const REOPEN: Duration = Duration::from_secs(5);
/// How often maps and devices are compared with what they should be, whether or not anything happened.
const PATROL: Duration = Duration::from_secs(60);
/// How often the pins are looked at: between their loss and their return, the agent must not end.
const PINS: Duration = Duration::from_secs(1);

/// Writes of one plan from which on it is worth the time to give memory back.
const MANY: usize = 10_000;

/// When something is to be done; none where nothing asks for it.
#[derive(Default)]
struct Due {
    network: Option<Instant>,
    maps: Option<Instant>,
    health_checks: Option<Instant>,
    refusals: Option<Instant>,
    neighbours: Option<Instant>,
    epoch: bool,
}

impl Due {
    /// Moves a date forward, never back: a stream of requests must not put it off for ever.
    fn no_later(date: &mut Option<Instant>, pause: Duration) {
        let wanted = Instant::now() + pause;
        *date = Some(date.map_or(wanted, |date| date.min(wanted)));
    }

    fn next(&self) -> Option<Instant> {
        [self.network, self.maps, self.health_checks, self.refusals, self.neighbours]
            .into_iter()
            .flatten()
            .min()
    }
}

/// The agent at work.
pub(super) struct Agent {
    config: NodeConfig,
    /// `--external-ips-allowed`, to which the file of `--external-ip-policy` adds.
    flag: ExternalIpPolicy,
    reconciler: Reconciler<Maps>,
    network: Network,
    snapshot: Option<Arc<Snapshot>>,
    health_checks: HealthChecks,
    refusals: Refusals,
    /// Of the events that the maps do not hold yet.
    arrivals: Vec<Arrival>,
    /// Where packets go beside where they went before, and the way is to be kept warm; none where all is looked at.
    appeared: Option<BTreeSet<IpAddr>>,
    readiness: Arc<Readiness>,
    metrics: Arc<Metrics>,
    due: Due,
}

impl Agent {
    /// An agent that has done nothing yet.
    pub(super) fn new(
        config: NodeConfig,
        reconciler: Reconciler<Maps>,
        network: Network,
        refusals: Refusals,
        readiness: Arc<Readiness>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            flag: config.external_ips_allowed.clone(),
            health_checks: HealthChecks::new(readiness.clone(), &config.node_name),
            config,
            reconciler,
            network,
            snapshot: None,
            refusals,
            arrivals: Vec::new(),
            appeared: None,
            readiness,
            metrics,
            due: Due::default(),
        }
    }

    /// Works until SIGTERM or SIGINT.
    ///
    /// # Errors
    /// At the first failure before the agent was ready, and when one of what it follows ends.
    pub(super) async fn follow(
        &mut self,
        feed: Feed,
        mut policy: watch::Receiver<Loaded>,
        mut changes: impl Stream<Item = Change> + Unpin,
    ) -> Result<(), AgentError> {
        let Feed { mut snapshots, arrivals, mut status, mut task, .. } = feed;
        let failed = |source| AgentError::System { what: "listening for signals", source };
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut patrol = interval_at((Instant::now() + PATROL).into(), PATROL);
        let mut pins = interval(PINS);
        for ticks in [&mut patrol, &mut pins] {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        self.due.network = Some(Instant::now());
        self.take_policy(&policy.borrow_and_update());
        self.count_entries();
        loop {
            let next = self.due.next();
            tokio::select! {
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
                Ok(()) = snapshots.changed() => self.take(&mut snapshots, &arrivals),
                Ok(()) = status.changed() => self.metrics.source(&status.borrow_and_update()),
                Ok(()) = policy.changed() => self.take_policy(&policy.borrow_and_update()),
                change = changes.next() => match change {
                    Some(change) => self.note(change),
                    None => return Err(AgentError::Ended { what: "the kernel's news of devices and routes" }),
                },
                _ = &mut task => return Err(AgentError::Ended { what: "the source of objects" }),
                _ = patrol.tick() => self.patrol(),
                _ = pins.tick() => self.network.keep_pins()?,
                () = sleep_until(next.unwrap_or_else(Instant::now).into()), if next.is_some() => {}
            }
            self.work().await?;
        }
    }

    /// Takes the newest snapshot; older ones that were not worked off yet are skipped.
    fn take(&mut self, snapshots: &mut watch::Receiver<Option<Arc<Snapshot>>>, arrivals: &Arrivals) {
        let snapshot = {
            let newest = snapshots.borrow_and_update();
            self.arrivals.extend(arrivals.take());
            newest.clone()
        };
        let Some(snapshot) = snapshot else { return };
        let before = self.node_addresses();
        self.snapshot = Some(snapshot);
        if self.node_addresses() != before || !self.network.is_attached() {
            self.due.network = Some(Instant::now());
        }
        Due::no_later(&mut self.due.maps, Duration::ZERO);
    }

    /// Takes what the policy file says now; a broken text is refused, and the last good one goes on.
    fn take_policy(&mut self, Loaded { policy, error }: &Loaded) {
        let combined = policy::combined(&self.flag, policy);
        if combined != self.config.external_ips_allowed {
            self.config.external_ips_allowed = combined;
            Due::no_later(&mut self.due.maps, Duration::ZERO);
        }
        if self.refusals.set(Origin::Policy, &error.iter().cloned().collect()) {
            Due::no_later(&mut self.due.refusals, Duration::ZERO);
        }
    }

    fn note(&mut self, change: Change) {
        let of_neighbour = matches!(change, Change::Neighbour { .. });
        let moves_flows = self.network.moves_flows(change);
        self.due.epoch |= moves_flows;
        if moves_flows || !of_neighbour {
            Due::no_later(&mut self.due.network, SETTLE);
        }
    }

    /// Looks whether everything still is as it should be.
    fn patrol(&mut self) {
        self.reconciler.distrust();
        Due::no_later(&mut self.due.network, Duration::ZERO);
        if self.snapshot.is_some() {
            Due::no_later(&mut self.due.maps, Duration::ZERO);
        }
        self.refusals.remind();
        self.count_entries();
    }

    /// Beside the loop: no update has to wait for it.
    fn count_entries(&self) {
        let metrics = self.metrics.clone();
        spawn_blocking(move || {
            if let Err(error) = metrics.count_entries() {
                tracing::warn!(%error, "cannot tell how full the maps are");
            }
        });
    }

    /// Does what is due.
    async fn work(&mut self) -> Result<(), AgentError> {
        let now = Instant::now();
        if self.due.next().is_none_or(|due| due > now) {
            return Ok(());
        }
        if self.due.network.is_some_and(|due| due <= now) {
            self.due.network = None;
            // The first snapshot asks for it again.
            if self.snapshot.is_some() || self.network.is_told() {
                self.refresh_network().await?;
                self.appeared = None;
                self.due.neighbours = Some(now);
            }
        }
        if self.due.maps.is_some_and(|due| due <= now) {
            self.due.maps = None;
            self.sync();
            self.due.health_checks = Some(now);
        }
        if self.due.health_checks.is_some_and(|due| due <= now) {
            self.due.health_checks = None;
            self.check_health();
        }
        if self.due.refusals.is_some_and(|due| due <= Instant::now()) {
            self.due.refusals = None;
            self.record_refusals();
        }
        if self.due.neighbours.is_some_and(|due| due <= now) {
            self.due.neighbours = None;
            self.keep_warm().await;
        }
        Ok(())
    }

    /// Trouble ends the agent before it was ever ready, when a person or a rollout is watching; afterwards it is said
    /// and tried again, for whatever else works has to go on.
    async fn refresh_network(&mut self) -> Result<(), AgentError> {
        match self.try_refresh_network().await {
            Err(error) if self.readiness.was_ready() => {
                tracing::error!("{error}");
                Due::no_later(&mut self.due.network, RETRY);
                Ok(())
            }
            result => result,
        }
    }

    async fn try_refresh_network(&mut self) -> Result<(), AgentError> {
        let node_addresses = self.node_addresses();
        let filled = self.reconciler.planner().is_some();
        let mut troubles = self.network.refresh(&node_addresses, self.reconciler.plane(), filled).await?;
        // Before the first snapshot the node's addresses are not known.
        if self.snapshot.is_some() && troubles.is_empty() && !self.network.has_uplinks() {
            troubles.push(AgentError::NoUplink { node: self.config.node_name.clone() });
        }
        if mem::take(&mut self.due.epoch) {
            self.reconciler.plane().raise_epoch()?;
        }
        self.metrics.uplinks(&self.network.modes(), self.network.unattached());
        if self.network.is_attached() && troubles.is_empty() {
            self.readiness.attached();
        }
        let (addresses, primary) = (self.network.addresses(), self.network.primary_addresses());
        if (&addresses, &primary) != (&self.config.addresses, &self.config.primary_addresses) {
            self.config.addresses = addresses;
            self.config.primary_addresses = primary;
            if self.snapshot.is_some() {
                Due::no_later(&mut self.due.maps, Duration::ZERO);
            }
        }
        if self.readiness.was_ready() {
            self.network.complain(&troubles);
            return Ok(());
        }
        troubles.into_iter().next().map_or(Ok(()), Err)
    }

    fn sync(&mut self) {
        let Some(snapshot) = self.snapshot.clone() else { return };
        let started = Instant::now();
        match block_in_place(|| self.reconciler.sync(&snapshot, &self.config)) {
            Ok(report) => {
                self.metrics.programmed(&mem::take(&mut self.arrivals));
                self.readiness.synced();
                if report.ops >= MANY {
                    block_in_place(memory::give_back);
                }
                if !self.network.is_attached() {
                    Due::no_later(&mut self.due.network, Duration::ZERO);
                }
                if let Some(planner) = self.reconciler.planner() {
                    self.metrics.synced(started.elapsed(), planner.tables(), planner.allocated());
                }
                if !report.remote_endpoints.is_empty() {
                    if let Some(appeared) = &mut self.appeared {
                        appeared.extend(report.remote_endpoints);
                    }
                    Due::no_later(&mut self.due.neighbours, SETTLE);
                }
                if self.refusals.set(Origin::Snapshot, self.reconciler.refused()) {
                    Due::no_later(&mut self.due.refusals, Duration::ZERO);
                }
            }
            Err(error) => {
                self.metrics.failed();
                let pause = self.reconciler.pause();
                tracing::error!(%error, retry_in_ms = pause.as_millis() as u64, "cannot bring the maps up to date");
                Due::no_later(&mut self.due.maps, pause);
            }
        }
    }

    /// Tells the ports of health checks what to answer; the maps know already.
    fn check_health(&mut self) {
        let Some(snapshot) = &self.snapshot else { return };
        let mut refused = Vec::new();
        let wanted = health_checks(snapshot, &self.config, &mut refused);
        let unavailable = self.health_checks.set(wanted);
        if !unavailable.is_empty() || self.health_checks.is_waiting() {
            Due::no_later(&mut self.due.health_checks, REOPEN);
        }
        refused.extend(unavailable);
        if self.refusals.set(Origin::HealthChecks, &refused.into_iter().collect()) {
            Due::no_later(&mut self.due.refusals, Duration::ZERO);
        }
    }

    /// Keeps what is refused where the command line finds it.
    fn record_refusals(&mut self) {
        let Some(records) = self.refusals.records() else { return };
        if let Err(error) = block_in_place(|| self.reconciler.plane().set_refusals(records)) {
            tracing::warn!(%error, "cannot record what is refused");
            Due::no_later(&mut self.due.refusals, RETRY);
        }
    }

    async fn keep_warm(&mut self) {
        let kept = match (self.appeared.take(), self.reconciler.planner()) {
            (Some(appeared), _) => self.network.keep_warm_too(&appeared).await,
            (None, Some(planner)) => {
                let endpoints = remote_endpoints(planner.tables().backends.values());
                self.network.keep_warm(&endpoints).await
            }
            // What the maps hold is known again when they can be written.
            (None, None) => return,
        };
        match kept {
            Ok(()) => self.appeared = Some(BTreeSet::new()),
            Err(error) => tracing::warn!(%error, "cannot keep neighbours warm"),
        }
    }

    /// Addresses of this node's Node object.
    fn node_addresses(&self) -> Vec<IpAddr> {
        let node = self.snapshot.as_ref().and_then(|snapshot| snapshot.nodes.get(&self.config.node_name));
        node.into_iter().flat_map(Node::addresses).collect()
    }
}
