//! A configuration as a person reads it: `--dump-routes`.

mod policy;
#[cfg(test)]
mod tests;

use std::{
    fmt::{self, Display, Formatter},
    time::Duration,
};

use lb_model::ingress::PathType;
use x509_cert::der::DateTime;

use crate::config::{
    Action, Balance, Certificate, Config, Endpoint, HashKey, Piece, Redirect, RedirectTo, Rewrite, Route,
    Upstream, UpstreamProtocol,
};

/// So many endpoints of an upstream are shown.
const MOST_ENDPOINTS: usize = 8;

/// All hosts with their certificates and routes in the order in which they are tried, and what is refused.
#[derive(Debug)]
pub struct Dump<'a>(pub &'a Config);

impl Display for Dump<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(config) = self;
        let mut last: Option<Option<&str>> = None;
        for route in config.routes.iter() {
            let host = route.host.as_deref();
            if last != Some(host) {
                let gap = if last.is_some() { "\n" } else { "" };
                write!(f, "{gap}{}", host.unwrap_or("every host"))?;
                write_certificate(f, config.certificates.certificate(host))?;
                last = Some(host);
            }
            write_route(f, route)?;
        }
        if last.is_none() {
            writeln!(f, "no routes: every request is answered 404")?;
        }
        for (at, refusal) in config.refusals.iter().enumerate() {
            let title = if at == 0 { "\nnot served as asked\n" } else { "" };
            writeln!(
                f,
                "{title}  {} {}: {}: {}",
                refusal.kind, refusal.object, refusal.reason, refusal.message
            )?;
        }
        Ok(())
    }
}

fn write_certificate(
    f: &mut Formatter<'_>,
    certificate: Option<&std::sync::Arc<Certificate>>,
) -> fmt::Result {
    let Some(certificate) = certificate else { return writeln!(f, " (no certificate)") };
    let not_after = u64::try_from(certificate.validity.not_after).unwrap_or_default();
    match DateTime::from_unix_duration(Duration::from_secs(not_after)) {
        Ok(date) => writeln!(f, " (certificate {} until {date})", certificate.secret),
        Err(_) => writeln!(f, " (certificate {})", certificate.secret),
    }
}

fn write_route(f: &mut Formatter<'_>, route: &Route) -> fmt::Result {
    let (path, kind) = match (&*route.path, route.pattern, route.path_type) {
        ("", ..) => ("*", "default backend"),
        (path, true, _) => (path, "regex"),
        (path, _, PathType::Exact) => (path, "Exact"),
        (path, _, PathType::Prefix) => (path, "Prefix"),
        (path, _, PathType::ImplementationSpecific) => (path, "ImplementationSpecific"),
    };
    write!(f, "  {path} ({kind}) of {}: ", route.ingress)?;
    match &route.action {
        Action::Forward(upstream) => write_upstream(f, upstream)?,
        Action::Redirect(redirect) => write_redirect(f, redirect)?,
        Action::Unavailable(why) => writeln!(f, "503, {why}")?,
    }
    if let Some(rewrite) = &route.rewrite {
        write_rewrite(f, rewrite)?;
    }
    if let Some(upstream) = &route.error_backend {
        write!(f, "    in its stead: ")?;
        write_upstream(f, upstream)?;
    }
    let differences = policy::differences(&route.policy, route.tls);
    if differences.is_empty() { Ok(()) } else { writeln!(f, "    {}", differences.join("; ")) }
}

fn write_upstream(f: &mut Formatter<'_>, upstream: &Upstream) -> fmt::Result {
    let key = &upstream.key;
    let protocol = match key.protocol {
        UpstreamProtocol::Http => "http",
        UpstreamProtocol::H2c => "h2c",
        UpstreamProtocol::Https => "https",
        UpstreamProtocol::Grpcs => "grpcs",
    };
    write!(f, "{protocol} to {}/{}:{}", key.namespace, key.service, key.port)?;
    match &key.balance {
        Balance::RoundRobin => {}
        Balance::LeastRequest => write!(f, ", the one with fewer requests")?,
        Balance::Hash(HashKey::ClientAddress) => write!(f, ", by client address")?,
        Balance::Hash(HashKey::Uri) => write!(f, ", by URI")?,
        Balance::Hash(HashKey::Host) => write!(f, ", by host")?,
        Balance::Hash(HashKey::Header(name)) => write!(f, ", by header {name}")?,
        Balance::Hash(HashKey::Cookie(name)) => write!(f, ", by cookie {name}")?,
        Balance::Hash(HashKey::Query(name)) => write!(f, ", by query parameter {name}")?,
    }
    if key.by_cluster_ip {
        write!(f, ", by its ClusterIP")?;
    }
    write_endpoints(f, "endpoints", &upstream.endpoints)?;
    if upstream.endpoints.is_empty() {
        write!(f, ", no endpoint: 503")?;
    }
    write_endpoints(f, "draining", &upstream.draining)?;
    writeln!(f)
}

fn write_endpoints(f: &mut Formatter<'_>, what: &str, endpoints: &[Endpoint]) -> fmt::Result {
    if endpoints.is_empty() {
        return Ok(());
    }
    write!(f, ", {what}")?;
    for endpoint in endpoints.iter().take(MOST_ENDPOINTS) {
        write!(f, " {}", endpoint.address)?;
    }
    match endpoints.len().checked_sub(MOST_ENDPOINTS) {
        None | Some(0) => Ok(()),
        Some(more) => write!(f, " and {more} more"),
    }
}

fn write_redirect(f: &mut Formatter<'_>, redirect: &Redirect) -> fmt::Result {
    let status = redirect.status;
    match &redirect.to {
        RedirectTo::Location(location) => writeln!(f, "{status} to {}", location.as_str()),
        RedirectTo::Host(host) => writeln!(f, "{status} to the same on {host}"),
    }
}

fn write_rewrite(f: &mut Formatter<'_>, rewrite: &Rewrite) -> fmt::Result {
    match rewrite {
        Rewrite::Prefix(target) => writeln!(f, "    the path that matched becomes {target}"),
        Rewrite::Template(pieces) => {
            write!(f, "    the whole path becomes ")?;
            for piece in pieces {
                match piece {
                    Piece::Text(text) => f.write_str(text)?,
                    Piece::Group(number) => write!(f, "${number}")?,
                }
            }
            writeln!(f)
        }
    }
}
