//! The start and the end: ready late, gone without breaking anything; and what can be seen meanwhile.

use std::io::Write;

use lb_tests::wait;
use nix::sys::signal::Signal;

use super::{
    endpoint::{Endpoint, ok},
    site::{Site, ingress, possible, service},
};

#[test]
fn sigterm_lets_responses_finish_says_close_and_ends_with_0() {
    if !possible() {
        return;
    }
    let namespace = Site::namespace();
    let (go, hold) = std::sync::mpsc::channel::<()>();
    let hold = std::sync::Mutex::new(hold);
    let endpoint = Endpoint::start(&namespace, "10.1.0.1:8000", move |seen, stream| {
        if seen.line().contains("/slow") {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbe");
            hold.lock().unwrap().recv().unwrap();
            return stream.write_all(b"en").is_ok();
        }
        ok(stream, "fast")
    });
    let text = ingress("web", "a.example", &[]) + &service("web", &[endpoint.address]);
    let mut site = Site::start_in(namespace, &text, &["--drain-delay", "1"]);
    let mut idle = site.client();
    idle.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert_eq!(idle.response().status, 200);
    let mut slow = site.client();
    slow.send("GET /slow HTTP/1.1\r\nHost: a.example\r\n\r\n");
    wait::until_true("the slow request arrives", || endpoint.seen().len() == 2).unwrap();
    site.signal(Signal::SIGTERM);
    wait::until_true("the proxy is not ready", || {
        site.admin("/readyz").is_some_and(|(status, _)| status == 503)
    })
    .unwrap();
    // Load balancers have not seen it yet: new connections are still served.
    assert_eq!(site.get("a.example", "/", &[]).status, 200);
    assert!(idle.is_closed());
    // Every thread closes its own listener.
    wait::until_true("no new connection is taken", || site.connect(super::site::HTTP).is_none()).unwrap();
    go.send(()).unwrap();
    assert_eq!(slow.response().text(), "been");
    assert!(slow.is_closed());
    assert_eq!(site.ended().code(), Some(0));
}

#[test]
fn a_request_that_comes_before_the_configuration_waits_for_it() {
    if !possible() {
        return;
    }
    let site = Site::start("", &[]);
    let kubeconfig = site.manifests.path().join("kubeconfig");
    // Nobody answers there: the first snapshot never comes.
    let text = "{apiVersion: v1, kind: Config, current-context: c, users: [{name: u, user: {}}], \
                clusters: [{name: c, cluster: {server: 'http://10.1.0.250:1'}}], \
                contexts: [{name: c, context: {cluster: c, user: u}}]}";
    std::fs::write(&kubeconfig, text).unwrap();
    let source = ["--kubeconfig", kubeconfig.to_str().unwrap()];
    let _second = site.second_from(source, "127.0.0.1:8081");
    let mut stream = site.connect("127.0.0.1:8081").unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_millis(500))).unwrap();
    let error = std::io::Read::read(&mut stream, &mut [0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn what_takes_too_long_is_cut() {
    if !possible() {
        return;
    }
    let namespace = Site::namespace();
    let endpoint = Endpoint::start(&namespace, "10.1.0.1:8000", |_, stream| {
        let mut byte = [0];
        let _ = std::io::Read::read(stream, &mut byte);
        false
    });
    let text = ingress("web", "a.example", &[]) + &service("web", &[endpoint.address]);
    let mut site = Site::start_in(namespace, &text, &["--drain-timeout", "0.5"]);
    let mut client = site.client();
    client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    wait::until_true("the request arrives", || endpoint.seen().len() == 1).unwrap();
    site.signal(Signal::SIGTERM);
    assert!(client.try_response().is_none());
    assert_eq!(site.ended().code(), Some(0));
}

#[test]
fn requests_are_counted_and_logged() {
    if !possible() {
        return;
    }
    let namespace = Site::namespace();
    let endpoint = Endpoint::named(&namespace, "10.1.0.1:8000");
    let text = ingress("web", "a.example", &[])
        + &ingress("quiet", "q.example", &[("enable-access-log", "false")])
        + &service("web", &[endpoint.address])
        + &service("quiet", &[endpoint.address]);
    let site = Site::start_in(namespace, &text, &[]);
    for _ in 0..3 {
        site.get("a.example", "/x?y=1", &["User-Agent: a \"test\""]);
    }
    site.get("nobody.example", "/", &[]);
    site.get("q.example", "/quiet", &[]);
    wait::until_true("requests are counted", || {
        site.metric("sluice_ingress_requests_total{ingress=\"default/web\",class=\"2xx\"}") == 3.0
            && site.metric("sluice_ingress_requests_total{ingress=\"\",class=\"4xx\"}") == 1.0
            && site.metric("sluice_ingress_request_duration_seconds_count{ingress=\"default/web\"}") == 3.0
    })
    .unwrap();
    wait::until_true("requests are logged", || site.log().matches("\"path\":\"/x?y=1\"").count() == 3)
        .unwrap();
    let log = site.log();
    let line = log.lines().find(|line| line.contains("/x?y=")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["status"], 200);
    assert_eq!(line["ingress"], "default/web");
    assert_eq!(line["endpoint"], "10.1.0.1:8000");
    assert_eq!((&line["client"], &line["user_agent"]), (&"127.0.0.1".into(), &"a \"test\"".into()));
    assert!(!log.contains("/quiet"));
    assert_eq!(site.admin("/healthz").unwrap().0, 200);
    assert_eq!(site.admin("/nothing").unwrap().0, 404);
}

#[test]
fn an_address_that_is_taken_is_said_with_its_flag() {
    if !possible() {
        return;
    }
    let site = Site::start("", &[]);
    let _taken = site.namespace.enter(|| std::net::TcpListener::bind("127.0.0.1:7000")).unwrap();
    let output = site
        .command(&lb_tests::agent::ingress_binary().unwrap().display().to_string())
        .args(["--manifests", &site.manifests.path().display().to_string(), "--http", "127.0.0.1:7000"])
        .args(["--https", "none", "--admin", "none"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("127.0.0.1:7000") && said.contains("--http"), "{said}");
}

#[test]
fn routes_can_be_printed() {
    if !possible() {
        return;
    }
    let text = ingress("web", "a.example", &[]) + &service("web", &["10.1.0.1:8000".parse().unwrap()]);
    let site = Site::start(&text, &[]);
    let output = site
        .command(&lb_tests::agent::ingress_binary().unwrap().display().to_string())
        .args(["--manifests", &site.manifests.path().display().to_string(), "--dump-routes"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && text.contains("a.example") && text.contains("10.1.0.1:8000"),
        "{text}"
    );
}
