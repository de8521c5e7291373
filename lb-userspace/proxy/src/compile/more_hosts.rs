//! Hosts that annotations add to those of rules.

use std::{collections::HashSet, sync::Arc};

use lb_model::ingress::{IngressRule, PathType};

use super::{Compiler, Ingress, reason, refusals::Refusals};
use crate::config::{Action, Redirect, RedirectTo, Route};

/// Drops the aliases that some rule names: a host keeps its own routes.
pub(super) fn settle_aliases(ingresses: &mut [Ingress<'_>], refusals: &mut Refusals) {
    if ingresses.iter().all(|ingress| ingress.annotations.aliases.is_empty()) {
        return;
    }
    let rules = ingresses.iter().flat_map(|ingress| &ingress.object.rules);
    let hosts: HashSet<&str> = rules.filter_map(|rule| rule.host.as_deref()).collect();
    for ingress in ingresses {
        let (taken, free): (Vec<_>, Vec<_>) = std::mem::take(&mut ingress.annotations.aliases)
            .into_iter()
            .partition(|alias| hosts.contains(alias.as_str()));
        ingress.annotations.aliases = free;
        for alias in taken {
            let message =
                format!("server-alias {alias} is the host of a rule, which keeps it; remove the alias");
            refusals.ingress(&ingress.key, reason::HOST_CONFLICT, message);
        }
    }
}

/// The other name of a host: with `www.`, or without.
pub(super) fn www_of(host: &str) -> String {
    host.strip_prefix("www.").map_or_else(|| format!("www.{host}"), str::to_owned)
}

impl<'a> Ingress<'a> {
    /// The hosts of its rules with their rules, each alias with the rules of all hosts.
    pub(super) fn hosts(&self) -> impl Iterator<Item = (Option<&str>, &'a IngressRule)> {
        let rules = &self.object.rules;
        let own = rules.iter().map(|rule| (rule.host.as_deref(), rule));
        let aliases = self.annotations.aliases.iter().flat_map(|alias| {
            rules.iter().filter(|rule| rule.host.is_some()).map(|rule| (Some(alias.as_str()), rule))
        });
        own.chain(aliases)
    }
}

impl Compiler<'_, '_> {
    /// Adds the redirects of `from-to-www-redirect`, but for hosts that have routes already.
    pub(super) fn add_www_redirects(&mut self, ingress: &Ingress<'_>) {
        let annotations = &ingress.annotations;
        if !annotations.from_to_www || annotations.unavailable.is_some() {
            return;
        }
        for host in ingress.object.rules.iter().filter_map(|rule| rule.host.as_deref()) {
            let other = www_of(host);
            if host.starts_with("*.") || self.routes.has_host(&other) {
                continue;
            }
            let route = Route {
                ingress: ingress.key.clone(),
                host: Some(other.into()),
                path: "/".into(),
                path_type: PathType::Prefix,
                pattern: false,
                action: Action::Redirect(Redirect { status: 308, to: RedirectTo::Host(host.to_owned()) }),
                rewrite: None,
                policy: annotations.policy.clone(),
                error_backend: None,
                tls: ingress.is_tls(Some(host)),
            };
            // The host was free, so the path is.
            let _ = self.routes.insert(Arc::new(route));
        }
    }
}
