//! What the model has to know of the node it decides for.

use std::net::IpAddr;

use crate::{
    cidr::Cidr,
    object::{IpFamily, Node, Snapshot},
    policy::ExternalIpPolicy,
};

/// This node, its devices and the policy that the operator set by flags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeConfig {
    /// The node's name in the cluster.
    pub node_name: String,
    /// Every address of this host's devices. Leave out those that a proxy keeps on a dummy device
    /// (`kube-ipvs0`): they are VIPs, and nothing that the host owns is served as a VIP.
    pub addresses: Vec<IpAddr>,
    /// Addresses that NodePorts answer on by default where the Node object names none of `addresses`.
    pub primary_addresses: Vec<IpAddr>,
    /// Who may claim which external IP; any other external IP is not served.
    pub external_ips_allowed: ExternalIpPolicy,
    /// `--node-port-addresses`: ranges whose addresses answer on NodePorts; empty for the primary addresses.
    pub node_port_addresses: Vec<Cidr>,
}

impl NodeConfig {
    /// True where `address` belongs to one of this host's devices.
    pub fn owns(&self, address: IpAddr) -> bool {
        self.addresses.contains(&address)
    }

    /// The addresses that NodePorts answer on, in order: with no range given, the addresses of the Node object that
    /// are really on this host (kube-proxy's `--nodeport-addresses=primary`), decided for each family by itself.
    pub fn node_port_addresses(&self, snapshot: &Snapshot) -> Vec<IpAddr> {
        let mut addresses: Vec<IpAddr> = if self.node_port_addresses.is_empty() {
            let node = snapshot.nodes.get(&self.node_name);
            IpFamily::ALL.into_iter().flat_map(|family| self.primary(family, node)).collect()
        } else {
            let within = |own: &&IpAddr| {
                is_reachable(**own) && self.node_port_addresses.iter().any(|range| range.contains(**own))
            };
            self.addresses.iter().filter(within).copied().collect()
        };
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }

    fn primary(&self, family: IpFamily, node: Option<&Node>) -> Vec<IpAddr> {
        let of_family = |address: &IpAddr| IpFamily::of(*address) == family;
        let named = node.into_iter().flat_map(Node::addresses);
        let named: Vec<_> = named.filter(|address| of_family(address) && self.owns(*address)).collect();
        if named.is_empty() {
            self.primary_addresses.iter().copied().filter(of_family).collect()
        } else {
            named
        }
    }
}

/// True where a client elsewhere can address it: an IPv6 link-local address means nothing without its device.
fn is_reachable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_loopback(),
        IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Node;

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn config(node_port_addresses: &[&str]) -> NodeConfig {
        NodeConfig {
            node_name: "n1".to_owned(),
            addresses: ips(&[
                "127.0.0.1",
                "192.0.2.1",
                "10.0.0.1",
                "172.17.0.1",
                "::1",
                "fe80::1",
                "2001:db8::1",
                "fd00::1",
            ]),
            primary_addresses: ips(&["10.0.0.1", "fd00::1"]),
            node_port_addresses: node_port_addresses.iter().map(|range| range.parse().unwrap()).collect(),
            ..NodeConfig::default()
        }
    }

    fn answers_on(config: &NodeConfig, node_addresses: &[&str]) -> Vec<String> {
        let node = Node { internal_ips: ips(node_addresses), ..Node::default() };
        let snapshot = Snapshot { nodes: [("n1".to_owned(), node)].into(), ..Snapshot::default() };
        config.node_port_addresses(&snapshot).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn node_ports_answer_on_the_addresses_of_the_node_object_that_this_host_has() {
        assert_eq!(
            answers_on(&config(&[]), &["192.0.2.1", "203.0.113.1", "2001:db8::1"]),
            ["192.0.2.1", "2001:db8::1"]
        );
    }

    #[test]
    fn without_such_an_address_of_a_family_node_ports_answer_on_its_primary_ones() {
        assert_eq!(answers_on(&config(&[]), &["203.0.113.1"]), ["10.0.0.1", "fd00::1"]);
        assert_eq!(answers_on(&config(&[]), &["192.0.2.1"]), ["192.0.2.1", "fd00::1"]);
        assert_eq!(answers_on(&config(&[]), &[]), ["10.0.0.1", "fd00::1"]);
    }

    #[test]
    fn given_ranges_choose_among_all_addresses_but_those_that_no_client_can_reach() {
        assert_eq!(
            answers_on(&config(&["10.0.0.0/8", "172.16.0.0/12"]), &["192.0.2.1"]),
            ["10.0.0.1", "172.17.0.1"]
        );
        assert_eq!(answers_on(&config(&["0.0.0.0/0"]), &[]).len(), 3);
        assert_eq!(answers_on(&config(&["::/0"]), &[]), ["2001:db8::1", "fd00::1"]);
        assert!(answers_on(&config(&["198.51.100.0/24"]), &["192.0.2.1"]).is_empty());
    }
}
