//! Fragments: the first tells the ports, the others follow it.

use lb_common::{
    drop_reason::DropReason,
    fragment::LIFETIME,
    host::verdict::{TC_SHOT, XDP_PASS, XDP_REDIRECT},
    stat::Stat,
    tcp::UDP,
};
use lb_tests::model::{
    Hook,
    frame::{self, Ip, ethernet},
    read,
};

use crate::node::{Family, Node, PORT, families};

/// The pieces of one datagram, 16 bytes each.
fn pieces(family: &Family) -> [Vec<u8>; 3] {
    let ip = Ip::new(family.client, family.vip);
    let datagram = frame::udp(&ip, (family.from().1, PORT), true, &[9; 30]);
    [0, 1, 2].map(|index| ip.fragment_of(UDP, &datagram, 2, index, 77))
}

fn node(family: &Family) -> Node {
    let mut node = Node::new();
    node.serve(family.vip, UDP, family.remote_pod);
    node
}

#[test]
fn later_fragments_follow_the_first_in_any_order() {
    for family in families() {
        let mut node = node(&family);
        let [first, second, third] = pieces(&family);
        let mut whole = Vec::new();
        for (index, piece) in [(0, first), (2, third), (1, second)] {
            let out = node.xdp(&piece);
            let seen = read(&out.frame);
            assert_eq!((out.verdict, seen.src, seen.dst), (XDP_REDIRECT, family.node, family.remote_pod));
            whole.push((index, seen.body));
        }
        whole.sort();
        // Put together they are a sound datagram.
        let bytes: Vec<u8> = whole.into_iter().flat_map(|(_, body)| body).collect();
        let together =
            read(&ethernet([0; 6], &[], &Ip::new(family.node, family.remote_pod).packet(UDP, &bytes)));
        assert_eq!(together.body[8..], [9; 30]);
        assert_eq!(node.events(Stat::FragmentFollowed), 2);
    }
}

#[test]
fn a_fragment_whose_first_was_not_seen_is_left_to_tcx_and_dropped_there() {
    for family in families() {
        let mut node = node(&family);
        let [_, second, _] = pieces(&family);
        let out = node.xdp(&second);
        assert_eq!((out.verdict, &out.frame[14..]), (XDP_PASS, &second[..]));
        assert_eq!(node.send(Hook::Ingress, out.frame).verdict, TC_SHOT);
        assert_eq!(node.drops(DropReason::FragmentUnmatched), 1);
    }
}

#[test]
fn ports_are_forgotten_after_their_time() {
    for family in families() {
        let mut node = node(&family);
        let [first, second, third] = pieces(&family);
        node.xdp(&first);
        node.wait(LIFETIME);
        assert_eq!(node.xdp(&second).verdict, XDP_REDIRECT);
        node.wait(1);
        assert_eq!(node.xdp(&third).verdict, XDP_PASS);
    }
}
