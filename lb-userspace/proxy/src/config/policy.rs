//! What the annotations of an Ingress ask for, as typed values. `Default` is what no annotation leaves in force.

use std::{collections::BTreeSet, time::Duration};

use lb_model::cidr::Cidr;

/// What the annotations of an Ingress ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Who may ask.
    pub access: AccessList,
    /// From http to https.
    pub tls_redirect: TlsRedirect,
    /// `kubernetes.io/ingress.allow-http`: false answers 404 over plain HTTP.
    pub allow_http: bool,
    /// `app-root`: where `/` is redirected to.
    pub app_root: Option<String>,
    /// `proxy-body-size` in bytes; none for no limit.
    pub body_limit: Option<u64>,
    /// `proxy-*-timeout`.
    pub timeouts: Timeouts,
    /// `upstream-vhost`: the `Host` that endpoints see.
    pub upstream_vhost: Option<String>,
    /// `x-forwarded-prefix`.
    pub forwarded_prefix: Option<String>,
    /// `enable-cors`, `cors-*`.
    pub cors: Option<Cors>,
    /// `limit-*`.
    pub limits: Limits,
    /// `proxy-next-upstream*`.
    pub retry: Retry,
    /// `affinity`, `session-cookie-*`.
    pub affinity: Option<CookieAffinity>,
    /// `enable-access-log`.
    pub access_log: bool,
    /// `custom-http-errors`: answers with these statuses are replaced by those of the default backend.
    pub custom_errors: BTreeSet<u16>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            access: AccessList::default(),
            tls_redirect: TlsRedirect::default(),
            allow_http: true,
            app_root: None,
            body_limit: Some(1 << 20),
            timeouts: Timeouts::default(),
            upstream_vhost: None,
            forwarded_prefix: None,
            cors: None,
            limits: Limits::default(),
            retry: Retry::default(),
            affinity: None,
            access_log: true,
            custom_errors: BTreeSet::new(),
        }
    }
}

/// `allowlist-source-range`, `whitelist-source-range` and `denylist-source-range`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessList {
    /// Only these may ask; everybody where empty.
    pub allow: Vec<Cidr>,
    /// These may not.
    pub deny: Vec<Cidr>,
}

/// `ssl-redirect` and `force-ssl-redirect`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsRedirect {
    /// Where the host is in `spec.tls`.
    #[default]
    WhereTls,
    /// Always, for TLS that ends before the proxy.
    Always,
    /// Never.
    Never,
}

/// Waits on endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the connection stands.
    pub connect: Duration,
    /// Between two reads.
    pub read: Duration,
    /// Between two writes.
    pub send: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { connect: seconds(5), read: seconds(60), send: seconds(60) }
    }
}

/// Cross-origin requests (fetch.spec.whatwg.org, HTTP-CORS protocol).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// `cors-allow-origin`: `*`, origins, or origins with one `*.` label.
    pub origins: Vec<String>,
    /// `cors-allow-methods`.
    pub methods: String,
    /// `cors-allow-headers`.
    pub headers: String,
    /// `cors-expose-headers`.
    pub expose: Option<String>,
    /// `cors-allow-credentials`.
    pub credentials: bool,
    /// `cors-max-age` in seconds.
    pub max_age: u64,
}

/// Limits for each client address, on each proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `limit-rps`.
    pub requests_per_second: Option<u32>,
    /// `limit-rpm`.
    pub requests_per_minute: Option<u32>,
    /// `limit-burst-multiplier` times the rate may come at once.
    pub burst_multiplier: u32,
    /// `limit-connections`: requests under way at once.
    pub connections: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { requests_per_second: None, requests_per_minute: None, burst_multiplier: 5, connections: None }
    }
}

impl Limits {
    /// True where something is limited.
    pub const fn is_some(&self) -> bool {
        self.requests_per_second.is_some() || self.requests_per_minute.is_some() || self.connections.is_some()
    }
}

/// When another endpoint is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// On what.
    pub on: BTreeSet<NextUpstream>,
    /// `proxy-next-upstream-tries`: attempts in all; 0 for as many as there are endpoints.
    pub tries: u32,
    /// `proxy-next-upstream-timeout`; none for no limit.
    pub timeout: Option<Duration>,
}

impl Default for Retry {
    fn default() -> Self {
        Self { on: [NextUpstream::Error, NextUpstream::Timeout].into(), tries: 3, timeout: None }
    }
}

/// An entry of `proxy-next-upstream`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NextUpstream {
    /// The connection failed or broke.
    Error,
    /// An endpoint took too long.
    Timeout,
    /// An answer that is not HTTP.
    InvalidHeader,
    /// An answer with this status.
    Status(u16),
    /// Requests that are not idempotent too.
    NonIdempotent,
}

/// A cookie that keeps a client at its endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieAffinity {
    /// `session-cookie-name`.
    pub name: String,
    /// `session-cookie-path`.
    pub path: String,
    /// `session-cookie-domain`.
    pub domain: Option<String>,
    /// `session-cookie-max-age` in seconds; none for the browser's session.
    pub max_age: Option<u64>,
    /// `session-cookie-samesite`.
    pub same_site: Option<SameSite>,
    /// `session-cookie-secure`; where absent, over https.
    pub secure: Option<bool>,
    /// `session-cookie-change-on-failure`.
    pub change_on_failure: bool,
}

/// `SameSite` of a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// `Lax`.
    Lax,
    /// `Strict`.
    Strict,
    /// `None`.
    None,
}
