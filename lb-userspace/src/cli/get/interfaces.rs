//! `sluice get interfaces`: devices with programs on them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
};

use lb_common::{
    address::IpAddress,
    interface::{INTERFACE_OVERLAY, INTERFACE_XDP, Interface, VlanTag},
};
use serde::Serialize;

use super::{Pinned, Resourceful};
use crate::{
    cli::{
        CliError, devices,
        names::{self, ServiceName},
        output::{self, Column, Row},
    },
    dataplane::{attach::Hook, device::Device, pin::PinDir},
};

/// A device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InterfaceRow {
    ifindex: u32,
    name: String,
    mode: Mode,
    /// Hooks that a program is pinned on: `xdp`, `in`, `out`.
    programs: Vec<String>,
    overlay: bool,
    snat_address: Option<IpAddr>,
    snat_address6: Option<IpAddr>,
    vlan: Option<Vlan>,
}

/// What a VLAN device is on top of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Vlan {
    /// The device that its frames leave by.
    parent: String,
    /// VLAN identifiers that they carry there, the outer first.
    ids: Vec<u16>,
}

impl fmt::Display for Vlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self.ids.iter().map(ToString::to_string).collect();
        write!(f, "{}@{}", ids.join("."), self.parent)
    }
}

/// How packets are met on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    /// XDP in the driver.
    Native,
    /// XDP in the stack.
    Generic,
    /// tcx only.
    Tc,
    /// No program; packets are only sent through it.
    None,
}

impl Mode {
    fn of(interface: Interface, hooks: &BTreeSet<Hook>, generic: bool) -> Self {
        if interface.flags & INTERFACE_XDP != 0 {
            if generic { Self::Generic } else { Self::Native }
        } else if hooks.is_empty() {
            Self::None
        } else {
            Self::Tc
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Tc => "tc",
            Self::None => "none",
        }
    }
}

impl Row for InterfaceRow {
    const LIST: &'static str = "InterfaceList";
    const COLUMNS: &'static [Column<Self>] = &[
        Column::new("IFINDEX", |row| row.ifindex.to_string()),
        Column::new("NAME", |row| row.name.clone()),
        Column::new("MODE", |row| row.mode.as_str().to_owned()),
        Column::new("PROGRAMS", |row| output::or_dash(&row.programs.join(","))),
        Column::new("SNAT-ADDRESSES", |row| {
            let addresses = row.snat_address.iter().chain(&row.snat_address6);
            output::or_dash(&addresses.map(ToString::to_string).collect::<Vec<_>>().join(","))
        }),
        Column::wide("VLAN", |row| output::some_or_dash(row.vlan.as_ref())),
        Column::wide("OVERLAY", |row| row.overlay.to_string()),
    ];
}

impl Resourceful for InterfaceRow {
    const KIND: &'static str = "interfaces";

    fn is_named(&self, name: &str) -> bool {
        self.name == name
    }

    fn services(&self) -> Vec<&ServiceName> {
        Vec::new()
    }
}

/// Every device, by index.
pub(super) fn collect(pinned: &Pinned, dir: &PinDir) -> Result<Vec<InterfaceRow>, CliError> {
    Ok(rows(&pinned.interfaces()?, &PinDir::list(&dir.links())?, &devices::list()?))
}

fn rows(interfaces: &BTreeMap<u32, Interface>, links: &[String], devices: &[Device]) -> Vec<InterfaceRow> {
    let hooks = devices::hooks(links);
    let device = |index: u32| devices.iter().find(|device| device.index == index);
    let name = |index: u32| device(index).map_or_else(|| format!("if{index}"), |device| device.name.clone());
    let row = |(ifindex, interface): (&u32, &Interface)| {
        let programs = hooks.get(&name(*ifindex)).cloned().unwrap_or_default();
        let with_xdp = if interface.parent == 0 { *ifindex } else { interface.parent };
        let generic = device(with_xdp).and_then(|device| device.xdp).is_some_and(|xdp| xdp.generic);
        InterfaceRow {
            ifindex: *ifindex,
            name: name(*ifindex),
            mode: Mode::of(*interface, &programs, generic),
            programs: programs.iter().map(ToString::to_string).collect(),
            overlay: interface.flags & INTERFACE_OVERLAY != 0,
            snat_address: some_address(interface.address_be),
            snat_address6: some_address(interface.address6_be),
            vlan: (interface.parent != 0)
                .then(|| Vlan { parent: name(interface.parent), ids: vlan_ids(&interface.tags) }),
        }
    };
    interfaces.iter().map(row).collect()
}

fn some_address<A: IpAddress>(address: A) -> Option<IpAddr> {
    (!address.is_none()).then(|| names::address(address))
}

fn vlan_ids(tags: &[VlanTag]) -> Vec<u16> {
    let used = tags.iter().filter(|tag| tag.protocol_be != 0);
    used.map(|tag| u16::from_be(tag.id_be)).collect()
}

#[cfg(test)]
mod tests {
    use lb_common::address::Address;

    use super::*;
    use crate::{
        cli::output::{Format, View},
        dataplane::device::XdpProgram,
    };

    #[test]
    fn the_mode_follows_from_the_flag_the_links_and_the_device() {
        let address_be = u32::from_ne_bytes([172, 18, 0, 2]);
        let tag = |id: u16| VlanTag { protocol_be: 0x8100u16.to_be(), id_be: id.to_be() };
        let vlan = Interface {
            address6_be: "2001:db8::2".parse::<IpAddr>().map(Address::from).unwrap().words_be,
            flags: INTERFACE_XDP,
            parent: 3,
            tags: [tag(100), tag(200)],
            ..Interface::default()
        };
        let interfaces = BTreeMap::from([
            (2, Interface { address_be, flags: INTERFACE_XDP, ..Interface::default() }),
            (3, Interface { address_be, flags: INTERFACE_XDP, ..Interface::default() }),
            (4, Interface { address_be, ..Interface::default() }),
            (5, Interface { flags: INTERFACE_OVERLAY, ..Interface::default() }),
            (6, Interface::default()),
            (7, vlan),
        ]);
        let links =
            ["eth-0-in", "eth-0-out", "eth-0-xdp", "eth1-xdp", "eth2-in", "eth1:100-in", "flannel:1-in"];
        let devices = [("eth-0", 2), ("eth1", 3), ("eth2", 4), ("flannel.1", 5), ("eth1.100", 7)].map(
            |(name, index)| Device {
                index,
                name: name.to_owned(),
                xdp: Some(XdpProgram { id: 1, generic: index == 3 }),
                ..Device::default()
            },
        );
        let mut out = Vec::new();
        let view = View { format: Format::Wide, all_namespaces: false, no_headers: false };
        output::print(&mut out, view, &rows(&interfaces, &links.map(str::to_owned), &devices)).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        IFINDEX  NAME       MODE     PROGRAMS    SNAT-ADDRESSES  VLAN          OVERLAY
        2        eth-0      native   xdp,in,out  172.18.0.2      -             false
        3        eth1       generic  xdp         172.18.0.2      -             false
        4        eth2       tc       in          172.18.0.2      -             false
        5        flannel.1  tc       in          -               -             true
        6        if6        none     -           -               -             false
        7        eth1.100   generic  in          2001:db8::2     100.200@eth1  false
        ");
    }
}
