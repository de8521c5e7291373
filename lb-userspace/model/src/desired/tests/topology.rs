//! kube-proxy's truth table (`pkg/proxy/topology_test.go`), as far as it is about traffic from outside.

use TrafficPolicy::{Cluster, Local};

use super::*;

/// An endpoint: its node, conditions as in [`endpoint`], `forZones` and `forNodes` separated by spaces.
type Row = (&'static str, &'static str, &'static str, &'static str);

/// What it is about, policy, zone of the node, endpoints, and those chosen.
type Case = (&'static str, TrafficPolicy, Option<&'static str>, &'static [Row], &'static str);

/// Positions of the endpoints that take new flows on node n1 in `zone`.
fn chosen(policy: TrafficPolicy, zone: Option<&str>, rows: &[Row]) -> String {
    let names = |text: &str| text.split_whitespace().map(str::to_owned).collect();
    let endpoints = rows.iter().enumerate().map(|(n, (node, conditions, zones, nodes))| Endpoint {
        for_zones: names(zones),
        for_nodes: names(nodes),
        ..endpoint(&format!("10.0.0.{n}"), node, conditions)
    });
    let service = Service { external_traffic_policy: policy, ..service("203.0.113.1") };
    let mut snapshot = snapshot([("web", service)], [slice("web", 8080, endpoints.collect())]);
    let node = Node { zone: zone.map(str::to_owned), ..Node::default() };
    snapshot.nodes.insert("n1".to_owned(), node);
    let desired = desired(&snapshot, &config());
    let members = &desired.services["default/web:http"].members;
    let last = |id: &BackendId| id.address.to_string().rsplit('.').next().unwrap().to_owned();
    members.iter().map(last).collect::<Vec<_>>().join(" ")
}

#[test]
fn hints_count_only_where_every_ready_endpoint_has_one_and_one_fits() {
    let a = Some("a");
    let table: [Case; 19] = [
        ("no hints", Cluster, a, &[("n1", "rs", "", ""), ("n2", "rs", "", "")], "0 1"),
        (
            "zones",
            Cluster,
            a,
            &[("n1", "rs", "a", ""), ("n2", "rs", "b", ""), ("n2", "rs", "a b", "")],
            "0 2",
        ),
        ("a zone is missing", Cluster, a, &[("n1", "rs", "a", ""), ("n2", "rs", "", "")], "0 1"),
        ("no zone fits", Cluster, a, &[("n1", "rs", "b", ""), ("n2", "rs", "c", "")], "0 1"),
        ("node without a zone", Cluster, None, &[("n1", "rs", "a", ""), ("n2", "rs", "b", "")], "0 1"),
        ("unready without a hint", Cluster, a, &[("n1", "rs", "a", ""), ("n2", "s", "", "")], "0"),
        ("terminating without a hint", Cluster, a, &[("n1", "rs", "a", ""), ("n2", "st", "", "")], "0"),
        ("ready and terminating", Cluster, a, &[("n1", "rst", "a", ""), ("n2", "rs", "b", "")], "0"),
        ("the one that fits is unready", Cluster, a, &[("n1", "", "a", ""), ("n2", "rs", "b", "")], "1"),
        (
            "none is ready",
            Cluster,
            a,
            &[("n1", "st", "a", ""), ("n2", "st", "b", ""), ("n2", "", "a", "")],
            "0 1",
        ),
        ("none serves", Cluster, a, &[("n1", "t", "a", ""), ("n2", "s", "a", "")], ""),
        (
            "nodes",
            Cluster,
            a,
            &[("n1", "rs", "", "n1"), ("n2", "rs", "", "n2 n3"), ("n2", "rs", "", "n2 n1")],
            "0 2",
        ),
        ("nodes before zones", Cluster, a, &[("n1", "rs", "a", "n1"), ("n2", "rs", "a", "n2")], "0"),
        ("no node fits, a zone does", Cluster, a, &[("n2", "rs", "a", "n2"), ("n3", "rs", "b", "n3")], "0"),
        (
            "a node is missing, a zone fits",
            Cluster,
            a,
            &[("n1", "rs", "b", "n1"), ("n2", "rs", "a", "")],
            "1",
        ),
        (
            "a node and a zone are missing",
            Cluster,
            a,
            &[("n1", "rs", "a", "n1"), ("n2", "rs", "", "")],
            "0 1",
        ),
        ("node hints need no zone", Cluster, None, &[("n1", "rs", "", "n1"), ("n2", "rs", "", "n2")], "0"),
        ("Local before hints", Local, a, &[("n1", "rs", "b", "n2"), ("n2", "rs", "a", "n1")], "0"),
        ("Local, terminating", Local, a, &[("n1", "st", "b", ""), ("n2", "rs", "a", "")], "0"),
    ];
    for (what, policy, zone, rows, expected) in table {
        assert_eq!(chosen(policy, zone, rows), expected, "{what}");
    }
}

#[test]
fn a_duplicate_without_hints_does_not_take_them_from_the_other() {
    let hinted = |zones: &[&str]| Endpoint {
        for_zones: zones.iter().map(|zone| (*zone).to_owned()).collect(),
        ..endpoint("10.0.0.1", "n1", "rs")
    };
    let other = Endpoint { for_zones: vec!["b".to_owned()], ..endpoint("10.0.0.2", "n2", "rs") };
    let slices = [slice("web", 8080, vec![hinted(&[]), other]), slice("web", 8080, vec![hinted(&["a"])])];
    let mut snapshot = snapshot([("web", service("203.0.113.1"))], slices);
    let node = Node { zone: Some("a".to_owned()), ..Node::default() };
    snapshot.nodes.insert("n1".to_owned(), node);
    assert_eq!(texts(&desired(&snapshot, &config()).services["default/web:http"].members), ["10.0.0.1:8080"]);
}
