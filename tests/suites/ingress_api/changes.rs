//! Routes, certificates and endpoints that change more than a hundred times a second each: not a request fails.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use lb_tests::api_server::Resource;
use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    endpoint,
    load::Load,
    objects::{annotated, apply_service, ingress, path, renamed, secret, slice, with_tls},
    site::{self, Site},
    trust::Trust,
};

/// How long the rate of changes has to be held …
const TIME: Duration = Duration::from_secs(10);
/// … of each kind, at least …
const A_SECOND: usize = 100;
/// … for which this is tried: each time one route, one certificate and one slice.
const PERIOD: Duration = Duration::from_millis(8);
/// Contents of one Secret, at least.
const TURNS: usize = 4;
/// Ingresses that come and go.
const PASSING: usize = 20;

/// What was sent.
#[derive(Debug, Default)]
struct Sent {
    routes: usize,
    endpoints: usize,
    certificates: usize,
    contents: usize,
}

/// Sends changes, none of which may cost a request.
struct Changer<'a> {
    site: &'a Site,
    endpoints: &'a [SocketAddr],
    load: &'a Load,
    /// Two contents of the Secret `turning`, and the names of their certificates.
    contents: [(&'static str, Value); 2],
    /// Handshakes with the newest one before it was the newest.
    handshakes: usize,
    sent: Sent,
}

impl Changer<'_> {
    fn turn(&mut self, round: usize) {
        self.change_route(round);
        self.change_certificate(round);
        self.change_endpoints(round);
    }

    /// Ingresses come, change hosts and paths, and go; those of the clients get other annotations and more paths.
    fn change_route(&mut self, round: usize) {
        let name = format!("passing-{}", round / 4 % PASSING);
        let passing = |host: &str| ingress(&name, host, "web");
        match round % 4 {
            0 => self.site.server.apply(passing(&format!("h{round}.example"))),
            1 => {
                let mut more = passing("stable.example");
                more["spec"]["rules"][0]["http"]["paths"] =
                    serde_json::json!([path(&format!("/more-{round}"), "chat"), path("/never", "absent")]);
                self.site.server.apply(more);
            }
            2 => {
                let timeout = format!("{}", 20 + round % 10);
                let key = "nginx.ingress.kubernetes.io/proxy-read-timeout";
                self.site.server.apply(annotated(ingress("stable", "stable.example", "web"), key, &timeout));
            }
            _ => self.site.server.delete(Resource::Ingresses, &format!("default/{name}")),
        }
        self.sent.routes += 1;
    }

    /// One host turns from one Secret to the other; the content of another host's Secret turns as soon as it was served:
    /// it is read again within a second, as its Ingress changes, too.
    fn change_certificate(&mut self, round: usize) {
        let name = ["one", "two"][round % 2];
        let tls = ingress("tls", "tls.example", "web");
        self.site.server.apply(with_tls(tls, &["tls.example"], name));
        self.sent.certificates += 1;
        let turning = with_tls(ingress("turning", "turning.example", "web"), &["turning.example"], "turning");
        self.site.server.apply(annotated(turning, "example.org/round", &round.to_string()));
        let (name, _) = &self.contents[self.sent.contents % 2];
        let handshakes = self.load.handshakes(name);
        if handshakes > self.handshakes {
            self.sent.contents += 1;
            let (name, content) = &self.contents[self.sent.contents % 2];
            self.handshakes = self.load.handshakes(name);
            self.site.server.apply(content.clone());
        }
    }

    /// Of four endpoints, two to four are ready; one that leaves terminates first.
    fn change_endpoints(&mut self, round: usize) {
        let at = |position: usize| self.endpoints[position % 4];
        let first = round / 3;
        let (ready, leaving) = match round % 3 {
            0 => (vec![at(first), at(first + 1), at(first + 2)], vec![]),
            1 => (vec![at(first + 1), at(first + 2)], vec![at(first)]),
            _ => (vec![at(first + 1), at(first + 2)], vec![]),
        };
        self.site.server.apply(slice("web", &ready, &leaving));
        self.sent.endpoints += 1;
    }
}

