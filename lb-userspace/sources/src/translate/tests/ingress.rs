//! Ingress and IngressClass.

use lb_model::ingress::{
    BackendPort, Ingress, IngressBackend, IngressClass, IngressPath, IngressRule, IngressTls, IngressVersion,
    PathType,
};

use super::*;

fn ingress(object: Value) -> (Ingress, Vec<String>) {
    match served(Kind::Ingress, object) {
        (Object::Ingress(ingress), findings) => (ingress, findings),
        (other, _) => panic!("{other:?}"),
    }
}

/// A v1 Ingress of these rules.
fn of_rules(rules: Value) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "metadata": {"name": "web"}, "spec": {"rules": rules}})
}

/// A v1 Ingress of one path.
fn of_path(path: Value) -> Value {
    let mut path = path;
    if path.get("backend").is_none() {
        path["backend"] = json!({"service": {"name": "a", "port": {"number": 80}}});
    }
    of_rules(json!([{"http": {"paths": [path]}}]))
}

fn number(name: &str, number: u16) -> IngressBackend {
    IngressBackend::Service { name: name.to_owned(), port: BackendPort::Number(number) }
}

#[test]
fn an_ingress_keeps_all_that_decides_what_becomes_of_a_request() {
    let (ingress, findings) = ingress(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": "web", "namespace": "shop", "creationTimestamp": "2024-01-02T03:04:05Z",
            "annotations": {"nginx.ingress.kubernetes.io/rewrite-target": "/$1"}},
        "spec": {
            "ingressClassName": "sluice",
            "defaultBackend": {"service": {"name": "rest", "port": {"number": 80}}},
            "tls": [{"hosts": ["Shop.example.com", "*.example.com"], "secretName": "cert"}, {}],
            "rules": [
                {"host": "Shop.Example.com", "http": {"paths": [
                    {"path": "/cart", "pathType": "Prefix", "backend": {"service": {"name": "cart", "port": {"name": "http"}}}},
                    {"path": "/x", "pathType": "Exact", "backend": {"resource": {"apiGroup": "a", "kind": "Bucket", "name": "b"}}},
                    {"pathType": "ImplementationSpecific", "backend": {"service": {"name": "c", "port": {"number": 81}}}},
                ]}},
                {"host": "*.example.com"},
            ],
        },
        "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}, {"hostname": "lb.example"}, {}]}},
    }));
    assert_eq!(findings, [""; 0]);
    let path = |path: &str, path_type, backend| IngressPath { path: path.into(), path_type, backend };
    let named = IngressBackend::Service { name: "cart".into(), port: BackendPort::Name("http".into()) };
    let resource = IngressBackend::Resource { kind: "Bucket".into(), name: "b".into() };
    let expected = Ingress {
        created: 1_704_164_645,
        version: IngressVersion::NetworkingV1,
        annotations: [("nginx.ingress.kubernetes.io/rewrite-target".into(), "/$1".into())].into(),
        class: Some("sluice".into()),
        default_backend: Some(number("rest", 80)),
        tls: vec![
            IngressTls {
                hosts: vec!["shop.example.com".into(), "*.example.com".into()],
                secret: Some("cert".into()),
            },
            IngressTls::default(),
        ],
        rules: vec![
            IngressRule {
                host: Some("shop.example.com".into()),
                paths: vec![
                    path("/cart", PathType::Prefix, named),
                    path("/x", PathType::Exact, resource),
                    path("/", PathType::ImplementationSpecific, number("c", 81)),
                ],
            },
            IngressRule { host: Some("*.example.com".into()), paths: vec![] },
        ],
        published: vec!["203.0.113.1".into(), "lb.example".into()],
    };
    assert_eq!(ingress, expected);
}

#[test]
fn the_two_older_versions_say_the_same_in_other_words() {
    for (api_version, version) in [
        ("networking.k8s.io/v1beta1", IngressVersion::NetworkingV1beta1),
        ("extensions/v1beta1", IngressVersion::ExtensionsV1beta1),
    ] {
        let (ingress, findings) = ingress(json!({
            "apiVersion": api_version, "kind": "Ingress", "metadata": {"name": "web"},
            "spec": {
                "backend": {"serviceName": "rest", "servicePort": 80},
                "ingressClassName": "sluice",
                "tls": [{"hosts": ["a.example"], "secretName": "cert"}],
                "rules": [{"host": "a.example", "http": {"paths": [
                    {"path": "/a", "backend": {"serviceName": "a", "servicePort": "http"}},
                    {"path": "/b", "pathType": "Exact", "backend": {"serviceName": "b", "servicePort": "8080"}},
                    {"backend": {"resource": {"kind": "Bucket", "name": "c"}}},
                ]}}],
            },
        }));
        assert_eq!(findings, [""; 0]);
        assert_eq!((ingress.version, &ingress.default_backend), (version, &Some(number("rest", 80))));
        assert_eq!((ingress.class.as_deref(), ingress.tls.len()), (Some("sluice"), 1));
        let paths = &ingress.rules[0].paths;
        let types: Vec<_> = paths.iter().map(|path| (path.path.as_str(), path.path_type)).collect();
        let any = PathType::ImplementationSpecific;
        assert_eq!(types, [("/a", any), ("/b", PathType::Exact), ("/", any)]);
        assert_eq!(
            paths[0].backend,
            IngressBackend::Service { name: "a".into(), port: BackendPort::Name("http".into()) }
        );
        assert_eq!(paths[1].backend, number("b", 8080));
    }
}

