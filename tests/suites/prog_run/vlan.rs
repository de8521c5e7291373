//! Frames with one or two VLAN tags.

use lb_common::{
    host::verdict::{XDP_PASS, XDP_REDIRECT, XDP_TX},
    interface::INTERFACE_XDP,
    tcp::TCP,
};
use lb_tests::model::{Device, Hook, Read, frame::ethernet, read};

use crate::node::{Family, Node, POD_PORT, families, packet};

const TAGS: [&[(u16, u16)]; 2] = [&[(0x8100, 7)], &[(0x88a8, 9), (0x8100, 7)]];

fn through(node: &mut Node, family: &Family, tags: &[(u16, u16)]) -> (u32, Read) {
    let syn = packet(TCP, family.from(), family.to(), false);
    let out = node.send(Hook::Xdp, ethernet([0; 6], tags, &syn));
    (out.verdict, read(&out.frame))
}

#[test]
fn a_frame_that_goes_on_to_the_stack_keeps_its_tags() {
    for family in families() {
        for tags in TAGS {
            let mut node = Node::new();
            node.serve(family.vip, TCP, family.local_pod);
            let (verdict, seen) = through(&mut node, &family, tags);
            assert_eq!((verdict, &seen.tags[..]), (XDP_PASS, tags));
            assert_eq!(seen.ends(), (family.from(), (family.local_pod, POD_PORT)));
        }
    }
}

#[test]
fn an_answer_goes_back_into_the_vlan_that_the_question_came_from() {
    for family in families() {
        for tags in TAGS {
            let (verdict, seen) = through(&mut Node::new(), &family, tags);
            assert_eq!((verdict, &seen.tags[..]), (XDP_TX, tags));
            assert_eq!(seen.ends(), (family.to(), family.from()));
        }
    }
}

#[test]
fn a_frame_leaves_with_the_tags_of_the_device_that_it_leaves_by() {
    for family in families() {
        for (came_with, leaves_with) in
            [(TAGS[0], &[][..]), (&[], TAGS[1]), (TAGS[1], TAGS[0]), (TAGS[0], TAGS[1])]
        {
            let mut node = Node::new();
            node.serve(family.vip, TCP, family.remote_pod);
            node.interface(Device::Down, INTERFACE_XDP, leaves_with);
            let (verdict, seen) = through(&mut node, &family, came_with);
            assert_eq!((verdict, &seen.tags[..]), (XDP_REDIRECT, leaves_with));
            assert_eq!((seen.src, seen.dst), (family.node, family.remote_pod));
        }
    }
}
