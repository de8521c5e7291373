//! What `deploy/` asks of a cluster: no privilege more than its README explains, and nothing that the agent does not
//! know.

#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

mod chart;
mod ingress;
mod pod;
mod systemd;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Namespace, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::IngressClass;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use serde_json::{Value, json};

fn base() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kustomize/base")
}

fn documents(file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(base().join(file)).unwrap();
    serde_saphyr::from_multiple(&text).unwrap()
}

fn daemon_set() -> Value {
    documents("daemonset.yaml").remove(0)
}

fn agent() -> Value {
    daemon_set()["spec"]["template"]["spec"]["containers"][0].clone()
}

fn words(list: &Value) -> BTreeSet<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn through<T: serde::Serialize + serde::de::DeserializeOwned>(document: &Value) -> Value {
    serde_json::to_value(serde_json::from_value::<T>(document.clone()).unwrap()).unwrap()
}

/// What the API would store: fields that it does not know are gone.
fn stored(document: &Value) -> Value {
    match document["kind"].as_str().unwrap() {
        "Namespace" => through::<Namespace>(document),
        "ServiceAccount" => through::<ServiceAccount>(document),
        "ClusterRole" => through::<ClusterRole>(document),
        "ClusterRoleBinding" => through::<ClusterRoleBinding>(document),
        "Role" => through::<Role>(document),
        "RoleBinding" => through::<RoleBinding>(document),
        "IngressClass" => through::<IngressClass>(document),
        "Service" => through::<Service>(document),
        "DaemonSet" => through::<DaemonSet>(document),
        other => panic!("no type for kind {other}: add it here"),
    }
}

#[test]
fn the_kustomization_lists_every_manifest_beside_it() {
    let kustomization = documents("kustomization.yaml").remove(0);
    let entries = std::fs::read_dir(base()).unwrap();
    let names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let manifests = names.iter().map(String::as_str).filter(|name| *name != "kustomization.yaml").collect();
    assert_eq!(words(&kustomization["resources"]), manifests);
    assert_eq!(kustomization["images"][0]["name"], agent()["image"]);
    assert_eq!(kustomization["images"][0]["newTag"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn every_field_is_one_that_kubernetes_knows() {
    for file in ["namespace.yaml", "serviceaccount.yaml", "rbac.yaml", "daemonset.yaml"] {
        for document in documents(file) {
            assert_eq!(stored(&document), document, "{file}");
        }
    }
}

#[test]
fn the_agent_holds_three_capabilities_and_no_other_privilege() {
    let expected = json!({
        "runAsUser": 0,
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"], "add": ["BPF", "NET_ADMIN", "PERFMON"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    assert_eq!(agent()["securityContext"], expected);
    let pod = &daemon_set()["spec"]["template"]["spec"];
    assert_eq!(pod["hostNetwork"], true);
    for absent in ["hostPID", "hostIPC", "initContainers", "securityContext"] {
        assert_eq!(pod[absent], Value::Null, "{absent}");
    }
    assert_eq!(pod["containers"].as_array().unwrap().len(), 1);
}

#[test]
fn only_our_own_directory_of_bpffs_comes_from_the_node() {
    let directory = lb_userspace::dataplane::pin::DEFAULT_DIR;
    let volumes = &daemon_set()["spec"]["template"]["spec"]["volumes"];
    let host_path = json!({"path": directory, "type": "DirectoryOrCreate"});
    assert_eq!(*volumes, json!([{"name": "bpf", "hostPath": host_path}]));
    let variables = agent()["env"].as_array().unwrap().clone();
    let inside =
        variables.iter().find(|variable| variable["name"] == "SLUICE_BPF_DIR").unwrap()["value"].clone();
    assert_eq!(agent()["volumeMounts"], json!([{"name": "bpf", "mountPath": inside}]));
}

#[test]
fn the_role_reads_what_the_agent_watches_and_writes_events_only() {
    let [role, binding] = documents("rbac.yaml").try_into().unwrap();
    let expected = json!([
        {"apiGroups": [""], "resources": ["services", "nodes"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]},
    ]);
    assert_eq!(role["rules"], expected);
    let account = documents("serviceaccount.yaml").remove(0);
    assert_eq!(binding["roleRef"]["name"], role["metadata"]["name"]);
    assert_eq!(binding["subjects"][0]["name"], account["metadata"]["name"]);
    assert_eq!(daemon_set()["spec"]["template"]["spec"]["serviceAccountName"], account["metadata"]["name"]);
}

#[test]
fn a_node_is_updated_at_a_time_and_every_node_is_served() {
    let spec = &daemon_set()["spec"];
    assert_eq!(
        spec["updateStrategy"],
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}})
    );
    let pod = &spec["template"]["spec"];
    assert_eq!(pod["tolerations"], json!([{"operator": "Exists"}]));
    assert_eq!(pod["priorityClassName"], "system-node-critical");
}
