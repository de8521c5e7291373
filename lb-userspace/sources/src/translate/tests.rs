mod for_ingress;
mod ingress;
mod names;
mod secret;
mod traffic;

use lb_model::object::{EndpointSlice, Node, Service};
use serde_json::json;

use super::*;

/// For the agent, except kinds that it does not follow.
fn translate(kind: Kind, object: &Value) -> Translation {
    let consumer = if Consumer::Agent.follows(kind) { Consumer::Agent } else { Consumer::Ingress };
    super::translate(consumer, kind, object)
}

fn served(kind: Kind, object: Value) -> (Object, Vec<String>) {
    let translation = translate(kind, &object);
    let findings = translation.findings.iter().map(ToString::to_string).collect();
    match translation.outcome {
        Outcome::Served(object) => (object, findings),
        other => panic!("{other:?}: {findings:?}"),
    }
}

fn service(object: Value) -> (Service, Vec<String>) {
    match served(Kind::Service, object) {
        (Object::Service(service), findings) => (service, findings),
        (other, _) => panic!("{other:?}"),
    }
}

fn slice(object: Value) -> (EndpointSlice, Vec<String>) {
    match served(Kind::EndpointSlice, object) {
        (Object::EndpointSlice(slice), findings) => (slice, findings),
        (other, _) => panic!("{other:?}"),
    }
}

fn refused(kind: Kind, object: Value) -> Finding {
    let translation = translate(kind, &object);
    assert_eq!(translation.outcome, Outcome::Refused, "{:?}", translation.findings);
    translation.findings.into_iter().next_back().expect("a refused object has a finding")
}

#[test]
fn a_service_keeps_all_that_decides_where_packets_go() {
    use lb_model::object::{ForwardingMode, IpFamily, Protocol, ServicePort, ServiceType, TrafficPolicy};

    let (service, findings) = service(json!({
        "metadata": {"name": "web", "namespace": "shop", "creationTimestamp": "2024-01-02T03:04:05Z",
            "annotations": {"sluice.dev/forwarding-mode": "dsr"}},
        "spec": {
            "loadBalancerClass": "example.com/lb", "allocateLoadBalancerNodePorts": false,
            "sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 600}},
            "loadBalancerSourceRanges": [" 10.1.2.3/8", "2001:db8::/32"],
            "type": "LoadBalancer", "clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10", "fd00::10"],
            "externalIPs": ["203.0.113.10"], "externalTrafficPolicy": "Local", "healthCheckNodePort": 32000,
            "ports": [
                {"name": "http", "port": 80, "nodePort": 30080, "targetPort": "web"},
                {"name": "dns", "port": 53, "protocol": "UDP"},
            ],
        },
        "status": {"loadBalancer": {"ingress": [
            {"ip": "198.51.100.1"}, {"ip": "198.51.100.2", "ipMode": "VIP"}, {"ip": "198.51.100.3", "ipMode": "Proxy"},
            {"hostname": "lb.example"},
        ]}},
    }));
    assert_eq!(findings, [""; 0]);
    assert_eq!(
        service,
        Service {
            created: 1_704_164_645,
            service_type: ServiceType::LoadBalancer,
            ip_families: vec![IpFamily::Ipv4, IpFamily::Ipv6],
            cluster_ips: vec!["10.96.0.10".parse().unwrap(), "fd00::10".parse().unwrap()],
            external_ips: vec!["203.0.113.10".parse().unwrap()],
            load_balancer_ips: vec!["198.51.100.1".parse().unwrap(), "198.51.100.2".parse().unwrap()],
            external_traffic_policy: TrafficPolicy::Local,
            affinity_seconds: Some(600),
            source_ranges: Some(vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()]),
            health_check_node_port: Some(32_000),
            forwarding_mode: ForwardingMode::Dsr,
            ports: vec![
                ServicePort {
                    name: "http".into(),
                    protocol: Protocol::Tcp,
                    port: 80,
                    node_port: Some(30080),
                    app_protocol: None,
                },
                ServicePort {
                    name: "dns".into(),
                    protocol: Protocol::Udp,
                    port: 53,
                    node_port: None,
                    app_protocol: None
                },
            ],
        }
    );
}

