//! The command line as users meet it: the real program, its messages, exit codes and output, over a live data plane.

use std::{
    collections::BTreeMap,
    process::{Command, Output},
};

use lb_tests::{
    agent::{Agent, binary},
    cluster::Cluster,
    skip,
    topo::{CLIENT, EXTERNAL_IP, Routing},
    traffic::{Target, ask},
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
    for word in ["agent", "get", "trace", "cleanup", "version", "--bpf-dir", "SLUICE_BPF_DIR", "Exit codes"] {
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
        ("trce tcp", "a similar subcommand exists: 'trace'"),
        ("trace tcp 198.51.100.7 203.0.113.10:80", "SOURCE"),
        ("trace icmp 198.51.100.7:1 203.0.113.10:80", "[possible values: tcp, udp]"),
    ] {
        let output = sluice(line);
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert!(stderr(&output).contains(hint), "{line}: {}", stderr(&output));
    }
}

#[test]
fn without_a_data_plane_every_look_at_it_says_so_and_exits_1() {
    for line in ["get svc", "get backends -o json", "trace tcp 198.51.100.7:40000 203.0.113.10:80"] {
        let output = sluice(line);
        assert_eq!(output.status.code(), Some(1), "{line}");
        assert!(output.stdout.is_empty(), "{line}");
        let text = stderr(&output);
        assert!(
            text.starts_with("error: no Sluice maps under /sys/fs/bpf/sluice-test-none/v1"),
            "{line}: {text}"
        );
        assert!(text.contains("is the agent running on this node?"), "{line}: {text}");
    }
    assert!(sluice("cleanup").status.success());
}

#[test]
fn a_live_node_is_shown_and_traced_with_its_agent_dead_and_nothing_is_left_behind() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let mut cluster = Cluster::web(Routing::Native, 2).unwrap();
    let target = Target::tcp(EXTERNAL_IP, 80);
    ask(&cluster.topology.client, target).unwrap();
    cluster.agents[0].kill().unwrap();
    let [node_a, _] = &cluster.agents;

    // Services: a line for each frontend; the same under every format.
    let table = node_a.sluice(&["get", "svc"]).unwrap();
    assert_eq!(table.lines().next().unwrap().split_whitespace().next(), Some("NAME"), "{table}");
    for frontend in
        ["203.0.113.10:80/TCP", "203.0.113.20:80/TCP", "192.0.2.11:30080/TCP", "192.0.2.11:30080/UDP"]
    {
        assert!(table.contains(frontend), "{frontend} is not in\n{table}");
    }
    assert!(table.contains("2/4"), "two of four endpoints are here:\n{table}");
    let list = json(&node_a.sluice(&["get", "svc", "web", "-o", "json"]).unwrap());
    assert_eq!(
        (&list["apiVersion"], &list["kind"]),
        (&Value::from("sluice/v1"), &Value::from("ServiceList"))
    );
    let packets: u64 =
        list["items"].as_array().unwrap().iter().map(|item| item["packets"].as_u64().unwrap()).sum();
    assert!(packets > 0, "{list}");
    assert!(
        node_a
            .sluice(&["get", "svc", "nope"])
            .unwrap_err()
            .to_string()
            .contains("not found in namespace default")
    );
    assert_eq!(node_a.sluice(&["get", "svc", "-n", "elsewhere"]).unwrap(), "");

    // Backends, flows, drops, interfaces.
    let backends = node_a.sluice(&["get", "be"]).unwrap();
    assert!(
        backends.contains("Local") && backends.contains("Remote") && backends.contains("default/web"),
        "{backends}"
    );
    let flows = node_a.sluice(&["get", "flows", "-o", "wide"]).unwrap();
    assert!(flows.contains("Forward") && flows.contains("Reverse"), "{flows}");
    assert!(flows.contains(&CLIENT.to_string()), "{flows}");
    assert!(node_a.sluice(&["get", "drops"]).unwrap().contains("no-endpoint"));
    let interfaces = node_a.sluice(&["get", "if"]).unwrap();
    assert!(interfaces.contains("eth0") && interfaces.contains("xdp,in,out"), "{interfaces}");

    // Tracing changes no map.
    let before = traces_of_packets(node_a);
    let packet = ["tcp", "198.51.100.7:45678", "203.0.113.10:80"];
    let trace = node_a.sluice(&["trace", packet[0], packet[1], packet[2]]).unwrap();
    for sentence in ["No flow knows this tuple.", "is an external IP of Service default/web", "verdict: "] {
        assert!(trace.contains(sentence), "{sentence} is not in\n{trace}");
    }
    let unknown =
        node_a.sluice(&["trace", "tcp", "198.51.100.7:45678", "203.0.113.10:81", "-o", "json"]).unwrap();
    let unknown = json(&unknown);
    assert_eq!(unknown["verdict"]["action"], "answer", "{unknown}");
    assert_eq!(unknown["verdict"]["reason"], "unknown-port", "{unknown}");
    let elsewhere =
        json(&node_a.sluice(&["trace", "udp", "198.51.100.7:1", "192.0.2.11:53", "-o", "json"]).unwrap());
    assert_eq!(elsewhere["verdict"]["action"], "pass", "{elsewhere}");
    assert_eq!(traces_of_packets(node_a), before);

    // A packet of the connection that was served goes where the connection went.
    let flows = json(&node_a.sluice(&["get", "flows", "-o", "json"]).unwrap());
    let flow = &flows["items"][0];
    let (client, endpoint) = (flow["client"].as_str().unwrap(), flow["endpoint"].as_str().unwrap());
    let trace = node_a.sluice(&["trace", "tcp", client, "203.0.113.10:80", "--flags", "ack"]).unwrap();
    assert!(trace.contains("It belongs to a live flow of Service default/web"), "{trace}");
    assert!(trace.lines().last().unwrap().ends_with(endpoint), "{endpoint} serves, but\n{trace}");
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
