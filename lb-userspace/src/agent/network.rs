//! The node's devices: programs on them, what the kernel programs know of them, and the neighbours behind them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::AgentError;
use crate::dataplane::{
    attach::{Attached, Attacher},
    device::{Device, Selection},
    lock::LockError,
    maps::Maps,
    neighbour::{self, Addresses},
    netlink::{Change, Netlink, NetlinkError},
    pins::RestoreError,
    routes::{NextHop, Routes},
};

/// Keeps programs on the devices that should have them.
pub(super) struct Network {
    netlink: Netlink,
    attacher: Attacher,
    macs: Addresses,
    /// As of the last refresh.
    routes: Routes,
    /// Next hops that the kernel was last told to keep; none where that has to be done anew.
    kept: Option<BTreeSet<NextHop>>,
    wanted: BTreeSet<String>,
    devices: Vec<Device>,
    selection: Selection,
    attached: BTreeMap<u32, Attached>,
    /// How many of `wanted` are no devices that could be uplinks.
    missing: usize,
    /// What was last said to be wrong, so that it is said once.
    complaints: BTreeSet<String>,
    /// The same of pins.
    pins_complaint: Option<String>,
}

impl Network {
    /// A network without programs so far; `wanted` are the devices of `--interface`.
    pub(super) fn new(netlink: Netlink, attacher: Attacher, wanted: BTreeSet<String>) -> Self {
        Self {
            netlink,
            attacher,
            macs: Addresses::default(),
            routes: Routes::default(),
            kept: None,
            wanted,
            devices: Vec::new(),
            selection: Selection::default(),
            attached: BTreeMap::new(),
            missing: 0,
            complaints: BTreeSet::new(),
            pins_complaint: None,
        }
    }

    /// Reads the devices anew and brings programs and the `interfaces` map in step. `node_addresses` are those of the
    /// Node object; before the maps are `filled`, programs that serve from the maps of another layout are left in place.
    /// What could not be done is in the answer; all the rest was.
    ///
    /// # Errors
    /// Where the kernel or the map does not answer.
    pub(super) async fn refresh(
        &mut self,
        node_addresses: &[IpAddr],
        maps: &mut Maps,
        filled: bool,
    ) -> Result<Vec<AgentError>, AgentError> {
        self.devices = self.netlink.devices().await?;
        self.routes = self.netlink.routes().await?;
        self.kept = None;
        let (selection, missing) = Selection::choose(&self.devices, &self.wanted, node_addresses);
        self.missing = missing.len();
        let changed = self.selection != selection;
        self.selection = selection;
        if self.attacher.takes_over() {
            if !filled {
                // The other layout's programs may share the map of devices with ours, and know where they are.
                return Ok(missing.into_iter().map(AgentError::from).collect());
            }
            // Where the programs are that ours take the place of: packets come the moment that they do.
            maps.set_interfaces(&self.selection.interfaces(&self.selection.found()))?;
        }
        let (attached, errors) = self.attacher.attach(&self.devices, &self.selection);
        for device in self.selection.uplinks.values().chain(self.selection.parents.values()) {
            if let Some(mode) =
                attached.get(&device.index).filter(|mode| self.attached.get(&device.index) != Some(mode))
            {
                tracing::info!(device = device.name, mode = mode.as_str(), "attached");
            }
        }
        self.attached = attached;
        self.macs.retain(|index| is_uplink(&self.selection, index));
        if maps.set_interfaces(&self.selection.interfaces(&self.attached))? || changed {
            maps.raise_epoch()?;
        }
        Ok(missing
            .into_iter()
            .map(AgentError::from)
            .chain(errors.into_iter().map(AgentError::from))
            .collect())
    }

    /// Looks whether the pins are there, and pins anew what is not.
    ///
    /// # Errors
    /// Where another agent has begun to work in the directory.
    pub(super) fn keep_pins(&mut self) -> Result<(), AgentError> {
        let trouble = match self.attacher.restore_pins() {
            Err(error @ RestoreError::Lock(LockError::Held { .. })) => return Err(error.into()),
            Err(error) => Some(error.to_string()),
            Ok(restored) => {
                if restored {
                    tracing::warn!("the pins were lost, and are there again; forwarding went on");
                }
                None
            }
        };
        if let Some(trouble) =
            trouble.as_ref().filter(|trouble| self.pins_complaint.as_ref() != Some(trouble))
        {
            tracing::error!("{trouble}");
        }
        self.pins_complaint = trouble;
        Ok(())
    }

