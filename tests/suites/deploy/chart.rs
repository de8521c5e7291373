//! The Helm chart: what Helm made of it is what the kustomize base says, and what a user can set does something.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use clap::{Args, Command, CommandFactory};
use serde_json::{Value, json};

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

fn documents(path: &Path) -> Vec<Value> {
    serde_saphyr::from_multiple(&fs::read_to_string(path).unwrap()).unwrap()
}

type Objects = BTreeMap<(String, String), Value>;

fn by_name(objects: impl IntoIterator<Item = Value>) -> Objects {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let named = objects.into_iter().map(|object| {
        let name = (text(&object["kind"]), text(&object["metadata"]["name"]));
        (name, object)
    });
    named.collect()
}

/// What Helm made of the values of `deploy/helm/cases/<case>.yaml`.
fn rendered(case: &str) -> Objects {
    by_name(documents(&deploy().join(format!("helm/rendered/{case}.yaml"))))
}

/// What `kubectl apply -k` applies, but for the namespace itself, which Helm makes.
fn applied(folder: &str) -> Objects {
    let folder = deploy().join("kustomize").join(folder);
    let kustomization = documents(&folder.join("kustomization.yaml")).remove(0);
    let files = kustomization["resources"].as_array().unwrap().iter();
    let mut objects: Vec<_> =
        files.flat_map(|file| documents(&folder.join(file.as_str().unwrap()))).collect();
    objects.retain(|object| object["kind"] != "Namespace");
    for object in &mut objects {
        let kind = object["kind"].as_str().unwrap();
        let cluster = ["ClusterRole", "ClusterRoleBinding", "IngressClass"].contains(&kind);
        if !cluster {
            object["metadata"]["namespace"] = kustomization["namespace"].clone();
        }
        for (label, value) in kustomization["labels"][0]["pairs"].as_object().unwrap() {
            let labels = object["metadata"].as_object_mut().unwrap().entry("labels").or_insert(json!({}));
            labels[label] = value.clone();
        }
        let image = object.pointer_mut("/spec/template/spec/containers/0/image");
        if let Some(image) = image {
            let change = &kustomization["images"][0];
            assert_eq!(change["name"], *image);
            *image = format!("{}:{}", image.as_str().unwrap(), change["newTag"].as_str().unwrap()).into();
        }
    }
    by_name(objects)
}

#[test]
fn the_chart_with_its_defaults_is_the_base_and_with_the_proxy_is_both_kustomizations() {
    assert_eq!(rendered("default"), applied("base"));
    let mut both = applied("base");
    both.extend(applied("ingress"));
    assert_eq!(rendered("ingress"), both);
}

#[test]
fn the_chart_with_every_value_set_has_only_fields_that_kubernetes_knows() {
    let objects = rendered("everything");
    for ((kind, name), object) in &objects {
        if ["ConfigMap", "PodMonitor", "PrometheusRule"].contains(&kind.as_str()) {
            continue;
        }
        assert_eq!(crate::stored(object), *object, "{kind} {name}");
    }
    let known: BTreeSet<_> = applied("base").into_keys().chain(applied("ingress").into_keys()).collect();
    let more: Vec<_> = objects.keys().filter(|name| !known.contains(name)).collect();
    let expected = [
        ("ConfigMap", "sluice-dashboard"),
        ("ConfigMap", "sluice-external-ips"),
        ("PodMonitor", "sluice"),
        ("PodMonitor", "sluice-ingress"),
        ("PrometheusRule", "sluice"),
    ];
    assert_eq!(more, expected.map(|(kind, name)| (kind.to_owned(), name.to_owned())).each_ref());
}

#[test]
fn the_chart_has_the_rules_and_the_dashboard_that_the_monitoring_folder_has() {
    let objects = rendered("everything");
    let object = |kind: &str, name: &str| &objects[&(kind.to_owned(), name.to_owned())];
    let rules = object("PrometheusRule", "sluice");
    assert_eq!(rules["spec"], documents(&deploy().join("monitoring/rules.yaml"))[0]["spec"]);
    assert_eq!(rules["metadata"]["labels"]["release"], "prometheus");
    let dashboard = object("ConfigMap", "sluice-dashboard");
    let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let written = fs::read_to_string(deploy().join("monitoring/dashboard.json")).unwrap();
    assert_eq!(parsed(dashboard["data"]["sluice.json"].as_str().unwrap()), parsed(&written));
    let labels =
        json!({"app.kubernetes.io/part-of": "sluice", "folder": "network", "grafana_dashboard": "yes"});
    assert_eq!(dashboard["metadata"]["labels"], labels);
}

