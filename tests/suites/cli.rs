//! The command line as users meet it: the real program, its messages, exit codes and output, over a live data plane.
#![expect(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    process::{Command, Output},
};

use lb_common::abi::LAYOUT_VERSION;
use lb_tests::{
    agent::{Agent, binary},
    cluster::Cluster,
    manifests::Service,
    skip,
    topo::{EXTERNAL_IP, Node, Routing, Topology},
    traffic::{IpFamily, Target, ask},
};
use lb_userspace::dataplane::pin::PinDir;
use serde_json::Value;

/// Runs the program without a data plane: a bpf directory that is not there.
fn sluice(line: &str) -> Output {
    Command::new(binary().unwrap())
        .args(line.split_whitespace())
        .env("SLUICE_BPF_DIR", "/sys/fs/bpf/sluice-test-none")
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn help_names_every_verb_and_the_exit_codes() {
    let output = sluice("--help");
    let text = String::from_utf8(output.stdout).unwrap();
    for word in [
        "agent",
        "get",
        "trace",
        "monitor",
        "top",
        "log-level",
        "doctor",
        "check",
        "bugreport",
        "cleanup",
        "version",
        "--bpf-dir",
        "SLUICE_BPF_DIR",
        "Exit codes",
    ] {
        assert!(text.contains(word), "{word} is not in\n{text}");
    }
}

#[test]
fn wrong_usage_exits_2_with_a_hint() {
    for (line, hint) in [
        ("get servces", "a similar value exists: 'services'"),
        ("get svc -o jsn", "a similar value exists: 'json'"),
        ("get svc --all", "--all-namespaces"),
        ("get", "<RESOURCE>"),
        ("get svc -n a -A", "cannot be used with"),
        ("check", "--filename"),
        ("trce tcp", "a similar subcommand exists: 'trace'"),
        ("trace tcp 198.51.100.7 203.0.113.10:80", "SOURCE"),
        ("trace gre 198.51.100.7:1 203.0.113.10:80", "[possible values: tcp, udp, sctp, icmp]"),
        ("trace tcp 198.51.100.7 203.0.113.10:80", "Usage: sluice trace"),
        ("trace icmp 198.51.100.7:1 203.0.113.10", "write 198.51.100.7 alone"),
        ("monitor -r no-rout", "a similar value exists: 'no-route'"),
        ("log-level --admin 127.0.0.1", "ADDRESS:PORT"),
        ("bugreport --ingress-admin 9480", "ADDRESS:PORT"),
        ("top --interval 0", "0.1 to 3600"),
        ("top --once --iterations 2", "cannot be used with"),
        ("monitor --rate 0", "1..=1000000"),
        ("trace udp 198.51.100.7:1 [2001:db8::1]:53", "different IP families"),
    ] {
        let output = sluice(line);
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert!(stderr(&output).contains(hint), "{line}: {}", stderr(&output));
    }
}

#[test]
fn without_a_data_plane_every_look_at_it_says_so_and_exits_1() {
    for line in [
        "get svc",
        "get backends -o json",
        "trace tcp 198.51.100.7:40000 203.0.113.10:80",
        "monitor",
        "top --once",
    ] {
        let output = sluice(line);
        assert_eq!(output.status.code(), Some(1), "{line}");
        assert!(output.stdout.is_empty(), "{line}");
        let text = stderr(&output);
        let directory = format!("/sys/fs/bpf/sluice-test-none/v{LAYOUT_VERSION}:");
        assert!(text.starts_with(&format!("error: no Sluice maps under {directory}")), "{line}: {text}");
        assert!(text.contains("is the agent running on this node?"), "{line}: {text}");
    }
    assert!(sluice("cleanup").status.success());
}

/// The program for root without capabilities: held by the modes of files, as anybody is, and reached wherever it lies.
fn without_capabilities() -> Command {
    let program = binary().unwrap();
    if !nix::unistd::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--inh-caps=-all", "--bounding-set=-all", "--"]).arg(program);
    command
}

#[test]
fn logs_as_text_have_no_colours_outside_of_a_terminal() {
    let output = without_capabilities().arg("agent").env("SLUICE_LOG_FORMAT", "text").output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("ERROR missing CAP_NET_ADMIN") && !text.contains('\x1b'), "{text:?}");
}

