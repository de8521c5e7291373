//! The log level, changed while the proxy serves.

use lb_tests::agent;

use super::site::{ADMIN, Site, ingress, possible, service};

/// What `sluice log-level` prints.
fn log_level(site: &Site, level: &[&str]) -> String {
    let mut command = site.command(&agent::binary().unwrap().display().to_string());
    let output = command.args(["log-level", "--admin", ADMIN]).args(level).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_log_level_is_changed_while_the_proxy_serves() {
    if !possible() {
        return;
    }
    // Nobody listens there: each attempt is logged, for who asks for it.
    let text = ingress("web", "a.example", &[]) + &service("web", &["10.1.0.1:8000".parse().unwrap()]);
    let site = Site::start(&text, &[]);
    let attempts = || {
        assert_eq!(site.get("a.example", "/", &[]).status, 502);
        let log = site.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let attempts = lines.filter(|line| line["level"] == "DEBUG" && line["endpoint"] == "10.1.0.1:8000");
        attempts.count()
    };
    assert_eq!(log_level(&site, &["info"]), "info\n");
    let before = attempts();
    assert_eq!(attempts(), before);
    assert_eq!(log_level(&site, &["debug"]), "debug\n");
    let during = attempts();
    assert!(during > before, "{}", site.log());
    assert_eq!(log_level(&site, &["info,lb_proxy=warn"]), "info,lb_proxy=warn\n");
    assert_eq!(attempts(), during);
    assert_eq!(log_level(&site, &[]), "info,lb_proxy=warn\n");
}
