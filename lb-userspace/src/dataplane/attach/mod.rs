//! Puts the programs on devices, by links that are pinned and outlive the agent.

pub mod clsact;
mod error;
mod link;
mod mode;
mod takeover;

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    path::PathBuf,
};

use aya::{
    Ebpf,
    programs::{LinkOrder, TcAttachType, XdpMode, links::FdLink, tc::TcAttachOptions},
};
use lb_common::abi::program;

pub use self::{
    error::AttachError,
    link::{Hook, link_name, parse_link_name},
    mode::{Attached, Mode},
};
use self::{
    error::xdp_refusal,
    link::{pin, pinned, unpin, usable},
};
use super::{
    cleanup::remove_other_layouts,
    device::{Device, Selection},
    loader,
    pin::PinDir,
    pins::{Pins, RestoreError},
    sys,
};

/// Loaded programs, and the links that hold them on devices.
pub struct Attacher {
    pins: Pins,
    ebpf: Ebpf,
    mode: Mode,
    /// Devices whose driver has refused native XDP, and the MTU it had: not asked again before that is another, for some
    /// drivers lose packets over an attempt, and the MTU is the reason that a device can be told to lose.
    stepped_down: BTreeMap<u32, u32>,
    /// Devices that were said to hide VLAN tags.
    hidden_tags: BTreeSet<u32>,
    /// Filters that stand for tcx links on an old kernel; none before the first look.
    filters: Option<BTreeSet<(u32, Hook)>>,
    /// An agent of another layout has left programs.
    takes_over: bool,
}

impl Attacher {
    /// An attacher of the programs in `ebpf`.
    pub fn new(pins: Pins, ebpf: Ebpf, mode: Mode) -> Self {
        let takes_over = takeover::is_due(pins.dir());
        let (stepped_down, hidden_tags) = Default::default();
        Self { pins, ebpf, mode, stepped_down, hidden_tags, filters: None, takes_over }
    }

    /// True until [`attach`](Self::attach), where an agent of another layout has left programs: they serve from its
    /// maps, so ours should wait until theirs are filled.
    pub fn takes_over(&self) -> bool {
        self.takes_over
    }

    /// Pins anew what is pinned no longer; true where there was any.
    ///
    /// # Errors
    /// Where that fails. Programs stay on their devices all the same.
    pub fn restore_pins(&mut self) -> Result<bool, RestoreError> {
        self.pins.restore()
    }

    /// Brings programs to where `selection` says and takes ours away from all others of `devices`. Every device is
    /// tried; what could not be done is in the second part of the answer.
    pub fn attach(
        &mut self,
        devices: &[Device],
        selection: &Selection,
    ) -> (BTreeMap<u32, Attached>, Vec<AttachError>) {
        let mut attached = BTreeMap::new();
        if clsact::is_needed() {
            self.release_filters(devices, selection);
        }
        // A link that is there but not pinned would look like somebody else's.
        let mut errors: Vec<AttachError> =
            self.restore_pins().err().map(AttachError::from).into_iter().collect();
        if self.takes_over {
            errors.extend(takeover::adopt(self.pins.dir()).err());
        }
        errors.extend(self.release(selection).err());
        // XDP leaves packets to tcx, never the other way round: tcx comes first.
        let mut with_tcx = BTreeSet::new();
        for device in selection.uplinks.values() {
            match self.uplink(device, devices) {
                Ok(()) => {
                    with_tcx.insert(device.index);
                }
                Err(error) => errors.push(error),
            }
        }
        for device in selection.overlays.values() {
            errors.extend(self.tcx(device, Hook::Ingress).err());
        }
        for device in selection.xdp() {
            if selection.uplinks.contains_key(&device.name) && !with_tcx.contains(&device.index) {
                continue;
            }
            let result = if device.hides_tags && selection.carries_vlan_uplink(device) {
                self.xdp_without_tags(device)
            } else {
                self.xdp_of_mode(device)
            };
            match result {
                Ok(mode) => {
                    attached.insert(device.index, mode);
                }
                Err(error) => errors.push(error),
            }
        }
        for device in selection.uplinks.values().filter(|device| with_tcx.contains(&device.index)) {
            let parent = device.vlan.as_ref().map(|vlan| vlan.parent);
            if let Some(mode) = parent.and_then(|parent| attached.get(&parent).copied()) {
                attached.insert(device.index, mode);
            }
        }
        let links = self.pins.dir().links();
        errors.extend(self.pins.hold_in(&links).err().map(AttachError::from));
        if mem::take(&mut self.takes_over) {
            match remove_other_layouts(self.pins.dir()) {
                Ok(removed) => {
                    tracing::info!(pins = removed.pins, "took over from an agent of another layout")
                }
                Err(error) => errors.push(error.into()),
            }
        }
        (attached, errors)
    }