#[test]
fn a_directory_that_may_not_be_looked_into_is_not_called_empty() {
    let base = tempfile::tempdir().unwrap();
    fs::create_dir_all(base.path().join("pins/v1/maps")).unwrap();
    fs::set_permissions(base.path(), Permissions::from_mode(0o000)).unwrap();
    let output = |line: &str| {
        let mut command = without_capabilities();
        command.args(line.split_whitespace()).arg("--bpf-dir").arg(base.path().join("pins"));
        command.output().unwrap()
    };
    let [cleanup, doctor] = ["cleanup", "doctor"].map(output);
    fs::set_permissions(base.path(), Permissions::from_mode(0o700)).unwrap();
    assert_eq!(cleanup.status.code(), Some(1), "{}", String::from_utf8_lossy(&cleanup.stdout));
    assert!(stderr(&cleanup).contains("run as root"), "{}", stderr(&cleanup));
    let text = String::from_utf8(doctor.stdout).unwrap();
    assert!(text.contains("whether an agent runs cannot be told"), "{text}");
}

#[test]
fn a_live_node_is_shown_traced_diagnosed_and_cleaned_up_with_its_agent_dead() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let mut cluster = Cluster::web(Routing::Native, 2).unwrap();
    ask(&cluster.topology.client, Target::tcp(EXTERNAL_IP.of(IpFamily::Ipv4), 80)).unwrap();
    cluster.agents[0].kill().unwrap();
    let node = &cluster.agents[0];
    services_are_shown(node);
    backends_flows_drops_and_interfaces_are_shown(node);
    traces_tell_what_would_happen_and_leave_nothing_behind(node);
    an_established_connection_is_traced_to_its_endpoint(node);
    doctor_passes_a_sound_node_and_fails_one_that_does_not_forward(node, cluster.topology.node_a());
    cleanup_says_what_it_removes_and_removes_it(node);
}

#[test]
fn a_packet_that_xdp_leaves_to_tcx_is_traced_through_both() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let service = |topology: &Topology| {
        let remote = topology.nodes[1].pods.iter();
        vec![Service::new("far", remote).external_ip(EXTERNAL_IP)]
    };
    let cluster = Cluster::start(Routing::Vxlan, 1, service).unwrap();
    let node = &cluster.agents[0];
    let words = ["trace", "tcp", "198.51.100.7:45678", "203.0.113.10:80", "-o", "json"];
    let trace = json(&node.sluice(&words).unwrap());
    let hooks: Vec<_> = trace["stages"].as_array().unwrap().iter().map(|stage| &stage["hook"]).collect();
    assert_eq!(hooks, ["xdp", "tcx-ingress"], "{trace}");
    assert_eq!(trace["verdict"]["action"], "forward", "{trace}");
    assert_eq!(trace["verdict"]["interface"], "flannel.1", "{trace}");
    assert!(trace["verdict"]["source"].as_str().unwrap().starts_with("10.244.1.0:"), "{trace}");
    assert!(node.sluice(&["get", "if"]).unwrap().contains("flannel.1"));
}

fn services_are_shown(node: &Agent) {
    let table = node.sluice(&["get", "svc"]).unwrap();
    assert_eq!(table.split_whitespace().next(), Some("NAME"), "{table}");
    for frontend in
        ["203.0.113.10:80/TCP", "203.0.113.20:80/TCP", "192.0.2.11:30080/TCP", "192.0.2.11:30080/UDP"]
    {
        assert!(table.contains(frontend), "{frontend} is not in\n{table}");
    }
    assert!(table.contains("2/4"), "two of four endpoints are here:\n{table}");
    let list = json(&node.sluice(&["get", "svc", "web", "-o", "json"]).unwrap());
    assert_eq!(
        (list["apiVersion"].as_str(), list["kind"].as_str()),
        (Some("sluice/v1"), Some("ServiceList"))
    );
    let items = list["items"].as_array().unwrap();
    assert!(items.iter().any(|item| item["packets"].as_u64().unwrap() > 0), "{list}");
    let missing = node.sluice(&["get", "svc", "nope"]).unwrap_err().to_string();
    assert!(missing.contains("services \"nope\" not found in namespace default"), "{missing}");
    assert_eq!(node.sluice(&["get", "svc", "-n", "elsewhere"]).unwrap(), "");
}

