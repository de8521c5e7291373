//! What is not served is an Event on the object that asked for it, and nothing else is.

use serde_json::{Value, json};

use crate::{
    endpoint,
    objects::{apply_service, ingress, secret, with_tls},
    site::{self, Site},
};

/// Waits for an Event of a reason about an Ingress; its note.
async fn note(site: &Site, ingress: &str, reason: &str) -> String {
    let fits = |event: &Value| event["regarding"]["name"] == ingress && event["reason"] == reason;
    let event = site.server.until_event(&format!("{reason} of {ingress}"), fits).await;
    assert_eq!(event["regarding"]["kind"], "Ingress");
    let (own, known) = (&event["regarding"]["uid"], format!("default/{ingress}"));
    let object = site.server.object(lb_tests::api_server::Resource::Ingresses, &known).unwrap();
    assert_eq!(own, &object["metadata"]["uid"]);
    assert_eq!(event["reportingController"], "sluice.dev/ingress-controller");
    assert_eq!(event["reportingInstance"], "proxy-1");
    event["note"].as_str().unwrap().to_owned()
}

#[test]
fn refusals_are_events_on_their_objects_and_the_rest_is_served_without_one() {
    site::run(|site: Site| async move {
        let endpoints = endpoint::start(&site.namespace, 1).await;
        apply_service(&site.server, "web", &endpoints);
        let _proxy = site.start(1).await;
        // Good ones first: an Event about them would come first, too.
        site.server.apply(secret("cert", &["good.example"]));
        site.server.apply(with_tls(ingress("good", "good.example", "web"), &["good.example"], "cert"));
        let mut theirs = with_tls(ingress("theirs", "t.example", "web"), &["t.example"], "absent");
        theirs["spec"]["ingressClassName"] = json!("nginx");
        site.server.apply(theirs);
        let mut broken = ingress("broken", "x.example", "web");
        broken["spec"]["rules"] = json!("none");
        site.server.apply(broken);
        let mut resource = ingress("resource", "r.example", "web");
        resource["spec"]["rules"][0]["http"]["paths"][0]["backend"] =
            json!({"resource": {"apiGroup": "k8s.example.com", "kind": "StorageBucket", "name": "static"}});
        site.server.apply(resource);
        let mut nonsense = secret("nonsense", &["n.example"]);
        nonsense["stringData"]["tls.crt"] = json!("nonsense");
        site.server.apply(nonsense);
        site.server.apply(with_tls(ingress("nonsense", "n.example", "web"), &["n.example"], "nonsense"));
        site.server.apply(with_tls(ingress("absent", "m.example", "web"), &["m.example"], "absent"));
        for (ingress, reason, words) in [
            ("resource", "ResourceBackend", "StorageBucket"),
            ("nonsense", "SecretInvalid", "default/nonsense"),
            ("absent", "SecretNotFound", "default/absent"),
        ] {
            let note = note(&site, ingress, reason).await;
            assert!(note.contains(words), "{note}");
        }
        let is_broken = |event: &Value| event["regarding"]["name"] == "broken";
        let event = site.server.until_event("the Ingress that cannot be read", is_broken).await;
        let note = note(&site, "broken", event["reason"].as_str().unwrap()).await;
        assert!(note.contains("spec.rules"), "{note}");
        for good in ["good", "theirs"] {
            let about = |event: &&Value| event["regarding"]["name"] == good;
            assert_eq!(site.server.events().iter().find(about), None);
        }
    });
}
