//! Default backends: where requests go that match no rule.

use std::sync::Arc;

use lb_model::{
    ingress::{IngressBackend, PathType},
    object::ObjectKey,
};

use super::{Compiler, DefaultBackend, Ingress, annotation::How, reason};
use crate::config::{Action, Policy, Route};

impl Compiler<'_, '_> {
    /// Adds the default backends of all Ingresses, and the controller's.
    ///
    /// That of an Ingress takes what no path matches of the hosts that its rules name; and, as `spec.defaultBackend`
    /// says, what no rule of anybody matches. For the latter, an Ingress without rules comes before one that has some.
    pub(super) fn add_default_backends(&mut self, ingresses: &[Ingress<'_>]) {
        let defaults: Vec<_> = ingresses
            .iter()
            .filter_map(|ingress| Some((ingress, ingress.object.default_backend.as_ref()?)))
            .map(|(ingress, backend)| (ingress, self.default_route(ingress, backend)))
            .collect();
        for (ingress, route) in &defaults {
            for (host, rule) in ingress.hosts() {
                let tls = ingress.is_tls(rule.host.as_deref());
                let route = Route { host: host.map(Into::into), tls, ..route.clone() };
                let of_host = self.routes.insert_host_default(Arc::new(route));
                self.refuse_default(ingress, host, of_host);
            }
        }
        let (with_rules, without): (Vec<_>, Vec<_>) =
            defaults.into_iter().partition(|(ingress, _)| !ingress.object.rules.is_empty());
        for (ingress, route) in without {
            let everything = self.routes.insert_default(Arc::new(route));
            self.refuse_default(ingress, None, everything);
        }
        for (_, route) in with_rules {
            // Its rules' hosts are what its author cares about; that others come first for the rest is no finding.
            let _ = self.routes.insert_default(Arc::new(route));
        }
        if let Some(default) = &self.settings.default_backend {
            self.add_controller_default(default);
        }
    }

    fn default_route(&mut self, ingress: &Ingress<'_>, backend: &IngressBackend) -> Route {
        Route {
            ingress: ingress.key.clone(),
            host: None,
            path: "".into(),
            path_type: PathType::Prefix,
            pattern: false,
            action: self.action(ingress, backend),
            rewrite: None,
            policy: ingress.annotations.policy.clone(),
            error_backend: self.error_backend(ingress),
            tls: ingress.is_tls(None),
        }
    }

    fn add_controller_default(&mut self, default: &DefaultBackend) {
        let action = match self.backends.service(&default.service, default.port.as_ref(), &How::default()) {
            Ok(upstream) => Action::Forward(upstream),
            Err(error) => {
                let message = format!("--default-backend: {error}");
                self.refusals.add("Service", &default.service, error.reason(), message.clone());
                Action::Unavailable(message.into())
            }
        };
        let route = Route {
            ingress: Arc::new(default.service.clone()),
            host: None,
            path: "".into(),
            path_type: PathType::Prefix,
            pattern: false,
            action,
            rewrite: None,
            policy: Arc::new(Policy::default()),
            error_backend: None,
            tls: false,
        };
        // Where an Ingress has a default backend, that one answers.
        let _ = self.routes.insert_default(Arc::new(route));
    }

    fn refuse_default(&mut self, ingress: &Ingress<'_>, host: Option<&str>, result: Result<(), Arc<Route>>) {
        let Err(owner) = result else { return };
        // Two rules of one Ingress may name the same host.
        if owner.ingress == ingress.key {
            return;
        }
        let message = format!(
            "its default backend does not answer for {}: that of Ingress {} does, which is older or comes first by name",
            host.unwrap_or("every host"),
            owner.ingress
        );
        self.refusals.ingress(&ingress.key as &ObjectKey, reason::DEFAULT_BACKEND_CONFLICT, message);
    }
}
