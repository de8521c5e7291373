//! That every annotation of the table is shown over real sockets, and what the table says of those that do nothing.

use lb_model::annotation::{PREFIXES, Status, THEMES};
use lb_tests::wait;

use super::{
    endpoint::Endpoint,
    site::{Site, ingress, possible, service},
};

/// Names of all annotations that stand so in the table; where any text may stand at one end, an example.
fn names(wanted: &[Status]) -> Vec<String> {
    let all = THEMES.iter().flat_map(|theme| theme.annotations);
    all.filter(|annotation| wanted.contains(&annotation.status))
        .map(|annotation| annotation.name.replace('*', "some"))
        .collect()
}

#[test]
fn every_supported_annotation_is_asked_for_by_a_test() {
    let suite = concat!(env!("CARGO_MANIFEST_DIR"), "/suites/proxy_e2e");
    let files = std::fs::read_dir(suite).unwrap().map(|entry| entry.unwrap().path());
    let sources: String = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let missing: Vec<_> = names(&[Status::Supported, Status::Guarding])
        .into_iter()
        .filter(|name| !sources.contains(&format!("{name:?}")))
        .collect();
    assert!(missing.is_empty(), "no test here asks for {missing:?}");
}

/// A site with an Ingress for each name under each prefix, and the host of each.
fn each_alone(names: &[String]) -> (Site, Vec<(String, String)>) {
    let namespace = Site::namespace();
    let endpoint = Endpoint::named(&namespace, "10.1.0.1:8000");
    let mut text = service("web", &[endpoint.address]);
    let mut hosts = Vec::new();
    for (number, name) in names.iter().enumerate() {
        for (prefix, key) in PREFIXES.iter().enumerate() {
            let host = format!("h{number}-{prefix}.example");
            let alone = ingress(&format!("i{number}-{prefix}"), &host, &[(name, "true")])
                .replace("nginx.ingress.kubernetes.io/", key)
                .replace(&format!("service: {{name: i{number}-{prefix}"), "service: {name: web");
            text.push_str(&alone);
            hosts.push((host, format!("{key}{name}")));
        }
    }
    (Site::start_in(namespace, &text, &[]), hosts)
}

fn is_logged(site: &Site, annotation: &str) {
    wait::until_true("the log names the annotation", || site.log().contains(annotation))
        .unwrap_or_else(|error| panic!("{annotation}: {error:#}\n{}", site.log()));
}

#[test]
fn what_guards_and_is_not_supported_closes_its_ingress_under_both_prefixes() {
    if !possible() {
        return;
    }
    let (site, hosts) = each_alone(&names(&[Status::Refused]));
    for (host, annotation) in &hosts {
        assert_eq!(site.get(host, "/", &[]).status, 503, "{annotation}");
        is_logged(&site, annotation);
    }
    assert!(hosts.len() >= 20, "{hosts:?}");
}

#[test]
fn what_means_nothing_here_is_a_warning_and_costs_nothing() {
    if !possible() {
        return;
    }
    let (site, hosts) = each_alone(&names(&[Status::Ignored]));
    for (host, annotation) in &hosts {
        assert_eq!(site.get(host, "/", &[]).status, 200, "{annotation}");
        is_logged(&site, annotation);
    }
    assert!(hosts.len() >= 20, "{hosts:?}");
}

#[test]
fn an_ingress_that_asks_for_a_part_of_anothers_requests_gets_none() {
    if !possible() {
        return;
    }
    let (site, hosts) = each_alone(&names(&[Status::LeftOut]));
    for (host, annotation) in &hosts {
        assert_eq!(site.get(host, "/", &[]).status, 404, "{annotation}");
    }
}
