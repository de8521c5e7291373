//! Changes of the configuration under load: not a request fails.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use super::{
    endpoint::Endpoint,
    site::{Site, ingress, possible, service},
};

#[test]
fn no_request_fails_while_routes_and_endpoints_change() {
    if !possible() {
        return;
    }
    let namespace = Site::namespace();
    let endpoints: Vec<_> =
        (1..=4).map(|n| Endpoint::named(&namespace, &format!("10.1.0.{n}:8000"))).collect();
    let some = |round: usize| -> Vec<_> {
        (0..4).filter(|n| *n != round % 4).map(|n| endpoints[n].address).collect()
    };
    let text = |round: usize| {
        ingress("web", "a.example", &[])
            + &ingress("other", &format!("h{round}.example"), &[])
            + &service("web", &some(round))
    };
    let site = Site::start_in(namespace, &text(0), &[]);
    let over = Arc::new(AtomicBool::new(false));
    let asked = Arc::new(AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let mut client = site.client();
                let (over, asked) = (over.clone(), asked.clone());
                scope.spawn(move || {
                    while !over.load(Ordering::Relaxed) {
                        client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
                        let response = client.response();
                        assert_eq!(response.status, 200, "{response:?}");
                        asked.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        for round in 1..40 {
            site.apply(&text(round));
        }
        over.store(true, Ordering::Relaxed);
        clients.into_iter().for_each(|client| client.join().unwrap());
    });
    let asked = asked.load(Ordering::Relaxed);
    assert!(asked > 500, "only {asked} requests");
}

#[test]
fn an_endpoint_that_leaves_gets_no_more_requests_and_its_idle_connections_are_closed() {
    if !possible() {
        return;
    }
    let namespace = Site::namespace();
    let endpoints: Vec<_> =
        (1..=2).map(|n| Endpoint::named(&namespace, &format!("10.1.0.{n}:8000"))).collect();
    let both: Vec<_> = endpoints.iter().map(|endpoint| endpoint.address).collect();
    let site = Site::start_in(namespace, &(ingress("web", "a.example", &[]) + &service("web", &both)), &[]);
    for _ in 0..8 {
        assert_eq!(site.get("a.example", "/", &[]).status, 200);
    }
    site.apply(&(ingress("web", "a.example", &[]) + &service("web", &both[..1])));
    let before = endpoints[1].seen().len();
    for _ in 0..8 {
        assert_eq!(site.get("a.example", "/", &[]).text(), "10.1.0.1:8000");
    }
    assert_eq!(endpoints[1].seen().len(), before);
    lb_tests::wait::until_true("its connections are closed", || {
        let sockets = site.namespace.run("ss", &["-Htn", "state", "established", "dst", "10.1.0.2"]).unwrap();
        sockets.trim().is_empty()
    })
    .unwrap();
}
