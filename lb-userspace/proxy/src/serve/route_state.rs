//! What one thread keeps with a route, so that a request needs no look-up by name.

use std::{
    cell::RefCell,
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    rc::Rc,
    sync::Arc,
};

use hyper::header::HeaderValue;

use super::{cors::CorsAnswers, limits::Limiter, shared::Shared};
use crate::{
    config::{Action, Config, Route, UpstreamProtocol},
    observe::IngressCounters,
    upstream::{Upstream, Upstreams},
};

/// An upstream with what the configuration says about it.
#[derive(Debug)]
pub(super) struct Forward {
    pub(super) upstream: Rc<Upstream>,
    pub(super) config: Arc<crate::config::Upstream>,
}

impl Forward {
    /// How its endpoints are spoken to.
    pub(super) fn protocol(&self) -> UpstreamProtocol {
        self.config.key.protocol
    }
}

/// What one thread keeps with a route.
#[derive(Debug)]
pub(super) struct RouteState {
    pub(super) route: Arc<Route>,
    /// Where its action leads.
    pub(super) forward: Option<Forward>,
    /// `default-backend`.
    pub(super) error_backend: Option<Forward>,
    pub(super) counters: Arc<IngressCounters>,
    pub(super) limiter: Option<Arc<Limiter>>,
    pub(super) cors: Option<CorsAnswers>,
    pub(super) upstream_vhost: Option<HeaderValue>,
    pub(super) forwarded_prefix: Option<HeaderValue>,
}

/// The states of one configuration's routes.
#[derive(Debug, Default)]
pub(super) struct RouteStates {
    inner: RefCell<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    generation: u64,
    /// By address: a state holds its route, so that the address belongs to no other.
    states: HashMap<usize, Rc<RouteState>, BuildHasherDefault<AddressHasher>>,
}

impl RouteStates {
    /// The state of a route of this configuration.
    pub(super) fn get(
        &self,
        config: &Config,
        route: &Arc<Route>,
        shared: &Shared,
        upstreams: &Upstreams,
    ) -> Rc<RouteState> {
        let mut inner = self.inner.borrow_mut();
        if inner.generation != config.generation {
            inner.generation = config.generation;
            inner.states.clear();
        }
        let state = inner.states.entry(Arc::as_ptr(route) as usize);
        state.or_insert_with(|| Rc::new(RouteState::new(config, route, shared, upstreams))).clone()
    }
}

impl RouteState {
    fn new(config: &Config, route: &Arc<Route>, shared: &Shared, upstreams: &Upstreams) -> Self {
        let policy = &route.policy;
        let forward = |upstream: &Arc<crate::config::Upstream>| Forward {
            upstream: upstreams.get(config, upstream),
            config: upstream.clone(),
        };
        let value = |text: &Option<String>| text.as_deref().and_then(|text| HeaderValue::try_from(text).ok());
        Self {
            forward: match &route.action {
                Action::Forward(upstream) => Some(forward(upstream)),
                Action::Redirect(_) | Action::Unavailable(_) => None,
            },
            error_backend: route.error_backend.as_ref().map(forward),
            counters: shared.metrics.ingress(Some(&route.ingress)),
            limiter: shared.limiters.get(&route.ingress, &policy.limits),
            cors: policy.cors.as_ref().map(CorsAnswers::new),
            upstream_vhost: value(&policy.upstream_vhost),
            forwarded_prefix: value(&policy.forwarded_prefix),
            route: route.clone(),
        }
    }
}

/// Addresses differ in their middle bits; one multiplication spreads them (Knuth, TAOCP 3, §6.4).
#[derive(Debug, Default)]
struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn write_usize(&mut self, address: usize) {
        self.0 = (address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
