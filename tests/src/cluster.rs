//! A network, a folder of manifests and an agent on each node: what most tests start from.

use std::{collections::BTreeSet, net::IpAddr, path::Path};

use anyhow::Result;
use lb_common::service::ServiceKey;
use lb_userspace::dataplane::pinned::Pinned;
use tempfile::TempDir;

use crate::{
    agent::Agent,
    manifests::{Manifests, Service},
    topo::{EXTERNAL_IP, LOAD_BALANCER_IP, Node, Routing, Topology},
    traffic::Target,
    wait,
};

/// The node port of [`web`].
pub const NODE_PORT: u16 = 30_080;

/// Enough for any test, and made in a fraction of the time that the kernel takes to clear the default sizes.
pub const SMALL_MAPS: [&str; 6] =
    ["--max-flows", "65536", "--max-backends", "4096", "--max-ring-chunks", "16384"];

/// The Service of most tests: every pod, behind a node port, an external IP and a load balancer's address.
pub fn web(topology: &Topology) -> Service {
    Service::new("web", topology.pods())
        .node_port(NODE_PORT)
        .external_ip(EXTERNAL_IP)
        .load_balancer_ip(LOAD_BALANCER_IP)
}

/// Two Services: `near` with a pod of node-a behind the external IP, `far` with a pod of node-b behind the load balancer's
/// address.
pub fn near_and_far(topology: &Topology) -> Vec<Service> {
    let near = Service::new("near", topology.node_a().pods.first()).external_ip(EXTERNAL_IP);
    let far = Service::new("far", topology.node_b().pods.first()).load_balancer_ip(LOAD_BALANCER_IP);
    vec![near, far]
}

/// The VIPs of [`near_and_far`] in both families, each with the name of its pod.
pub fn near_and_far_vips() -> impl Iterator<Item = (IpAddr, &'static str)> {
    let vips = [(EXTERNAL_IP, "pod-a1"), (LOAD_BALANCER_IP, "pod-b1")];
    vips.into_iter().flat_map(|(vip, pod)| vip.both().map(|address| (address, pod)))
}

/// Everything that one test runs on. Agents go first when it is dropped, then the network.
#[derive(Debug)]
pub struct Cluster {
    /// The agents of node-a and node-b.
    pub agents: [Agent; 2],
    /// What they read.
    pub manifests: Manifests,
    /// The network.
    pub topology: Topology,
    #[expect(dead_code, reason = "held for its drop")]
    directory: Option<TempDir>,
}

impl Cluster {
    /// Lays out a network with `pods` pods on each node, and starts agents with the Services that `services` makes of
    /// it.
    ///
    /// # Errors
    /// Where a step fails.
    pub fn start(
        routing: Routing,
        pods: u8,
        services: impl FnOnce(&Topology) -> Vec<Service>,
    ) -> Result<Self> {
        Self::start_on(Topology::new(routing, pods)?, &[], services)
    }

    /// A cluster with one Service, [`web`], on every pod.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn web(routing: Routing, pods: u8) -> Result<Self> {
        Self::start(routing, pods, |topology| vec![web(topology)])
    }

    /// As [`start`](Self::start), on a network that is there, with more arguments for the agents.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_on(
        topology: Topology,
        arguments: &[&str],
        services: impl FnOnce(&Topology) -> Vec<Service>,
    ) -> Result<Self> {
        let directory = TempDir::with_prefix(&topology.name)?;
        let arguments: Vec<&str> = SMALL_MAPS.iter().chain(arguments).copied().collect();
        let cluster = Self::start_in(directory.path(), topology, &arguments, services)?;
        Ok(Self { directory: Some(directory), ..cluster })
    }

    /// As [`start_on`](Self::start_on), with manifests and logs in a directory that stays.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_in(
        directory: &Path,
        topology: Topology,
        arguments: &[&str],
        services: impl FnOnce(&Topology) -> Vec<Service>,
    ) -> Result<Self> {
        let manifests = Manifests::new(directory.join("manifests"), &topology)?;
        services(&topology).iter().try_for_each(|service| manifests.apply(service))?;
        let spawn = |node: &Node| Agent::spawn(&topology.name, node, &manifests, directory, arguments);
        let mut agents = [spawn(topology.node_a())?, spawn(topology.node_b())?];
        agents.iter_mut().try_for_each(Agent::wait_ready)?;
        Ok(Self { agents, manifests, topology, directory: None })
    }

    /// Leaves everything running.
    pub fn keep(self) {
        std::mem::forget(self);
    }

    /// Writes a Service and waits until the maps of every running agent say the same.
    ///
    /// # Errors
    /// Where they do not in time.
    pub fn apply(&self, service: &Service) -> Result<()> {
        self.manifests.apply(service)?;
        self.wait_for(service, |node, target| Some(service.wanted(node, target.family())))
    }

    /// Removes a Service and waits until no running agent's maps have it any more.
    ///
    /// # Errors
    /// Where they still do after a while.
    pub fn delete(&self, service: &Service) -> Result<()> {
        self.manifests.delete(service)?;
        self.wait_for(service, |_, _| None)
    }

    fn wait_for(
        &self,
        service: &Service,
        wanted: impl Fn(&Node, Target) -> Option<BTreeSet<IpAddr>>,
    ) -> Result<()> {
        let running = self.agents.iter().zip(&self.topology.nodes).filter(|(agent, _)| agent.pid().is_some());
        for (agent, node) in running {
            let maps = agent.maps()?;
            for target in service.targets(node) {
                let wanted = wanted(node, target);
                let what =
                    format!("{target} of Service {} on {} leads to {wanted:?}", service.name, agent.node);
                wait::until_true(&what, || endpoints(&maps, target) == wanted)?;
            }
        }
        Ok(())
    }
}

/// Addresses of the endpoints behind a frontend; `None` where there is no such frontend.
fn endpoints(maps: &Pinned, target: Target) -> Option<BTreeSet<IpAddr>> {
    let key =
        ServiceKey::new(target.address.ip().into(), target.address.port().to_be(), target.protocol.number());
    let service = *maps.services().ok()?.get(&key)?;
    let indices: BTreeSet<u32> = maps.ring(&service).ok()?.into_iter().collect();
    indices.into_iter().map(|index| Some(maps.backend(index).ok()?.address.into())).collect()
}