    /// tcx of an uplink, unless somebody else's XDP program is where ours has to be: then packets would be met by half.
    fn uplink(&mut self, device: &Device, devices: &[Device]) -> Result<(), AttachError> {
        let parent = device.vlan.as_ref().map(|vlan| vlan.parent);
        let with_xdp = devices.iter().find(|other| Some(other.index) == parent).unwrap_or(device);
        if self.mode != Mode::Tc {
            let link = self.link(with_xdp, Hook::Xdp);
            error::refuse_foreign(with_xdp, usable(&mut self.pins, &link, with_xdp)?)?;
        }
        self.tcx(device, Hook::Ingress)?;
        self.tcx(device, Hook::Egress)
    }

    fn link(&self, device: &Device, hook: Hook) -> PathBuf {
        self.pins.dir().links().join(link_name(&device.name, hook))
    }

    /// What to do where XDP would not see to which VLAN a frame belongs: looked at again each time, for an operator can
    /// change it.
    fn xdp_without_tags(&mut self, device: &Device) -> Result<Attached, AttachError> {
        let error = AttachError::HiddenTags { device: device.name.clone() };
        match self.mode {
            Mode::Native | Mode::Generic => return Err(error),
            Mode::Auto if self.hidden_tags.insert(device.index) => {
                tracing::warn!("packets of {} are met at tcx: {error}", device.name);
            }
            Mode::Auto | Mode::Tc => {}
        }
        self.without_xdp(device)
    }

    fn without_xdp(&mut self, device: &Device) -> Result<Attached, AttachError> {
        let link = self.link(device, Hook::Xdp);
        unpin(&mut self.pins, &link).map(|()| Attached::Tc)
    }

    fn xdp_of_mode(&mut self, device: &Device) -> Result<Attached, AttachError> {
        match self.mode {
            Mode::Tc => self.without_xdp(device),
            Mode::Generic => self.xdp(device, XdpMode::Skb).map(|()| Attached::Generic),
            Mode::Native => self.xdp(device, XdpMode::Driver).map(|()| Attached::Native),
            Mode::Auto if self.stepped_down.get(&device.index) == Some(&device.mtu) => Ok(Attached::Tc),
            Mode::Auto => match self.xdp(device, XdpMode::Driver) {
                Ok(()) => Ok(Attached::Native),
                Err(AttachError::Mode { device: name, source, .. }) => {
                    tracing::warn!(device = name, error = %source, "no native XDP; packets are met at tcx");
                    self.stepped_down.insert(device.index, device.mtu);
                    Ok(Attached::Tc)
                }
                Err(error) => Err(error),
            },
        }
    }

    fn xdp(&mut self, device: &Device, mode: XdpMode) -> Result<(), AttachError> {
        let path = self.link(device, Hook::Xdp);
        let program = loader::xdp(&mut self.ebpf, program::XDP)?;
        let failed = |source| AttachError::program(device, Hook::Xdp, source);
        let id = program.info().map_err(failed)?.id();
        if let Some(link) = usable(&mut self.pins, &path, device)? {
            let generic = device.xdp.is_some_and(|xdp| xdp.id == link.program && xdp.generic);
            if generic == (mode == XdpMode::Skb) {
                if link.program != id {
                    let old = pinned(&path)?.try_into().map_err(|error| AttachError::link(&path, error))?;
                    program.attach_to_link(old).and_then(|id| program.take_link(id)).map_err(failed)?;
                }
                return Ok(());
            }
            // A link keeps its mode for life.
            unpin(&mut self.pins, &path)?;
        }
        let link = match program.attach_to_if_index(device.index, mode) {
            Ok(id) => program.take_link(id).map_err(failed)?,
            Err(source) => return Err(xdp_refusal(device, mode, source)),
        };
        // aya falls back to netlink where the kernel answers EINVAL; what is attached so dies with the agent.
        let link: FdLink = link.try_into().map_err(|error| AttachError::link(&path, error))?;
        pin(link, &path)
    }

