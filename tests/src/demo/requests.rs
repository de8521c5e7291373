//! Requests of the demo's client, and who answered.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Result, ensure};

use super::screen::Screen;
use crate::{
    cluster::{Cluster, NODE_PORT},
    manifests::PORT,
    topo::{EXTERNAL_IP, LOAD_BALANCER_IP, Node},
    traffic::{Tally, Target, get, requests},
};

/// Requests of each protocol in a row of the table.
const EACH: u32 = 100;

/// A line of the table: a frontend, by way of a node.
pub(super) struct Row<'a> {
    kind: &'static str,
    address: IpAddr,
    port: u16,
    node: &'a Node,
}

impl<'a> Row<'a> {
    fn all_of(node: &'a Node) -> [Self; 3] {
        [
            Row { kind: "NodePort", address: node.addresses.v4.into(), port: NODE_PORT, node },
            Row::external_ip(node),
            Row { kind: "LoadBalancer IP", address: LOAD_BALANCER_IP.v4.into(), port: PORT, node },
        ]
    }

    pub(super) fn external_ip(node: &'a Node) -> Self {
        Row { kind: "external IP", address: EXTERNAL_IP.v4.into(), port: PORT, node }
    }
}

/// Every kind of frontend by way of each node.
pub(super) fn from_everywhere(screen: &Screen, cluster: &Cluster) -> Result<()> {
    screen.title(&format!("The client asks for http://{}/", EXTERNAL_IP.v4));
    let address = SocketAddr::new(EXTERNAL_IP.v4.into(), PORT);
    screen.quote(&get(&cluster.topology.client, 0, address)?.body);
    screen.title(&format!("Who answers: {EACH} TCP and {EACH} UDP requests each"));
    let rows: Vec<_> = cluster.topology.nodes.iter().flat_map(Row::all_of).collect();
    table(screen, cluster, &rows)
}

/// Sends the requests of each row and shows who answered; fails where one was not.
pub(super) fn table(screen: &Screen, cluster: &Cluster, rows: &[Row<'_>]) -> Result<()> {
    let topology = &cluster.topology;
    let pods: Vec<&str> = topology.pods().map(|pod| pod.name.as_str()).collect();
    let head: String = pods.iter().map(|pod| format!("{pod:>8}")).collect();
    screen.plain(&format!("  {:<18}{:<22}{:<8}{head}{:>8}", "FRONTEND", "ADDRESS", "BY", "FAILED"));
    let mut failed = 0;
    for row in rows {
        topology.route_vips_to(row.node)?;
        let mut tally = Tally::default();
        for target in [Target::tcp(row.address, row.port), Target::udp(row.address, row.port)] {
            tally.add(requests(&topology.client, target, EACH, 10));
        }
        let counts: String =
            pods.iter().map(|pod| format!("{:>8}", tally.answered.get(*pod).unwrap_or(&0))).collect();
        let address = format!("{}:{}", row.address, row.port);
        let line =
            format!("{:<18}{address:<22}{:<8}{counts}{:>8}", row.kind, row.node.name, tally.failures());
        screen.plain(&format!("  {line}"));
        for (error, count) in &tally.failed {
            screen.plain(&format!("    {count} × {error}"));
        }
        failed += tally.failures();
    }
    topology.route_vips_to(topology.node_a())?;
    ensure!(failed == 0, "{failed} requests failed");
    Ok(())
}
