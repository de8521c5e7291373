//! Which endpoint requests go to.

use std::collections::BTreeMap;

use super::{
    endpoint::Endpoint,
    site::{Site, ingress, possible, service},
};

fn site(annotations: &[(&str, &str)], flags: &[&str]) -> (Site, Vec<Endpoint>) {
    let namespace = Site::namespace();
    let endpoints: Vec<_> =
        (1..=4).map(|n| Endpoint::named(&namespace, &format!("10.1.0.{n}:8000"))).collect();
    let addresses: Vec<_> = endpoints.iter().map(|endpoint| endpoint.address).collect();
    let text = ingress("web", "a.example", annotations) + &service("web", &addresses);
    (Site::start_in(namespace, &text, flags), endpoints)
}

#[test]
fn a_round_robin_reaches_all_endpoints_equally() {
    if !possible() {
        return;
    }
    let (site, endpoints) = site(&[], &["--threads", "1"]);
    for _ in 0..20 {
        assert_eq!(site.get("a.example", "/", &[]).status, 200);
    }
    let counts: Vec<_> = endpoints.iter().map(|endpoint| endpoint.seen().len()).collect();
    assert_eq!(counts, [5; 4]);
}

#[test]
fn a_round_robin_goes_on_where_it_stood_when_the_configuration_changes() {
    if !possible() {
        return;
    }
    let (site, endpoints) = site(&[], &["--threads", "1"]);
    let addresses: Vec<_> = endpoints.iter().map(|endpoint| endpoint.address).collect();
    let text = ingress("web", "a.example", &[]) + &service("web", &addresses);
    let mut names = Vec::new();
    for number in 0..4 {
        names.push(site.get("a.example", "/", &[]).text());
        site.apply(&(text.clone() + &ingress("other", &format!("b{number}.example"), &[])));
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 4, "{names:?}");
}

#[test]
fn a_hash_sends_equal_keys_to_one_endpoint_and_others_elsewhere() {
    if !possible() {
        return;
    }
    let (site, _endpoints) = site(&[("upstream-hash-by", "$arg_id")], &[]);
    let mut by_key = BTreeMap::new();
    for round in 0..2 {
        for key in 0..30 {
            let name = site.get("a.example", &format!("/{round}?id={key}"), &[]).text();
            assert_eq!(*by_key.entry(key).or_insert_with(|| name.clone()), name);
        }
    }
    let mut used: Vec<_> = by_key.values().collect();
    used.sort();
    used.dedup();
    assert!(used.len() >= 3, "{by_key:?}");
}

#[test]
fn least_request_avoids_a_busy_endpoint() {
    if !possible() {
        return;
    }
    let namespace = Site::namespace();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let slow = Endpoint::start(&namespace, "10.1.0.1:8000", move |_, stream| {
        wait.lock().unwrap().recv().unwrap();
        super::endpoint::ok(stream, "slow")
    });
    let fast = Endpoint::named(&namespace, "10.1.0.2:8000");
    let text = ingress("web", "a.example", &[("load-balance", "least_request")])
        + &service("web", &[slow.address, fast.address]);
    let site = Site::start_in(namespace, &text, &["--threads", "1"]);
    let mut waiting = Vec::new();
    while slow.seen().is_empty() {
        let mut client = site.client();
        client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
        lb_tests::wait::until_true("a request arrives", || {
            slow.seen().len() + fast.seen().len() > waiting.len()
        })
        .unwrap();
        waiting.push(client);
    }
    for _ in 0..10 {
        assert_eq!(site.get("a.example", "/", &[]).text(), "10.1.0.2:8000");
    }
    go.send(()).unwrap();
    assert_eq!(waiting.last_mut().unwrap().response().text(), "slow");
}

#[test]
fn the_address_of_the_service_is_asked_instead_of_its_endpoints() {
    if !possible() {
        return;
    }
    let namespace = Site::namespace();
    let [endpoint, whole] = ["10.1.0.1:8000", "10.1.0.50:80"].map(|name| Endpoint::named(&namespace, name));
    let service = service("web", &[endpoint.address]).replace("10.96.0.10", "10.1.0.50");
    let text = ingress("web", "a.example", &[("service-upstream", "true")]) + &service;
    let site = Site::start_in(namespace, &text, &[]);
    assert_eq!(site.get("a.example", "/", &[]).text(), whole.address.to_string());
    assert_eq!(endpoint.seen().len(), 0);
}
