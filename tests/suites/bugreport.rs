//! `sluice bugreport`: what is in the archive, what is not, and what it needs.
#![expect(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::{
    collections::BTreeMap,
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::Command,
};

use lb_tests::{
    agent::{Agent, binary},
    cluster::Cluster,
    skip,
    topo::{EXTERNAL_IP, Routing},
    traffic::{IpFamily, Target, ask},
};
use serde_json::Value;
use tempfile::TempDir;

/// Stands for every secret; nothing else holds this word.
const PLANTED: &str = "pl4nted";

/// Runs it and unpacks the archive: parts by name, and the manifest.
fn report(mut command: Command, directory: &Path) -> (BTreeMap<String, String>, Value) {
    let archive = directory.join("report.tar.gz");
    let _ = fs::remove_file(&archive);
    let _ = fs::remove_dir_all(directory.join("sluice-bugreport"));
    let output = command.arg("--output").arg(&archive).env("MY_PASSWORD", PLANTED).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), archive.display().to_string());
    assert_eq!(fs::metadata(&archive).unwrap().permissions().mode() & 0o777, 0o600);
    let tar = Command::new("tar").arg("xzf").arg(&archive).arg("-C").arg(directory).status().unwrap();
    assert!(tar.success());
    let root = directory.join("sluice-bugreport");
    let mut parts = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(&root).unwrap().display().to_string();
                parts.insert(name, fs::read_to_string(path).unwrap());
            }
        }
    }
    let manifest = serde_json::from_str(&parts["manifest.json"]).unwrap();
    (parts, manifest)
}

fn error<'a>(manifest: &'a Value, part: &str) -> Option<&'a str> {
    let parts = manifest["parts"].as_array().unwrap();
    parts.iter().find(|entry| entry["name"] == part).unwrap()["error"].as_str()
}

#[test]
fn the_archive_has_what_is_needed_and_no_secrets_with_the_agent_alive_and_dead() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let mut cluster = Cluster::web(Routing::Native, 1).unwrap();
    ask(&cluster.topology.client, Target::tcp(EXTERNAL_IP.of(IpFamily::Ipv4), 80)).unwrap();
    let secret =
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\nstringData: {{password: {PLANTED}}}\n");
    cluster.manifests.write("secret.yaml", &secret).unwrap();
    let directory = TempDir::new().unwrap();
    let log = directory.path().join("agent.log");
    let told = format!(
        "before\nGET / Authorization: Bearer {PLANTED}\ntoken={PLANTED} after\n-----BEGIN PRIVATE KEY-----\n{PLANTED}\n-----END PRIVATE KEY-----\n"
    );
    fs::write(&log, told).unwrap();
    let collect = |agent: &Agent| {
        let command = agent.command(&["bugreport", "--log-file", log.to_str().unwrap()]).unwrap();
        report(command, directory.path())
    };

    let (parts, manifest) = collect(&cluster.agents[0]);
    for (part, text) in [
        ("version.txt", "sluice "),
        ("doctor.txt", "eth0 is met in native XDP"),
        ("get/services.json", "203.0.113.10"),
        ("get/flows.json", "198.51.100.7:"),
        ("get/interfaces.json", "eth0"),
        ("agent/metrics.txt", "sluice_build_info{"),
        ("agent/readyz.txt", "ok"),
        ("agent/log-level.txt", "info"),
        ("network/sysctls.txt", "net/ipv4/ip_forward = 1"),
        ("network/routes.txt", "default"),
        ("network/proc-route.txt", "eth0"),
        ("processes.txt", "--node-name"),
        ("system/kernel.txt", "Linux version"),
        ("logs/0-agent.log", "after"),
    ] {
        let found = parts.get(part).unwrap_or_else(|| panic!("no {part}: {manifest:#}"));
        assert!(found.contains(text), "{text} is not in {part}:\n{found}");
    }
    assert_eq!(error(&manifest, "agent/metrics.txt"), None);
    let leaks: Vec<_> =
        parts.iter().filter(|(_, text)| text.contains(PLANTED)).map(|(name, _)| name).collect();
    assert!(leaks.is_empty(), "{leaks:?}");

    cluster.agents[0].kill().unwrap();
    let (parts, manifest) = collect(&cluster.agents[0]);
    assert!(parts["get/services.json"].contains("203.0.113.10"));
    assert!(error(&manifest, "agent/metrics.txt").unwrap().contains("refused"), "{manifest:#}");
}

#[test]
fn without_root_and_without_a_data_plane_the_rest_is_there_and_what_is_missing_is_named() {
    let directory = TempDir::new().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let program = directory.path().join("sluice");
    fs::copy(binary().unwrap(), &program).unwrap();
    let mut command = Command::new(&program);
    command.args(["bugreport", "--bpf-dir", "/sys/fs/bpf/sluice-test-none", "--admin", "127.0.0.1:1"]);
    if nix::unistd::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    let (parts, manifest) = report(command, directory.path());
    assert!(parts["version.txt"].contains("sluice "));
    assert!(parts["network/proc-dev.txt"].contains("lo:"));
    assert!(error(&manifest, "get/services.json").unwrap().contains("no Sluice maps under"), "{manifest:#}");
    assert!(error(&manifest, "agent/readyz.txt").is_some());
}
