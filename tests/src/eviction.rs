//! What memory pressure does to the flow table, on purpose: halves of flows disappear at random.

use std::{
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use aya::{
    Pod,
    maps::{HashMap, Map, MapData, MapError},
};
use lb_common::{
    abi::map,
    address::{IpAddress, V4, V6},
    flow::{FLOW_LOCAL, FLOW_REVERSE, Flow, FlowKey},
};
use lb_userspace::dataplane::pin::PinDir;

/// Which halves an eviction chose from, and took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evicted {
    /// Forward halves of flows to endpoints on this node.
    pub local_forward: u32,
    /// Their reverse halves.
    pub local_reverse: u32,
    /// Forward halves of flows to endpoints on other nodes.
    pub remote_forward: u32,
    /// Their reverse halves.
    pub remote_reverse: u32,
}

impl Evicted {
    fn count(&mut self, flags: u8) {
        let counter = match (flags & FLOW_LOCAL != 0, flags & FLOW_REVERSE != 0) {
            (true, false) => &mut self.local_forward,
            (true, true) => &mut self.local_reverse,
            (false, false) => &mut self.remote_forward,
            (false, true) => &mut self.remote_reverse,
        };
        *counter += 1;
    }

    /// Sum with another eviction.
    pub fn add(&mut self, other: Self) {
        self.local_forward += other.local_forward;
        self.local_reverse += other.local_reverse;
        self.remote_forward += other.remote_forward;
        self.remote_reverse += other.remote_reverse;
    }
}

/// Removes entries of the flow tables of both families.
pub struct Evictor {
    flows: HashMap<MapData, FlowKey<V4>, Flow<V4>>,
    flows6: HashMap<MapData, FlowKey<V6>, Flow<V6>>,
    coin: Coin,
}

impl Evictor {
    /// Opens the flow tables of a data plane. Prints the seed of its choices.
    ///
    /// # Errors
    /// Where nothing is pinned there.
    pub fn open(pins: &PinDir) -> Result<Self> {
        let seed = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64 | 1;
        println!("evictions with seed {seed}");
        Ok(Self {
            flows: table(&pins.map(map::FLOWS))?,
            flows6: table(&pins.map(map::FLOWS6))?,
            coin: Coin(seed),
        })
    }

    /// Removes every second half, by chance.
    ///
    /// # Errors
    /// Where a map does not answer.
    pub fn evict(&mut self) -> Result<Evicted> {
        let mut evicted = evict_from(&mut self.flows, &mut self.coin)?;
        evicted.add(evict_from(&mut self.flows6, &mut self.coin)?);
        Ok(evicted)
    }
}

fn table<K: Pod, V: Pod>(path: &Path) -> Result<HashMap<MapData, K, V>> {
    let data = MapData::from_pin(path).with_context(|| path.display().to_string())?;
    Ok(HashMap::try_from(Map::from_map_data(data)?)?)
}

fn evict_from<A: IpAddress>(
    flows: &mut HashMap<MapData, FlowKey<A>, Flow<A>>,
    coin: &mut Coin,
) -> Result<Evicted>
where
    FlowKey<A>: Pod,
    Flow<A>: Pod,
{
    let mut evicted = Evicted::default();
    let halves: Vec<_> = flows.iter().filter_map(Result::ok).collect();
    for (key, flow) in halves {
        if !coin.toss() {
            continue;
        }
        match flows.remove(&key) {
            Ok(()) => evicted.count(flow.flags),
            // The table has evicted it itself meanwhile.
            Err(MapError::KeyNotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(evicted)
}

/// xorshift64 (Marsaglia, 2003).
struct Coin(u64);

impl Coin {
    fn toss(&mut self) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 63 == 1
    }
}
