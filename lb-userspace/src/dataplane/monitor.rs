//! The events that the kernel programs tell, while somebody asks for them. Needs no agent.

use std::{fs::File, io, time::Duration};

use aya::{
    maps::{Array, Map, MapData, MapError, PerCpuArray, PerCpuValues, RingBuf},
    util::nr_cpus,
};
use lb_common::{
    abi::map,
    monitor::{Event, Monitor, Sampler},
};
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
    time::{ClockId, clock_gettime},
};

use super::{
    pin::PinDir,
    pinned::{PinnedError, named, open_map, typed},
};

/// How long events go on after the last [`renewal`](Tap::renew).
const LEASE: Duration = Duration::from_secs(3);
/// A CPU may tell as many events at once as it tells in this time.
const BURST: Duration = Duration::from_millis(100);

/// Why events cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum TapError {
    /// Maps of an agent that knows no monitor.
    #[error(
        "the programs under {dir} tell no events: they are of an older release; start this release's `sluice agent` \
         once, which replaces them without a packet lost"
    )]
    Older {
        /// The pin directory.
        dir: String,
    },
    /// There is one ring, for one reader.
    #[error("another `sluice monitor` is attached to {dir}; end it first")]
    Busy {
        /// The pin directory.
        dir: String,
    },
    /// The maps are gone.
    #[error("the data plane under {dir} was taken away")]
    Gone {
        /// The pin directory.
        dir: String,
    },
    /// The lock cannot be taken.
    #[error("locking {dir}: {source}")]
    Lock {
        /// The directory.
        dir: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A map did not answer.
    #[error(transparent)]
    Pinned(#[from] PinnedError),
}

/// What a monitor asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// A bit for each [`Kind`](lb_common::monitor::Kind).
    pub kinds: u32,
    /// A bit for each [`DropReason`](lb_common::drop_reason::DropReason).
    pub reasons: u32,
    /// Events a second of each CPU, not 0.
    pub rate: u32,
}

/// What was not told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// For the rate.
    pub rate: u64,
    /// Because the ring was full.
    pub ring_full: u64,
}

impl LeftOut {
    /// What came since `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self { rate: self.rate - earlier.rate, ring_full: self.ring_full - earlier.ring_full }
    }
}

/// The one monitor of a data plane. Events stop when it is dropped, and soon after its process has died in whatever way.
pub struct Tap {
    dir: PinDir,
    monitor: Array<MapData, Monitor>,
    sampler: PerCpuArray<MapData, Sampler>,
    ring: RingBuf<MapData>,
    wanted: Wanted,
    _lock: Flock<File>,
}

impl Tap {
    /// Asks for events.
    ///
    /// # Errors
    /// Where there is no data plane, an older one, or another monitor.
    pub fn open(dir: &PinDir, wanted: Wanted) -> Result<Self, TapError> {
        if map::MONITORING.iter().any(|name| !dir.map(name).exists()) {
            return Err(TapError::Older { dir: dir.base().display().to_string() });
        }
        let lock = lock(dir)?;
        let array = Map::from_map_data(open_map(dir, map::MONITOR)?).map_err(named(map::MONITOR))?;
        let sampler = Map::from_map_data(open_map(dir, map::SAMPLER)?).map_err(named(map::SAMPLER))?;
        let ring = Map::from_map_data(open_map(dir, map::EVENTS)?).map_err(named(map::EVENTS))?;
        let mut tap = Self {
            dir: dir.clone(),
            monitor: typed(map::MONITOR, array)?,
            sampler: typed(map::SAMPLER, sampler)?,
            ring: typed(map::EVENTS, ring)?,
            wanted,
            _lock: lock,
        };
        tap.forget()?;
        tap.renew()?;
        Ok(tap)
    }

    /// Lets go of what an earlier monitor left behind.
    fn forget(&mut self) -> Result<(), TapError> {
        self.set(Monitor::default())?;
        // As many as the ring holds at most: a program that is still telling ends with its packet.
        let most = lb_common::monitor::RING_BYTES as usize / size_of::<Event>();
        for _ in 0..most {
            if self.ring.next().is_none() {
                break;
            }
        }
        let io = |source| named(map::SAMPLER)(MapError::IoError(source));
        let cpus = nr_cpus().map_err(|(_, source)| io(source))?;
        let fresh = PerCpuValues::try_from(vec![Sampler::default(); cpus]).map_err(io)?;
        Ok(self.sampler.set(0, fresh, 0).map_err(named(map::SAMPLER))?)
    }

    /// Asks for events for some seconds more.
    ///
    /// # Errors
    /// Where the data plane is gone.
    pub fn renew(&mut self) -> Result<(), TapError> {
        if !self.dir.map(map::EVENTS).exists() {
            return Err(TapError::Gone { dir: self.dir.base().display().to_string() });
        }
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let Wanted { kinds, reasons, rate } = self.wanted;
        self.set(Monitor {
            until: now() + nanos(LEASE),
            interval: nanos(Duration::from_secs(1)) / u64::from(rate.max(1)),
            burst: nanos(BURST),
            kinds,
            reasons,
        })
    }

    fn set(&mut self, monitor: Monitor) -> Result<(), TapError> {
        Ok(self.monitor.set(0, monitor, 0).map_err(named(map::MONITOR))?)
    }

    /// The next event, if one is there.
    pub fn take(&mut self) -> Option<Event> {
        let item = self.ring.next()?;
        Event::read(&item)
    }

    /// What was not told since this was opened.
    ///
    /// # Errors
    /// Where the map does not answer.
    pub fn left_out(&self) -> Result<LeftOut, TapError> {
        let cpus = self.sampler.get(&0, 0).map_err(named(map::SAMPLER))?;
        Ok(cpus.iter().fold(LeftOut::default(), |sum, cpu| LeftOut {
            rate: sum.rate + cpu.left_out,
            ring_full: sum.ring_full + cpu.lost,
        }))
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        // Where that fails the deadline does it.
        let _ = self.set(Monitor::default());
    }
}

/// `CLOCK_MONOTONIC` in nanoseconds, as programs stamp events.
pub fn now() -> u64 {
    // Every kernel has this clock.
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// On the directory of the maps; the agent's own lock is on the one above.
fn lock(dir: &PinDir) -> Result<Flock<File>, TapError> {
    let path = dir.maps();
    let failed = |source| TapError::Lock { dir: path.display().to_string(), source };
    let directory = File::open(&path).map_err(failed)?;
    match Flock::lock(directory, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(lock),
        Err((_, Errno::EWOULDBLOCK)) => Err(TapError::Busy { dir: dir.base().display().to_string() }),
        Err((_, errno)) => Err(failed(errno.into())),
    }
}
