//! What annotations change.

use std::time::Duration;

use lb_model::cidr::Cidr;

use crate::config::{AccessList, CookieAffinity, Cors, Limits, NextUpstream, Policy, Retry, TlsRedirect};

/// In what a policy differs from the one that no annotation leaves in force.
pub(super) fn differences(policy: &Policy, tls: bool) -> Vec<String> {
    let default = Policy::default();
    let mut lines = Vec::new();
    let mut line = |differs: bool, text: &dyn Fn() -> String| {
        if differs {
            lines.push(text());
        }
    };
    let Policy { tls_redirect, timeouts, .. } = policy;
    line(tls && *tls_redirect == TlsRedirect::WhereTls, &|| "http is redirected to https".to_owned());
    line(*tls_redirect == TlsRedirect::Always, &|| "http is always redirected to https".to_owned());
    line(*tls_redirect == TlsRedirect::Never, &|| "http is not redirected".to_owned());
    line(!policy.allow_http, &|| "http is answered 404".to_owned());
    line(policy.access != default.access, &|| access(&policy.access));
    line(policy.app_root.is_some(), &|| format!("/ is redirected to {}", or_none(&policy.app_root)));
    line(policy.body_limit != default.body_limit, &|| match policy.body_limit {
        Some(bytes) => format!("bodies up to {bytes} bytes"),
        None => "bodies of any size".to_owned(),
    });
    line(*timeouts != default.timeouts, &|| {
        let [connect, read, send] =
            [timeouts.connect, timeouts.read, timeouts.send].map(|time| time.as_secs());
        format!("timeouts connect {connect} s, read {read} s, send {send} s")
    });
    line(policy.upstream_vhost.is_some(), &|| format!("Host is {}", or_none(&policy.upstream_vhost)));
    line(policy.forwarded_prefix.is_some(), &|| {
        format!("X-Forwarded-Prefix is {}", or_none(&policy.forwarded_prefix))
    });
    line(policy.cors.is_some(), &|| policy.cors.as_ref().map(cors).unwrap_or_default());
    line(policy.limits.is_some(), &|| limits(&policy.limits));
    line(policy.retry != default.retry, &|| retry(&policy.retry));
    line(policy.affinity.is_some(), &|| policy.affinity.as_ref().map(affinity).unwrap_or_default());
    line(!policy.access_log, &|| "no access log".to_owned());
    line(!policy.custom_errors.is_empty(), &|| {
        format!("answers {} are replaced", joined(policy.custom_errors.iter()))
    });
    lines
}

fn or_none(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or("none")
}

fn joined(items: impl Iterator<Item = impl ToString>) -> String {
    items.map(|item| item.to_string()).collect::<Vec<_>>().join(" ")
}

fn access(AccessList { allow, deny }: &AccessList) -> String {
    let list =
        |what, ranges: &[Cidr]| (!ranges.is_empty()).then(|| format!("{what} {}", joined(ranges.iter())));
    list("allow", allow).into_iter().chain(list("deny", deny)).collect::<Vec<_>>().join("; ")
}

fn cors(cors: &Cors) -> String {
    format!("cross-origin requests from {}", cors.origins.join(" "))
}

fn limits(limits: &Limits) -> String {
    let limit = |number: Option<u32>, what| number.map(|number| format!("{number} {what}"));
    let parts = [
        limit(limits.requests_per_second, "requests/s"),
        limit(limits.requests_per_minute, "requests/min"),
        limit(limits.connections, "requests at once"),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    format!("each client {}, bursts of {} times as many", parts.join(" and "), limits.burst_multiplier)
}

fn retry(retry: &Retry) -> String {
    let on = retry.on.iter().map(|condition| match condition {
        NextUpstream::Error => "error".to_owned(),
        NextUpstream::Timeout => "timeout".to_owned(),
        NextUpstream::InvalidHeader => "invalid header".to_owned(),
        NextUpstream::Status(status) => status.to_string(),
        NextUpstream::NonIdempotent => "whatever the method".to_owned(),
    });
    let on = on.collect::<Vec<_>>().join(", ");
    if on.is_empty() {
        return "one endpoint only".to_owned();
    }
    let tries = match retry.tries {
        0 => "all".to_owned(),
        tries => tries.to_string(),
    };
    let within = retry.timeout.map(|time: Duration| format!(" within {} s", time.as_secs()));
    format!("{tries} endpoints{} on {on}", within.unwrap_or_default())
}

fn affinity(affinity: &CookieAffinity) -> String {
    format!("cookie {} keeps the endpoint", affinity.name)
}
