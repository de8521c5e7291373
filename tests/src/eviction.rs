//! What memory pressure does to the flow table, on purpose: halves of flows disappear at random.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use aya::maps::{HashMap, Map, MapData, MapError};
use lb_common::{
    abi::map,
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
    fn count(&mut self, flow: &Flow) {
        let counter = match (flow.flags & FLOW_LOCAL != 0, flow.flags & FLOW_REVERSE != 0) {
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

/// Removes entries of a flow table.
pub struct Evictor {
    flows: HashMap<MapData, FlowKey, Flow>,
    state: u64,
}

impl Evictor {
    /// Opens the flow table of a data plane. Prints the seed of its choices.
    ///
    /// # Errors
    /// Where nothing is pinned there.
    pub fn open(pins: &PinDir) -> Result<Self> {
        let path = pins.map(map::FLOWS);
        let data = MapData::from_pin(&path).with_context(|| path.display().to_string())?;
        let flows = HashMap::try_from(Map::from_map_data(data)?)?;
        let seed = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64 | 1;
        println!("evictions with seed {seed}");
        Ok(Self { flows, state: seed })
    }

    /// Removes every second half, by chance.
    ///
    /// # Errors
    /// Where the map does not answer.
    pub fn evict(&mut self) -> Result<Evicted> {
        let mut evicted = Evicted::default();
        let halves: Vec<_> = self.flows.iter().filter_map(Result::ok).collect();
        for (key, flow) in halves {
            if !self.toss() {
                continue;
            }
            match self.flows.remove(&key) {
                Ok(()) => evicted.count(&flow),
                // The table has evicted it itself meanwhile.
                Err(MapError::KeyNotFound) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(evicted)
    }

    /// xorshift64 (Marsaglia, 2003).
    fn toss(&mut self) -> bool {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state >> 63 == 1
    }
}
