//! What the maps hold at a moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use lb_common::{
    abi::map, drop_reason::DropReason, flow::FLOW_REVERSE, service::SERVICE_CATCH_ALL, stat::ServiceStats,
    tcp,
};

use crate::{
    cli::{CliError, names::ServiceName},
    dataplane::{
        clock,
        pinned::{Pinned, PinnedError},
    },
};

/// A moment.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) at: Instant,
    /// By Service port; both families of one are one.
    pub(super) services: BTreeMap<ServiceName, Totals>,
    /// Counters by id: an id may be given to another Service.
    pub(super) counters: BTreeMap<u32, (ServiceName, ServiceStats)>,
    pub(super) drops: BTreeMap<DropReason, u64>,
    /// Flow table entries of IPv4 and IPv6 together: of flows that are not over, and at most.
    pub(super) entries: [u64; 2],
}

/// What needs no second reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) flows: u64,
    pub(super) endpoints: usize,
}

impl Reading {
    /// Reads the maps: a tenth of a second where 400,000 flows are open.
    pub(super) fn take(pinned: &Pinned) -> Result<Self, CliError> {
        let names: BTreeMap<u32, ServiceName> =
            pinned.names()?.into_iter().map(|(id, name)| (id, ServiceName::parse(&name))).collect();
        let (mut halves, mut flows) = (0, BTreeMap::<u32, u64>::new());
        pinned.living_halves(clock::now(), |half| {
            halves += 1;
            let is_open = half.flags & FLOW_REVERSE == 0 && !tcp::is_closed(half.state);
            *flows.entry(half.service).or_default() += u64::from(is_open);
        })?;
        let at = Instant::now();
        let counters = names
            .iter()
            .map(|(id, name)| Ok((*id, (name.clone(), pinned.service_stats(*id)?))))
            .collect::<Result<BTreeMap<_, _>, PinnedError>>()?;
        let mut services = BTreeMap::<ServiceName, Totals>::new();
        for (id, endpoints) in endpoints(pinned)? {
            if let Some(name) = names.get(&id) {
                services.entry(name.clone()).or_default().endpoints += endpoints;
            }
        }
        for (id, name) in &names {
            services.entry(name.clone()).or_default().flows += flows.get(id).copied().unwrap_or_default();
        }
        let capacity = [map::FLOWS, map::FLOWS6].map(|name| u64::from(pinned.max_entries(name)));
        let drops = pinned.drops()?.into_iter().collect();
        Ok(Self { at, services, counters, drops, entries: [halves, capacity.iter().sum()] })
    }
}

/// Endpoints in the ring of each id: frontends of one id share it.
fn endpoints(pinned: &Pinned) -> Result<BTreeMap<u32, usize>, PinnedError> {
    let services = pinned.services()?;
    let rings: BTreeMap<_, _> = services
        .values()
        .filter(|service| service.flags & SERVICE_CATCH_ALL == 0)
        .map(|service| (service.id, service))
        .collect();
    let count = |service| Ok(pinned.ring(service)?.into_iter().collect::<BTreeSet<_>>().len());
    rings.into_iter().map(|(id, service)| Ok((id, count(service)?))).collect()
}
