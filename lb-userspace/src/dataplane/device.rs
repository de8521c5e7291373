//! Network devices, and which of them get programs.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use lb_common::{
    address::{Address, IpAddress as _, V4},
    interface::{INTERFACE_OVERLAY, INTERFACE_UPLINK, INTERFACE_XDP, Interface},
};

use super::{
    attach::{Attached, Hook},
    vlan::Vlan,
};

/// The XDP program on a device, as netlink tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XdpProgram {
    /// Program id.
    pub id: u32,
    /// True where it runs on socket buffers (generic XDP).
    pub generic: bool,
}

/// A network device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Interface index.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Up, with a carrier: routes through a device that is not are dead, and the kernel does not tell of each.
    pub running: bool,
    /// The loopback device.
    pub loopback: bool,
    /// Packets that leave here are encapsulated: vxlan, wireguard and their like.
    pub overlay: bool,
    /// Frames begin with an Ethernet header.
    pub ethernet: bool,
    /// Holds addresses that a proxy answers for (`kube-ipvs0`), not the host.
    pub dummy: bool,
    /// MAC address; zeros where it has none.
    pub mac: [u8; 6],
    /// The largest packet that it sends.
    pub mtu: u32,
    /// Addresses of both families.
    pub addresses: Vec<IpAddr>,
    /// Those of them that packets to elsewhere may be sent from: of global scope and there to stay. The first of a
    /// family is the one that the device is known by.
    pub sources: Vec<IpAddr>,
    /// A default route leads through it.
    pub default_route: bool,
    /// What it is on top of, for a VLAN device.
    pub vlan: Option<Vlan>,
    /// VLAN devices are on top of it, and its driver takes tags off before XDP runs: XDP would take the frames of one
    /// VLAN for those of another, and answer into the wrong one.
    pub hides_tags: bool,
    /// XDP program, whosever it is.
    pub xdp: Option<XdpProgram>,
}

impl Device {
    /// The first of [`Self::sources`] of each family.
    pub fn primary_addresses(&self) -> impl Iterator<Item = IpAddr> {
        let first = |v4: bool| self.sources.iter().copied().find(|address| address.is_ipv4() == v4);
        first(true).into_iter().chain(first(false))
    }

    fn interface(&self, flags: u32) -> Interface {
        let mut interface = Interface { flags, mac: self.mac, ..Interface::default() };
        if let Some(vlan) = &self.vlan {
            (interface.parent, interface.tags) = (vlan.parent, vlan.words());
        }
        for address in self.primary_addresses().map(Address::from) {
            if address.is_v4() {
                interface.address_be = V4::from_address(address);
            } else {
                interface.address6_be = address.words_be;
            }
        }
        interface
    }
}

/// Why a device that was asked for by name is no uplink.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DeviceError {
    /// No such device.
    #[error("device {name} does not exist; present: {present}")]
    Missing {
        /// Its name.
        name: String,
        /// Names of those that do.
        present: String,
    },
    /// Of a kind that cannot be an uplink.
    #[error("device {name} carries no Ethernet frames and cannot be an uplink; name the device below it")]
    NotEthernet {
        /// Its name.
        name: String,
    },
}

/// Devices that get programs, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// tcx, both directions; XDP too, but for VLAN devices with a parent.
    pub uplinks: BTreeMap<String, Device>,
    /// XDP: the parents of uplinks that are VLAN devices, which no driver runs XDP on. Those that are uplinks
    /// themselves are not here.
    pub parents: BTreeMap<String, Device>,
    /// tcx ingress.
    pub overlays: BTreeMap<String, Device>,
}

impl Selection {
    /// Chooses among `devices`. Uplinks are those of `wanted` where it names any; else the Ethernet devices that carry
    /// one of the node's addresses or a default route, never loopback. Pod devices and bridges of a CNI carry neither.
    /// Every overlay device that is no uplink is an overlay. Wanted devices that are missing or of the wrong kind are in
    /// the second part of the answer.
    pub fn choose(
        devices: &[Device],
        wanted: &BTreeSet<String>,
        node_addresses: &[IpAddr],
    ) -> (Self, Vec<DeviceError>) {
        let mut selection = Self::default();
        let mut errors = Vec::new();
        for name in wanted {
            match devices.iter().find(|device| device.name == *name) {
                Some(device) if device.ethernet && !device.loopback => {
                    selection.uplinks.insert(name.clone(), device.clone());
                }
                Some(_) => errors.push(DeviceError::NotEthernet { name: name.clone() }),
                None => {
                    let present: Vec<_> = devices.iter().map(|device| device.name.as_str()).collect();
                    errors.push(DeviceError::Missing { name: name.clone(), present: present.join(", ") });
                }
            }
        }
        for device in devices {
            let ours = device.addresses.iter().any(|address| node_addresses.contains(address));
            let uplink = device.ethernet
                && !device.loopback
                && !device.dummy
                && !device.overlay
                && (ours || device.default_route);
            if wanted.is_empty() && uplink {
                selection.uplinks.insert(device.name.clone(), device.clone());
            } else if device.overlay && !selection.uplinks.contains_key(&device.name) {
                selection.overlays.insert(device.name.clone(), device.clone());
            }
        }
        for vlan in selection.uplinks.values().filter_map(|device| device.vlan.as_ref()) {
            let parent = devices.iter().find(|device| device.index == vlan.parent);
            if let Some(parent) = parent.filter(|parent| !selection.uplinks.contains_key(&parent.name)) {
                selection.parents.insert(parent.name.clone(), parent.clone());
            }
        }
        (selection, errors)
    }

