//! Per-CPU counters, all CPUs together.

use aya::maps::{MapData, PerCpuArray};
use lb_common::{
    abi::map,
    drop_reason::DropReason,
    stat::{ServiceStats, Stat},
};

use super::{Pinned, PinnedError, named};

impl Pinned {
    /// Drops by reason, all CPUs together, in the order of [`DropReason::ALL`].
    ///
    /// # Errors
    /// Where the map does not answer.
    pub fn drops(&self) -> Result<Vec<(DropReason, u64)>, PinnedError> {
        DropReason::ALL
            .into_iter()
            .map(|reason| Ok((reason, sum(map::DROPS, &self.drops, reason as u32)?)))
            .collect()
    }

    /// Events of the packet path, all CPUs together, in the order of [`Stat::ALL`].
    ///
    /// # Errors
    /// Where the map does not answer.
    pub fn stats(&self) -> Result<Vec<(Stat, u64)>, PinnedError> {
        Stat::ALL.into_iter().map(|stat| Ok((stat, sum(map::STATS, &self.stats, stat as u32)?))).collect()
    }

    /// Counters of a service id, all CPUs together.
    ///
    /// # Errors
    /// Where the map does not answer.
    pub fn service_stats(&self, id: u32) -> Result<ServiceStats, PinnedError> {
        let per_cpu = self.service_stats.get(&id, 0).map_err(named(map::SERVICE_STATS))?;
        Ok(per_cpu.iter().copied().fold(ServiceStats::default(), ServiceStats::plus))
    }
}

fn sum(name: &'static str, map: &PerCpuArray<MapData, u64>, index: u32) -> Result<u64, PinnedError> {
    let per_cpu = map.get(&index, 0).map_err(named(name))?;
    Ok(per_cpu.iter().fold(0, |total, cpu| total.wrapping_add(*cpu)))
}
