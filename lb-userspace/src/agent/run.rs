//! The agent's one loop: everything that happens on the node meets here.

use std::{
    net::{IpAddr, Ipv4Addr},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{Stream, StreamExt};
use lb_common::abi::map;
use lb_model::{config::NodeConfig, object::Snapshot, op::DataPlane};
use nix::sys::utsname::uname;
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::block_in_place,
    time::{MissedTickBehavior, interval, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    AgentError, Options,
    admin::Admin,
    logging,
    metrics::Metrics,
    network::Network,
    preflight,
    readiness::Readiness,
    reconcile::{Reconciler, remote_endpoints},
};
use crate::{
    dataplane::{
        attach::Attacher,
        cleanup::remove_other_layouts,
        loader,
        lock::Lock,
        maps::Maps,
        netlink::{self, Change, Netlink},
        pin::PinDir,
        pinned::Pinned,
        ports,
    },
    sources::Feed,
};

/// Pause before a change of devices or routes is looked at: such changes come in bursts.
const SETTLE: Duration = Duration::from_millis(100);
/// How often maps and devices are compared with what they should be, whether or not anything happened.
const PATROL: Duration = Duration::from_secs(60);

/// Runs the agent to its end.
pub fn main(dir: &PinDir, options: &Options) -> ExitCode {
    logging::start();
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let result = runtime
        .map_err(|source| AgentError::System { what: "starting the runtime", source })
        .and_then(|runtime| runtime.block_on(run(dir, options)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            error.exit_code()
        }
    }
}

async fn run(dir: &PinDir, options: &Options) -> Result<(), AgentError> {
    preflight::check()?;
    dir.create()?;
    let _lock = Lock::take(dir)?;
    let settings = options.settings();
    let mut ebpf = loader::load(dir, &settings)?;
    loader::pin_programs(&mut ebpf, dir)?;
    if let Err(error) = ports::reserve(&settings.snat_ports) {
        tracing::warn!("{error}");
    }
    let maps = Maps::new(Pinned::open(dir)?)?;
    let stop = CancellationToken::new();
    let feed = options.source().start(stop.clone()).await?;
    let readiness = Arc::new(Readiness::default());
    let metrics = Arc::new(Metrics::new(Arc::new(Pinned::open(dir)?), maps.capacity()));
    if let Some(address) = options.admin.0 {
        Admin { readiness: readiness.clone(), metrics: metrics.clone() }.start(address, stop.clone()).await?;
    }
    remove_other_layouts(dir)?;
    let attacher = Attacher::new(dir.clone(), ebpf, options.mode);
    let changes = netlink::changes()?;
    let network = Network::new(Netlink::open()?, attacher, options.interface.iter().cloned().collect());
    let mut agent = Agent {
        config: node_config(options)?,
        reconciler: Reconciler::new(maps),
        network,
        snapshot: None,
        readiness,
        metrics,
        due: Due::default(),
    };
    let result = agent.follow(feed, changes).await;
    agent.readiness.stopping();
    stop.cancel();
    if result.is_ok() {
        tracing::info!("ended; programs stay attached and forwarding goes on");
    }
    result
}

fn node_config(options: &Options) -> Result<NodeConfig, AgentError> {
    let node_name = match &options.node_name {
        Some(name) => name.clone(),
        None => uname()
            .map_err(|errno| AgentError::System { what: "reading the host name", source: errno.into() })?
            .nodename()
            .to_string_lossy()
            .into_owned(),
    };
    Ok(NodeConfig {
        node_name,
        external_ips_allowed: options.external_ips_allowed.clone(),
        node_port_addresses: options.node_port_addresses.clone(),
        ..NodeConfig::default()
    })
}

/// When something is to be done; none where nothing asks for it.
#[derive(Default)]
struct Due {
    network: Option<Instant>,
    maps: Option<Instant>,
    epoch: bool,
}

impl Due {
    /// Moves a date forward, never back: a stream of requests must not put it off for ever.
    fn no_later(date: &mut Option<Instant>, pause: Duration) {
        let wanted = Instant::now() + pause;
        *date = Some(date.map_or(wanted, |date| date.min(wanted)));
    }

    fn next(&self) -> Option<Instant> {
        self.network.into_iter().chain(self.maps).min()
    }
}

struct Agent {
    config: NodeConfig,
    reconciler: Reconciler<Maps>,
    network: Network,
    snapshot: Option<Arc<Snapshot>>,
    readiness: Arc<Readiness>,
    metrics: Arc<Metrics>,
    due: Due,
}

impl Agent {
    async fn follow(
        &mut self,
        feed: Feed,
        mut changes: impl Stream<Item = Change> + Unpin,
    ) -> Result<(), AgentError> {
        let Feed { mut snapshots, mut status, task: _task } = feed;
        let failed = |source| AgentError::System { what: "listening for signals", source };
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut patrol = interval(PATROL);
        patrol.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.due.network = Some(Instant::now());
        loop {
            let next = self.due.next();
            tokio::select! {
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
                Ok(()) = snapshots.changed() => self.take(&mut snapshots),
                Ok(()) = status.changed() => self.metrics.source(&status.borrow_and_update()),
                Some(change) = changes.next() => self.note(change),
                _ = patrol.tick() => self.patrol(),
                () = sleep_until(next.unwrap_or_else(Instant::now).into()), if next.is_some() => self.work().await?,
            }
        }
    }

    /// Takes the newest snapshot; older ones that were not worked off yet are skipped.
    fn take(&mut self, snapshots: &mut watch::Receiver<Option<Arc<Snapshot>>>) {
        let Some(snapshot) = snapshots.borrow_and_update().clone() else { return };
        let before = self.node_addresses();
        self.snapshot = Some(snapshot);
        if self.node_addresses() != before || !self.network.is_attached() {
            self.due.network = Some(Instant::now());
        }
        Due::no_later(&mut self.due.maps, Duration::ZERO);
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
        let flows = block_in_place(|| self.reconciler.plane().pinned().flow_count());
        match flows {
            Ok(count) => self.metrics.entries(map::FLOWS, count),
            Err(error) => tracing::warn!(%error, "cannot count flows"),
        }
    }

    /// Does what is due.
    async fn work(&mut self) -> Result<(), AgentError> {
        let now = Instant::now();
        if self.due.network.is_some_and(|due| due <= now) {
            self.due.network = None;
            self.refresh_network().await?;
        }
        if self.due.maps.is_some_and(|due| due <= now) {
            self.due.maps = None;
            self.sync();
        }
        self.keep_warm().await;
        Ok(())
    }

    /// Trouble ends the agent before it was ever ready, when a person or a rollout is watching; afterwards it is said
    /// and tried again, for whatever else works has to go on.
    async fn refresh_network(&mut self) -> Result<(), AgentError> {
        let node_addresses = self.node_addresses();
        let troubles = self.network.refresh(&node_addresses, self.reconciler.plane()).await?;
        if std::mem::take(&mut self.due.epoch) {
            self.reconciler.plane().raise_epoch()?;
        }
        self.metrics.modes(&self.network.modes());
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
        troubles.into_iter().next().map_or(Ok(()), |trouble| Err(trouble.into()))
    }

    fn sync(&mut self) {
        let Some(snapshot) = self.snapshot.clone() else { return };
        let started = Instant::now();
        match block_in_place(|| self.reconciler.sync(&snapshot, &self.config)) {
            Ok(report) => {
                self.readiness.synced();
                if let Some(tables) = self.reconciler.tables() {
                    self.metrics.synced(started.elapsed(), report.refused, tables);
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

    async fn keep_warm(&mut self) {
        let endpoints = self.reconciler.tables().map(remote_endpoints).unwrap_or_default();
        if let Err(error) = self.network.keep_warm(&endpoints).await {
            tracing::warn!(%error, "cannot keep neighbours warm");
        }
    }

    /// IPv4 addresses of this node's Node object.
    fn node_addresses(&self) -> Vec<Ipv4Addr> {
        let node = self.snapshot.as_ref().and_then(|snapshot| snapshot.nodes.get(&self.config.node_name));
        let addresses = node.into_iter().flat_map(|node| &node.addresses);
        addresses
            .filter_map(|address| if let IpAddr::V4(address) = address { Some(*address) } else { None })
            .collect()
    }
}