#[test]
fn services_of_others_are_skipped_in_silence() {
    for (what, object) in [
        (
            "headless",
            json!({"metadata": {"name": "a"}, "spec": {"clusterIP": "None", "externalIPs": ["203.0.113.1"]}}),
        ),
        ("headless, list only", json!({"metadata": {"name": "a"}, "spec": {"clusterIPs": ["None"]}})),
        (
            "external name",
            json!({"metadata": {"name": "a"}, "spec": {"type": "ExternalName", "externalName": "x.y"}}),
        ),
        (
            "another proxy's",
            json!({"metadata": {"name": "a", "labels": {"service.kubernetes.io/service-proxy-name": "x"}}, "spec": {}}),
        ),
    ] {
        let translation = translate(Kind::Service, &object);
        assert_eq!((translation.outcome, translation.findings), (Outcome::Skipped, vec![]), "{what}");
    }
}

#[test]
fn a_bad_port_is_refused_alone() {
    let (service, findings) = service(json!({"metadata": {"name": "web"}, "spec": {"ports": [
        {"name": "zero", "port": 0},
        {"name": "big", "port": 65536},
        {"name": "icmp", "port": 80, "protocol": "ICMP"},
        {"name": "odd", "port": 80, "protocol": "tcp"},
        {"name": "good", "port": 80, "nodePort": 70000},
        {"name": "again", "port": 80},
        {"name": "good", "port": 81},
        {"port": 82},
        {"port": 83},
    ]}}));
    assert_eq!(service.ports.iter().map(|port| port.port).collect::<Vec<_>>(), [80, 82]);
    assert_eq!(service.ports[0].node_port, None);
    assert_eq!(
        findings,
        [
            "spec.ports[0].port: 0 is not a port; use 1 to 65535",
            "spec.ports[1].port: 65536 is not a port; use 1 to 65535",
            "spec.ports[2].protocol: \"ICMP\" is not a protocol; use TCP, UDP or SCTP",
            "spec.ports[3].protocol: \"tcp\" is not a protocol; use TCP, UDP or SCTP",
            "spec.ports[4].nodePort: 70000 is not a port; use 1 to 65535",
            "spec.ports[5]: TCP 80 is already a port of this Service; remove one",
            "spec.ports[6]: \"good\" already names a port of this Service; choose another name",
            "spec.ports[8]: several ports of a Service need names; give this one a name",
        ]
    );
}

