//! What the model has to know of the node it decides for.

use std::net::{IpAddr, Ipv4Addr};

use crate::{cidr::Cidr, object::Snapshot, policy::ExternalIpPolicy};

/// This node, its devices and the policy that the operator set by flags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeConfig {
    /// The node's name in the cluster.
    pub node_name: String,
    /// Every IPv4 address of this host's devices. Leave out those that a proxy keeps on a dummy device
    /// (`kube-ipvs0`): they are VIPs, and nothing that the host owns is served as a VIP.
    pub addresses: Vec<Ipv4Addr>,
    /// Addresses that NodePorts answer on by default where the Node object names none of `addresses`.
    pub primary_addresses: Vec<Ipv4Addr>,
    /// Who may claim which external IP; any other external IP is not served.
    pub external_ips_allowed: ExternalIpPolicy,
    /// `--node-port-addresses`: ranges whose addresses answer on NodePorts; empty for the primary addresses.
    pub node_port_addresses: Vec<Cidr>,
}

impl NodeConfig {
    /// True where `address` belongs to one of this host's devices.
    pub fn owns(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|own| IpAddr::V4(*own) == address)
    }

    /// The addresses that NodePorts answer on, in order: with no range given, the addresses of the Node object that
    /// are really on this host (kube-proxy's `--nodeport-addresses=primary`).
    pub fn node_port_addresses(&self, snapshot: &Snapshot) -> Vec<Ipv4Addr> {
        let mut addresses: Vec<Ipv4Addr> = if self.node_port_addresses.is_empty() {
            let node = snapshot.nodes.get(&self.node_name);
            let named =
                |own: &&Ipv4Addr| node.is_some_and(|node| node.addresses.contains(&IpAddr::V4(**own)));
            let primary: Vec<_> = self.addresses.iter().filter(named).copied().collect();
            if primary.is_empty() { self.primary_addresses.clone() } else { primary }
        } else {
            let within = |own: &&Ipv4Addr| {
                !own.is_loopback()
                    && self.node_port_addresses.iter().any(|range| range.contains(IpAddr::V4(**own)))
            };
            self.addresses.iter().filter(within).copied().collect()
        };
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Node;

    fn config(node_port_addresses: &[&str]) -> NodeConfig {
        NodeConfig {
            node_name: "n1".to_owned(),
            addresses: ["127.0.0.1", "192.0.2.1", "10.0.0.1", "172.17.0.1"]
                .map(|a| a.parse().unwrap())
                .to_vec(),
            primary_addresses: vec!["10.0.0.1".parse().unwrap()],
            node_port_addresses: node_port_addresses.iter().map(|range| range.parse().unwrap()).collect(),
            ..NodeConfig::default()
        }
    }

    fn answers_on(config: &NodeConfig, node_addresses: &[&str]) -> Vec<String> {
        let addresses = node_addresses.iter().map(|address| address.parse().unwrap()).collect();
        let node = Node { addresses, ..Node::default() };
        let snapshot = Snapshot { nodes: [("n1".to_owned(), node)].into(), ..Snapshot::default() };
        config.node_port_addresses(&snapshot).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn node_ports_answer_on_the_addresses_of_the_node_object_that_this_host_has() {
        assert_eq!(answers_on(&config(&[]), &["192.0.2.1", "203.0.113.1", "2001:db8::1"]), ["192.0.2.1"]);
    }

    #[test]
    fn without_such_an_address_node_ports_answer_on_the_primary_ones() {
        assert_eq!(answers_on(&config(&[]), &["203.0.113.1"]), ["10.0.0.1"]);
        assert_eq!(answers_on(&config(&[]), &[]), ["10.0.0.1"]);
    }

    #[test]
    fn given_ranges_choose_among_all_addresses_but_loopback() {
        assert_eq!(
            answers_on(&config(&["10.0.0.0/8", "172.16.0.0/12"]), &["192.0.2.1"]),
            ["10.0.0.1", "172.17.0.1"]
        );
        assert_eq!(answers_on(&config(&["0.0.0.0/0"]), &[]).len(), 3);
        assert!(answers_on(&config(&["198.51.100.0/24"]), &["192.0.2.1"]).is_empty());
    }
}
