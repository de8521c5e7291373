//! The upstreams of a configuration, with what is known of their endpoints.

use std::{
    cell::{Cell, Ref, RefCell},
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
    /// Of the configuration that `known` follows.
    generation: Cell<u64>,
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
        Self { thread, generation: Cell::default(), known: RefCell::default() }
    }

    /// What is known of an upstream of the newest configuration, which a request may meet before this thread is told.
    pub(crate) fn get(&self, config: &Config, upstream: &config::Upstream) -> Rc<Upstream> {
        self.follow(config);
        if let Some(known) = self.known.borrow().get(&upstream.key) {
            return known.clone();
        }
        let fresh = Rc::new(Upstream::new(upstream, self.thread));
        self.known.borrow_mut().insert(upstream.key.clone(), fresh.clone());
        fresh
    }

    /// Takes over a new configuration: endpoints that it lacks get no more requests from now on.
    pub(crate) fn follow(&self, config: &Config) {
        if self.generation.replace(config.generation) == config.generation {
            return;
        }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::{Balance, UpstreamProtocol};

    fn upstream(last: u8) -> Arc<config::Upstream> {
        let key = UpstreamKey {
            namespace: "default".to_owned(),
            service: "web".to_owned(),
            port: 80,
            protocol: UpstreamProtocol::Http,
            balance: Balance::RoundRobin,
            by_cluster_ip: false,
        };
        let endpoint = config::Endpoint { address: ([10, 0, 0, last], 8080).into() };
        Arc::new(config::Upstream { key, endpoints: vec![endpoint], draining: Vec::new() })
    }

    fn config(generation: u64, upstream: &Arc<config::Upstream>) -> Config {
        let upstreams = BTreeMap::from([(upstream.key.clone(), upstream.clone())]);
        Config { generation, upstreams, ..Config::default() }
    }

    #[test]
    fn a_request_of_a_new_configuration_goes_to_none_of_the_endpoints_that_left() {
        let upstreams = Upstreams::new(0);
        let (old, new) = (upstream(1), upstream(2));
        let chosen = |generation, wanted| {
            let upstream = upstreams.get(&config(generation, wanted), wanted);
            upstream.choose(&[], || 0).map(|endpoint| endpoint.address())
        };
        assert_eq!(chosen(1, &old), Some(old.endpoints[0].address));
        assert_eq!(chosen(2, &new), Some(new.endpoints[0].address));
    }
}
