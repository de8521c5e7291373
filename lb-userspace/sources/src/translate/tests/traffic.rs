use lb_model::object::ForwardingMode;
use serde_json::{Value, json};

use super::service;

#[test]
fn affinity_has_a_default_and_a_bad_timeout_leaves_it() {
    let affinity = |spec: Value| {
        let (service, findings) = service(json!({"metadata": {"name": "web"}, "spec": spec}));
        (service.affinity_seconds, findings)
    };
    let timeout = |seconds: i32| {
        affinity(
            json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": seconds}}}),
        )
    };
    assert_eq!(affinity(json!({})).0, None);
    assert_eq!(affinity(json!({"sessionAffinity": "None"})).0, None);
    assert_eq!(affinity(json!({"sessionAffinity": "ClientIP"})), (Some(10_800), vec![]));
    assert_eq!(timeout(1), (Some(1), vec![]));
    assert_eq!(timeout(86_400), (Some(86_400), vec![]));
    for seconds in [0, -1, 86_401] {
        let (used, findings) = timeout(seconds);
        assert_eq!(used, Some(10_800));
        assert_eq!(
            findings,
            [format!(
                "spec.sessionAffinityConfig.clientIP.timeoutSeconds: {seconds} is no timeout, and 10800 is used; \
                 give 1 to 86400 seconds"
            )]
        );
    }
    let (used, findings) = affinity(json!({"sessionAffinity": "clientip"}));
    assert_eq!((used, findings.len()), (None, 1));
}

#[test]
fn source_ranges_come_from_the_field_or_else_from_the_annotation_and_never_open_by_a_slip() {
    let ranges = |field: Value, annotation: &str| {
        let annotations = json!({"service.beta.kubernetes.io/load-balancer-source-ranges": annotation});
        let (service, findings) = service(json!({
            "metadata": {"name": "web", "annotations": annotations}, "spec": {"loadBalancerSourceRanges": field},
        }));
        let ranges =
            service.source_ranges.map(|ranges| ranges.iter().map(ToString::to_string).collect::<Vec<_>>());
        (ranges.map(|ranges| ranges.join(" ")), findings.len())
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(ranges(json!(null), ""), (None, 0));
    assert_eq!(ranges(json!([]), " "), (None, 0));
    assert_eq!(ranges(json!(["10.0.0.0/8", "10.0.0.0/8"]), "192.0.2.0/24"), (some("10.0.0.0/8"), 0));
    assert_eq!(ranges(json!([]), "192.0.2.0/24, 2001:db8::1/32"), (some("192.0.2.0/24 2001:db8::/32"), 0));
    assert_eq!(ranges(json!(["10.0.0.0/33", "192.0.2.1", "x", "::ffff:10.0.0.0/104"]), ""), (some(""), 4));
    assert_eq!(ranges(json!([]), "10.0.0.0/8,"), (some("10.0.0.0/8"), 1));
}

#[test]
fn an_unknown_forwarding_mode_is_named_and_snat_is_used() {
    let annotations = json!({"sluice.dev/forwarding-mode": "DSR"});
    let (service, findings) = service(json!({"metadata": {"name": "web", "annotations": annotations}}));
    assert_eq!(service.forwarding_mode, ForwardingMode::Snat);
    assert_eq!(
        findings,
        [
            "metadata.annotations[sluice.dev/forwarding-mode]: \"DSR\" is no forwarding mode, and snat is used; \
          write snat or dsr"
        ]
    );
}
