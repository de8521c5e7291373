//! How much one client may ask of one Ingress: `limit-rps`, `limit-rpm` and `limit-connections`.
//!
//! Limits hold for all threads together, so these are the only locks on the way of a request, and only where an
//! Ingress has limits.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use lb_model::object::ObjectKey;

use crate::config::Limits;

/// Clients that are remembered at most; those that have nothing under way and their full allowance go first.
const CLIENTS: usize = 65_536;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The limiters of all Ingresses. They outlive configurations: a change elsewhere gives nobody a new allowance.
#[derive(Debug, Default)]
pub(super) struct Limiters(Mutex<BTreeMap<ObjectKey, Arc<Limiter>>>);

impl Limiters {
    /// The limiter of an Ingress; none where it has no limits.
    pub(super) fn get(&self, ingress: &ObjectKey, limits: &Limits) -> Option<Arc<Limiter>> {
        let mut limiters = lock(&self.0);
        if *limits == (Limits { burst_multiplier: limits.burst_multiplier, ..Limits::default() }) {
            limiters.remove(ingress);
            return None;
        }
        let limiter = limiters.entry(ingress.clone()).or_default();
        if limiter.limits != *limits {
            *limiter = Arc::new(Limiter { limits: *limits, clients: Mutex::default() });
        }
        Some(limiter.clone())
    }

    /// Forgets Ingresses that are gone.
    pub(super) fn retain(&self, is_served: impl Fn(&ObjectKey) -> bool) {
        lock(&self.0).retain(|ingress, _| is_served(ingress));
    }
}

/// The limits of one Ingress, and where its clients stand.
#[derive(Debug, Default)]
pub(super) struct Limiter {
    limits: Limits,
    clients: Mutex<HashMap<IpAddr, ClientState>>,
}

/// Two leaky buckets, as `limit_req` of nginx has them: what was asked for and has not yet drained, in requests.
#[derive(Debug)]
struct ClientState {
    per_second: f64,
    per_minute: f64,
    at: Instant,
    under_way: u32,
}

/// A request under way; ends when it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    limiter: Arc<Limiter>,
    client: IpAddr,
}

impl Limiter {
    /// Lets a request of a client pass; none where it asks too much.
    pub(super) fn admit(self: &Arc<Self>, client: IpAddr, now: Instant) -> Option<Permit> {
        let mut clients = lock(&self.clients);
        if clients.len() >= CLIENTS && !clients.contains_key(&client) {
            clients.retain(|_, state| state.under_way > 0 || now - state.at < Duration::from_secs(60));
            if clients.len() >= CLIENTS {
                return None;
            }
        }
        let fresh = || ClientState { per_second: 0.0, per_minute: 0.0, at: now, under_way: 0 };
        let state = clients.entry(client).or_insert_with(fresh);
        let elapsed = now.saturating_duration_since(state.at).as_secs_f64();
        state.at = now;
        let burst = f64::from(self.limits.burst_multiplier.max(1));
        let drained = |level: f64, rate: f64| (level - elapsed * rate).max(0.0);
        let mut admitted = self.limits.connections.is_none_or(|most| state.under_way < most);
        if let Some(limit) = self.limits.requests_per_second.map(f64::from) {
            state.per_second = drained(state.per_second, limit);
            admitted &= state.per_second + 1.0 <= limit * burst;
        }
        if let Some(limit) = self.limits.requests_per_minute.map(f64::from) {
            state.per_minute = drained(state.per_minute, limit / 60.0);
            admitted &= state.per_minute + 1.0 <= limit * burst;
        }
        if !admitted {
            return None;
        }
        state.per_second += 1.0;
        state.per_minute += 1.0;
        state.under_way += 1;
        Some(Permit { limiter: self.clone(), client })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(state) = lock(&self.limiter.clients).get_mut(&self.client) {
            state.under_way -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(limits: Limits) -> Arc<Limiter> {
        Limiters::default().get(&ObjectKey::new("d", "i"), &limits).unwrap()
    }

    #[test]
    fn a_client_has_its_burst_and_then_its_rate() {
        let limits = Limits { requests_per_second: Some(2), burst_multiplier: 5, ..Limits::default() };
        let (limiter, start) = (limiter(limits), Instant::now());
        let client = IpAddr::from([192, 0, 2, 1]);
        let admitted = |at: Instant| (0..100).filter(|_| limiter.admit(client, at).is_some()).count();
        assert_eq!(admitted(start), 10);
        assert_eq!(admitted(start + Duration::from_secs(1)), 2);
        assert!(limiter.admit([192, 0, 2, 2].into(), start).is_some());
    }

    #[test]
    fn requests_under_way_are_counted() {
        let limiter = limiter(Limits { connections: Some(1), ..Limits::default() });
        let client = IpAddr::from([192, 0, 2, 1]);
        let permit = limiter.admit(client, Instant::now());
        assert!(permit.is_some() && limiter.admit(client, Instant::now()).is_none());
        drop(permit);
        assert!(limiter.admit(client, Instant::now()).is_some());
    }

    #[test]
    fn another_configuration_gives_no_new_allowance() {
        let limiters = Limiters::default();
        let ingress = ObjectKey::new("d", "i");
        let limits = Limits { requests_per_minute: Some(1), burst_multiplier: 1, ..Limits::default() };
        let (now, client) = (Instant::now(), IpAddr::from([192, 0, 2, 1]));
        assert!(limiters.get(&ingress, &limits).unwrap().admit(client, now).is_some());
        assert!(limiters.get(&ingress, &limits).unwrap().admit(client, now).is_none());
        assert!(limiters.get(&ingress, &Limits::default()).is_none());
    }
}
