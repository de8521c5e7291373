//! How much CPU time 5,000 Ingresses take to compile, and a route to find: `cargo bench -p lb-proxy`.

use std::{hint::black_box, time::Duration};

use lb_model::{
    ingress::{
        BackendPort, Ingress, IngressBackend, IngressPath, IngressRule, IngressTls, PathType, TlsSecret,
    },
    ingress_class::ClassSelector,
    object::{Endpoint, EndpointPort, EndpointSlice, ObjectKey, Protocol, Service, ServicePort, Snapshot},
};
use lb_proxy::compile::{Cache, Settings, compile};
use nix::time::{ClockId, clock_gettime};

const INGRESSES: usize = 5_000;
/// Each Secret is that of so many Ingresses.
const SHARED_BY: usize = 20;
const ROUNDS: usize = 15;
const FINDS: usize = 100_000;

fn main() {
    let settings = Settings {
        class: ClassSelector { unclassed: true, ..ClassSelector::default() },
        ..Settings::default()
    };
    let snapshot = cluster();
    let mut cache = Cache::default();
    let config = compile(&snapshot, &settings, &mut cache);
    assert_eq!((config.routes.iter().count(), config.refusals.len()), (INGRESSES * 6, 0));
    println!(
        "{INGRESSES} Ingresses, {} routes, {} certificates, {} upstreams; medians of {ROUNDS}",
        config.routes.iter().count(),
        config.validities.len(),
        config.upstreams.len()
    );
    report("compile, nothing read before", || compile(&snapshot, &settings, &mut Cache::default()));
    report("compile, certificates read before", || compile(&snapshot, &settings, &mut cache));
    report("drop a configuration", {
        let mut configs: Vec<_> = (0..=ROUNDS).map(|_| compile(&snapshot, &settings, &mut cache)).collect();
        move || drop(configs.pop())
    });
    let requests: Vec<_> = (0..INGRESSES)
        .map(|number| (format!("b{number}.example.org"), format!("/api/v{}/items", number % 7)))
        .collect();
    for (what, requests) in
        [("find a route, each another host", &requests[..]), ("find a route, ten hosts", &requests[..10])]
    {
        let before = cpu_time();
        for (host, path) in requests.iter().cycle().take(FINDS) {
            black_box(config.routes.find(black_box(host), black_box(path)));
        }
        println!("{what:>36}: {:.0} ns", nanoseconds(cpu_time() - before) / FINDS as f64);
    }
}

/// Prints the median; what a round returns is dropped outside of its time.
fn report<T>(what: &str, mut round: impl FnMut() -> T) {
    let mut times: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let before = cpu_time();
            let result = black_box(round());
            let time = cpu_time() - before;
            drop(result);
            time
        })
        .collect();
    times.sort_unstable();
    println!("{what:>36}: {:.1} ms", nanoseconds(times[ROUNDS / 2]) / 1e6);
}

/// Of this thread: what others do on the machine is not in it.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
    time.unwrap_or_else(|error| panic!("a thread without a clock: {error}")).into()
}

fn nanoseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

fn cluster() -> Snapshot {
    let mut snapshot = Snapshot::default();
    for number in 0..INGRESSES {
        let key = ObjectKey::new(format!("team-{}", number % 100), format!("app-{number:04}"));
        let secret = format!("site-{}", number / 100 / SHARED_BY);
        snapshot.ingresses.insert(key.clone(), ingress(number, &key.name, &secret));
        snapshot.secrets.insert(ObjectKey::new(key.namespace.as_str(), secret), certificate());
        snapshot.services.insert(key.clone(), service());
        snapshot.slices.insert(key.clone(), slice(number, key.name));
    }
    snapshot
}

fn ingress(number: usize, service: &str, secret: &str) -> Ingress {
    let hosts = ["a", "b"].map(|label| format!("{label}{number}.example.org"));
    let path = |path: &str| IngressPath {
        path: path.to_owned(),
        path_type: PathType::Prefix,
        backend: IngressBackend::Service {
            name: service.to_owned(),
            port: BackendPort::Name("http".to_owned()),
        },
    };
    let rule = |host: &String| IngressRule {
        host: Some(host.clone()),
        paths: ["/", "/api", "/static/images"].map(path).into(),
    };
    let annotations = [("proxy-body-size", "8m"), ("proxy-read-timeout", "120")];
    let annotations =
        annotations.map(|(name, value)| (format!("nginx.ingress.kubernetes.io/{name}"), value.to_owned()));
    Ingress {
        created: number as i64,
        annotations: annotations.into(),
        rules: hosts.iter().map(rule).collect(),
        tls: vec![IngressTls { hosts: hosts.into(), secret: Some(secret.to_owned()) }],
        ..Ingress::default()
    }
}

fn certificate() -> TlsSecret {
    TlsSecret {
        certificate: include_bytes!("../testdata/ec.crt").into(),
        key: include_bytes!("../testdata/ec-pkcs8.key").into(),
    }
}

fn service() -> Service {
    let port = ServicePort {
        name: "http".to_owned(),
        protocol: Protocol::Tcp,
        port: 80,
        node_port: None,
        app_protocol: None,
    };
    Service { ports: vec![port], ..Service::default() }
}

fn slice(number: usize, service: String) -> EndpointSlice {
    let endpoint = |last: u8| Endpoint {
        address: [10, (number / 250) as u8, (number % 250) as u8, last].into(),
        node: None,
        ready: true,
        serving: true,
        terminating: false,
        for_nodes: Vec::new(),
        for_zones: Vec::new(),
    };
    let port = EndpointPort { name: "http".to_owned(), protocol: Protocol::Tcp, port: 8080 };
    let endpoints = (1..=3).map(endpoint).collect();
    EndpointSlice { service, ports: vec![port], endpoints, ..EndpointSlice::default() }
}
