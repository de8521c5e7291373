use super::*;

#[test]
fn a_service_and_its_namespace_have_names_that_the_api_would_give_them() {
    let (label, long) = ("a".repeat(63), "a".repeat(64));
    let object = |name: &str, namespace: &str| json!({"metadata": {"name": name, "namespace": namespace}});
    served(Kind::Service, object(&label, &label));
    for (name, namespace) in [(&*long, "b"), ("a.b", "b"), ("a", &*long), ("a", "b.c")] {
        let finding = refused(Kind::Service, object(name, namespace));
        assert_eq!(finding.reason, reason::INVALID_NAME, "{finding}");
    }
    let slice = |name: &str| json!({"metadata": {"name": name}, "addressType": "IPv4", "endpoints": []});
    assert_eq!(translate(Kind::EndpointSlice, &slice("web.0")).findings, []);
    served(Kind::Node, json!({"metadata": {"name": "node-1.example"}}));
}

#[test]
fn a_port_whose_name_another_could_be_taken_for_is_refused_alone() {
    let (service, findings) = service(json!({"metadata": {"name": "web"}, "spec": {"ports": [
        {"name": "http", "port": 80},
        {"name": "http IPv6", "port": 81},
        {"name": "a".repeat(64), "port": 82},
    ]}}));
    assert_eq!(service.ports.len(), 1);
    assert!(findings[0].starts_with("spec.ports[1].name: \"http IPv6\" is no name; use "), "{findings:?}");
    assert_eq!(findings.len(), 2);
}
