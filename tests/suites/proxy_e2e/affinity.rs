//! Cookies that keep a client at its endpoint.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    endpoint::{Endpoint, ok},
    site::{Site, ingress, possible, service},
};

#[test]
fn a_cookie_keeps_a_client_at_its_endpoint() {
    if !possible() {
        return;
    }
    let namespace = Site::namespace();
    let endpoints: Vec<_> =
        (1..=3).map(|n| Endpoint::named(&namespace, &format!("10.1.0.{n}:8000"))).collect();
    let addresses: Vec<_> = endpoints.iter().map(|endpoint| endpoint.address).collect();
    let annotations =
        [("affinity", "cookie"), ("session-cookie-name", "stay"), ("session-cookie-max-age", "60")];
    let text = ingress("web", "a.example", &annotations) + &service("web", &addresses);
    let site = Site::start_in(namespace, &text, &[]);
    let first = site.get("a.example", "/", &[]);
    let set = first.field("set-cookie").unwrap().to_owned();
    assert!(set.starts_with("stay=") && set.contains("; Max-Age=60") && set.contains("; HttpOnly"), "{set}");
    assert!(!set.contains("10.1.0."), "{set}");
    let cookie = format!("Cookie: a=b; {}", set.split(';').next().unwrap());
    for _ in 0..8 {
        let again = site.get("a.example", "/", &[&cookie]);
        assert_eq!(again.text(), first.text());
        assert_eq!(again.field("set-cookie"), None);
    }
    // Its endpoint leaves: the client gets another, and is told.
    let left: Vec<_> =
        addresses.iter().copied().filter(|address| address.to_string() != first.text()).collect();
    site.apply(&(ingress("web", "a.example", &annotations) + &service("web", &left)));
    let moved = site.get("a.example", "/", &[&cookie]);
    assert_ne!(moved.text(), first.text());
    assert!(moved.field("set-cookie").is_some());
}

#[test]
fn a_cookie_is_set_as_the_ingress_says() {
    if !possible() {
        return;
    }
    let namespace = Site::namespace();
    let endpoint = Endpoint::named(&namespace, "10.1.0.1:8000");
    let annotations = [
        ("affinity", "cookie"),
        ("session-cookie-path", "/shop"),
        ("session-cookie-domain", "example"),
        ("session-cookie-samesite", "Strict"),
        ("session-cookie-secure", "true"),
    ];
    let text = ingress("web", "a.example", &annotations) + &service("web", &[endpoint.address]);
    let site = Site::start_in(namespace, &text, &[]);
    let response = site.get("a.example", "/", &[]);
    let (value, attributes) = response.field("set-cookie").unwrap().split_once("; ").unwrap();
    assert!(value.starts_with("INGRESSCOOKIE="), "{value}");
    assert_eq!(attributes, "Path=/shop; Domain=example; Secure; HttpOnly; SameSite=Strict");
}

/// An endpoint that ends every connection without a word once `is_dead`.
fn mortal(site: &lb_tests::netns::Namespace, address: &str, is_dead: Arc<AtomicBool>) -> SocketAddr {
    let name = address.to_owned();
    let endpoint =
        Endpoint::start(site, address, move |_, stream| !is_dead.load(Ordering::SeqCst) && ok(stream, &name));
    endpoint.address
}

#[test]
fn a_client_whose_endpoint_fails_moves_for_good_only_where_the_ingress_says_so() {
    if !possible() {
        return;
    }
    for (moves, is_told) in [("false", false), ("true", true)] {
        let namespace = Site::namespace();
        let dead = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let addresses = ["10.1.0.1:8000", "10.1.0.2:8000"];
        let endpoints: Vec<_> =
            addresses.iter().zip(&dead).map(|(name, dead)| mortal(&namespace, name, dead.clone())).collect();
        let annotations = [("affinity", "cookie"), ("session-cookie-change-on-failure", moves)];
        let text = ingress("web", "a.example", &annotations) + &service("web", &endpoints);
        let site = Site::start_in(namespace, &text, &[]);
        let first = site.get("a.example", "/", &[]);
        let cookie = format!("Cookie: {}", first.field("set-cookie").unwrap().split(';').next().unwrap());
        let own = addresses.iter().position(|address| *address == first.text()).unwrap();
        dead[own].store(true, Ordering::SeqCst);
        let other = site.get("a.example", "/", &[&cookie]);
        assert_eq!((other.status, other.text().as_str()), (200, addresses[1 - own]), "{moves}");
        assert_eq!(other.field("set-cookie").is_some(), is_told, "{moves}");
    }
}
