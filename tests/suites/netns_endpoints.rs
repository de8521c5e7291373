//! Endpoints come and go while clients are at work.
#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::{collections::BTreeSet, io::ErrorKind};

use lb_tests::{
    cluster::{Cluster, web},
    load::{Kind, Load},
    skip,
    topo::{EXTERNAL_IP, Routing},
    traffic::{Answer, IpFamily, Session, Target, requests},
    wait,
};

fn tcp(family: IpFamily) -> Target {
    Target::tcp(EXTERNAL_IP.of(family), 80)
}

/// Sessions from one source port each, until every pod has one; the ring decides which.
fn one_session_to_each_pod(cluster: &Cluster, target: Target, pods: usize) -> Vec<(Session, Answer)> {
    let mut found: Vec<(Session, Answer)> = Vec::new();
    for port in 40_000..40_100 {
        let mut session = Session::open_from_port(&cluster.topology.client, port, target).unwrap();
        let answer = session.ask().unwrap();
        if found.iter().all(|(_, other)| other.pod != answer.pod) {
            found.push((session, answer));
        }
        if found.len() == pods {
            return found;
        }
    }
    panic!("a hundred ports led to {} of {pods} pods", found.len());
}

#[test]
fn a_pod_that_is_removed_in_order_costs_no_request() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    for (leaving, routing) in
        [("pod-a1", Routing::Native), ("pod-b1", Routing::Native), ("pod-b2", Routing::Vxlan)]
    {
        let mut cluster = Cluster::web(routing, 2).unwrap();
        let service = web(&cluster.topology);
        let start =
            |family| Load::start(&cluster.topology.client, tcp(family), &[(Kind::Connections, 8)]).unwrap();
        let loads = IpFamily::ALL.map(start);
        let advance = |steps| loads.iter().for_each(|load| load.advance(steps).unwrap());
        // As Kubernetes does it: terminating, the end of its connections, gone from the slice, the process ends.
        cluster.apply(&service.clone().terminating(leaving)).unwrap();
        advance(20);
        let service = service.without(leaving);
        cluster.apply(&service).unwrap();
        advance(5);
        cluster.topology.pod(leaving).stop().unwrap();
        advance(20);
        loads.into_iter().for_each(|load| load.finish().unwrap());
        for family in IpFamily::ALL {
            let tally = requests(&cluster.topology.client, tcp(family), 60, 8);
            assert_eq!((tally.failures(), tally.answered.len()), (0, 3), "{family}: {tally:?}");
            assert!(!tally.answered.contains_key(leaving), "{family}: {tally:?}");
        }
    }
}

#[test]
fn tcp_goes_on_with_a_terminating_endpoint_until_it_is_gone() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let cluster = Cluster::web(Routing::Native, 2).unwrap();
    let service = web(&cluster.topology);
    let mut sessions: Vec<_> = IpFamily::ALL
        .into_iter()
        .flat_map(|family| one_session_to_each_pod(&cluster, tcp(family), 4))
        .collect();
    for leaving in ["pod-a1", "pod-b1"] {
        cluster.apply(&service.clone().terminating(leaving)).unwrap();
        for (session, first) in &mut sessions {
            assert_eq!(session.ask().unwrap(), *first, "{leaving} is terminating");
        }
        for family in IpFamily::ALL {
            let tally = requests(&cluster.topology.client, tcp(family), 60, 8);
            assert!(
                !tally.answered.contains_key(leaving),
                "new connections keep away from {leaving}: {tally:?}"
            );
        }
    }
    let without = service.without("pod-a1").without("pod-b1");
    cluster.apply(&without).unwrap();
    for (session, first) in &mut sessions {
        let gone = ["pod-a1", "pod-b1"].contains(&first.pod.as_str());
        match session.ask() {
            Ok(answer) => assert!(!gone && answer == *first, "{first:?} became {answer:?}"),
            Err(error) => {
                assert!(gone, "{first:?}: {error}");
                assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{first:?}");
            }
        }
    }
}

