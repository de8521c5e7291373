//! TLS: certificates by server name, replaced without a restart, and what is spoken over it.

use super::{
    endpoint::Endpoint,
    site::{Site, ingress, possible, service},
};

/// A Secret with a fresh certificate for these names.
fn secret(name: &str, names: &[&str]) -> String {
    lb_tests::ingress::secret(name, names).unwrap()
}

fn with_tls(ingress: &str, host: &str, secret: &str) -> String {
    ingress.replace("spec:\n", &format!("spec:\n  tls: [{{hosts: [{host:?}], secretName: {secret}}}]\n"))
}

/// The subject of the certificate that a server name gets.
fn subject(site: &Site, name: &str) -> String {
    let output = site
        .command("openssl")
        .args(["s_client", "-connect", super::site::HTTPS, "-servername", name])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().find_map(|line| line.strip_prefix("subject=")).unwrap_or("none").replace(' ', "")
}

const RESOLVE: [&str; 2] = ["--connect-to", "::127.0.0.1:8443"];

fn curl(site: &Site, arguments: &[&str]) -> String {
    let mut all = vec!["--insecure"];
    all.extend(RESOLVE);
    all.extend(arguments);
    site.curl(&all)
}

fn site(flags: &[&str]) -> (Site, Endpoint, String) {
    let namespace = Site::namespace();
    let endpoint = Endpoint::named(&namespace, "10.1.0.1:8000");
    let text = with_tls(&ingress("web", "a.example", &[]), "a.example", "one")
        + &with_tls(&ingress("wild", "'*.w.example'", &[]), "*.w.example", "wild")
        + &secret("one", &["a.example"])
        + &secret("wild", &["*.w.example"])
        + &service("web", &[endpoint.address])
        + &service("wild", &[endpoint.address]);
    let site = Site::start_in(namespace, &text, flags);
    (site, endpoint, text)
}

#[test]
fn both_tls_versions_and_both_http_versions_are_spoken() {
    if !possible() {
        return;
    }
    let (site, endpoint, _) = site(&[]);
    for (arguments, version) in [
        (["--tls-max", "1.2", "--http1.1"], "1.1"),
        (["--tlsv1.3", "--no-progress-meter", "--http1.1"], "1.1"),
        (["--tls-max", "1.2", "--http2"], "2"),
        (["--tlsv1.3", "--no-progress-meter", "--http2"], "2"),
    ] {
        let mut all = arguments.to_vec();
        all.extend(["--write-out", " %{http_version} %{http_code}", "https://a.example/x"]);
        assert_eq!(curl(&site, &all), format!("10.1.0.1:8000 {version} 200"), "{arguments:?}");
    }
    assert!(endpoint.seen().iter().all(|seen| seen.fields("x-forwarded-proto") == ["https"]));
    assert!(endpoint.seen().iter().all(|seen| seen.fields("host") == ["a.example"]));
}

#[test]
fn http_is_redirected_for_hosts_with_tls() {
    if !possible() {
        return;
    }
    let (site, ..) = site(&[]);
    let response = site.get("a.example", "/x", &[]);
    assert_eq!((response.status, response.field("location")), (308, Some("https://a.example/x")));
}

#[test]
fn certificates_go_by_server_name_and_are_replaced_while_serving() {
    if !possible() {
        return;
    }
    let (site, _endpoint, text) = site(&["--default-certificate", "default/one"]);
    assert_eq!(subject(&site, "a.example"), "CN=one");
    assert_eq!(subject(&site, "b.w.example"), "CN=wild");
    assert_eq!(subject(&site, "c.b.w.example"), "CN=one");
    let fresh = secret("two", &["a.example"]).replace("name: two", "name: one");
    let start = text.find("---\napiVersion: v1\nkind: Secret\nmetadata: {name: one").unwrap();
    let end = text[start + 3..].find("---\napiVersion").unwrap() + start + 3;
    site.apply(&format!("{}{fresh}{}", &text[..start], &text[end..]));
    assert_eq!(subject(&site, "a.example"), "CN=two");
    let (_, metrics) = site.admin("/metrics").unwrap();
    for time in ["start", "expiry"] {
        let series = format!("certificate_{time}_timestamp_seconds{{secret=\"default/one\"}}");
        assert!(metrics.contains(&series), "{metrics}");
    }
}

#[test]
fn a_broken_secret_costs_only_its_own_host() {
    if !possible() {
        return;
    }
    let (site, _endpoint, text) = site(&[]);
    let start = text.find("---\napiVersion: v1\nkind: Secret\nmetadata: {name: one").unwrap();
    let end = text[start + 3..].find("---\napiVersion").unwrap() + start + 3;
    let broken = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: one, namespace: default}\n\
                  type: kubernetes.io/tls\nstringData: {tls.crt: nonsense, tls.key: nonsense}\n";
    site.apply(&format!("{}{broken}{}", &text[..start], &text[end..]));
    assert_eq!(subject(&site, "b.w.example"), "CN=wild");
    assert_ne!(subject(&site, "a.example"), "CN=one");
    assert!(site.log().contains("default/one"), "{}", site.log());
}

#[test]
fn a_handshake_that_does_not_come_is_ended() {
    if !possible() {
        return;
    }
    let (site, ..) = site(&["--header-timeout", "0.3"]);
    let stream = site.namespace.enter(|| std::net::TcpStream::connect(super::site::HTTPS)).unwrap();
    assert!(super::client::Client::new(stream).is_closed());
}

#[test]
fn endpoints_may_speak_tls_with_a_certificate_of_their_own_making() {
    if !possible() {
        return;
    }
    let (site, endpoint, _) = site(&["--https", "10.1.0.9:8443", "--default-certificate", "default/one"]);
    for (protocol, address) in [("HTTPS", "127.0.0.1:8081"), ("GRPCS", "127.0.0.1:8082")] {
        let outer = ingress("outer", "a.example", &[("backend-protocol", protocol)])
            + &service("outer", &["10.1.0.9:8443".parse().unwrap()]);
        let _second = site.second(&outer, address);
        let url = format!("http://{address}/x");
        for _ in 0..3 {
            assert_eq!(
                site.curl(&["-H", "Host: a.example", "-d", "sent", &url]),
                "10.1.0.1:8000",
                "{protocol}"
            );
        }
    }
    let seen = endpoint.seen();
    assert_eq!(seen.len(), 6);
    assert!(seen.iter().all(|seen| seen.body == b"sent" && seen.fields("x-forwarded-proto") == ["https"]));
    // One connection for each of the two.
    assert_eq!(site.metric("sluice_ingress_connections_total{listener=\"https\"}"), 2.0);
}