#[test]
fn a_bad_address_is_refused_alone() {
    let (service, findings) = service(json!({"metadata": {"name": "web"}, "spec": {
        "clusterIPs": ["10.96.0.300", "10.96.0.1"],
        "externalIPs": ["203.0.113.1", "203.0.113", "127.0.0.1", "0.0.0.0", "224.0.0.1", "169.254.1.1", "010.0.0.1"],
    }, "status": {"loadBalancer": {"ingress": [{"ip": "x"}, {"ip": "198.51.100.1", "ipMode": "Other"}]}}}));
    assert_eq!(service.external_ips, ["203.0.113.1".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(service.cluster_ips, ["10.96.0.1".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(service.load_balancer_ips, [] as [std::net::IpAddr; 0]);
    let fields: Vec<_> = findings.iter().map(|finding| finding.split(": ").next().unwrap()).collect();
    assert_eq!(
        fields,
        [
            "spec.clusterIPs[0]",
            "spec.externalIPs[1]",
            "spec.externalIPs[2]",
            "spec.externalIPs[3]",
            "spec.externalIPs[4]",
            "spec.externalIPs[5]",
            "spec.externalIPs[6]",
            "status.loadBalancer.ingress[0].ip",
            "status.loadBalancer.ingress[1].ipMode",
        ]
    );
}

#[test]
fn families_are_those_that_the_service_names_or_else_those_of_its_cluster_ips() {
    use lb_model::object::IpFamily::{Ipv4, Ipv6};
    let families = |spec: Value| {
        let (service, findings) = service(json!({"metadata": {"name": "web"}, "spec": spec}));
        (service.ip_families, findings.len())
    };
    assert_eq!(families(json!({"ipFamilies": ["IPv6", "IPv4"]})), (vec![Ipv4, Ipv6], 0));
    assert_eq!(families(json!({"ipFamilies": ["IPv6"], "clusterIP": "10.96.0.1"})), (vec![Ipv6], 0));
    assert_eq!(families(json!({"clusterIPs": ["fd00::1"]})), (vec![Ipv6], 0));
    assert_eq!(families(json!({"ipFamilies": ["ipv4"], "clusterIP": "10.96.0.1"})), (vec![Ipv4], 1));
    assert_eq!(families(json!({})), (vec![], 0));
}

#[test]
fn slices_of_both_families_are_taken_and_say_who_filled_them() {
    let slice = |family: &str, manager: &str, address: &str| {
        slice(json!({
            "metadata": {"name": "web-1", "creationTimestamp": "2024-01-02T03:04:05Z", "labels": {
                "kubernetes.io/service-name": "web", "endpointslice.kubernetes.io/managed-by": manager,
            }},
            "addressType": family, "endpoints": [{"addresses": [address]}],
        }))
    };
    let (v6, findings) = slice("IPv6", "endpointslice-controller.k8s.io", "2001:db8::1");
    assert_eq!((v6.endpoints.len(), v6.lists_pods, v6.created), (1, true, 1_704_164_645));
    assert_eq!(findings, [""; 0]);
    let (v4, findings) = slice("IPv4", "endpointslicemirroring-controller.k8s.io", "2001:db8::1");
    assert_eq!((v4.endpoints.len(), v4.lists_pods), (0, false));
    assert_eq!(
        findings,
        [
            "endpoints[0].addresses[0]: 2001:db8::1 in a slice of addressType IPv4; move it to a slice of addressType IPv6"
        ]
    );
    for special in ["::", "::1", "fe80::1", "ff02::1", "::ffff:10.0.0.1"] {
        assert_eq!(slice("IPv6", "", special).0.endpoints, [], "{special}");
    }
}

#[test]
fn conditions_that_are_absent_count_as_the_api_says() {
    let (slice, findings) = slice(json!({
        "metadata": {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}, {"name": "all"}, {"name": "s", "port": 1, "protocol": "SCTP"}],
        "endpoints": [
            {"addresses": ["10.0.0.1", "10.0.0.2"], "nodeName": "a",
             "hints": {"forZones": [{"name": "z1"}, {"name": "z2"}], "forNodes": [{"name": "a"}]}},
            {"addresses": ["10.0.0.3"], "conditions": {"ready": false}},
            {"addresses": ["10.0.0.4"], "conditions": {"ready": false, "serving": true, "terminating": true}},
        ],
    }));
    assert_eq!(findings, [""; 0]);
    assert_eq!(slice.service, "web");
    assert_eq!(
        slice.ports.iter().map(|port| (&*port.name, port.port)).collect::<Vec<_>>(),
        [("http", 8080), ("s", 1)]
    );
    let conditions: Vec<_> = slice
        .endpoints
        .iter()
        .map(|endpoint| {
            (endpoint.address.to_string(), endpoint.ready, endpoint.serving, endpoint.terminating)
        })
        .collect();
    assert_eq!(
        conditions,
        [
            ("10.0.0.1".to_owned(), true, true, false),
            ("10.0.0.3".to_owned(), false, false, false),
            ("10.0.0.4".to_owned(), false, true, true),
        ]
    );
    let endpoint = &slice.endpoints[0];
    assert_eq!(endpoint.node.as_deref(), Some("a"));
    assert_eq!(
        (&*endpoint.for_zones, &*endpoint.for_nodes),
        (&["z1".into(), "z2".into()][..], &["a".into()][..])
    );
}

#[test]
fn a_bad_endpoint_is_refused_alone() {
    let (slice, findings) = slice(json!({
        "metadata": {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "ports": [{"port": -1}, {"name": "ok", "port": 80}],
        "endpoints": [{"addresses": []}, {"addresses": ["pod-a"]}, {"addresses": ["fd00::1"]},
            {"addresses": ["127.0.0.1"]}, {"addresses": ["10.0.0.1"]}],
    }));
    assert_eq!((slice.ports.len(), slice.endpoints.len()), (1, 1));
    let fields: Vec<_> = findings.iter().map(|finding| finding.split(": ").next().unwrap()).collect();
    assert_eq!(
        fields,
        [
            "ports[0].port",
            "endpoints[0].addresses",
            "endpoints[1].addresses[0]",
            "endpoints[2].addresses[0]",
            "endpoints[3].addresses[0]",
        ]
    );
}

#[test]
fn slices_of_others_are_skipped_in_silence() {
    let ours = json!({"kubernetes.io/service-name": "web"});
    for (what, address_type, labels) in [
        ("host names", "FQDN", ours),
        ("of no Service", "IPv4", json!({})),
        (
            "headless",
            "IPv4",
            json!({"kubernetes.io/service-name": "web", "service.kubernetes.io/headless": ""}),
        ),
        (
            "another proxy's",
            "IPv4",
            json!({"kubernetes.io/service-name": "web", "service.kubernetes.io/service-proxy-name": "x"}),
        ),
    ] {
        let object = json!({"metadata": {"name": "a", "labels": labels}, "addressType": address_type, "endpoints": []});
        let translation = translate(Kind::EndpointSlice, &object);
        assert_eq!((translation.outcome, translation.findings), (Outcome::Skipped, vec![]), "{what}");
    }
}

#[test]
fn a_node_keeps_addresses_zone_and_pod_ranges() {
    let (node, findings) = served(
        Kind::Node,
        json!({
            "metadata": {"name": "a", "labels": {"topology.kubernetes.io/zone": "z1"}},
            "spec": {"podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24", "fd00:244::/64", "10.244.1.0", "10.244.1.0/33"]},
            "status": {"addresses": [
                {"type": "Hostname", "address": "a"}, {"type": "InternalIP", "address": "192.0.2.1"},
                {"type": "ExternalIP", "address": "1.2.3"}, {"type": "ExternalIP", "address": "203.0.113.1"},
                {"type": "InternalIP", "address": "2001:db8::1"}, {"type": "InternalIP", "address": "::ffff:192.0.2.9"},
            ]},
        }),
    );
    let ips = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let expected = Node {
        internal_ips: ips(&["192.0.2.1", "2001:db8::1", "192.0.2.9"]),
        external_ips: ips(&["203.0.113.1"]),
        zone: Some("z1".into()),
        pod_cidrs: vec!["10.244.1.0/24".parse().unwrap(), "fd00:244::/64".parse().unwrap()],
    };
    assert_eq!(node, Object::Node(expected));
    let fields: Vec<_> = findings.iter().map(|finding| finding.split(": ").next().unwrap()).collect();
    assert_eq!(fields, ["status.addresses[2].address", "spec.podCIDRs[2]", "spec.podCIDRs[3]"]);
}

#[test]
fn an_object_that_says_nothing_usable_is_refused_by_name() {
    let finding =
        refused(Kind::Service, json!({"metadata": {"name": "web"}, "spec": {"ports": [{"port": "http"}]}}));
    assert_eq!((finding.field.as_str(), finding.reason), ("spec.ports[0].port", reason::UNDECODABLE));
    let finding = refused(Kind::Service, json!({"metadata": {"name": "web"}, "spec": {"type": "Nodeport"}}));
    assert_eq!(finding.field, "spec.type");
    let finding = refused(
        Kind::Service,
        json!({"metadata": {"name": "w"}, "spec": {"externalTrafficPolicy": "local"}}),
    );
    assert_eq!(finding.field, "spec.externalTrafficPolicy");
    let finding = refused(Kind::EndpointSlice, json!({"metadata": {"name": "web-1"}, "addressType": "ipv4"}));
    assert_eq!(finding.field, "addressType");
    for name in [json!(null), json!(""), json!("Web"), json!("a/b"), json!("a".repeat(254))] {
        let finding = refused(Kind::Node, json!({"metadata": {"name": name}}));
        assert_eq!(finding.reason, reason::INVALID_NAME);
    }
}

#[test]
fn a_refusal_names_object_field_and_remedy() {
    let object = json!({"metadata": {"name": "web"}, "spec": {"ports": [{"port": 0}]}});
    let refusals: Vec<_> = translate(Kind::Service, &object).refusals().collect();
    assert_eq!(
        refusals,
        [Refusal {
            kind: "Service".into(),
            object: ObjectKey::new("default", "web"),
            reason: reason::INVALID_PORT.into(),
            message: "spec.ports[0].port: 0 is not a port; use 1 to 65535".into(),
        }]
    );
}

#[test]
fn what_is_not_an_object_at_all_is_refused_and_not_a_panic() {
    for object in [
        json!(null),
        json!(3),
        json!([]),
        json!("x"),
        json!({"metadata": 1}),
        json!({"metadata": {"name": {}}}),
    ] {
        for kind in Kind::ALL {
            assert_eq!(translate(kind, &object).outcome, Outcome::Refused, "{object}");
        }
    }
}
