//! `sluice get interfaces`: devices with programs on them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use lb_common::interface::{INTERFACE_OVERLAY, INTERFACE_XDP, Interface};
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
        Column::new("SNAT-ADDRESS", |row| {
            row.snat_address.map_or_else(|| "-".to_owned(), |ip| ip.to_string())
        }),
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
    interfaces
        .iter()
        .map(|(ifindex, interface)| {
            let device = devices.iter().find(|device| device.index == *ifindex);
            let name = device.map_or_else(|| format!("if{ifindex}"), |device| device.name.clone());
            let programs = hooks.get(&name).cloned().unwrap_or_default();
            let generic = device.and_then(|device| device.xdp).is_some_and(|xdp| xdp.generic);
            InterfaceRow {
                ifindex: *ifindex,
                mode: Mode::of(*interface, &programs, generic),
                programs: programs.iter().map(ToString::to_string).collect(),
                overlay: interface.flags & INTERFACE_OVERLAY != 0,
                snat_address: (interface.address_be != 0).then(|| names::address(interface.address_be)),
                name,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::output::{Format, View},
        dataplane::device::XdpProgram,
    };

    #[test]
    fn the_mode_follows_from_the_flag_the_links_and_the_device() {
        let address_be = u32::from_ne_bytes([172, 18, 0, 2]);
        let interfaces = BTreeMap::from([
            (2, Interface { address_be, flags: INTERFACE_XDP, ..Interface::default() }),
            (3, Interface { address_be, flags: INTERFACE_XDP, ..Interface::default() }),
            (4, Interface { address_be, ..Interface::default() }),
            (5, Interface { flags: INTERFACE_OVERLAY, ..Interface::default() }),
            (6, Interface::default()),
        ]);
        let links = ["eth-0-in", "eth-0-out", "eth-0-xdp", "eth1-xdp", "eth2-in", "flannel:1-in"];
        let devices =
            [("eth-0", 2), ("eth1", 3), ("eth2", 4), ("flannel.1", 5)].map(|(name, index)| Device {
                index,
                name: name.to_owned(),
                xdp: Some(XdpProgram { id: 1, generic: index == 3 }),
                ..Device::default()
            });
        let mut out = Vec::new();
        let view = View { format: Format::Wide, all_namespaces: false, no_headers: false };
        output::print(&mut out, view, &rows(&interfaces, &links.map(str::to_owned), &devices)).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        IFINDEX  NAME       MODE     PROGRAMS    SNAT-ADDRESS  OVERLAY
        2        eth-0      native   xdp,in,out  172.18.0.2    false
        3        eth1       generic  xdp         172.18.0.2    false
        4        eth2       tc       in          172.18.0.2    false
        5        flannel.1  tc       in          -             true
        6        if6        none     -           -             false
        ");
    }
}
