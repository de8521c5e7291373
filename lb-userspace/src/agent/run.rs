//! From flags to a running agent, and to its exit code.

use std::{process::ExitCode, sync::Arc};

use lb_admin::Admin;
use lb_logging::Level;
use lb_model::{config::NodeConfig, policy::ExternalIpPolicy};
use lb_sources::Consumer;
use nix::sys::utsname::uname;
use tokio::{net::TcpListener, runtime};
use tokio_util::sync::CancellationToken;

use super::{
    AgentError, Options, admin::Observed, events::Agent, health_check, metrics::Metrics, network::Network,
    policy, preflight, readiness::Readiness, reconcile::Reconciler, refusals::Refusals,
};
use crate::dataplane::{
    attach::Attacher,
    inherit::{Inherited, inherit},
    loader,
    lock::Lock,
    maps::Maps,
    netlink::{self, Netlink},
    pin::PinDir,
    pinned::Pinned,
    pins::Pins,
    ports,
};

/// Who reports, as Events spell it.
const CONTROLLER: &str = "sluice.dev/agent";

/// Runs the agent to its end.
pub fn main(dir: &PinDir, options: &Options) -> ExitCode {
    let level = lb_logging::start();
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let result = runtime
        .map_err(|source| AgentError::System { what: "starting the runtime", source })
        .and_then(|runtime| runtime.block_on(run(dir, options, level)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            error.exit_code()
        }
    }
}

async fn run(dir: &PinDir, options: &Options, level: Level) -> Result<(), AgentError> {
    preflight::check()?;
    health_check::raise_open_files();
    dir.create()?;
    let mut pins = Pins::new(dir.clone(), Lock::take(dir)?);
    let stop = CancellationToken::new();
    let policy = policy::start(options.external_ip_policy.as_deref(), &stop)?;
    let settings = options.settings();
    if let Some(inherited) = inherit(dir, &settings.sizes)? {
        announce(&inherited);
    }
    let mut ebpf = loader::load(dir, &settings)?;
    loader::pin_programs(&mut ebpf, dir)?;
    pins.hold_all()?;
    tokio::spawn(stop.clone().run_until_cancelled_owned(ports::keep_reserved(settings.snat_ports.clone())));
    let mut maps = Maps::new(Pinned::open(dir)?)?;
    maps.admit_ports(settings.snat_ports)?;
    let feed = options.source().start(Consumer::Agent, stop.clone()).await?;
    let readiness = Arc::new(Readiness::default());
    let metrics = Arc::new(Metrics::new(Arc::new(Pinned::open(dir)?), readiness.clone()));
    if let Some(address) = options.admin.0 {
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|source| AgentError::Admin { address, source })?;
        let observed = Observed { readiness: readiness.clone(), metrics: metrics.clone() };
        let server = Admin::new(Arc::new(observed), level).serve(listener);
        tokio::spawn(stop.clone().run_until_cancelled_owned(server));
    }
    let attacher = Attacher::new(pins, ebpf, options.mode);
    let changes = netlink::changes()?;
    let network = Network::new(Netlink::open()?, attacher, options.interface.iter().cloned().collect());
    let config = node_config(options)?;
    let announcer =
        feed.cluster.clone().map(|cluster| cluster.announcer(CONTROLLER, &config.node_name, stop.clone()));
    let refusals = Refusals::new(metrics.clone(), announcer);
    let mut agent = Agent::new(config, Reconciler::new(maps), network, refusals, readiness.clone(), metrics);
    let result = agent.follow(feed, policy, changes).await;
    readiness.stopping();
    stop.cancel();
    if result.is_ok() {
        tracing::info!("ended; programs stay attached and forwarding goes on");
    }
    result
}

/// Says what becomes of the flows of a release with another layout.
fn announce(inherited: &Inherited) {
    let (layout, fresh) = (inherited.layout.display(), inherited.fresh.join(", "));
    if inherited.has_flows() {
        tracing::info!(%layout, fresh, "another release serves; its flows go on");
    } else {
        tracing::warn!(%layout, fresh, "another release serves; its flows are opened anew by their next packets");
    }
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
        external_ips_allowed: ExternalIpPolicy::everywhere(options.external_ips_allowed.clone()),
        node_port_addresses: options.node_port_addresses.clone(),
        ..NodeConfig::default()
    })
}
