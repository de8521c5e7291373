//! One snapshot becomes one configuration: no I/O, no clock, the same each time.

mod annotation;
mod backend;
mod cache;
mod default_backend;
mod more_hosts;
mod path;
mod refusals;
mod rules;
mod settings;
#[cfg(test)]
pub(crate) mod tests;
mod tls;

use std::sync::Arc;

use lb_model::object::{ObjectKey, Snapshot};

use self::{annotation::Annotations, backend::Backends, cache::Patterns, refusals::Refusals};
pub use self::{
    cache::Cache,
    refusals::reason,
    settings::{DefaultBackend, Settings},
};
use crate::config::{Config, Routes};

/// Compiles a snapshot. What is wrong in it is refused by name, and nothing else is lost; the cache saves reading
/// again what was read for the configuration before.
pub fn compile(snapshot: &Snapshot, settings: &Settings, cache: &mut Cache) -> Config {
    let mut refusals = Refusals::default();
    let mut ingresses = read_ingresses(snapshot, settings, &mut refusals);
    more_hosts::settle_aliases(&mut ingresses, &mut refusals);
    let mut compiler = Compiler {
        settings,
        backends: Backends::new(snapshot),
        patterns: cache.patterns(),
        routes: Routes::default(),
        refusals,
    };
    ingresses.iter().for_each(|ingress| compiler.add_rules(ingress));
    ingresses.iter().for_each(|ingress| compiler.add_www_redirects(ingress));
    compiler.add_default_backends(&ingresses);
    let Compiler { backends, routes, mut refusals, .. } = compiler;
    let certificates = tls::certificates(snapshot, settings, &ingresses, cache, &mut refusals);
    let validities = certificates
        .iter()
        .map(|(_, certificate)| (certificate.secret.to_string(), certificate.validity))
        .collect();
    cache.forget_unused();
    Config {
        generation: 0,
        routes,
        certificates,
        upstreams: backends.into_upstreams(),
        refusals: refusals.into_sorted(),
        validities,
    }
}

/// An Ingress of ours with what its annotations ask for.
struct Ingress<'a> {
    key: Arc<ObjectKey>,
    object: &'a lb_model::ingress::Ingress,
    annotations: Annotations,
}

/// What the parts of a configuration are collected in.
struct Compiler<'a, 'c> {
    settings: &'a Settings,
    backends: Backends<'a>,
    patterns: Patterns<'c>,
    routes: Routes,
    refusals: Refusals,
}

/// The Ingresses to serve, the oldest first: where several ask for the same, the first one has it.
fn read_ingresses<'a>(
    snapshot: &'a Snapshot,
    settings: &Settings,
    refusals: &mut Refusals,
) -> Vec<Ingress<'a>> {
    let is_ours = |object| settings.class.selects(object, &snapshot.ingress_classes);
    let ours = snapshot.ingresses.iter().filter(|(_, object)| is_ours(object));
    let mut ingresses: Vec<_> = ours
        .filter_map(|(key, object)| {
            let (annotations, findings) = annotation::read(object);
            for finding in findings {
                refusals.ingress(key, finding.reason, finding.message);
            }
            (!annotations.left_out).then(|| Ingress { key: Arc::new(key.clone()), object, annotations })
        })
        .collect();
    ingresses.sort_by_key(|ingress| ingress.object.created);
    ingresses
}