#[test]
fn an_item_of_a_list_names_no_version_and_is_of_the_newest() {
    let (ingress, _) = ingress(json!({"metadata": {"name": "web"}, "spec": {
        "defaultBackend": {"service": {"name": "a", "port": {"number": 80}}}}}));
    assert_eq!(ingress.version, IngressVersion::NetworkingV1);
    assert_eq!(ingress.default_backend, Some(number("a", 80)));
}

#[test]
fn a_bad_entry_is_refused_alone_with_its_field() {
    let backend = json!({"service": {"name": "a", "port": {"number": 80}}});
    let (ingress, findings) = ingress(json!({
        "apiVersion": "networking.k8s.io/v1", "metadata": {"name": "web"},
        "spec": {
            "defaultBackend": {},
            "tls": [
                {"hosts": ["a.example", "b_c"], "secretName": "cert"},
                {"hosts": ["a.example"], "secretName": "../cert"},
                {"hosts": ["-"]},
            ],
            "rules": [
                {"host": "10.0.0.1", "http": {"paths": [{"pathType": "Prefix", "path": "/", "backend": backend}]}},
                {"host": "a.*.example"},
                {"host": "a.example:80"},
                {"http": {"paths": []}},
                {"host": "good.example", "http": {"paths": [
                    {"pathType": "prefix", "path": "/", "backend": backend},
                    {"pathType": "Prefix", "path": "a", "backend": backend},
                    {"pathType": "Exact", "backend": backend},
                    {"pathType": "Prefix", "path": "/a//b", "backend": backend},
                    {"pathType": "Prefix", "path": "/a/..", "backend": backend},
                    {"pathType": "Prefix", "path": "/a%2Fb", "backend": backend},
                    {"pathType": "Prefix", "path": "/good", "backend": backend},
                ]}},
            ],
        },
    }));
    let fields: Vec<_> = findings.iter().map(|finding| finding.split(": ").next().unwrap()).collect();
    let path = |i: usize, field: &str| format!("spec.rules[4].http.paths[{i}].{field}");
    assert_eq!(
        fields,
        [
            "spec.defaultBackend",
            "spec.rules[0].host",
            "spec.rules[1].host",
            "spec.rules[2].host",
            "spec.rules[3].http.paths",
            &path(0, "pathType"),
            &path(1, "path"),
            &path(2, "path"),
            &path(3, "path"),
            &path(4, "path"),
            &path(5, "path"),
            "spec.tls[0].hosts[1]",
            "spec.tls[1].secretName",
            "spec.tls[2].hosts[0]",
        ],
        "{findings:#?}"
    );
    assert_eq!(ingress.rules.len(), 1, "a rule without its paths would take all paths");
    assert_eq!(ingress.rules[0].paths.len(), 1);
    assert_eq!(
        ingress.tls,
        [IngressTls { hosts: vec!["a.example".into()], secret: Some("cert".into()) }],
        "without its Secret an entry would ask for the default certificate"
    );
}

