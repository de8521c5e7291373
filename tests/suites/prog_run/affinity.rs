//! `sessionAffinity: ClientIP`.

use std::net::IpAddr;

use lb_common::{stat::Stat, tcp::TCP, time::seconds};
use lb_tests::model::{Endpoint, Frontend, Step, read};

use crate::node::{Family, Node, POD_PORT, families, frontend, packet};

const TIMEOUT: u32 = 10;

/// Where a new connection of the client goes.
fn connect(node: &mut Node, family: &Family, port: u16) -> IpAddr {
    read(&node.xdp(&packet(TCP, (family.client, port), family.to(), false)).frame).dst
}

/// A client that was bound to the remote pod, while the ring now leads to the narrow one.
fn bound(family: &Family) -> Node {
    let mut node = Node::new();
    node.endpoint(1, family.remote_pod, None);
    node.endpoint(2, family.narrow_pod, None);
    for ring in [1, 2] {
        node.frontend(Frontend { affinity: TIMEOUT, ..frontend(family.vip, TCP, &[ring]) });
        assert_eq!(connect(&mut node, family, 1000), family.remote_pod);
    }
    node
}

#[test]
fn a_client_keeps_its_endpoint_from_any_port_and_each_new_connection_renews_that() {
    for family in families() {
        let mut node = bound(&family);
        for port in 2000..2003 {
            node.wait(seconds(TIMEOUT) - 1);
            assert_eq!(connect(&mut node, &family, port), family.remote_pod);
        }
        assert_eq!(node.events(Stat::AffinityKept), 3);
        node.wait(seconds(TIMEOUT) + 1);
        assert_eq!(connect(&mut node, &family, 2003), family.narrow_pod);
    }
}

#[test]
fn affinity_ends_with_the_endpoint() {
    for family in families() {
        let mut node = bound(&family);
        let (port, protocol, flags, generation) = (POD_PORT, TCP, 0, 2);
        let gone = Endpoint { index: 1, address: None, node: None, port, protocol, flags, generation };
        node.step(Step::Endpoint(gone));
        assert_eq!(connect(&mut node, &family, 2000), family.narrow_pod);
    }
}
