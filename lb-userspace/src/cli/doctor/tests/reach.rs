//! The ways of packets.

use super::{complaints, healthy, vip};
use crate::cli::doctor::facts::{Place, Silent};

#[test]
fn next_hops_that_do_not_answer_are_named_with_what_is_behind_them() {
    let mut facts = healthy();
    let ip = |text: &str| text.parse::<std::net::IpAddr>().unwrap();
    let silent = |address: &str, endpoints: &[&str]| Silent {
        address: ip(address),
        device: "eth0".to_owned(),
        endpoints: endpoints.iter().map(|text| ip(text)).collect(),
    };
    let data_plane = facts.data_plane.as_mut().unwrap();
    data_plane.silent = vec![
        silent("192.0.2.1", &[]),
        silent("192.0.2.12", &["10.244.2.11", "10.244.2.12"]),
        silent("192.0.2.13", &["192.0.2.13"]),
    ];
    data_plane.unrouted = [ip("10.244.3.11")].into();
    insta::assert_snapshot!(complaints(&facts), @r"
    Fail neighbours: nobody on eth0 answers for 192.0.2.1, the gateway: replies to clients beyond it are lost
    Fail neighbours: nobody on eth0 answers for 192.0.2.12, the next hop to 2 endpoints (10.244.2.11, 10.244.2.12): packets to them are lost
    Fail neighbours: nobody on eth0 answers for 192.0.2.13, an endpoint: packets to it are lost
    Fail routes: no route to 1 endpoints on other nodes (10.244.3.11)
    ");
}

#[test]
fn a_vip_is_suspect_where_no_packet_came_and_nobody_answers_for_it() {
    let segment = |answered| Place::Segment { device: "eth0".to_owned(), answered };
    let judged = |packets, place| {
        let mut facts = healthy();
        facts.data_plane.as_mut().unwrap().vips = vec![vip("192.0.2.200", packets, place)];
        complaints(&facts)
    };
    assert!(judged(0, segment(Some(false))).starts_with("Warn vips: 192.0.2.200 (default/web:http) lies in"));
    assert!(judged(0, Place::Routed).starts_with("Note vips: no packet has come here for 1 of 1 VIPs"));
    assert!(judged(0, segment(None)).starts_with("Note vips: no packet has come here for 1 of 1 VIPs"));
    for (packets, place) in
        [(0, segment(Some(true))), (0, Place::Own), (1, segment(None)), (1, Place::Routed)]
    {
        assert_eq!(judged(packets, place), "");
    }
}
