//! `loadBalancerSourceRanges`.

use lb_common::{
    drop_reason::DropReason,
    host::verdict::{XDP_DROP, XDP_REDIRECT},
    service::SERVICE_SOURCE_RANGES,
    tcp::TCP,
};
use lb_tests::model::{Frontend, Step};

use crate::node::{Family, Node, families, frontend, packet};

fn node_limited_to(family: &Family, ranges: &[(u32, u8)]) -> u32 {
    let mut node = Node::new();
    node.endpoint(1, family.remote_pod, None);
    node.frontend(Frontend { flags: SERVICE_SOURCE_RANGES, ..frontend(family.vip, TCP, &[1]) });
    for (service, bits) in ranges {
        node.step(Step::SourceRange(*service, family.client, *bits));
    }
    let verdict = node.xdp(&packet(TCP, family.from(), family.to(), false)).verdict;
    assert_eq!(node.drops(DropReason::SourceNotAllowed), u64::from(verdict == XDP_DROP));
    verdict
}

#[test]
fn a_client_inside_a_range_is_served() {
    for family in families() {
        let whole = if family.vip.is_ipv6() { 128 } else { 32 };
        for bits in [0, 8, 24, whole] {
            assert_eq!(node_limited_to(&family, &[(1, bits)]), XDP_REDIRECT, "/{bits}");
        }
    }
}

#[test]
fn a_client_outside_of_all_ranges_is_dropped_in_silence() {
    for family in families() {
        assert_eq!(node_limited_to(&family, &[]), XDP_DROP);
        assert_eq!(node_limited_to(&family, &[(2, 0)]), XDP_DROP, "the range of another Service");
    }
    let [v4, v6] = families();
    let mixed = Family { client: v6.client, ..v4 };
    let mut node = Node::new();
    node.endpoint(1, mixed.remote_pod, None);
    node.frontend(Frontend { flags: SERVICE_SOURCE_RANGES, ..frontend(mixed.vip, TCP, &[1]) });
    node.step(Step::SourceRange(1, "::".parse().unwrap(), 96));
    let out = node.xdp(&packet(TCP, ("198.51.100.7".parse().unwrap(), 9), mixed.to(), false));
    assert_eq!(out.verdict, XDP_DROP, "a range of the other family");
}
