//! Which endpoint a request goes to.

use std::{
    cell::{Cell, RefCell},
    net::{IpAddr, SocketAddr},
    rc::Rc,
};

use lb_common::{
    address::Address,
    maglev::{self, Member},
    ring,
};

use super::Endpoint;
use crate::config::Balance;

/// Chooses among the endpoints of one upstream.
#[derive(Debug)]
pub(super) struct Balancer {
    balance: Balance,
    /// Where the round robin stands.
    next: Cell<usize>,
    /// State of the generator behind [`Balancer::random`].
    seed: Cell<u64>,
    /// For consistent hashing: positions in the list of endpoints.
    ring: RefCell<Vec<u32>>,
}

impl Balancer {
    /// Threads begin their rounds at different endpoints: few requests on many threads reach all of them.
    pub(super) fn new(balance: Balance, thread: usize) -> Self {
        let seed = Cell::new(0x9e37_79b9_7f4a_7c15 ^ thread as u64);
        Self { balance, next: Cell::new(thread), seed, ring: RefCell::default() }
    }

    /// Takes note of other endpoints.
    pub(super) fn follow(&self, endpoints: &[Rc<Endpoint>]) {
        if matches!(self.balance, Balance::Hash(_)) {
            let mut ring = vec![0; ring::size_for(endpoints.len()) as usize];
            let members: Vec<_> = endpoints.iter().map(|endpoint| member(endpoint.address())).collect();
            maglev::fill(&members, &mut vec![(0, 0); members.len()], &mut ring);
            self.ring.replace(ring);
        }
    }

    /// Position of an endpoint that is none of `tried`.
    pub(super) fn choose(
        &self,
        endpoints: &[Rc<Endpoint>],
        tried: &[SocketAddr],
        hash: impl FnOnce() -> u64,
    ) -> Option<usize> {
        let is_free = |position: &usize| !tried.contains(&endpoints[*position].address());
        let count = endpoints.len();
        if count <= 1 {
            return (0..count).find(is_free);
        }
        match &self.balance {
            Balance::RoundRobin => {
                let start = self.next.get();
                let (skipped, position) = (0..count)
                    .map(|step| (step, start.wrapping_add(step) % count))
                    .find(|(_, position)| is_free(position))?;
                self.next.set(start.wrapping_add(skipped + 1));
                Some(position)
            }
            Balance::LeastRequest => {
                let first = self.random(count);
                let second = (first + 1 + self.random(count - 1)) % count;
                let fewest = [first, second]
                    .into_iter()
                    .filter(is_free)
                    .min_by_key(|position| endpoints[*position].in_flight());
                fewest.or_else(|| (0..count).find(is_free))
            }
            Balance::Hash(_) => {
                let ring = self.ring.borrow();
                let start = hash() as usize % ring.len().max(1);
                let mut slots = ring[start..].iter().chain(&ring[..start]).map(|slot| *slot as usize);
                slots.find(is_free)
            }
        }
    }

    /// A number below `bound`, by xorshift64 (Marsaglia 2003): nobody gains by guessing it.
    fn random(&self, bound: usize) -> usize {
        let mut seed = self.seed.get();
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        self.seed.set(seed);
        (seed % bound.max(1) as u64) as usize
    }
}

fn member(address: SocketAddr) -> Member {
    let port_be = address.port().to_be();
    let address = match address.ip() {
        IpAddr::V4(v4) => Address::v4(u32::from_ne_bytes(v4.octets())),
        IpAddr::V6(v6) => {
            let mut words_be = [0; 4];
            for (word, bytes) in words_be.iter_mut().zip(v6.octets().as_chunks::<4>().0) {
                *word = u32::from_ne_bytes(*bytes);
            }
            Address::v6(words_be)
        }
    };
    Member { address, port_be }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::HashKey;

    fn endpoints(count: u8) -> Vec<Rc<Endpoint>> {
        (0..count).map(|n| Rc::new(Endpoint::new(SocketAddr::from(([10, 0, 0, n], 8080))))).collect()
    }

    fn balancer(balance: Balance, endpoints: &[Rc<Endpoint>]) -> Balancer {
        let balancer = Balancer::new(balance, 0);
        balancer.follow(endpoints);
        balancer
    }

    #[test]
    fn a_round_covers_all_endpoints() {
        let endpoints = endpoints(5);
        let balancer = balancer(Balance::RoundRobin, &endpoints);
        let mut chosen: Vec<_> = (0..5).filter_map(|_| balancer.choose(&endpoints, &[], || 0)).collect();
        chosen.sort_unstable();
        assert_eq!(chosen, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn what_was_tried_is_not_tried_again() {
        let endpoints = endpoints(3);
        let tried = [endpoints[0].address(), endpoints[2].address()];
        for balance in [Balance::RoundRobin, Balance::LeastRequest, Balance::Hash(HashKey::Uri)] {
            let balancer = balancer(balance, &endpoints);
            for hash in 0..20 {
                assert_eq!(balancer.choose(&endpoints, &tried, || hash), Some(1));
            }
            let all: Vec<_> = endpoints.iter().map(|endpoint| endpoint.address()).collect();
            assert_eq!(balancer.choose(&endpoints, &all, || 0), None);
        }
    }

    #[test]
    fn the_busier_of_two_is_avoided() {
        let endpoints = endpoints(2);
        let balancer = balancer(Balance::LeastRequest, &endpoints);
        let _busy = super::super::InFlight::new(endpoints[0].clone());
        assert!((0..50).all(|_| balancer.choose(&endpoints, &[], || 0) == Some(1)));
    }

    #[test]
    fn a_hash_keeps_its_endpoint_while_another_leaves() {
        let all = endpoints(5);
        let fewer = all[..4].to_vec();
        let (before, after) =
            (balancer(Balance::Hash(HashKey::Uri), &all), balancer(Balance::Hash(HashKey::Uri), &fewer));
        let mut moved = 0;
        let mut shares = BTreeMap::<_, u32>::new();
        for key in 0..2000u64 {
            let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
            let old = before.choose(&all, &[], || hash).unwrap();
            *shares.entry(old).or_default() += 1;
            moved += u32::from(old != 4 && after.choose(&fewer, &[], || hash) != Some(old));
        }
        assert!(moved < 240, "{moved} of 2000 moved without need");
        assert!(shares.values().all(|share| (200..700).contains(share)), "{shares:?}");
    }
}
