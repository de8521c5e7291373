//! What guards access is heeded, or nothing is served.

use super::*;

#[test]
fn lists_of_ranges() {
    let policy = policy(&[
        ("whitelist-source-range", "10.0.0.0/8, 2001:db8::/32 ,192.0.2.7"),
        ("denylist-source-range", "10.1.2.3/16"),
    ]);
    let text = |ranges: &[lb_model::cidr::Cidr]| ranges.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(text(&policy.access.allow), ["10.0.0.0/8", "2001:db8::/32", "192.0.2.7/32"]);
    assert_eq!(text(&policy.access.deny), ["10.1.0.0/16"]);
}

#[test]
fn the_newer_name_of_the_list_wins() {
    let names = [("whitelist-source-range", "10.0.0.0/8"), ("allowlist-source-range", "192.0.2.0/24")];
    assert_eq!(policy(&names).access.allow[0].to_string(), "192.0.2.0/24");
}

#[test]
fn what_guards_and_cannot_be_heeded_makes_all_paths_unavailable() {
    for (name, value) in [
        ("whitelist-source-range", "10.0.0.0/8, intranet"),
        ("allowlist-source-range", ""),
        ("denylist-source-range", "10.0.0.0/33"),
        ("kubernetes.io/ingress.allow-http", "no"),
        ("auth-type", "basic"),
        ("auth-secret", "users"),
        ("auth-url", "https://auth.example.org"),
        ("auth-tls-secret", "default/ca"),
        ("configuration-snippet", "deny all;"),
        ("server-snippet", "deny all;"),
        ("auth-snippet", "deny all;"),
        ("modsecurity-snippet", "SecRuleEngine On"),
        ("enable-modsecurity", "true"),
        ("enable-owasp-core-rules", "true"),
        ("satisfy", "any"),
        ("ssl-passthrough", "true"),
        ("proxy-ssl-verify", "on"),
        ("proxy-ssl-secret", "default/ca"),
    ] {
        let (read, findings) = read_all(&[(name, value), ("proxy-body-size", "8m")]);
        assert_eq!(findings.len(), 1, "{name}: {findings:?}");
        assert_eq!(findings[0].reason, "AnnotationRefused", "{name}");
        assert!(
            findings[0].message.contains(name) && findings[0].message.contains("503"),
            "{}",
            findings[0].message
        );
        assert_eq!(read.unavailable.as_deref(), Some(findings[0].message.as_str()), "{name}");
    }
}

#[test]
fn nothing_else_is_answered_in_the_stead_of_503() {
    let (read, _) = read_all(&[("auth-type", "basic"), ("app-root", "/app"), ("enable-cors", "true")]);
    assert_eq!((&read.policy.app_root, &read.policy.cors), (&None, &None));
}

#[test]
fn a_guard_that_is_switched_off_guards_nothing() {
    let off = [
        ("enable-modsecurity", "false"),
        ("ssl-passthrough", "false"),
        ("auth-tls-verify-client", "off"),
        ("enable-global-auth", "false"),
        ("canary", "false"),
    ];
    let read = accepted(&off);
    assert_eq!((read.unavailable, read.left_out), (None, false));
}

#[test]
fn a_canary_is_left_out() {
    let (read, findings) = read_all(&[("canary", "true"), ("canary-weight", "10")]);
    assert!(read.left_out);
    let reasons: Vec<_> = findings.iter().map(|finding| finding.reason).collect();
    assert_eq!(reasons, ["IngressLeftOut", "AnnotationIgnored"]);
}
