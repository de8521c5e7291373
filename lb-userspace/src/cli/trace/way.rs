//! Which programs meet a packet, and as what.

use std::collections::BTreeMap;

use lb_common::interface::{INTERFACE_UPLINK, INTERFACE_XDP, Interface, VlanTag};

use super::explain::Names;
use crate::cli::{CliError, devices};

/// EtherType of a VLAN tag (IEEE 802.1Q), of the only or the inner one.
const ETHERTYPE_VLAN: u16 = 0x8100;
/// EtherType of the outer of two tags (IEEE 802.1ad).
const ETHERTYPE_QINQ: u16 = 0x88a8;

/// The devices that a packet meets a program on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Way {
    /// The device that the frame comes in by; XDP runs there if at all.
    pub(super) ifindex: u32,
    /// XDP runs there.
    pub(super) xdp: bool,
    /// Tags of the frame there, the outer first.
    pub(super) tags: Vec<VlanTag>,
    /// The device that the packet reaches the stack by, without tags; none where the stack has none for the tags.
    pub(super) stack: Option<u32>,
}

/// The way of a packet that comes in by the device `wanted`, else by the first uplink, with these VLAN identifiers.
pub(super) fn of_packet(
    interfaces: &BTreeMap<u32, Interface>,
    wanted: Option<&str>,
    vlans: &[u16],
    names: &Names,
) -> Result<Way, CliError> {
    let found = interfaces.iter().find(|(ifindex, interface)| match wanted {
        Some(name) => devices::name(&names.devices, **ifindex) == name,
        None => interface.flags & INTERFACE_UPLINK != 0,
    });
    let (ifindex, interface) = match (found, wanted) {
        (Some((ifindex, interface)), _) => (*ifindex, interface),
        (None, Some(name)) => {
            return Err(CliError::NotFound {
                kind: "interfaces",
                name: name.to_owned(),
                place: " among the devices that Sluice has a program on".to_owned(),
                all: "",
            });
        }
        (None, None) => return Err(CliError::NoUplink),
    };
    let has_xdp =
        |ifindex: u32| interfaces.get(&ifindex).is_some_and(|interface| interface.flags & INTERFACE_XDP != 0);
    if interface.parent != 0 {
        let below = interface.parent;
        let tags = used(interface).collect();
        return Ok(Way { ifindex: below, xdp: has_xdp(below), tags, stack: Some(ifindex) });
    }
    if vlans.is_empty() {
        return Ok(Way { ifindex, xdp: has_xdp(ifindex), tags: Vec::new(), stack: Some(ifindex) });
    }
    let above = interfaces.iter().find(|(_, above)| {
        above.parent == ifindex && used(above).map(|tag| u16::from_be(tag.id_be)).eq(vlans.iter().copied())
    });
    let tags = above.map_or_else(|| usual_tags(vlans), |(_, above)| used(above).collect());
    Ok(Way { ifindex, xdp: has_xdp(ifindex), tags, stack: above.map(|(ifindex, _)| *ifindex) })
}

fn used(interface: &Interface) -> impl Iterator<Item = VlanTag> {
    interface.tags.into_iter().filter(|tag| tag.protocol_be != 0)
}

fn usual_tags(vlans: &[u16]) -> Vec<VlanTag> {
    let inner = vlans.len() - 1;
    let tag = |(place, id): (usize, &u16)| {
        let protocol = if place == inner { ETHERTYPE_VLAN } else { ETHERTYPE_QINQ };
        VlanTag { protocol_be: protocol.to_be(), id_be: id.to_be() }
    };
    vlans.iter().enumerate().map(tag).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(protocol: u16, id: u16) -> VlanTag {
        VlanTag { protocol_be: protocol.to_be(), id_be: id.to_be() }
    }

    /// eth0 with XDP, eth1 without, and a VLAN device on eth0.
    fn way(wanted: Option<&str>, vlans: &[u16]) -> Result<Way, CliError> {
        let plain = |flags| Interface { flags, ..Interface::default() };
        let vlan = Interface {
            parent: 2,
            tags: [tag(ETHERTYPE_VLAN, 100), VlanTag::default()],
            ..plain(INTERFACE_UPLINK | INTERFACE_XDP)
        };
        let interfaces = BTreeMap::from([(2, plain(INTERFACE_XDP)), (3, plain(INTERFACE_UPLINK)), (4, vlan)]);
        let devices = [(2, "eth0"), (3, "eth1"), (4, "eth0.100")];
        let devices = devices.map(|(index, name)| (index, name.to_owned())).into();
        of_packet(&interfaces, wanted, vlans, &Names { devices, ..Names::default() })
    }

    #[test]
    fn a_packet_comes_in_by_the_first_uplink_unless_one_is_named() {
        assert_eq!(way(None, &[]).unwrap(), Way { ifindex: 3, stack: Some(3), ..Way::default() });
        let named = Way { ifindex: 2, xdp: true, stack: Some(2), ..Way::default() };
        assert_eq!(way(Some("eth0"), &[]).unwrap(), named);
        assert!(matches!(way(Some("eth9"), &[]), Err(CliError::NotFound { .. })));
    }

    #[test]
    fn a_vlan_device_is_met_below_with_its_tag_and_in_the_stack_without() {
        let expected = Way { ifindex: 2, xdp: true, tags: vec![tag(ETHERTYPE_VLAN, 100)], stack: Some(4) };
        assert_eq!(way(Some("eth0.100"), &[]).unwrap(), expected);
        assert_eq!(way(Some("eth0"), &[100]).unwrap(), expected);
    }

    #[test]
    fn tags_that_no_device_takes_end_before_the_stack() {
        let way = way(Some("eth0"), &[100, 7]).unwrap();
        assert_eq!((way.stack, way.tags), (None, vec![tag(ETHERTYPE_QINQ, 100), tag(ETHERTYPE_VLAN, 7)]));
    }
}
