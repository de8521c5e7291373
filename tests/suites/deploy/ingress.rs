//! What `deploy/kustomize/ingress` asks of a cluster, and the real proxy with that and nothing more.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use clap::CommandFactory;
use lb_proxy::Options;
use lb_tests::{agent, skip, wait};
use serde_json::{Value, json};

use crate::{stored, words};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kustomize/ingress")
}

fn documents(file: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(&std::fs::read_to_string(folder().join(file)).unwrap()).unwrap()
}

fn pod() -> Value {
    documents("daemonset.yaml")[0]["spec"]["template"]["spec"].clone()
}

fn container() -> Value {
    pod()["containers"][0].clone()
}

#[test]
fn the_proxys_manifests_are_all_listed_and_every_field_is_one_that_kubernetes_knows() {
    let kustomization = documents("kustomization.yaml").remove(0);
    let entries = std::fs::read_dir(folder()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name != "kustomization.yaml");
    assert_eq!(words(&kustomization["resources"]), names.iter().map(String::as_str).collect());
    for document in names.iter().flat_map(|name| documents(name)) {
        assert_eq!(stored(&document), document);
    }
    assert_eq!(kustomization["images"][0]["name"], container()["image"]);
    assert_eq!(kustomization["images"][0]["newTag"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_proxy_is_nobody_and_holds_no_privilege() {
    let expected = json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"]},
    });
    assert_eq!(container()["securityContext"], expected);
    let expected = json!({
        "runAsUser": 65534,
        "runAsGroup": 65534,
        "runAsNonRoot": true,
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    assert_eq!(pod()["securityContext"], expected);
    for absent in ["hostNetwork", "hostPID", "hostIPC", "volumes", "initContainers"] {
        assert_eq!(pod()[absent], Value::Null, "{absent}");
    }
}

#[test]
fn the_proxys_role_gets_secrets_by_name_and_writes_status_lease_and_events() {
    let [role, _, leases, _] = documents("rbac.yaml").try_into().unwrap();
    let rules = role["rules"].as_array().unwrap();
    let secrets: Vec<_> = rules.iter().filter(|rule| words(&rule["resources"]).contains("secrets")).collect();
    assert_eq!(secrets, [&json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]})]);
    let reading = ["get", "list", "watch"];
    let writing: Vec<_> = rules
        .iter()
        .filter(|rule| words(&rule["verbs"]).iter().any(|verb| !reading.contains(verb)))
        .map(|rule| (words(&rule["resources"]), words(&rule["verbs"])))
        .collect();
    assert_eq!(
        writing,
        [(["ingresses/status"].into(), ["patch"].into()), (["events"].into(), ["create", "patch"].into())]
    );
    let lease = Options::command().get_arguments().find(|flag| flag.get_id() == "lease").cloned().unwrap();
    let lease = lease.get_default_values()[0].to_str().unwrap().to_owned();
    let named = leases["rules"][1]["resourceNames"][0].as_str().unwrap();
    assert_eq!(lease, format!("sluice/{named}"), "the flag's default is the Lease of the role");
}

#[test]
fn the_class_and_the_drain_are_those_of_the_program() {
    let class = documents("ingressclass.yaml").remove(0);
    assert_eq!(class["spec"]["controller"], lb_model::ingress_class::CONTROLLER);
    let seconds = |id: &str| -> f64 {
        let command = Options::command();
        let flag = command.get_arguments().find(|flag| flag.get_id() == id).unwrap();
        flag.get_default_values()[0].to_str().unwrap().parse().unwrap()
    };
    let grace = pod()["terminationGracePeriodSeconds"].as_f64().unwrap();
    assert!(grace > seconds("drain_delay") + seconds("drain_timeout"));
}

/// What the container runtime does before it starts the program: root read-only, nobody, no capability.
const CONFINE: &str = r#"
mount --make-rprivate /
mount -o remount,bind,ro /
exec setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all -- "$@"
"#;

#[test]
fn the_proxy_becomes_ready_as_nobody_on_a_read_only_root() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let manifests = folder.path().join("manifests");
    std::fs::create_dir(&manifests).unwrap();
    for path in [folder.path(), &manifests] {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "--net", "sh", "-ec", CONFINE, "sh"]).arg(agent::ingress_binary().unwrap());
    command.args(container()["args"].as_array().unwrap().iter().filter_map(Value::as_str));
    command.env("SLUICE_MANIFESTS", &manifests).stdin(Stdio::null()).stdout(Stdio::null());
    let mut process = command.spawn().unwrap();
    let pid = process.id().to_string();
    // The namespace has no address but this one, once it is up.
    let inside =
        |words: &[&str]| Command::new("nsenter").args(["--target", &pid, "--net"]).args(words).output();
    let ready = wait::until_true("the proxy is ready", || {
        let _ = inside(&["ip", "link", "set", "lo", "up"]);
        let url = "http://127.0.0.1:9480/readyz";
        inside(&["curl", "--silent", "--fail", url]).is_ok_and(|output| output.status.success())
    });
    process.kill().unwrap();
    process.wait().unwrap();
    ready.unwrap();
}