    fn tcx(&mut self, device: &Device, hook: Hook) -> Result<(), AttachError> {
        let path = self.link(device, hook);
        let (name, direction) = match hook {
            Hook::Egress => (program::TCX_EGRESS, TcAttachType::Egress),
            _ if device.ethernet => (program::TCX_INGRESS, TcAttachType::Ingress),
            _ => (program::TCX_INGRESS_L3, TcAttachType::Ingress),
        };
        let program = loader::classifier(&mut self.ebpf, name)?;
        let failed = |source| AttachError::program(device, hook, source);
        if let Some(filters) = &mut self.filters {
            // Each time: whoever removes the qdisc takes our filter along and tells nobody. The kernel replaces one that
            // is there under RCU (`cls_bpf_change`, net/sched/cls_bpf.c), so that no packet goes without.
            clsact::attach(program, &device.name, direction).map_err(failed)?;
            filters.insert((device.index, hook));
            return Ok(());
        }
        let id = program.info().map_err(failed)?.id();
        if let Some(link) = usable(&mut self.pins, &path, device)? {
            if link.program != id {
                let old = pinned(&path)?.try_into().map_err(|error| AttachError::link(&path, error))?;
                program.attach_to_link(old).and_then(|id| program.take_link(id)).map_err(failed)?;
            }
            return Ok(());
        }
        error::refuse_second(device, hook, direction)?;
        // First in line: a program before ours that answers with a final verdict would hide packets from us.
        let options = TcAttachOptions::TcxOrder(LinkOrder::first());
        let link = program
            .attach_with_options(&device.name, direction, options)
            .and_then(|id| program.take_link(id))
            .map_err(failed)?;
        let link: FdLink = link.try_into().map_err(|error| AttachError::link(&path, error))?;
        pin(link, &path)
    }

    /// Takes our filters off devices that are not to have them; at first off all, for an earlier agent may have had
    /// other devices.
    fn release_filters(&mut self, devices: &[Device], selection: &Selection) {
        let known = self.filters.take();
        let mut kept = known.clone().unwrap_or_default();
        for device in devices {
            for (hook, direction) in clsact::DIRECTIONS {
                let filter = (device.index, hook);
                let suspect = known.as_ref().is_none_or(|known| known.contains(&filter));
                if suspect && selection.wanted(device.index, hook).is_none() {
                    clsact::detach(&device.name, direction);
                    kept.remove(&filter);
                }
            }
        }
        kept.retain(|(index, _)| devices.iter().any(|device| device.index == *index));
        self.filters = Some(kept);
    }

    /// Takes our programs off devices that are not to have them (any more), and follows renamed ones.
    fn release(&mut self, selection: &Selection) -> Result<(), AttachError> {
        let links = self.pins.dir().links();
        for name in PinDir::list(&links)? {
            let path = links.join(&name);
            let Some((_, hook)) = parse_link_name(&name) else { continue };
            let info =
                sys::pinned_link(&path).map_err(|source| AttachError::Link { path: path.clone(), source })?;
            let Some(info) = info else { continue };
            match selection.wanted(info.ifindex, hook) {
                None => unpin(&mut self.pins, &path)?,
                Some(device) => {
                    let right = links.join(link_name(&device.name, hook));
                    if right != path {
                        self.pins
                            .rename(&path, &right)
                            .map_err(|source| AttachError::Link { path, source })?;
                    }
                }
            }
        }
        Ok(())
    }
}