fn prepare(site: &Site, endpoints: &[SocketAddr]) -> ([(&'static str, Value); 2], Trust) {
    apply_service(&site.server, "web", endpoints);
    apply_service(&site.server, "chat", &endpoints[..1]);
    let [one, two] = ["one", "two"].map(|name| secret(name, &["tls.example", "*.anchor.example"]));
    let [three, four] = ["three", "four"].map(|name| renamed(secret(name, &["turning.example"]), "turning"));
    let trust = Trust::new([("one", &one), ("two", &two), ("three", &three), ("four", &four)]);
    for object in [
        one,
        two,
        three.clone(),
        ingress("stable", "stable.example", "web"),
        ingress("chat", "chat.example", "chat"),
        with_tls(ingress("tls", "tls.example", "web"), &["tls.example"], "one"),
        with_tls(ingress("turning", "turning.example", "web"), &["turning.example"], "turning"),
        // Keep both Secrets wanted.
        with_tls(ingress("anchor-one", "one.anchor.example", "web"), &["one.anchor.example"], "one"),
        with_tls(ingress("anchor-two", "two.anchor.example", "web"), &["two.anchor.example"], "two"),
    ] {
        site.server.apply(object);
    }
    ([("three", three), ("four", four)], trust)
}

/// Whether the last [`TIME`] has seen the rate, of the times at which changes were sent; forgets those before.
fn is_held(recent: &mut VecDeque<Instant>) -> bool {
    while recent.front().is_some_and(|time| time.elapsed() > TIME) {
        recent.pop_front();
    }
    recent.len() >= A_SECOND * TIME.as_secs() as usize
}

#[test]
fn no_request_fails_while_everything_changes_a_hundred_times_a_second() {
    site::run(|site: Site| async move {
        let endpoints = endpoint::start(&site.namespace, 4).await;
        let (contents, trust) = prepare(&site, &endpoints);
        let proxy = site.start(1).await;
        let before = proxy.metric("sluice_ingress_generation").await;
        let load = Load::start(&site.namespace, proxy.http(), proxy.https(), Arc::new(trust.clone()));
        load.until_running().await;
        let sent = Sent::default();
        let mut changer =
            Changer { site: &site, endpoints: &endpoints, load: &load, contents, handshakes: 0, sent };
        let mut ticks = interval(PERIOD);
        // A machine that is busy is caught up with.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let started = Instant::now();
        let (mut round, mut recent) = (0, VecDeque::new());
        // On a machine with other work the rate is reached later, and nothing may fail until then.
        while started.elapsed() < TIME || !is_held(&mut recent) || changer.sent.contents < TURNS {
            assert!(
                started.elapsed() < 6 * TIME,
                "in {TIME:?} only {} changes of each kind, or the Secret is not read again: {:?}",
                recent.len(),
                changer.sent
            );
            ticks.tick().await;
            changer.turn(round);
            recent.push_back(Instant::now());
            round += 1;
        }
        let seconds = started.elapsed().as_secs_f64();
        let served = proxy.metric("sluice_ingress_generation").await - before;
        let sent = changer.sent;
        let seen = load.stop();
        let reads = site.server.count(|request| {
            (request.resource, request.key.as_str()) == (Resource::Secrets, "default/turning")
        });
        // What came last is there at once: no queue has built up.
        let last = Instant::now();
        site.server.apply(ingress("last", "last.example", "web"));
        site.server.apply(slice("web", &endpoints[3..], &[]));
        proxy.until_answer("last.example", "/", (200, "pod-4")).await;
        let last = last.elapsed();
        let Sent { routes, endpoints, certificates, contents } = sent;
        let rate = |count: usize| count as f64 / seconds;
        println!(
            "{:.0} changes a second in {seconds:.1} s: {:.0} routes, {:.0} endpoints, {:.0} certificates by name, {:.1} by \
             content, which was read {reads} times; {:.0} configurations a second; the last one served after {last:.0?}\n{seen:#?}",
            rate(routes + endpoints + certificates + contents),
            rate(routes),
            rate(endpoints),
            rate(certificates),
            rate(contents),
            served / seconds
        );
        assert!(served >= TIME.as_secs_f64() * 10.0, "only {served} configurations were served");
        assert!(last < Duration::from_secs(1), "the last change was served after {last:?}");
        assert!(seen.failures.is_empty(), "{:#?}", seen.failures);
        for name in ["one", "two", "three", "four"] {
            assert!(seen.certificates.get(name).is_some_and(|count| *count > 1), "{name}: {seen:#?}");
        }
        assert!(seen.answers.values().all(|count| *count > 20), "{seen:#?}");
    });
}
