//! Names of what an event tells by number.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use lb_common::service::{SERVICE_CATCH_ALL, ServiceKey};

use crate::{
    cli::{CliError, devices, names::ServiceName},
    dataplane::pinned::Pinned,
};

/// How long what was read is believed.
const BELIEVED: Duration = Duration::from_secs(1);

/// Names as the maps hold them, asked for as events need them.
pub(super) struct Names {
    pinned: Pinned,
    services: BTreeMap<u32, Option<ServiceName>>,
    frontends: BTreeMap<ServiceKey, Option<u32>>,
    devices: BTreeMap<u32, String>,
    read: Instant,
}

impl Names {
    pub(super) fn new(pinned: Pinned) -> Self {
        let (services, frontends) = (BTreeMap::new(), BTreeMap::new());
        Self { pinned, services, frontends, devices: devices::names(), read: Instant::now() }
    }

    /// Forgets what may have changed.
    pub(super) fn refresh(&mut self) {
        if self.read.elapsed() >= BELIEVED {
            self.services.clear();
            self.frontends.clear();
            self.devices = devices::names();
            self.read = Instant::now();
        }
    }

    /// The Service port behind an id.
    pub(super) fn service(&mut self, id: u32) -> Result<Option<ServiceName>, CliError> {
        if let Some(known) = self.services.get(&id) {
            return Ok(known.clone());
        }
        let name = self.pinned.name(id)?.map(|name| ServiceName::parse(&name));
        self.services.insert(id, name.clone());
        Ok(name)
    }

    /// The Service port that a frontend belongs to.
    pub(super) fn frontend(&mut self, key: ServiceKey) -> Result<Option<ServiceName>, CliError> {
        let id = match self.frontends.get(&key) {
            Some(known) => *known,
            None => {
                let service = self.pinned.service(&key)?;
                let id = service.filter(|service| service.flags & SERVICE_CATCH_ALL == 0).map(|it| it.id);
                // A flood from and to anywhere must not fill the memory within a second.
                if self.frontends.len() < 10_000 {
                    self.frontends.insert(key, id);
                }
                id
            }
        };
        id.map_or(Ok(None), |id| self.service(id))
    }

    pub(super) fn device(&self, ifindex: u32) -> Option<String> {
        (ifindex != 0).then(|| devices::name(&self.devices, ifindex))
    }
}
