//! Which addresses to publish where no flag says so.

use std::{collections::BTreeSet, net::IpAddr};

use lb_model::object::{Node, Snapshot};

/// The addresses that were given, in their order. Where there are none, the addresses of the Nodes that run the proxy:
/// those of the ready endpoints of every Service that `own`, the address of this pod, is an endpoint of; all Nodes
/// where that is unknown. Of each Node the external addresses, or the internal ones where it has no others.
pub fn addresses(given: &[IpAddr], own: Option<IpAddr>, snapshot: &Snapshot) -> Vec<IpAddr> {
    if !given.is_empty() {
        return given.to_vec();
    }
    let running = own.map(|own| nodes_beside(own, snapshot)).unwrap_or_default();
    let nodes = snapshot.nodes.iter();
    let ours = nodes.filter(|(name, _)| running.is_empty() || running.contains(name.as_str()));
    let addresses: BTreeSet<_> = ours.flat_map(|(_, node)| of_node(node)).copied().collect();
    addresses.into_iter().collect()
}

/// Names of the Nodes with ready endpoints of the Services that `own` is an endpoint of.
fn nodes_beside(own: IpAddr, snapshot: &Snapshot) -> BTreeSet<&str> {
    let slices = || snapshot.slices.iter().map(|(key, slice)| ((&key.namespace, &slice.service), slice));
    let services: BTreeSet<_> = slices()
        .filter(|(_, slice)| slice.endpoints.iter().any(|endpoint| endpoint.address == own))
        .map(|(service, _)| service)
        .collect();
    slices()
        .filter(|(service, _)| services.contains(service))
        .flat_map(|(_, slice)| &slice.endpoints)
        .filter(|endpoint| endpoint.ready)
        .filter_map(|endpoint| endpoint.node.as_deref())
        .collect()
}

fn of_node(node: &Node) -> &[IpAddr] {
    if node.external_ips.is_empty() { &node.internal_ips } else { &node.external_ips }
}

#[cfg(test)]
mod tests {
    use lb_model::object::{Endpoint, EndpointSlice, ObjectKey};

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn slice(service: &str, endpoints: &[(&str, &str, bool)]) -> EndpointSlice {
        let endpoint = |(address, node, ready): &(&str, &str, bool)| Endpoint {
            address: ip(address),
            node: Some((*node).to_owned()),
            ready: *ready,
            serving: *ready,
            terminating: false,
            for_nodes: vec![],
            for_zones: vec![],
        };
        EndpointSlice {
            service: service.to_owned(),
            endpoints: endpoints.iter().map(endpoint).collect(),
            ..EndpointSlice::default()
        }
    }

    fn cluster() -> Snapshot {
        let mut snapshot = Snapshot::default();
        for (name, internal, external) in
            [("a", "192.0.2.1", Some("203.0.113.1")), ("b", "192.0.2.2", None), ("c", "192.0.2.3", None)]
        {
            let external_ips = external.map(ip).into_iter().collect();
            let node = Node { internal_ips: vec![ip(internal)], external_ips, ..Node::default() };
            snapshot.nodes.insert(name.to_owned(), node);
        }
        let proxies = [("10.0.0.1", "a", true), ("10.0.0.2", "b", true), ("10.0.0.3", "c", false)];
        for (name, slice) in [
            ("proxy-1", slice("proxy", &proxies[..1])),
            ("proxy-2", slice("proxy", &proxies[1..])),
            ("web-1", slice("web", &[("10.0.0.9", "c", true)])),
        ] {
            snapshot.slices.insert(ObjectKey::new("default", name), slice);
        }
        snapshot
    }

    #[test]
    fn what_was_given_is_published_as_it_was_given() {
        let given = [ip("203.0.113.9"), ip("203.0.113.8")];
        assert_eq!(addresses(&given, Some(ip("10.0.0.1")), &cluster()), given);
    }

    #[test]
    fn the_nodes_of_ready_proxies_are_published_and_no_others() {
        assert_eq!(addresses(&[], Some(ip("10.0.0.1")), &cluster()), [ip("192.0.2.2"), ip("203.0.113.1")]);
        assert_eq!(
            addresses(&[], Some(ip("10.0.0.3")), &cluster()),
            [ip("192.0.2.2"), ip("203.0.113.1")],
            "whoever publishes says the same, ready or not"
        );
    }

    #[test]
    fn without_a_service_of_its_own_every_node_is_published() {
        let all = [ip("192.0.2.2"), ip("192.0.2.3"), ip("203.0.113.1")];
        assert_eq!(addresses(&[], None, &cluster()), all);
        assert_eq!(addresses(&[], Some(ip("10.9.9.9")), &cluster()), all);
        assert!(addresses(&[], None, &Snapshot::default()).is_empty());
    }
}