#[test]
fn a_backend_names_one_service_and_one_port() {
    let finding = |api_version: &str, backend: Value| {
        let mut object = of_path(json!({"path": "/", "pathType": "Prefix", "backend": backend}));
        object["apiVersion"] = json!(api_version);
        refused(Kind::Ingress, object).to_string().replace("spec.rules[0].http.paths[0].", "")
    };
    let newest = |backend| finding("networking.k8s.io/v1", backend);
    let oldest = |backend| finding("extensions/v1beta1", backend);
    for (actual, expected) in [
        (newest(json!({})), "backend: no backend; write service.name and service.port"),
        (
            newest(json!({"serviceName": "a", "servicePort": 80})),
            "backend: no backend; write service.name and service.port",
        ),
        (
            newest(json!({"service": {"name": "a"}, "resource": {"kind": "B", "name": "b"}})),
            "backend: both a Service and a resource; remove one",
        ),
        (
            newest(json!({"service": {"name": "a", "port": {"number": 80, "name": "http"}}})),
            "backend.service.port: both a name and a number; remove one",
        ),
        (newest(json!({"service": {"name": "a"}})), "backend.service.port: no port; write the number"),
        (
            newest(json!({"service": {"name": "a", "port": {"number": 70000}}})),
            "backend.service.port.number: 70000 is not a port",
        ),
        (
            newest(json!({"service": {"name": "a", "port": {"name": "80"}}})),
            "backend.service.port.name: \"80\" is no name of a port",
        ),
        (
            newest(json!({"service": {"name": "A.b", "port": {"number": 80}}})),
            "backend.service.name: \"A.b\" is no name",
        ),
        (oldest(json!({})), "backend: no backend; write serviceName and servicePort"),
        (oldest(json!({"serviceName": "a"})), "backend.servicePort: no port; write the number"),
        (oldest(json!({"servicePort": 80})), "backend.serviceName: \"\" is no name"),
        (oldest(json!({"serviceName": "a", "servicePort": 0})), "backend.servicePort: no port"),
        (oldest(json!({"serviceName": "a", "servicePort": "-1"})), "backend.servicePort: -1 is not a port"),
        (
            oldest(json!({"serviceName": "a", "servicePort": "a_b"})),
            "backend.servicePort: \"a_b\" is no name",
        ),
    ] {
        assert!(actual.starts_with(expected), "{actual}\nexpected: {expected}");
    }
}

#[test]
fn a_path_without_a_type_is_left_to_the_implementation_in_every_version() {
    let (ingress, findings) = ingress(of_path(json!({"path": "/a(/|$)(.*)"})));
    assert_eq!(findings, [""; 0]);
    assert_eq!(ingress.rules[0].paths[0].path_type, PathType::ImplementationSpecific);
}

#[test]
fn an_ingress_that_says_nothing_usable_is_refused_whole() {
    for (object, field) in [
        (json!({"metadata": {"name": "a"}}), "spec"),
        (json!({"metadata": {"name": "a"}, "spec": {"tls": [{"hosts": ["a.b"]}]}}), "spec"),
        (of_path(json!({"path": "a", "pathType": "Exact"})), "spec.rules[0].http.paths[0].path"),
        (json!({"metadata": {"name": "a"}, "spec": {"rules": "no"}}), "spec.rules"),
        (json!({"metadata": {"name": "A"}, "spec": {"rules": [{}]}}), "metadata.name"),
        (
            json!({"metadata": {"name": "a", "namespace": "../b"}, "spec": {"rules": [{}]}}),
            "metadata.namespace",
        ),
        (
            json!({"metadata": {"name": "a"}, "spec": {"ingressClassName": "", "rules": [{}]}}),
            "spec.ingressClassName",
        ),
        (
            json!({"apiVersion": "extensions/v1beta1", "metadata": {"name": "a"},
                "spec": {"backend": {"serviceName": "a", "servicePort": []}}}),
            "spec.backend.servicePort",
        ),
    ] {
        assert_eq!(refused(Kind::Ingress, object.clone()).field, field, "{object}");
    }
}

#[test]
fn a_class_has_a_controller_and_may_be_the_default() {
    let class = |object: Value| match served(Kind::IngressClass, object) {
        (Object::IngressClass(class), _) => class,
        (other, _) => panic!("{other:?}"),
    };
    let object = |annotations: Value| {
        json!({"metadata": {"name": "sluice", "annotations": annotations},
            "spec": {"controller": "sluice.dev/ingress"}})
    };
    let expected = |is_default| IngressClass { controller: "sluice.dev/ingress".into(), is_default };
    let annotation = "ingressclass.kubernetes.io/is-default-class";
    assert_eq!(class(object(json!({annotation: "true"}))), expected(true));
    assert_eq!(class(object(json!({annotation: "yes"}))), expected(false));
    for api_version in Kind::IngressClass.api_versions() {
        let mut object = object(Value::Null);
        object["apiVersion"] = json!(api_version);
        object["kind"] = json!("IngressClass");
        assert_eq!(class(object), expected(false), "{api_version}");
    }
    assert_eq!(class(object(Value::Null)), expected(false));
    assert_eq!(refused(Kind::IngressClass, json!({"metadata": {"name": "a"}})).field, "spec.controller");
    let translation = translate(Kind::IngressClass, &object(Value::Null));
    assert_eq!(translation.key, ObjectKey::new("", "sluice"), "it lives in no namespace");
}
