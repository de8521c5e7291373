use serde_json::json;

use super::*;

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
    use lb_model::object::{Protocol, ServicePort, ServiceType, TrafficPolicy};

    let (service, findings) = service(json!({
        "metadata": {"name": "web", "namespace": "shop", "creationTimestamp": "2024-01-02T03:04:05Z"},
        "spec": {
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
            cluster_ips: vec!["10.96.0.10".parse().unwrap(), "fd00::10".parse().unwrap()],
            external_ips: vec!["203.0.113.10".parse().unwrap()],
            load_balancer_ips: vec!["198.51.100.1".parse().unwrap(), "198.51.100.2".parse().unwrap()],
            external_traffic_policy: TrafficPolicy::Local,
            health_check_node_port: Some(32_000),
            ports: vec![
                ServicePort {
                    name: "http".into(),
                    protocol: Protocol::Tcp,
                    port: 80,
                    node_port: Some(30080)
                },
                ServicePort { name: "dns".into(), protocol: Protocol::Udp, port: 53, node_port: None },
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
        {"name": "sctp", "port": 80, "protocol": "SCTP"},
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
            "spec.ports[2].protocol: SCTP is not forwarded by this version; use TCP or UDP, or leave the port to kube-proxy",
            "spec.ports[3].protocol: \"tcp\" is not a protocol; use TCP or UDP",
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
fn conditions_that_are_absent_count_as_the_api_says() {
    let (slice, findings) = slice(json!({
        "metadata": {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}, {"name": "all"}, {"name": "s", "port": 1, "protocol": "SCTP"}],
        "endpoints": [
            {"addresses": ["10.0.0.1", "10.0.0.2"], "nodeName": "a"},
            {"addresses": ["10.0.0.3"], "conditions": {"ready": false}},
            {"addresses": ["10.0.0.4"], "conditions": {"ready": false, "serving": true, "terminating": true}},
        ],
    }));
    assert_eq!(findings, [""; 0]);
    assert_eq!(slice.service, "web");
    assert_eq!(slice.ports.iter().map(|port| (&*port.name, port.port)).collect::<Vec<_>>(), [("http", 8080)]);
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
    assert_eq!(slice.endpoints[0].node.as_deref(), Some("a"));
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
        ("IPv6", "IPv6", ours.clone()),
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
fn a_node_keeps_addresses_and_pod_ranges() {
    let (node, findings) = served(
        Kind::Node,
        json!({
            "metadata": {"name": "a"},
            "spec": {"podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24", "10.244.1.0", "10.244.1.0/33"]},
            "status": {"addresses": [
                {"type": "Hostname", "address": "a"}, {"type": "InternalIP", "address": "192.0.2.1"},
                {"type": "ExternalIP", "address": "1.2.3"},
            ]},
        }),
    );
    let expected =
        Node { addresses: vec!["192.0.2.1".parse().unwrap()], pod_cidrs: vec!["10.244.1.0/24".into()] };
    assert_eq!(node, Object::Node(expected));
    let fields: Vec<_> = findings.iter().map(|finding| finding.split(": ").next().unwrap()).collect();
    assert_eq!(fields, ["status.addresses[2].address", "spec.podCIDRs[1]", "spec.podCIDRs[2]"]);
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
