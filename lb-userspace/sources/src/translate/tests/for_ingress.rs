//! Services and slices as the proxy sees them.

use super::*;

fn service(object: Value) -> Translation {
    super::super::translate(Consumer::Ingress, Kind::Service, &object)
}

#[test]
fn headless_services_and_those_of_other_proxies_count() {
    for (what, fields) in [
        ("headless", json!({"spec": {"clusterIP": "None", "clusterIPs": ["None"], "ports": [{"port": 80}]}})),
        (
            "another proxy's",
            json!({"metadata": {"name": "a", "labels": {"service.kubernetes.io/service-proxy-name": "x"}},
                "spec": {"ports": [{"port": 80}]}}),
        ),
        (
            "labelled headless",
            json!({"metadata": {"name": "a", "labels": {"service.kubernetes.io/headless": ""}},
                "spec": {"ports": [{"port": 80}]}}),
        ),
    ] {
        let mut object = json!({"metadata": {"name": "a"}});
        object.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let Translation { outcome, findings, .. } = service(object);
        let Outcome::Served(Object::Service(service)) = outcome else { panic!("{what}: {outcome:?}") };
        assert_eq!((findings, service.ports.len(), service.cluster_ips.len()), (vec![], 1, 0), "{what}");
    }
    let external =
        json!({"metadata": {"name": "a"}, "spec": {"type": "ExternalName", "externalName": "x.y"}});
    assert_eq!(service(external).outcome, Outcome::Skipped, "it has no endpoints");
}

#[test]
fn the_slices_of_such_services_count() {
    for label in ["service.kubernetes.io/service-proxy-name", "service.kubernetes.io/headless"] {
        let object = json!({"metadata": {"name": "a-1", "labels": {"kubernetes.io/service-name": "a", label: ""}},
            "addressType": "IPv4", "endpoints": []});
        let outcome = |consumer| super::super::translate(consumer, Kind::EndpointSlice, &object).outcome;
        assert!(matches!(outcome(Consumer::Ingress), Outcome::Served(_)), "{label}");
        assert_eq!(outcome(Consumer::Agent), Outcome::Skipped, "{label}");
    }
}

#[test]
fn what_is_wrong_with_a_services_addresses_is_the_agents_matter() {
    let object = json!({"metadata": {"name": "a"}, "spec": {
        "type": "LoadBalancer", "clusterIP": "10.96.0.1", "externalIPs": ["no"], "externalTrafficPolicy": "no",
        "loadBalancerSourceRanges": ["no"], "sessionAffinity": "no",
        "ports": [{"port": 80, "appProtocol": "kubernetes.io/h2c"}, {"name": "b", "port": 0}]}});
    let Translation { outcome, findings, .. } = service(object);
    let Outcome::Served(Object::Service(service)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(service.ports[0].app_protocol.as_deref(), Some("kubernetes.io/h2c"));
    assert_eq!(service.cluster_ips.len(), 1);
    assert_eq!(
        findings.iter().map(|finding| finding.field.as_str()).collect::<Vec<_>>(),
        ["spec.ports[1].port"]
    );
}
