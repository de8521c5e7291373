//! Loaded programs, handed from test to test: the verifier takes seconds for them, emptying their maps milliseconds.

use std::{
    ops::{Deref, DerefMut},
    os::fd::AsFd,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, Result, bail};
use aya::{
    Pod,
    maps::{HashMap, LpmTrie, Map, MapData, RingBuf},
    util::nr_cpus,
};
use lb_common::{
    abi::map,
    address::{Address, V4, V6},
    affinity::{Affinity, AffinityKey},
    flow::{Flow, FlowKey},
    fragment::{FragmentKey, FragmentPorts},
    interface::Interface,
    service::{Service, ServiceKey},
};
use lb_userspace::dataplane::sys;

use crate::prog::{Programs, Sizes};

static IDLE: Mutex<Vec<Programs>> = Mutex::new(Vec::new());

/// Programs that may return to the pool when they are dropped.
pub struct Pooled {
    programs: Option<Programs>,
    returns: bool,
}

impl Pooled {
    /// Programs with empty maps of the default sizes, from the pool where it has some.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn take() -> Result<Self> {
        let idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let programs = match idle {
            Some(mut programs) => {
                clear(&mut programs)?;
                programs.begin()?;
                programs
            }
            None => Programs::load(Sizes::default())?,
        };
        Ok(Self { programs: Some(programs), returns: true })
    }
}

/// Programs of one owner.
impl From<Programs> for Pooled {
    fn from(programs: Programs) -> Self {
        Self { programs: Some(programs), returns: false }
    }
}

/// Empties every map.
fn clear(programs: &mut Programs) -> Result<()> {
    for (name, map) in programs.ebpf.maps_mut() {
        let cleared = match map {
            // The globals, which are fixed once loaded.
            _ if name.starts_with('.') => Ok(()),
            Map::Array(data) => zero(data, 1),
            Map::PerCpuArray(data) => {
                let cpus = nr_cpus().map_err(|(path, error)| anyhow::anyhow!("{path}: {error}"))?;
                zero(data, cpus)
            }
            map => remove_all(name, map),
        };
        cleared.with_context(|| format!("emptying the map {name}"))?;
    }
    Ok(())
}

fn zero(data: &MapData, copies: usize) -> Result<()> {
    let info = data.info()?;
    let value = info.value_size() as usize;
    let value = if copies == 1 { value } else { value.next_multiple_of(8) * copies };
    let zeros = vec![0; value * info.max_entries() as usize];
    Ok(sys::write_array(data.fd().as_fd(), 0, value, &zeros)?)
}

fn remove_all(name: &str, map: &mut Map) -> Result<()> {
    match name {
        map::SERVICES => remove_keys::<ServiceKey, Service>(map),
        map::FLOWS => remove_keys::<FlowKey<V4>, Flow<V4>>(map),
        map::FLOWS6 => remove_keys::<FlowKey<V6>, Flow<V6>>(map),
        map::FRAGMENTS => remove_keys::<FragmentKey, FragmentPorts>(map),
        map::AFFINITY => remove_keys::<AffinityKey, Affinity>(map),
        map::PEERS => remove_keys::<Address, u32>(map),
        map::INTERFACES => remove_keys::<u32, Interface>(map),
        map::SOURCE_RANGES => {
            let mut trie = LpmTrie::<_, [u32; 5], u32>::try_from(map)?;
            let keys: Vec<_> = trie.keys().collect::<Result<_, _>>()?;
            keys.iter().try_for_each(|key| Ok(trie.remove(key)?))
        }
        map::EVENTS => {
            let mut ring = RingBuf::try_from(map)?;
            while ring.next().is_some() {}
            Ok(())
        }
        // The command line's alone; nothing in a lab writes them.
        map::NAMES | map::REFUSALS => Ok(()),
        _ => bail!("nobody has said how"),
    }
}

fn remove_keys<K: Pod, V: Pod>(map: &mut Map) -> Result<()> {
    let mut map = HashMap::<_, K, V>::try_from(map)?;
    let keys: Vec<_> = map.keys().collect::<Result<_, _>>()?;
    keys.iter().try_for_each(|key| Ok(map.remove(key)?))
}

impl Deref for Pooled {
    type Target = Programs;

    fn deref(&self) -> &Programs {
        match &self.programs {
            Some(programs) => programs,
            None => unreachable!("only drop takes them out"),
        }
    }
}

impl DerefMut for Pooled {
    fn deref_mut(&mut self) -> &mut Programs {
        match &mut self.programs {
            Some(programs) => programs,
            None => unreachable!("only drop takes them out"),
        }
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        if self.returns {
            IDLE.lock().unwrap_or_else(PoisonError::into_inner).extend(self.programs.take());
        }
    }
}