/// Takes the pod away that answers the session, again and again, down to the last: local and remote ones are lost in
/// whatever order the ring says.
fn udp_outlives_its_pods(cluster: &mut Cluster, family: IpFamily) {
    let mut service = web(&cluster.topology);
    let target = Target::udp(EXTERNAL_IP.of(family), 80);
    let mut session = Session::open_from_port(&cluster.topology.client, 40_000, target).unwrap();
    let mut met = BTreeSet::new();
    for _ in 0..4 {
        let pod = session.ask().unwrap().pod;
        assert_eq!(session.ask().unwrap().pod, pod, "the flow stays where it is");
        assert!(met.insert(pod.clone()), "{pod} is gone and answers");
        if met.len() < 4 {
            service = service.without(&pod);
            cluster.apply(&service).unwrap();
            cluster.topology.pod(&pod).stop().unwrap();
        }
    }
    for pod in met {
        cluster.topology.pod(&pod).restart().unwrap();
    }
    cluster.apply(&web(&cluster.topology)).unwrap();
}

#[test]
fn udp_from_one_source_port_moves_to_another_pod_when_its_own_is_gone() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    for routing in [Routing::Native, Routing::Vxlan] {
        let mut cluster = Cluster::web(routing, 2).unwrap();
        IpFamily::ALL.into_iter().for_each(|family| udp_outlives_its_pods(&mut cluster, family));
    }
}

#[test]
fn endpoints_appear_for_a_service_that_had_none_and_the_last_one_leaves() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let cluster = Cluster::start(Routing::Native, 1, |topology| {
        vec![web(topology).without("pod-a1").without("pod-b1")]
    })
    .unwrap();
    let full = web(&cluster.topology);
    let client = &cluster.topology.client;
    // Resolvers and phones keep their port: what was decided for it before must not outlive the change.
    let mut phones = IpFamily::ALL.map(|family| {
        Session::open_from_port(client, 40_000, Target::udp(EXTERNAL_IP.of(family), 80)).unwrap()
    });
    for _ in 0..2 {
        for (family, phone) in IpFamily::ALL.into_iter().zip(&mut phones) {
            let refused = requests(client, tcp(family), 4, 2);
            assert_eq!(refused.failed.get("connection refused"), Some(&4), "{family}: {refused:?}");
            assert_eq!(phone.ask().unwrap_err().kind(), ErrorKind::ConnectionRefused, "{family}");
        }
        cluster.apply(&full).unwrap();
        for (family, phone) in IpFamily::ALL.into_iter().zip(&mut phones) {
            let served = requests(client, tcp(family), 60, 8);
            assert_eq!((served.failures(), served.answered.len()), (0, 2), "{family}: {served:?}");
            phone.ask().unwrap_or_else(|error| panic!("{family}, from the port that was refused: {error}"));
        }
        cluster.apply(&full.clone().without("pod-a1").without("pod-b1")).unwrap();
    }
}

#[test]
fn a_pod_that_comes_back_is_used_again() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let mut cluster = Cluster::web(Routing::Native, 1).unwrap();
    let service = web(&cluster.topology);
    let answers = |cluster: &Cluster| {
        IpFamily::ALL.map(|family| requests(&cluster.topology.client, tcp(family), 20, 4).answered)
    };
    cluster.apply(&service.clone().without("pod-b1")).unwrap();
    cluster.topology.pod("pod-b1").stop().unwrap();
    for answered in answers(&cluster) {
        assert_eq!(answered.get("pod-a1"), Some(&20));
    }
    cluster.topology.pod("pod-b1").restart().unwrap();
    cluster.apply(&service).unwrap();
    wait::until_true("pod-b1 answers again", || {
        answers(&cluster).iter().all(|answered| answered.contains_key("pod-b1"))
    })
    .unwrap();
}
