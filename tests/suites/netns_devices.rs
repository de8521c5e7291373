//! What the agent learns from the kernel about devices, routes and neighbours, of both families.
#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use futures::StreamExt as _;
use lb_tests::{
    netns::{Namespace, unique_name},
    skip, wait,
};
use lb_userspace::dataplane::{
    device::Device,
    ethtool::strips_vlan_tags,
    neighbour,
    netlink::{Change, Netlink, changes},
    routes::{NextHop, Routes},
};

const NEEDS: &[skip::Need] = &[skip::Need::Root, skip::Need::Namespaces, skip::Need::Tool("ip")];

/// A node and its gateway on one link.
struct Link {
    node: Namespace,
    gateway: Namespace,
}

impl Link {
    fn new() -> Self {
        let [node, gateway] = [unique_name(), unique_name()].map(|name| Namespace::create(&name).unwrap());
        node.ip(&format!("link add eth0 type veth peer name eth0 netns {}", gateway.name())).unwrap();
        for (namespace, host) in [(&node, 1), (&gateway, 2)] {
            namespace
                .ip(&format!(
                    "address add 192.0.2.{host}/24 dev eth0\n\
                     address add 2001:db8::{host}/64 dev eth0 nodad\n\
                     address add fe80::{host}/64 dev eth0 nodad scope link\n\
                     link set eth0 up"
                ))
                .unwrap();
        }
        let link = Self { node, gateway };
        wait::until_true("a carrier", || link.eth0().running).unwrap();
        link
    }

    fn eth0(&self) -> Device {
        let devices = self.node.block_on(|| async { Netlink::open().unwrap().devices().await.unwrap() });
        devices.into_iter().find(|device| device.name == "eth0").unwrap()
    }

    fn routes(&self) -> Routes {
        self.node.block_on(|| async { Netlink::open().unwrap().routes().await.unwrap() })
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_device_is_known_by_its_oldest_lasting_address_of_each_family() {
    if !skip::need(NEEDS) {
        return;
    }
    let link = Link::new();
    link.node
        .ip("address add 2001:db8::3/64 dev eth0 nodad\n\
             address add 2001:db8::4/64 dev eth0 nodad preferred_lft 0\n\
             route add default via fe80::2 dev eth0")
        .unwrap();
    let device = link.eth0();
    assert_eq!(device.primary_addresses().collect::<Vec<_>>(), [ip("192.0.2.1"), ip("2001:db8::1")]);
    assert_eq!(device.sources, [ip("192.0.2.1"), ip("2001:db8::1"), ip("2001:db8::3")]);
    for own in ["2001:db8::4", "fe80::1"] {
        assert!(device.addresses.contains(&ip(own)), "{own}: {device:?}");
    }
    assert!(device.default_route, "an IPv6 default route makes an uplink too");
}

#[test]
fn next_hops_of_both_families_are_found() {
    if !skip::need(NEEDS) {
        return;
    }
    let link = Link::new();
    link.node
        .ip("route add 2001:db8:1::/64 via fe80::2 dev eth0\n\
             route add 198.51.100.0/24 via inet6 fe80::2 dev eth0\n\
             route add blackhole 2001:db8:2::/64")
        .unwrap();
    let (ifindex, routes) = (link.eth0().index, link.routes());
    for (to, hop) in [
        ("2001:db8::2", Some("2001:db8::2")),
        ("2001:db8:1::9", Some("fe80::2")),
        ("198.51.100.9", Some("fe80::2")),
        ("192.0.2.2", Some("192.0.2.2")),
        ("2001:db8:2::9", None),
        ("2001:db8:3::9", None),
        ("2001:db8::1", None),
    ] {
        let hop = hop.map(|hop| NextHop { ifindex, address: ip(hop) });
        assert_eq!(routes.next_hops(ip(to)).next(), hop, "{to}");
    }
}

#[test]
fn ipv6_neighbours_are_resolved_without_traffic_and_let_go() {
    if !skip::need(NEEDS) {
        return;
    }
    let link = Link::new();
    let ifindex = link.eth0().index;
    let hops: BTreeSet<_> =
        ["2001:db8::2", "fe80::2", "192.0.2.2"].map(|hop| NextHop { ifindex, address: ip(hop) }).into();
    let manage = |wanted: BTreeSet<NextHop>| {
        link.node.block_on(move || async move {
            neighbour::manage(&Netlink::open().unwrap(), &wanted).await.unwrap();
        });
    };
    manage(hops.clone());
    let resolved = || {
        let table = link.node.run("ip", &["neighbour", "show", "dev", "eth0"]).unwrap();
        hops.iter()
            .filter(|hop| {
                table
                    .lines()
                    .any(|line| line.starts_with(&format!("{} ", hop.address)) && line.contains("lladdr"))
            })
            .count()
    };
    wait::until_true("resolved neighbours", || resolved() == 3).unwrap();
    manage(BTreeSet::new());
    assert_eq!(resolved(), 0);
    drop(link.gateway);
}

#[test]
fn ipv6_routes_are_news_and_those_of_a_new_device_alone_are_not() {
    if !skip::need(NEEDS) {
        return;
    }
    let link = Link::new();
    let node = &link.node;
    let news = node.block_on(|| async {
        let mut changes = changes().unwrap();
        node.ip("link add eth1 type veth peer name eth2\nlink set eth1 up\nlink set eth2 up").unwrap();
        // What comes after this marker in the stream came after it in the kernel.
        node.ip("neighbour add 192.0.2.99 lladdr 02:00:00:00:00:99 dev eth0").unwrap();
        let marker = ip("192.0.2.99");
        let mut before = Vec::new();
        loop {
            match changes.next().await.unwrap() {
                Change::Neighbour { hop, .. } if hop.address == marker => break,
                change => before.push(change),
            }
        }
        node.ip("route add 2001:db8:1::/64 via fe80::2 dev eth0").unwrap();
        let after = tokio::time::timeout(Duration::from_secs(5), async {
            while changes.next().await != Some(Change::Routes) {}
        });
        assert!(after.await.is_ok(), "a new IPv6 route is news");
        before
    });
    assert!(news.contains(&Change::Devices), "{news:?}");
    assert!(!news.contains(&Change::Routes), "{news:?}");
}

#[test]
fn a_driver_that_takes_vlan_tags_off_before_xdp_is_known() {
    if !skip::need(&[NEEDS, &[skip::Need::Tool("ethtool")]].concat()) {
        return;
    }
    let link = Link::new();
    let strips = || link.node.enter(|| strips_vlan_tags("eth0")).unwrap();
    for (setting, expected) in [("off", false), ("on", true)] {
        link.node.run("ethtool", &["-K", "eth0", "rxvlan", setting]).unwrap();
        assert_eq!(strips(), expected);
    }
    assert!(link.node.enter(|| strips_vlan_tags("eth9")).is_err());
}
