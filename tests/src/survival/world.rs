//! What the faults happen to: two nodes, of which the first has the VIPs and follows an API server, and a BPF file system
//! of its own that can be taken away from it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde_json::Value;
use tempfile::TempDir;

use super::Load;
use crate::{
    agent::Agent,
    api_server::{ApiServer, Hosted},
    cluster::{SMALL_MAPS, near_and_far, near_and_far_vips},
    manifests::Manifests,
    topo::{Layout, Node, Topology},
};

/// Agents, pods and a client. One Service has its pod on the first node, the other on the second.
#[derive(Debug)]
pub struct World {
    /// The agent of node-a, which all packets come by.
    pub agent: Agent,
    /// The agent of node-b.
    pub other_agent: Agent,
    /// The network.
    pub topology: Topology,
    /// How long the API server stays away, once every attempt to reach it has failed.
    pub outage: Duration,
    older_release: Option<PathBuf>,
    server: Hosted,
    bpffs: Bpffs,
    #[expect(dead_code, reason = "held for its drop")]
    directory: TempDir,
}

impl World {
    /// Builds it, and waits until both agents are ready.
    ///
    /// # Errors
    /// Where a step fails.
    pub fn new() -> Result<Self> {
        let topology = Topology::with(Layout::default())?;
        topology.keep_order()?;
        let directory = TempDir::with_prefix(&topology.name)?;
        let path = directory.path();
        let services = near_and_far(&topology);
        let manifests = Manifests::new(path.join("manifests"), &topology)?;
        services.iter().try_for_each(|service| manifests.apply(service))?;
        let server = Hosted::start(&topology.node_a().namespace)?;
        for file in ["nodes", "near", "far"] {
            apply(&server.api, &std::fs::read_to_string(path.join(format!("manifests/{file}.yaml")))?)?;
        }
        let kubeconfig = path.join("kubeconfig");
        server.api.write_kubeconfig(&kubeconfig);
        let bpffs = Bpffs::mount(path.join("bpf"))?;
        let mut agent = Agent::spawn_pinning(
            &bpffs.path.join("sluice"),
            topology.node_a(),
            &kubeconfig,
            path,
            &SMALL_MAPS,
        )?;
        let mut other_agent = Agent::spawn(&topology.name, topology.node_b(), &manifests, path, &SMALL_MAPS)?;
        agent.wait_ready()?;
        other_agent.wait_ready()?;
        let (outage, older_release) = Default::default();
        Ok(Self { agent, other_agent, topology, outage, older_release, server, bpffs, directory })
    }

    /// Holds load on both Services, over both families.
    ///
    /// # Errors
    /// Where it does not get on.
    pub fn load(&self) -> Result<Load> {
        Load::start(&self.topology.client, near_and_far_vips().map(|(vip, _)| vip))
    }

    /// The program of an older release, for the fault that goes back to it.
    pub fn set_older_release(&mut self, program: PathBuf) {
        self.older_release = Some(program);
    }

    pub(super) fn older_release(&self) -> Option<PathBuf> {
        self.older_release.clone()
    }

    /// The first node.
    pub fn node(&self) -> &Node {
        self.topology.node_a()
    }

    /// The API server that its agent follows.
    pub fn api(&self) -> &ApiServer {
        &self.server.api
    }

    /// Where its agent's BPF file system is mounted.
    pub fn bpffs(&self) -> &Path {
        &self.bpffs.path
    }

    /// Unmounts that file system under the agent, and mounts an empty one.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn remount_bpffs(&self) -> Result<()> {
        umount2(&self.bpffs.path, MntFlags::MNT_DETACH)?;
        mount_bpffs(&self.bpffs.path)
    }
}

/// A mounted BPF file system.
#[derive(Debug)]
struct Bpffs {
    path: PathBuf,
}

impl Bpffs {
    fn mount(path: PathBuf) -> Result<Self> {
        std::fs::create_dir(&path)?;
        mount_bpffs(&path)?;
        Ok(Self { path })
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        let _ = umount2(&self.path, MntFlags::MNT_DETACH);
    }
}

fn mount_bpffs(path: &Path) -> Result<()> {
    mount(Some("bpf"), path, Some("bpf"), MsFlags::empty(), None::<&str>)
        .with_context(|| format!("a BPF file system at {}", path.display()))
}

/// Creates the objects of some YAML documents.
fn apply(api: &ApiServer, yaml: &str) -> Result<()> {
    let objects: Vec<Value> = serde_saphyr::from_multiple(yaml)?;
    objects.into_iter().for_each(|object| api.apply(object));
    Ok(())
}
