//! The addresses of Ingresses: published by one proxy, and never taken back.

use std::collections::BTreeSet;

use lb_tests::{
    api_server::{Operation, Request, Resource},
    wait::until_async,
};

use crate::{
    endpoint,
    objects::{apply_service, ingress},
    site::{self, Site},
};

fn published(site: &Site) -> Vec<String> {
    let object = site.server.object(Resource::Ingresses, "default/web").unwrap();
    let entries = object["status"]["loadBalancer"]["ingress"].as_array().cloned().unwrap_or_default();
    entries.iter().map(|entry| entry["ip"].as_str().unwrap().to_owned()).collect()
}

fn holder(site: &Site) -> String {
    let lease = site.server.object(Resource::Leases, "sluice/sluice-ingress");
    let spec = lease.map(|lease| lease["spec"].clone()).unwrap_or_default();
    spec["holderIdentity"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn one_leads_and_publishes_and_what_it_wrote_outlives_it() {
    site::run(|site: Site| async move {
        let endpoints = endpoint::start(&site.namespace, 1).await;
        apply_service(&site.server, "web", &endpoints);
        site.server.apply(ingress("web", "a.example", "web"));
        let mut first = site.start(1).await;
        until_async("published", || published(&site) == ["203.0.113.1"]).await;
        assert_eq!(holder(&site), "proxy-1");
        let looks =
            |request: &Request| request.resource == Resource::Leases && request.operation == Operation::Get;
        let before = site.server.count(looks);
        let mut second = site.start(2).await;
        site.server.until_requested("looks at the Lease", before + 3, looks).await;
        assert_eq!((holder(&site), published(&site)), ("proxy-1".to_owned(), vec!["203.0.113.1".to_owned()]));
        assert!(first.terminate().await.success());
        let mut seen = BTreeSet::new();
        until_async("the second publishes", || {
            seen.insert(published(&site));
            published(&site) == ["203.0.113.2"]
        })
        .await;
        assert_eq!(holder(&site), "proxy-2");
        assert!(second.terminate().await.success());
        seen.insert(published(&site));
        assert_eq!(holder(&site), "", "given up");
        let whole = [vec!["203.0.113.1".to_owned()], vec!["203.0.113.2".to_owned()]];
        assert!(seen.iter().all(|addresses| whole.contains(addresses)), "never empty: {seen:?}");
    });
}
