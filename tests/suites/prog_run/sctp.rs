//! SCTP: the CRC32c follows the ports, a wrong one stays wrong.

use lb_common::{host::verdict::XDP_REDIRECT, tcp::SCTP};
use lb_tests::model::{frame::crc32c, read};

use crate::node::{Node, POD_PORT, families, packet};

#[test]
fn an_association_is_translated_both_ways_with_sound_checksums() {
    for family in families() {
        let mut node = Node::new();
        node.serve(family.vip, SCTP, family.remote_pod);
        let out = node.xdp(&packet(SCTP, family.from(), family.to(), false));
        let (source, pod) = read(&out.frame).ends();
        assert_eq!((out.verdict, pod), (XDP_REDIRECT, (family.remote_pod, POD_PORT)));
        let out = node.xdp(&packet(SCTP, pod, source, true));
        assert_eq!((out.verdict, read(&out.frame).ends()), (XDP_REDIRECT, (family.to(), family.from())));
    }
}

#[test]
fn a_wrong_checksum_stays_as_wrong_as_it_was() {
    for family in families() {
        let mut node = Node::new();
        node.serve(family.vip, SCTP, family.remote_pod);
        let mut sent = packet(SCTP, family.from(), family.to(), false);
        let header = if family.vip.is_ipv6() { 40 } else { 20 };
        sent[header + 8] ^= 0x5a;
        let out = node.xdp(&sent);
        let body = &out.frame[14 + header..];
        let sound = crc32c(&[&body[..8], &[0; 4], &body[12..]].concat()).to_le_bytes();
        assert_eq!([body[8] ^ 0x5a, body[9], body[10], body[11]], sound);
    }
}
