//! Network devices, and which of them get programs.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use lb_common::interface::{INTERFACE_OVERLAY, INTERFACE_XDP, Interface};

use super::attach::{Attached, Hook};

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
    /// IPv4 addresses, the one that the kernel prefers as source first.
    pub addresses: Vec<Ipv4Addr>,
    /// A default route leads through it.
    pub default_route: bool,
    /// XDP program, whosever it is.
    pub xdp: Option<XdpProgram>,
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
    /// XDP and tcx, both directions.
    pub uplinks: BTreeMap<String, Device>,
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
        node_addresses: &[Ipv4Addr],
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
        (selection, errors)
    }

    /// The device of this index where it is to have a program at `hook`.
    pub fn wanted(&self, index: u32, hook: Hook) -> Option<&Device> {
        let uplink = self.uplinks.values().find(|device| device.index == index);
        let overlay = || self.overlays.values().find(|device| device.index == index);
        if hook == Hook::Ingress { uplink.or_else(overlay) } else { uplink }
    }

    /// The `interfaces` map of this selection, given where uplinks have their programs.
    pub fn interfaces(&self, attached: &BTreeMap<u32, Attached>) -> BTreeMap<u32, Interface> {
        let entry = |device: &Device, flags| {
            let address_be =
                device.addresses.first().map_or(0, |address| u32::from_ne_bytes(address.octets()));
            (device.index, Interface { address_be, flags, mac: device.mac, ..Interface::default() })
        };
        let uplinks = self.uplinks.values().map(|device| {
            let xdp = matches!(attached.get(&device.index), Some(Attached::Native | Attached::Generic));
            entry(device, if xdp { INTERFACE_XDP } else { 0 })
        });
        uplinks.chain(self.overlays.values().map(|device| entry(device, INTERFACE_OVERLAY))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str, address: [u8; 4]) -> Device {
        Device { name: name.to_owned(), ethernet: true, addresses: vec![address.into()], ..Device::default() }
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
        assert_eq!(flags, [(2, INTERFACE_XDP), (3, 0), (5, INTERFACE_OVERLAY), (6, INTERFACE_OVERLAY)]);
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
}
