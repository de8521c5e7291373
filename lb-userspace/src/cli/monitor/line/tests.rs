use std::net::Ipv4Addr;

use lb_common::{
    address::V4,
    flow::{FLOW_ENCAPSULATED, FLOW_LOCAL, Flow, FlowKey},
    monitor::What,
    tcp::{TCP, UDP},
};

use super::{super::filter::Filter, *};

fn be(address: [u8; 4]) -> V4 {
    u32::from_ne_bytes(address)
}

const CLIENT: [u8; 4] = [198, 51, 100, 7];
const VIP: [u8; 4] = [203, 0, 113, 10];
const NODE: [u8; 4] = [172, 18, 0, 2];
const POD: [u8; 4] = [10, 244, 1, 5];

fn client() -> FlowKey {
    FlowKey::new(be(CLIENT), be(VIP), 40_000u16.to_be(), 80u16.to_be(), TCP)
}

fn snat() -> Flow {
    let endpoint = FlowKey::new(be(NODE), be(POD), 51_234u16.to_be(), 8080u16.to_be(), TCP);
    Flow { service: 1, opened: 100, ..Flow::translating(&client(), &endpoint) }
}

fn line(what: What, key: &FlowKey, flow: Option<&Flow>) -> Line {
    let mut event = Event { time: time::nanos(100 + time::seconds(2)), ..Event::default() };
    event.describe(what, key, 2);
    if let Some(flow) = flow {
        event.add_flow(flow);
    }
    let at = SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_456);
    Line::told(&event, Some(ServiceName::parse("default/web:http")), Some("eth0".to_owned()), at)
}

fn close(reason: CloseReason) -> What {
    What::new(Kind::Close, reason as u32)
}

fn drop() -> Line {
    line(What::new(Kind::Drop, DropReason::NoEndpoint as u32), &client(), None)
}

#[test]
fn lines_name_both_sides_of_a_flow_and_why_it_ended() {
    let forward = snat();
    let reverse = forward.other(&client());
    let local =
        FlowKey { src_be: be(CLIENT), src_port_be: client().src_port_be, ..forward.translated(TCP.into()) };
    let local = Flow { flags: FLOW_LOCAL, ..Flow::translating(&client(), &local) };
    let dsr =
        Flow { src_be: be(NODE), dst_be: be([172, 18, 0, 3]), flags: FLOW_ENCAPSULATED, ..Flow::default() };
    let open = What::new(Kind::Open, 0);
    let lines = [
        line(open, &client(), Some(&forward)),
        line(open, &client(), Some(&local)),
        line(open, &client(), Some(&dsr)),
        line(close(CloseReason::Reset), &forward.other_key(&client()), Some(&reverse)),
        drop(),
    ];
    insta::assert_snapshot!(lines.map(|line| line.to_string()).join("\n"), @r"
    22:13:20.123456 OPEN  TCP  198.51.100.7:40000 → 203.0.113.10:80 via 172.18.0.2:51234 → 10.244.1.5:8080 SNAT default/web:http
    22:13:20.123456 OPEN  TCP  198.51.100.7:40000 → 203.0.113.10:80 via 10.244.1.5:8080 Local default/web:http
    22:13:20.123456 OPEN  TCP  198.51.100.7:40000 → 203.0.113.10:80 via node 172.18.0.3 DSR default/web:http
    22:13:20.123456 CLOSE TCP  198.51.100.7:40000 → 203.0.113.10:80 via 172.18.0.2:51234 → 10.244.1.5:8080 SNAT default/web:http (reset after 2.0s)
    22:13:20.123456 DROP  TCP  198.51.100.7:40000 → 203.0.113.10:80 default/web:http (no-endpoint) from eth0
    ");
}

#[test]
fn json_field_names_do_not_change() {
    let lines = [line(close(CloseReason::Finished), &client(), Some(&snat())), drop()];
    let lines = lines.map(|line| serde_json::to_string(&line).unwrap());
    insta::assert_snapshot!(lines.join("\n"), @r#"
    {"time":"2023-11-14T22:13:20.123456Z","type":"close","reason":"fin","protocol":"TCP","client":"198.51.100.7:40000","frontend":"203.0.113.10:80","source":"172.18.0.2:51234","endpoint":"10.244.1.5:8080","node":null,"forwarding":"SNAT","service":{"namespace":"default","name":"web","portName":"http"},"interface":"eth0","durationSeconds":2.01326592}
    {"time":"2023-11-14T22:13:20.123456Z","type":"drop","reason":"no-endpoint","protocol":"TCP","source":"198.51.100.7:40000","destination":"203.0.113.10:80","service":{"namespace":"default","name":"web","portName":"http"},"interface":"eth0"}
    "#);
}

#[test]
fn flags_narrow_what_is_shown_and_values_of_one_widen_it() {
    let flow = line(What::new(Kind::Open, 0), &client(), Some(&snat()));
    let udp = line(
        What::new(Kind::Drop, DropReason::NoRoute as u32),
        &FlowKey { protocol: UDP.into(), ..client() },
        None,
    );
    let address = |octets: [u8; 4]| IpAddr::V4(Ipv4Addr::from(octets));
    let nothing = Filter::default;
    for (filter, of_flow, of_drop) in [
        (nothing(), true, true),
        (Filter { reasons: vec!["no-route".into(), "reset".into()], ..nothing() }, false, true),
        (Filter { namespace: Some("default".into()), ..nothing() }, true, true),
        (Filter { namespace: Some("other".into()), ..nothing() }, false, false),
        (Filter { services: vec!["default/web".into()], ..nothing() }, true, true),
        (Filter { services: vec!["other/web".into(), "db".into()], ..nothing() }, false, false),
        (Filter { vips: vec![address(VIP)], ..nothing() }, true, true),
        (Filter { vips: vec![address(POD)], ..nothing() }, false, false),
        (Filter { clients: vec!["198.51.100.0/24".parse().unwrap()], ..nothing() }, true, true),
        (Filter { clients: vec!["10.0.0.0/8".parse().unwrap()], ..nothing() }, false, false),
        (Filter { endpoints: vec![address(POD)], ..nothing() }, true, false),
        (Filter { protocols: vec![UDP], ..nothing() }, false, true),
    ] {
        assert_eq!((filter.takes(&flow), filter.takes(&udp)), (of_flow, of_drop), "{filter:?}");
    }
}