    /// The device of this index where it is to have a program at `hook`.
    pub fn wanted(&self, index: u32, hook: Hook) -> Option<&Device> {
        let it = |device: &&Device| device.index == index;
        match hook {
            Hook::Xdp => self.xdp().find(it),
            Hook::Ingress => self.uplinks.values().chain(self.overlays.values()).find(it),
            Hook::Egress => self.uplinks.values().find(it),
        }
    }

    /// True where an uplink is a VLAN device on top of `device`.
    pub fn carries_vlan_uplink(&self, device: &Device) -> bool {
        self.uplinks
            .values()
            .any(|uplink| uplink.vlan.as_ref().is_some_and(|vlan| vlan.parent == device.index))
    }

    /// The devices that XDP runs on, in the order of their names.
    pub fn xdp(&self) -> impl Iterator<Item = &Device> {
        self.uplinks.values().filter(|device| device.vlan.is_none()).chain(self.parents.values())
    }

    /// Where packets of each device are met now, whosever the programs are.
    pub fn found(&self) -> BTreeMap<u32, Attached> {
        let of_xdp = |xdp: XdpProgram| if xdp.generic { Attached::Generic } else { Attached::Native };
        let met = |device: &Device| device.xdp.map_or(Attached::Tc, of_xdp);
        let mut found: BTreeMap<_, _> = self.xdp().map(|device| (device.index, met(device))).collect();
        for (device, vlan) in self.uplinks.values().filter_map(|device| Some((device, device.vlan.as_ref()?)))
        {
            found.insert(device.index, found.get(&vlan.parent).copied().unwrap_or(Attached::Tc));
        }
        found
    }

    /// The `interfaces` map of this selection, given where devices have their programs.
    pub fn interfaces(&self, attached: &BTreeMap<u32, Attached>) -> BTreeMap<u32, Interface> {
        let flags = |device: &Device, tcx_egress: u32| match attached.get(&device.index) {
            Some(Attached::Native | Attached::Generic) => INTERFACE_XDP | tcx_egress,
            Some(Attached::Tc) => tcx_egress,
            None => 0,
        };
        let entry = |device: &Device, flags| (device.index, device.interface(flags));
        let uplinks = self.uplinks.values().map(|device| entry(device, flags(device, INTERFACE_UPLINK)));
        let parents = self.parents.values().map(|device| entry(device, flags(device, 0)));
        let overlays = self.overlays.values().map(|device| entry(device, INTERFACE_OVERLAY));
        uplinks.chain(parents).chain(overlays).collect()
    }
}

#[cfg(test)]
mod tests {
    use lb_common::interface::VlanTag;

    use super::*;

    fn device(name: &str, address: [u8; 4]) -> Device {
        let addresses = vec![address.into()];
        Device {
            name: name.to_owned(),
            ethernet: true,
            sources: addresses.clone(),
            addresses,
            ..Device::default()
        }
    }

    fn devices() -> Vec<Device> {
        vec![
            Device { loopback: true, ..device("lo", [127, 0, 0, 1]) },
            Device { default_route: true, ..device("eth0", [192, 0, 2, 1]) },
            device("eth1", [10, 0, 0, 1]),
            device("cni0", [10, 244, 0, 1]),
            Device { overlay: true, ..device("flannel.1", [10, 244, 0, 0]) },
            Device { overlay: true, ethernet: false, ..device("wg0", [10, 9, 0, 1]) },
            Device { dummy: true, ..device("kube-ipvs0", [203, 0, 113, 1]) },
        ]
    }

    fn names(devices: &BTreeMap<String, Device>) -> Vec<&str> {
        devices.keys().map(String::as_str).collect()
    }

    #[test]
    fn uplinks_are_the_devices_of_default_routes_and_of_the_nodes_addresses() {
        let own = [[10, 0, 0, 1].into(), [203, 0, 113, 1].into()];
        let (selection, _) = Selection::choose(&devices(), &BTreeSet::new(), &own);
        assert_eq!(names(&selection.uplinks), ["eth0", "eth1"]);
        assert_eq!(names(&selection.overlays), ["flannel.1", "wg0"]);
    }

