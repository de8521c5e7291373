//! All that packets write into maps.

use std::{collections::BTreeMap, fmt::Debug};

use lb_common::{
    address::{IpAddress, V4, V6},
    affinity::{Affinity, AffinityKey},
    drop_reason::DropReason,
    flow::{Flow, FlowKey, RestoreBucket},
    fragment::{FragmentKey, FragmentPorts},
    host::Tables,
    limit::Bucket,
    stat::{ServiceStats, Stat},
};

use super::Tuple;

/// The maps; arrays without what is zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    pub(super) flows: BTreeMap<FlowKey<V4>, Flow<V4>>,
    pub(super) flows6: BTreeMap<FlowKey<V6>, Flow<V6>>,
    pub(super) restore: BTreeMap<u32, RestoreBucket<V4>>,
    pub(super) restore6: BTreeMap<u32, RestoreBucket<V6>>,
    pub(super) fragments: BTreeMap<FragmentKey, FragmentPorts>,
    pub(super) affinity: BTreeMap<AffinityKey, Affinity>,
    pub(super) limits: BTreeMap<u32, Bucket>,
    pub(super) service_stats: BTreeMap<u32, ServiceStats>,
    pub(super) drops: BTreeMap<u32, u64>,
    pub(super) stats: BTreeMap<u32, u64>,
}

impl State {
    /// That of the host's side.
    pub fn of(tables: &Tables) -> Self {
        Self {
            flows: tables.ipv4.flows.borrow().clone(),
            flows6: tables.ipv6.flows.borrow().clone(),
            restore: tables.ipv4.restore.borrow().clone(),
            restore6: tables.ipv6.restore.borrow().clone(),
            fragments: tables.fragments.borrow().clone(),
            affinity: tables.affinity.borrow().clone(),
            limits: numbered(&*tables.limits.borrow()),
            service_stats: tables.service_stats.borrow().clone(),
            drops: numbered(&*tables.drops.borrow()),
            stats: numbered(&*tables.stats.borrow()),
        }
    }

    /// One line for each entry that differs, this state's first.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        compare(&mut lines, "flows", &self.flows, &other.flows, tuple);
        compare(&mut lines, "flows6", &self.flows6, &other.flows6, tuple);
        compare(&mut lines, "restore", &self.restore, &other.restore, number);
        compare(&mut lines, "restore6", &self.restore6, &other.restore6, number);
        compare(&mut lines, "fragments", &self.fragments, &other.fragments, |key| format!("{key:?}"));
        compare(&mut lines, "affinity", &self.affinity, &other.affinity, |key| format!("{key:?}"));
        compare(&mut lines, "limits", &self.limits, &other.limits, number);
        compare(&mut lines, "service_stats", &self.service_stats, &other.service_stats, number);
        compare(&mut lines, "drops", &self.drops, &other.drops, |key| {
            DropReason::from_u32(*key).map_or_else(|| number(key), |reason| reason.as_str().into())
        });
        compare(&mut lines, "stats", &self.stats, &other.stats, |key| {
            Stat::from_u32(*key).map_or_else(|| number(key), |stat| stat.as_str().into())
        });
        lines
    }
}

fn numbered<V: Copy + Default + PartialEq>(values: &[V]) -> BTreeMap<u32, V> {
    (0..).zip(values.iter().copied()).filter(|(_, value)| *value != V::default()).collect()
}

fn number(key: &u32) -> String {
    key.to_string()
}

fn tuple<A: IpAddress>(key: &FlowKey<A>) -> String {
    let Tuple { src, dst, protocol } = Tuple::of(key);
    format!("{} {} > {} {} protocol {protocol}", src.0, src.1, dst.0, dst.1)
}

fn compare<K: Ord, V: PartialEq + Debug>(
    lines: &mut Vec<String>,
    map: &str,
    kernel: &BTreeMap<K, V>,
    host: &BTreeMap<K, V>,
    show: impl Fn(&K) -> String,
) {
    for key in kernel.keys().chain(host.keys().filter(|key| !kernel.contains_key(key))) {
        let (kernel, host) = (kernel.get(key), host.get(key));
        if kernel != host {
            lines.push(format!("{map} {}\n  kernel {kernel:?}\n  host   {host:?}", show(key)));
        }
    }
}