fn backends_flows_drops_and_interfaces_are_shown(node: &Agent) {
    for (words, expected) in [
        (["get", "be", "-o", "wide"], ["Local", "Remote", "default/web"].as_slice()),
        (["get", "flows", "-o", "wide"], &["Forward", "Reverse", "198.51.100.7:"]),
        (["get", "drops", "-o", "table"], &["no-endpoint", "unknown-port"]),
        (["get", "if", "-o", "table"], &["eth0", "native", "xdp,in,out", "192.0.2.11"]),
    ] {
        let table = node.sluice(&words).unwrap();
        for text in expected {
            assert!(table.contains(text), "{text} is not in\n{table}");
        }
    }
}

fn traces_tell_what_would_happen_and_leave_nothing_behind(node: &Agent) {
    let before = traces_of_packets(node);
    let trace = node.sluice(&["trace", "tcp", "198.51.100.7:45678", "203.0.113.10:80"]).unwrap();
    for sentence in ["No flow knows this tuple.", "is an external IP of Service default/web", "verdict: "] {
        assert!(trace.contains(sentence), "{sentence} is not in\n{trace}");
    }
    for (packet, action, reason) in [
        (["tcp", "198.51.100.7:45678", "203.0.113.10:81"], "answer", "unknown-port"),
        (["udp", "198.51.100.7:1", "192.0.2.11:53"], "pass", "no Service claims its destination"),
        (["tcp", "127.0.0.1:1", "203.0.113.10:80"], "pass", "nothing can be sent back"),
    ] {
        let words = ["trace"].into_iter().chain(packet).chain(["-o", "json"]).collect::<Vec<_>>();
        let trace = json(&node.sluice(&words).unwrap());
        assert_eq!(trace["verdict"]["action"], action, "{trace}");
        assert!(trace["verdict"]["reason"].as_str().unwrap().starts_with(reason), "{trace}");
    }
    assert_eq!(traces_of_packets(node), before);
}

fn an_established_connection_is_traced_to_its_endpoint(node: &Agent) {
    let flows = json(&node.sluice(&["get", "flows", "-o", "json"]).unwrap());
    let flow = &flows["items"][0];
    let (client, endpoint) = (flow["client"].as_str().unwrap(), flow["endpoint"].as_str().unwrap());
    let trace = node.sluice(&["trace", "tcp", client, "203.0.113.10:80", "--flags", "ack"]).unwrap();
    assert!(trace.contains("It belongs to a live flow of Service default/web"), "{trace}");
    assert!(trace.lines().last().unwrap().ends_with(endpoint), "{endpoint} serves, but\n{trace}");
}

fn doctor_passes_a_sound_node_and_fails_one_that_does_not_forward(agent: &Agent, node: &Node) {
    let text = agent.sluice(&["doctor"]).unwrap();
    assert!(text.contains("eth0 is met in native XDP"), "{text}");
    assert!(text.contains("no agent runs: packets go on"), "{text}");
    node.namespace.sysctl("ipv4/ip_forward", "0").unwrap();
    let failure = agent.sluice(&["doctor"]).unwrap_err().to_string();
    assert!(failure.contains("exit status: 1"), "{failure}");
    node.namespace.sysctl("ipv4/ip_forward", "1").unwrap();
}

fn cleanup_says_what_it_removes_and_removes_it(node: &Agent) {
    let announced = node.sluice(&["cleanup", "--dry-run"]).unwrap();
    assert!(announced.contains("would detach eth0 xdp"), "{announced}");
    assert!(node.maps().is_ok(), "a dry run removes nothing");
    let removed = node.sluice(&["cleanup"]).unwrap();
    for line in announced.lines() {
        let done = line.replace("would detach", "detached").replace("would remove", "removed");
        assert!(removed.contains(&done), "{done} is not in\n{removed}");
    }
    assert!(!node.pins().base().exists());
}

/// Everything that a packet may leave behind: maps that count or remember, and pins.
fn traces_of_packets(agent: &Agent) -> impl PartialEq + std::fmt::Debug {
    let maps = agent.maps().unwrap();
    let flows = maps.flows().collect::<Result<BTreeMap<_, _>, _>>().unwrap();
    let services = [1, 2].map(|id| maps.service_stats(id).unwrap());
    let pins = agent.pins();
    let pinned =
        [pins.maps(), pins.links(), pins.programs()].map(|directory| PinDir::list(&directory).unwrap());
    (flows, services, maps.drops().unwrap(), maps.stats().unwrap(), pinned)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}
