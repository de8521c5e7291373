//! The table itself.

use super::{
    Annotation,
    Status::{self, Guarding, Ignored, LeftOut, Refused, Supported},
    Theme,
};

const fn row(name: &'static str, status: Status, default: &'static str, meaning: &'static str) -> Annotation {
    Annotation { name, meaning, default, status }
}

/// All annotations that Sluice knows, by subject.
pub const THEMES: &[Theme] = &[
    Theme {
        title: "Class and hosts",
        annotations: &[
            row(
                "kubernetes.io/ingress.class",
                Supported,
                "`spec.ingressClassName`",
                "The class: `--ingress-class`, or an IngressClass of this controller. Stronger than the field, as the API asks.",
            ),
            row(
                "server-alias",
                Supported,
                "none",
                "More hosts for every rule with a host, separated by commas. A host that a rule names keeps its own routes. No regular expressions.",
            ),
            row(
                "from-to-www-redirect",
                Supported,
                "`false`",
                "Requests for `www.HOST` are redirected (308) to HOST, or the other way round, whichever the rule names; unless a rule names both.",
            ),
            row("canary", LeftOut, "`false`", "A part of another Ingress' requests."),
            row("canary-*", Ignored, "", "Which part; nothing without `canary`."),
        ],
    },
    Theme {
        title: "Paths",
        annotations: &[
            row(
                "use-regex",
                Supported,
                "`false`",
                "Paths of type ImplementationSpecific of this Ingress, and only of this one, are regular expressions that the request's path must begin with, in its own case; so are those of type Prefix that could be nothing else.",
            ),
            row(
                "rewrite-target",
                Supported,
                "none",
                "What endpoints see of the path; see the table of meanings.",
            ),
            row("app-root", Supported, "none", "Where requests for `/` are redirected to (302)."),
        ],
    },
    Theme {
        title: "Redirects",
        annotations: &[
            row(
                "ssl-redirect",
                Supported,
                "`true`",
                "Requests over http for hosts in `spec.tls` are redirected to https (308), but for `/.well-known/acme-challenge/`.",
            ),
            row(
                "force-ssl-redirect",
                Supported,
                "`false`",
                "So are those for all other hosts, for TLS that ends before the proxy.",
            ),
            row("kubernetes.io/ingress.allow-http", Guarding, "`true`", "`false` answers 404 over http."),
            row(
                "permanent-redirect",
                Supported,
                "none",
                "Every request is redirected there; `$scheme`, `$host` and `$request_uri` are filled in.",
            ),
            row("permanent-redirect-code", Supported, "`301`", "With this status, 300 to 308."),
            row("temporal-redirect", Supported, "none", "As permanent-redirect, and stronger."),
            row("temporal-redirect-code", Supported, "`302`", "With this status, 300 to 308."),
        ],
    },
    Theme {
        title: "Access",
        annotations: &[
            row(
                "allowlist-source-range",
                Guarding,
                "everybody",
                "Only clients in these ranges, separated by commas; others are answered 403.",
            ),
            row("whitelist-source-range", Guarding, "everybody", "The older name of allowlist-source-range."),
            row("denylist-source-range", Guarding, "nobody", "Clients in these ranges are answered 403."),
            row("auth-*", Refused, "", "Passwords, external authentication, client certificates."),
            row("enable-global-auth", Refused, "", "External authentication of all Ingresses."),
            row("satisfy", Refused, "", "How conditions for access go together."),
            row("*-snippet", Refused, "", "Text for the configuration of another program; never rendered."),
            row("enable-modsecurity", Refused, "", "A web application firewall."),
            row("modsecurity-*", Refused, "", "Its rules."),
            row("enable-owasp-core-rules", Refused, "", "Its core rules."),
            row("enable-owasp-modsecurity-crs", Refused, "", "Its core rules."),
            row(
                "ssl-passthrough",
                Refused,
                "",
                "TLS that ends at the endpoint: only its certificate and its checks of clients would count.",
            ),
            row("proxy-ssl-verify", Refused, "", "Certificates of endpoints are checked."),
            row(
                "proxy-ssl-secret",
                Refused,
                "",
                "A client certificate for endpoints, and the authorities that theirs are checked against.",
            ),
        ],
    },
    Theme {
        title: "Limits for each client address, on each proxy",
        annotations: &[
            row("limit-rps", Supported, "none", "Requests per second; more are answered 503."),
            row("limit-rpm", Supported, "none", "Requests per minute."),
            row("limit-burst-multiplier", Supported, "`5`", "So many times the rate may come at once."),
            row("limit-connections", Supported, "none", "Requests under way at once."),
            row(
                "proxy-body-size",
                Supported,
                "`1m`",
                "The largest request body, with `k`, `m` or `g`; more is answered 413. `0` for no limit.",
            ),
        ],
    },
    Theme {
        title: "Endpoints",
        annotations: &[
            row(
                "backend-protocol",
                Supported,
                "`appProtocol` of the Service's port, else `HTTP`",
                "`HTTP`, `HTTPS`, `GRPC` or `GRPCS`.",
            ),
            row(
                "service-upstream",
                Supported,
                "`false`",
                "Requests go to the Service's ClusterIP instead of its endpoints.",
            ),
            row(
                "load-balance",
                Supported,
                "`round_robin`",
                "`round_robin`; or `least_request`, also called `least_conn` and `ewma`: of two endpoints the one with fewer requests under way.",
            ),
            row(
                "upstream-hash-by",
                Supported,
                "none",
                "The same endpoint for the same `$remote_addr`, `$binary_remote_addr`, `$request_uri`, `$host`, `$http_NAME`, `$cookie_NAME` or `$arg_NAME`; stronger than load-balance.",
            ),
            row("upstream-vhost", Supported, "the client's", "The `Host` that endpoints see."),
            row(
                "x-forwarded-prefix",
                Supported,
                "none",
                "The header `X-Forwarded-Prefix` that endpoints see.",
            ),
            row(
                "default-backend",
                Supported,
                "none",
                "A Service of the Ingress' namespace, whose first port answers where a path's Service has no endpoint, and for custom-http-errors.",
            ),
            row(
                "custom-http-errors",
                Supported,
                "none",
                "Answers of endpoints with these statuses, 400 to 599, are replaced by the default backend's.",
            ),
            row(
                "proxy-connect-timeout",
                Supported,
                "`5`",
                "Seconds until a connection to an endpoint stands.",
            ),
            row("proxy-read-timeout", Supported, "`60`", "Seconds between two reads from an endpoint."),
            row("proxy-send-timeout", Supported, "`60`", "Seconds between two writes to an endpoint."),
            row(
                "proxy-next-upstream",
                Supported,
                "`error timeout`",
                "When another endpoint is asked: `error`, `timeout`, `invalid_header`, `http_NNN`, `non_idempotent`, or `off`.",
            ),
            row(
                "proxy-next-upstream-tries",
                Supported,
                "`3`",
                "Endpoints asked in all; `0` for as many as there are.",
            ),
            row(
                "proxy-next-upstream-timeout",
                Supported,
                "`0`",
                "Seconds for all of them; `0` for no limit.",
            ),
        ],
    },
    Theme {
        title: "Session affinity",
        annotations: &[
            row("affinity", Supported, "none", "`cookie` keeps a client at its endpoint."),
            row("session-cookie-name", Supported, "`INGRESSCOOKIE`", "The cookie's name."),
            row("session-cookie-path", Supported, "`/`", "Its `Path`."),
            row("session-cookie-domain", Supported, "none", "Its `Domain`."),
            row("session-cookie-max-age", Supported, "the browser's session", "Its `Max-Age` in seconds."),
            row("session-cookie-samesite", Supported, "none", "Its `SameSite`: `Lax`, `Strict` or `None`."),
            row("session-cookie-secure", Supported, "over https", "Its `Secure`."),
            row(
                "session-cookie-change-on-failure",
                Supported,
                "`false`",
                "A client whose endpoint fails stays at the next one.",
            ),
            row(
                "affinity-mode",
                Ignored,
                "",
                "Clients always stay while their endpoint is there, which is `persistent`.",
            ),
            row("affinity-canary-behavior", Ignored, "", "Nothing without `canary`."),
            row("session-cookie-expires", Ignored, "", "`Expires`; use session-cookie-max-age."),
            row("session-cookie-conditional-samesite-none", Ignored, "", "For browsers of 2019."),
            row("session-cookie-hash", Ignored, "", "How another program names endpoints."),
        ],
    },
    Theme {
        title: "Cross-origin requests",
        annotations: &[
            row(
                "enable-cors",
                Supported,
                "`false`",
                "Answers carry the headers of fetch.spec.whatwg.org, and preflight requests are answered (204).",
            ),
            row(
                "cors-allow-origin",
                Supported,
                "`*`",
                "Origins, separated by commas; `https://*.example.org` for one label or more.",
            ),
            row("cors-allow-methods", Supported, "`GET, PUT, POST, DELETE, PATCH, OPTIONS`", "Methods."),
            row(
                "cors-allow-headers",
                Supported,
                "`DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range,Authorization`",
                "Request headers.",
            ),
            row("cors-expose-headers", Supported, "none", "Response headers that scripts see."),
            row("cors-allow-credentials", Supported, "`true`", "Whether cookies come along."),
            row("cors-max-age", Supported, "`1728000`", "Seconds that a preflight's answer holds."),
        ],
    },
    Theme {
        title: "Other",
        annotations: &[
            row("enable-access-log", Supported, "`true`", "A line in the access log for each request."),
            row("enable-rewrite-log", Ignored, "", "A log of another program."),
            row("proxy-buffering", Ignored, "", "Nothing is buffered: bodies stream both ways."),
            row("proxy-buffer-size", Ignored, "", "As proxy-buffering."),
            row("proxy-buffers-number", Ignored, "", "As proxy-buffering."),
            row("proxy-busy-buffers-size", Ignored, "", "As proxy-buffering."),
            row("proxy-max-temp-file-size", Ignored, "", "As proxy-buffering."),
            row("proxy-request-buffering", Ignored, "", "As proxy-buffering."),
            row("client-body-buffer-size", Ignored, "", "As proxy-buffering."),
            row("proxy-http-version", Ignored, "", "HTTP/1.1, or as backend-protocol says."),
            row("http2-push-preload", Ignored, "", "Browsers no longer take pushes."),
            row("ssl-ciphers", Ignored, "", "TLS 1.2 and 1.3 with safe ciphers only, for everybody."),
            row("ssl-prefer-server-ciphers", Ignored, "", "As ssl-ciphers."),
            row("enable-opentelemetry", Ignored, "", "Traces."),
            row("enable-opentracing", Ignored, "", "Traces."),
        ],
    },
];