    #[test]
    fn named_devices_are_the_only_uplinks() {
        let (selection, _) = Selection::choose(&devices(), &["cni0".to_owned()].into(), &[]);
        assert_eq!(names(&selection.uplinks), ["cni0"]);
        assert_eq!(names(&selection.overlays), ["flannel.1", "wg0"]);
    }

    #[test]
    fn the_interfaces_map_tells_xdp_and_overlays_apart() {
        let mut all = devices();
        all.iter_mut().zip(1..).for_each(|(device, index)| device.index = index);
        let (selection, _) = Selection::choose(&all, &BTreeSet::new(), &[[10, 0, 0, 1].into()]);
        let interfaces = selection.interfaces(&[(2, Attached::Native), (3, Attached::Tc)].into());
        let flags: Vec<_> = interfaces.iter().map(|(index, interface)| (*index, interface.flags)).collect();
        assert_eq!(
            flags,
            [
                (2, INTERFACE_XDP | INTERFACE_UPLINK),
                (3, INTERFACE_UPLINK),
                (5, INTERFACE_OVERLAY),
                (6, INTERFACE_OVERLAY)
            ]
        );
        assert_eq!(interfaces[&3].address_be.to_ne_bytes(), [10, 0, 0, 1]);
    }

    #[test]
    fn a_missing_device_and_one_without_ethernet_are_refused_by_name_and_the_others_chosen() {
        let wanted = ["eth0", "eth9", "wg0"].map(str::to_owned).into();
        let (selection, errors) = Selection::choose(&devices(), &wanted, &[]);
        assert_eq!(names(&selection.uplinks), ["eth0"]);
        let missing = errors[0].to_string();
        assert!(missing.contains("eth9") && missing.contains("eth0"), "{missing}");
        assert_eq!(errors[1], DeviceError::NotEthernet { name: "wg0".to_owned() });
    }

    #[test]
    fn an_interface_carries_the_first_source_of_each_family() {
        let mut eth0 = device("eth0", [192, 0, 2, 1]);
        eth0.addresses.insert(0, "fe80::1".parse().unwrap());
        eth0.sources.extend(["2001:db8::1", "2001:db8::2"].map(|text| text.parse::<IpAddr>().unwrap()));
        let interface = eth0.interface(0);
        assert_eq!(interface.address_be.to_ne_bytes(), [192, 0, 2, 1]);
        assert_eq!(IpAddr::from(Address::v6(interface.address6_be)).to_string(), "2001:db8::1");
    }

    fn vlan(parent: u32) -> Vlan {
        let tag = VlanTag { protocol_be: 0x8100u16.to_be(), id_be: 100u16.to_be() };
        Vlan { parent, tags: vec![tag] }
    }

    #[test]
    fn the_parent_of_a_vlan_uplink_gets_xdp_and_the_vlan_device_tcx() {
        let devices = [
            Device { index: 1, ethernet: true, name: "eth0".to_owned(), ..Device::default() },
            Device { index: 2, vlan: Some(vlan(1)), ..device("eth0.100", [192, 0, 2, 1]) },
        ];
        let (selection, _) = Selection::choose(&devices, &BTreeSet::new(), &[[192, 0, 2, 1].into()]);
        assert_eq!((names(&selection.uplinks), names(&selection.parents)), (vec!["eth0.100"], vec!["eth0"]));
        let wanted = |index, hook| selection.wanted(index, hook).is_some();
        assert!(wanted(1, Hook::Xdp) && !wanted(1, Hook::Ingress) && !wanted(1, Hook::Egress));
        assert!(!wanted(2, Hook::Xdp) && wanted(2, Hook::Ingress) && wanted(2, Hook::Egress));
        let interfaces = selection.interfaces(&[(1, Attached::Native), (2, Attached::Native)].into());
        assert_eq!(interfaces[&1].flags, INTERFACE_XDP);
        assert_eq!(interfaces[&2].flags, INTERFACE_XDP | INTERFACE_UPLINK);
        assert_eq!((interfaces[&2].parent, interfaces[&2].tags[0]), (1, vlan(1).tags[0]));
    }

    #[test]
    fn a_parent_that_is_an_uplink_itself_stays_one() {
        let devices = [
            Device { index: 1, default_route: true, ..device("eth0", [198, 51, 100, 1]) },
            Device { index: 2, vlan: Some(vlan(1)), ..device("eth0.100", [192, 0, 2, 1]) },
        ];
        let (selection, _) = Selection::choose(&devices, &BTreeSet::new(), &[[192, 0, 2, 1].into()]);
        assert_eq!(names(&selection.uplinks), ["eth0", "eth0.100"]);
        assert!(selection.parents.is_empty());
        let [eth0, vlan] = &devices;
        assert!(selection.carries_vlan_uplink(eth0) && !selection.carries_vlan_uplink(vlan));
        assert_eq!(selection.xdp().map(|device| device.index).collect::<Vec<_>>(), [1]);
    }
}
