//! A data plane whose agent is dead, under traffic: what the verbs that watch it have to do with.

use anyhow::{Result, ensure};

use crate::{
    agent::Agent,
    cluster::Cluster,
    topo::{EXTERNAL_IP, Routing},
    traffic::{IpFamily, Target, ask},
};

/// A Service `web` with a pod on each node, and no agent on the first.
#[derive(Debug)]
pub struct Unattended {
    cluster: Cluster,
}

impl Unattended {
    /// Builds it.
    ///
    /// # Errors
    /// Where a step fails.
    pub fn start() -> Result<Self> {
        let mut cluster = Cluster::web(Routing::Native, 1)?;
        cluster.agents[0].kill()?;
        Ok(Self { cluster })
    }

    /// The dead agent, over whose pins `sluice` runs.
    pub fn agent(&self) -> &Agent {
        &self.cluster.agents[0]
    }

    /// A client opens a connection that is served, and one to a port that the VIP does not have.
    ///
    /// # Errors
    /// Where the first is not served, or the second is.
    pub fn traffic(&self) -> Result<()> {
        let client = &self.cluster.topology.client;
        let vip = EXTERNAL_IP.of(IpFamily::Ipv4);
        ask(client, Target::tcp(vip, 80))?;
        ensure!(ask(client, Target::tcp(vip, 4242)).is_err(), "a port without a Service was served");
        Ok(())
    }
}
