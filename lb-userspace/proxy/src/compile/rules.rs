//! Rules of an Ingress.

use std::sync::Arc;

use lb_model::ingress::{IngressBackend, IngressPath, IngressRule, PathType};

use super::{Compiler, Ingress, path, reason};
use crate::config::{Action, Route, Upstream};

/// So many regular expressions an Ingress may have: each of its host is tried with each request.
const MOST_PATTERNS: usize = 100;

/// What was seen of an Ingress so far.
struct Seen<'a> {
    /// Most paths of an Ingress lead to the same few backends.
    actions: Vec<(&'a IngressBackend, Action)>,
    patterns: usize,
}

impl Compiler<'_, '_> {
    /// Adds the routes of an Ingress' rules.
    pub(super) fn add_rules(&mut self, ingress: &Ingress<'_>) {
        let object = ingress.object;
        if object.rules.is_empty() && object.default_backend.is_none() {
            let message = "it has neither rules nor a default backend, so nothing leads to it".to_owned();
            self.refusals.ingress(&ingress.key, reason::NO_RULES, message);
        }
        let error_backend = self.error_backend(ingress);
        let mut seen = Seen { actions: Vec::new(), patterns: 0 };
        for (host, rule) in ingress.hosts() {
            let template = self.template(ingress, rule, host, error_backend.as_ref());
            for path in &rule.paths {
                self.add_path(ingress, &template, path, &mut seen);
            }
        }
    }

    /// What the routes of a rule have in common.
    fn template(
        &self,
        ingress: &Ingress<'_>,
        rule: &IngressRule,
        host: Option<&str>,
        error_backend: Option<&Arc<Upstream>>,
    ) -> Route {
        Route {
            ingress: ingress.key.clone(),
            host: host.map(Into::into),
            path: "".into(),
            path_type: PathType::Prefix,
            pattern: false,
            action: Action::Unavailable("".into()),
            rewrite: None,
            policy: ingress.annotations.policy.clone(),
            error_backend: error_backend.cloned(),
            tls: ingress.is_tls(rule.host.as_deref()),
        }
    }

    fn add_path<'a>(
        &mut self,
        ingress: &Ingress<'_>,
        template: &Route,
        path: &'a IngressPath,
        seen: &mut Seen<'a>,
    ) {
        let annotations = &ingress.annotations;
        let is_pattern = is_pattern(path, annotations.use_regex, annotations.rewrite.is_some());
        let text = match path::canonical(&path.path) {
            _ if is_pattern => path.path.as_str().into(),
            Ok(text) => text,
            Err(error) => {
                let message = format!("path `{}` cannot be matched: {error}", path.path);
                self.refusals.ingress(&ingress.key, reason::INVALID_PATH, message);
                return;
            }
        };
        let known = seen.actions.iter().find(|(backend, _)| **backend == path.backend);
        let action = match known {
            Some((_, action)) => action.clone(),
            None => {
                let action = self.action(ingress, &path.backend);
                seen.actions.push((&path.backend, action.clone()));
                action
            }
        };
        let route = Arc::new(Route {
            path: text.into(),
            path_type: path.path_type,
            pattern: is_pattern,
            action,
            rewrite: annotations.rewrite.clone(),
            ..template.clone()
        });
        let inserted = if is_pattern {
            seen.patterns += 1;
            let pattern = match self.patterns.get(&path.path) {
                _ if seen.patterns > MOST_PATTERNS => Err(format!(
                    "the Ingress has more than {MOST_PATTERNS} of them; spread them over several"
                )),
                pattern => pattern.map_err(|error| error.to_string()),
            };
            match pattern {
                Ok(pattern) => self.routes.insert_pattern(pattern, route),
                Err(error) => {
                    let message = format!("path `{}` is no usable regular expression: {error}", path.path);
                    self.refusals.ingress(&ingress.key, reason::INVALID_PATTERN, message);
                    return;
                }
            }
        } else {
            self.routes.insert(route)
        };
        if let Err(owner) = inserted {
            let host = template.host.as_deref().unwrap_or("every host");
            let message = if owner.ingress == ingress.key {
                format!("path {} of {host} is there more than once; the first counts", path.path)
            } else {
                format!(
                    "path {} of {host} is that of Ingress {}, which is older or comes first by name; remove one of the two",
                    path.path, owner.ingress
                )
            };
            self.refusals.ingress(&ingress.key, reason::PATH_CONFLICT, message);
        }
    }

    /// What becomes of the requests for a backend.
    pub(super) fn action(&mut self, ingress: &Ingress<'_>, backend: &IngressBackend) -> Action {
        let annotations = &ingress.annotations;
        if let Some(why) = &annotations.unavailable {
            return Action::Unavailable(why.clone());
        }
        if let Some(redirect) = &annotations.redirect {
            return Action::Redirect(redirect.clone());
        }
        match self.backends.resolve(&ingress.key.namespace, backend, &annotations.how) {
            Ok(upstream) => Action::Forward(upstream),
            Err(error) => {
                self.refusals.ingress(&ingress.key, error.reason(), error.to_string());
                Action::Unavailable(error.to_string().into())
            }
        }
    }

    /// Who answers in the stead of the endpoints of an Ingress.
    pub(super) fn error_backend(&mut self, ingress: &Ingress<'_>) -> Option<Arc<Upstream>> {
        let annotations = &ingress.annotations;
        let upstream = match &annotations.default_backend {
            Some(service) => {
                let key = lb_model::object::ObjectKey::new(ingress.key.namespace.as_str(), service.as_str());
                self.backends.service(&key, None, &annotations.how)
            }
            None if annotations.policy.custom_errors.is_empty() => return None,
            None => {
                let default = self.settings.default_backend.as_ref()?;
                self.backends.service(&default.service, default.port.as_ref(), &Default::default())
            }
        };
        upstream.map_err(|error| self.refusals.ingress(&ingress.key, error.reason(), error.to_string())).ok()
    }
}

impl Ingress<'_> {
    /// True where `spec.tls` has the host; one of its entries without hosts has all of the Ingress.
    pub(super) fn is_tls(&self, host: Option<&str>) -> bool {
        self.object.tls.iter().any(|tls| {
            tls.hosts.is_empty()
                || tls.hosts.iter().any(|covered| {
                    let parent = host.and_then(|host| host.split_once('.')).map(|(_, parent)| parent);
                    host == Some(covered)
                        || covered.strip_prefix("*.").is_some_and(|covered| parent == Some(covered))
                })
        })
    }
}

/// Whether a path is a regular expression: one of type ImplementationSpecific where `use-regex` asks for it; and, as
/// ingress-nginx takes the paths of a rewritten Ingress for regular expressions too, one that could be nothing else.
fn is_pattern(path: &IngressPath, use_regex: bool, is_rewritten: bool) -> bool {
    let could_be_nothing_else =
        || path.path.contains(['(', ')', '[', ']', '{', '}', '*', '+', '?', '^', '$', '|', '\\']);
    match path.path_type {
        PathType::Exact => false,
        PathType::Prefix => (use_regex || is_rewritten) && could_be_nothing_else(),
        PathType::ImplementationSpecific => use_regex || (is_rewritten && could_be_nothing_else()),
    }
}
