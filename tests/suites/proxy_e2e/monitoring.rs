//! Dashboard and alert rules ask for nothing that the proxy does not say, and `docs/metrics-ingress.md` lists all of it.

use std::fs;

use lb_tests::{
    monitoring::{Exporter, missing, page},
    wait,
};

use super::{
    endpoint::Endpoint,
    site::{Site, ingress, possible, service},
};

const HEAD: &str = "# Metrics of the proxy
Served on `--admin` under `/metrics`, in the OpenMetrics format; the agent has [its own](metrics.md). Made by the test
`proxy_e2e monitoring` from what a proxy says: after a change, run it as root with `SLUICE_WRITE_DOCS=1`.
";

#[test]
fn every_metric_of_the_dashboard_and_the_alerts_is_there_and_in_the_documentation() {
    if !possible() {
        return;
    }
    let namespace = Site::namespace();
    let endpoint = Endpoint::named(&namespace, "10.1.0.1:8000");
    let tls = "spec:\n  tls: [{hosts: [\"a.example\"], secretName: one}]\n";
    // One that serves, with an annotation that does nothing; one whose endpoint is not there, one whose Service is not
    // there, and a certificate.
    let text = ingress("web", "a.example", &[("ssl-redirect", "false"), ("proxy-buffer-size", "8k")])
        .replace("spec:\n", tls)
        + &lb_tests::ingress::secret("one", &["a.example"]).unwrap()
        + &service("web", &[endpoint.address])
        + &ingress("dead", "b.example", &[])
        + &service("dead", &["10.1.0.2:8000".parse().unwrap()])
        + &ingress("lost", "c.example", &[]);
    let site = Site::start_in(namespace, &text, &[]);
    assert_eq!(site.get("a.example", "/", &[]).status, 200);
    assert_eq!(site.get("b.example", "/", &[]).status, 502);
    let nothing: Vec<String> = Vec::new();
    let (mut text, mut lacking) = (String::new(), nothing.clone());
    let complete = wait::until_true("requests are counted", || {
        text = site.admin("/metrics").unwrap().1;
        lacking = missing(Exporter::Proxy, &text);
        lacking.is_empty()
    });
    assert_eq!(lacking, nothing, "{complete:?}");
    page::hold("metrics-ingress.md", HEAD, &text).unwrap();
}

#[test]
fn a_source_that_fails_shows_while_what_was_known_stays_served() {
    if !possible() {
        return;
    }
    let (site, _endpoint) = Site::web(&[], &[]);
    let connected = || site.metric(r#"sluice_ingress_source_connected{stream="manifests"}"#);
    wait::until_true("the source is connected", || connected() == 1.0).unwrap();
    let away = site.manifests.path().with_extension("away");
    fs::rename(site.manifests.path(), &away).unwrap();
    let told = wait::until_true("the source is not connected", || connected() == 0.0);
    let errors = site.metric(r#"sluice_ingress_source_errors_total{stream="manifests"}"#);
    let status = site.get("a.example", "/", &[]).status;
    fs::rename(&away, site.manifests.path()).unwrap();
    told.unwrap();
    assert!(errors >= 1.0, "{errors}");
    assert_eq!(status, 200);
    wait::until_true("the source is connected again", || connected() == 1.0).unwrap();
}
