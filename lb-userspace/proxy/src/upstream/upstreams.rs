//! The upstreams of a configuration, with what is known of their endpoints.

use std::{
    cell::{Ref, RefCell},
    collections::BTreeMap,
    net::SocketAddr,
    rc::Rc,
};

use tokio::time::Instant;

use super::{Endpoint, balance::Balancer};
use crate::config::{self, Config, UpstreamKey};

/// All upstreams, as one thread knows them.
#[derive(Debug)]
pub(crate) struct Upstreams {
    /// Number of this thread: where its round robins begin.
    thread: usize,
    known: RefCell<BTreeMap<UpstreamKey, Rc<Upstream>>>,
}

/// One upstream.
#[derive(Debug)]
pub(crate) struct Upstream {
    endpoints: RefCell<Vec<Rc<Endpoint>>>,
    draining: RefCell<Vec<Rc<Endpoint>>>,
    balancer: Balancer,
}

impl Upstreams {
    /// None known yet.
    pub(crate) fn new(thread: usize) -> Self {
        Self { thread, known: RefCell::default() }
    }

    /// What is known of an upstream of the newest configuration.
    pub(crate) fn get(&self, upstream: &config::Upstream) -> Rc<Upstream> {
        if let Some(known) = self.known.borrow().get(&upstream.key) {
            return known.clone();
        }
        let fresh = Rc::new(Upstream::new(upstream, self.thread));
        self.known.borrow_mut().insert(upstream.key.clone(), fresh.clone());
        fresh
    }

    /// Takes over a new configuration: endpoints that it lacks get no more requests from now on.
    pub(crate) fn follow(&self, config: &Config) {
        self.known.borrow_mut().retain(|key, known| {
            let wanted = config.upstreams.get(key);
            match wanted {
                Some(wanted) => known.follow(&wanted.endpoints, &wanted.draining),
                None => known.follow(&[], &[]),
            }
            wanted.is_some()
        });
    }

    /// Closes connections that were idle for too long.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        for upstream in self.known.borrow().values() {
            upstream.endpoints.borrow().iter().for_each(|endpoint| endpoint.sweep(now));
            upstream.draining.borrow().iter().for_each(|endpoint| endpoint.sweep(now));
        }
    }
}

impl Upstream {
    fn new(upstream: &config::Upstream, thread: usize) -> Self {
        let known = Self {
            endpoints: RefCell::default(),
            draining: RefCell::default(),
            balancer: Balancer::new(upstream.key.balance.clone(), thread),
        };
        known.follow(&upstream.endpoints, &upstream.draining);
        known
    }

    fn follow(&self, wanted: &[config::Endpoint], draining: &[config::Endpoint]) {
        let (mut endpoints, mut leaving) = (self.endpoints.borrow_mut(), self.draining.borrow_mut());
        let is_same = |known: &[Rc<Endpoint>], wanted: &[config::Endpoint]| {
            known.iter().map(|endpoint| endpoint.address()).eq(wanted.iter().map(|wanted| wanted.address))
        };
        if is_same(&endpoints, wanted) && is_same(&leaving, draining) {
            return;
        }
        let mut known: BTreeMap<_, _> =
            endpoints.drain(..).chain(leaving.drain(..)).map(|known| (known.address(), known)).collect();
        let mut take = |wanted: &config::Endpoint| {
            known.remove(&wanted.address).unwrap_or_else(|| Rc::new(Endpoint::new(wanted.address)))
        };
        endpoints.extend(wanted.iter().map(&mut take));
        leaving.extend(draining.iter().map(&mut take));
        known.values().for_each(|gone| gone.retire());
        self.balancer.follow(&endpoints);
    }

    /// An endpoint that is none of `tried`. `hash` says what consistent hashing goes by.
    pub(crate) fn choose(&self, tried: &[SocketAddr], hash: impl FnOnce() -> u64) -> Option<Rc<Endpoint>> {
        let endpoints = self.endpoints.borrow();
        let position = self.balancer.choose(&endpoints, tried, hash)?;
        Some(endpoints[position].clone())
    }

    /// The endpoint that a client is kept at; one that terminates serves those on.
    pub(crate) fn kept(&self, is_wanted: impl Fn(&Endpoint) -> bool) -> Option<Rc<Endpoint>> {
        let (endpoints, draining) = (self.endpoints.borrow(), self.draining.borrow());
        endpoints.iter().chain(draining.iter()).find(|endpoint| is_wanted(endpoint)).cloned()
    }

    /// Its endpoints for new requests.
    pub(crate) fn endpoints(&self) -> Ref<'_, [Rc<Endpoint>]> {
        Ref::map(self.endpoints.borrow(), Vec::as_slice)
    }
}