    /// Logs what is wrong, once for each.
    pub(super) fn complain(&mut self, troubles: &[AgentError]) {
        let complaints: BTreeSet<_> = troubles.iter().map(ToString::to_string).collect();
        for complaint in complaints.difference(&self.complaints) {
            tracing::error!("{complaint}");
        }
        self.complaints = complaints;
    }

    /// True where `--interface` names the uplinks. Otherwise they follow from the Node object, and to choose without it
    /// would take programs off devices that carry packets.
    pub(super) fn is_told(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// True where there is any uplink.
    pub(super) fn has_uplinks(&self) -> bool {
        !self.selection.uplinks.is_empty()
    }

    /// True where every uplink has its programs, and there is one.
    pub(super) fn is_attached(&self) -> bool {
        let uplinks = || self.selection.uplinks.values();
        self.has_uplinks() && uplinks().all(|device| self.attached.contains_key(&device.index))
    }

    /// Names and modes of the uplinks with programs.
    pub(super) fn modes(&self) -> BTreeMap<String, Attached> {
        let uplinks = self.selection.uplinks.values();
        uplinks.filter_map(|device| Some((device.name.clone(), *self.attached.get(&device.index)?))).collect()
    }

    /// How many devices should have programs as uplinks and do not, those of `--interface` that there are not among them.
    pub(super) fn unattached(&self) -> usize {
        let uplinks = self.selection.uplinks.values();
        self.missing + uplinks.filter(|device| !self.attached.contains_key(&device.index)).count()
    }

    /// The host's own addresses.
    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        let owned = self.devices.iter().filter(|device| !device.dummy);
        owned.flat_map(|device| device.addresses.iter().copied()).collect()
    }

    /// The first address of each family of each uplink.
    pub(super) fn primary_addresses(&self) -> Vec<IpAddr> {
        self.selection.uplinks.values().flat_map(Device::primary_addresses).collect()
    }

    /// Keeps the way to the gateways and to `endpoints` warm, as far as it leads over uplinks.
    ///
    /// # Errors
    /// Where the kernel does not answer.
    pub(super) async fn keep_warm(&mut self, endpoints: &BTreeSet<IpAddr>) -> Result<(), NetlinkError> {
        let hops = self.routes.gateways().collect();
        self.keep(hops, endpoints).await
    }

    /// Keeps the way to more endpoints warm.
    ///
    /// # Errors
    /// As [`keep_warm`](Self::keep_warm).
    pub(super) async fn keep_warm_too(&mut self, endpoints: &BTreeSet<IpAddr>) -> Result<(), NetlinkError> {
        let hops = self.kept.clone().unwrap_or_default();
        self.keep(hops, endpoints).await
    }

    async fn keep(
        &mut self,
        mut hops: BTreeSet<NextHop>,
        endpoints: &BTreeSet<IpAddr>,
    ) -> Result<(), NetlinkError> {
        hops.extend(endpoints.iter().flat_map(|address| self.routes.next_hops(*address)));
        hops.retain(|hop| is_uplink(&self.selection, hop.ifindex));
        // Each endpoint that comes asks, and hardly any changes the next hops.
        if self.kept.as_ref() != Some(&hops) {
            neighbour::manage(&self.netlink, &hops).await?;
            self.kept = Some(hops);
        }
        Ok(())
    }

    /// True where flows must look at their next hop again.
    pub(super) fn moves_flows(&mut self, change: Change) -> bool {
        match change {
            // `refresh` sees whether a device that matters changed.
            Change::Devices => false,
            Change::Routes | Change::Lost => true,
            Change::Neighbour { hop, mac } => {
                is_uplink(&self.selection, hop.ifindex) && self.macs.moved(hop, mac)
            }
        }
    }
}

fn is_uplink(selection: &Selection, index: u32) -> bool {
    selection.uplinks.values().any(|device| device.index == index)
}