#[test]
fn each_pod_monitor_finds_the_pods_of_a_daemon_set_and_the_port_that_they_answer_on() {
    let objects = rendered("everything");
    for name in ["sluice", "sluice-ingress"] {
        let object = |kind: &str| &objects[&(kind.to_owned(), name.to_owned())];
        let pod = &object("DaemonSet")["spec"]["template"];
        let monitor = &object("PodMonitor")["spec"];
        for (label, value) in monitor["selector"]["matchLabels"].as_object().unwrap() {
            assert_eq!(pod["metadata"]["labels"][label], *value, "{name}");
        }
        let port = &monitor["podMetricsEndpoints"][0]["port"];
        let container = &pod["spec"]["containers"][0];
        let ports = container["ports"].as_array().unwrap();
        let number = &ports.iter().find(|known| known["name"] == *port).unwrap()["containerPort"];
        let mut arguments = container["args"].as_array().unwrap().iter().filter_map(Value::as_str);
        let admin = arguments.find(|argument| argument.starts_with("--admin=")).unwrap();
        assert!(admin.ends_with(&format!(":{number}")), "{name}: {admin} {number}");
    }
}

/// The variables that a program takes from its environment.
fn variables(command: &Command) -> BTreeSet<String> {
    let named = command.get_arguments().filter_map(|flag| flag.get_env()?.to_str());
    named.chain(["SLUICE_LOG", "RUST_BACKTRACE", "SLUICE_BPF_DIR"]).map(str::to_owned).collect()
}

#[test]
fn every_variable_that_the_chart_sets_is_one_of_the_program() {
    let agent = lb_userspace::agent::Options::augment_args(Command::new("agent"));
    let proxy = lb_proxy::Options::command();
    for (name, command) in [("sluice", agent), ("sluice-ingress", proxy)] {
        let daemon_set = &rendered("everything")[&("DaemonSet".to_owned(), name.to_owned())];
        let set = daemon_set["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap().clone();
        let set: BTreeSet<_> = set.iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect();
        let unknown: Vec<_> = set.difference(&variables(&command)).cloned().collect();
        assert_eq!(unknown, [] as [String; 0], "{name}");
    }
}

#[test]
fn the_schema_takes_the_cases_and_refuses_what_is_misspelt_or_of_another_kind() {
    let schema = fs::read_to_string(deploy().join("helm/sluice/values.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    let values = deploy().join("helm/sluice/values.yaml");
    let cases =
        ["default", "ingress", "everything"].map(|case| deploy().join(format!("helm/cases/{case}.yaml")));
    for path in cases.iter().chain([&values]) {
        let values = documents(path).remove(0);
        let errors: Vec<_> = schema.iter_errors(&values).map(|error| error.to_string()).collect();
        assert_eq!(errors, [] as [String; 0], "{}", path.display());
    }
    for wrong in [
        json!({"externalIps": {"allowed": []}}),
        json!({"image": {"tags": "1"}}),
        json!({"image": {"repository": ""}}),
        json!({"image": {"digest": "sha256:abc"}}),
        json!({"image": {"tag": 1.0}}),
        json!({"image": {"pullPolicy": "Sometimes"}}),
        json!({"interfaces": "eth0"}),
        json!({"mode": "fast"}),
        json!({"externalIPs": {"allowed": ["203.0.113.10"]}}),
        json!({"snatPorts": "49152"}),
        json!({"maps": {"flows": 0}}),
        json!({"maps": {"flows": "65536"}}),
        json!({"admin": {"host": "localhost"}}),
        json!({"prometheusRule": true}),
        json!({"grafanaDashboard": {"label": {}}}),
        json!({"ingress": true}),
        json!({"ingress": {"enabled": "yes"}}),
        json!({"ingress": {"publishAddresses": ["proxy.example"]}}),
        json!({"tolerations": {"operator": "Exists"}}),
        json!({"extraEnv": ["A=b"]}),
    ] {
        assert!(!schema.is_valid(&wrong), "taken: {wrong}");
    }
}
