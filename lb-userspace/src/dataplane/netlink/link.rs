//! Devices out of link messages.

use lb_common::interface::VlanTag;
use rtnetlink::packet_route::link::{
    InfoData, InfoKind, InfoVlan, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage, LinkXdp,
    XdpAttached,
};

use crate::dataplane::{
    device::{Device, XdpProgram},
    vlan::Vlan,
};

/// A device, without its addresses and routes; the parent of a VLAN device is the one right below it.
pub(super) fn device(link: &LinkMessage) -> Device {
    let mut device = Device {
        index: link.header.index,
        running: link.header.flags.contains(LinkFlags::Running),
        loopback: link.header.flags.contains(LinkFlags::Loopback),
        ethernet: link.header.link_layer_type == LinkLayerType::Ether,
        ..Device::default()
    };
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::IfName(name) => device.name.clone_from(name),
            LinkAttribute::LinkInfo(infos) => {
                let kind = infos
                    .iter()
                    .find_map(|info| if let LinkInfo::Kind(kind) = info { Some(kind) } else { None });
                device.dummy = matches!(kind, Some(InfoKind::Dummy));
                device.overlay = kind.is_some_and(|kind| is_overlay(kind, device.ethernet));
                device.vlan = vlan(link, infos);
            }
            LinkAttribute::Address(mac) if device.ethernet => {
                device.mac = mac.as_slice().try_into().unwrap_or_default();
            }
            LinkAttribute::Mtu(mtu) => device.mtu = *mtu,
            LinkAttribute::Xdp(attributes) => device.xdp = xdp(attributes),
            _ => {}
        }
    }
    device
}

fn is_overlay(kind: &InfoKind, ethernet: bool) -> bool {
    match kind {
        InfoKind::Vxlan
        | InfoKind::Geneve
        | InfoKind::GreTap
        | InfoKind::GreTap6
        | InfoKind::GreTun
        | InfoKind::GreTun6
        | InfoKind::IpIp
        | InfoKind::Ip6Tnl
        | InfoKind::SitTun
        | InfoKind::Wireguard
        | InfoKind::Xfrm => true,
        // A tap is a virtual machine's Ethernet device, a tun somebody's tunnel.
        InfoKind::Tun => !ethernet,
        _ => false,
    }
}

/// What a VLAN device is on top of. The index of a device in another network namespace means nothing here.
fn vlan(link: &LinkMessage, infos: &[LinkInfo]) -> Option<Vlan> {
    let elsewhere = link.attributes.iter().any(|it| matches!(it, LinkAttribute::LinkNetNsId(_)));
    let parent = link.attributes.iter().find_map(|it| match it {
        LinkAttribute::Link(index) if !elsewhere => Some(*index),
        _ => None,
    })?;
    let data = infos.iter().find_map(|info| match info {
        LinkInfo::Data(InfoData::Vlan(data)) => Some(data),
        _ => None,
    })?;
    let id = data.iter().find_map(|it| if let InfoVlan::Id(id) = it { Some(*id) } else { None })?;
    let protocol = data
        .iter()
        .find_map(|it| if let InfoVlan::Protocol(protocol) = it { Some(*protocol) } else { None })
        .unwrap_or_default();
    let tag = VlanTag { protocol_be: u16::from(protocol).to_be(), id_be: id.to_be() };
    Some(Vlan { parent, tags: vec![tag] })
}

fn xdp(attributes: &[LinkXdp]) -> Option<XdpProgram> {
    let generic = attributes.contains(&LinkXdp::Attached(XdpAttached::SocketBuffer));
    attributes.iter().find_map(|attribute| match attribute {
        LinkXdp::ProgId(id) | LinkXdp::DrvProgId(id) | LinkXdp::SkbProgId(id) => {
            Some(XdpProgram { id: *id, generic })
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use rtnetlink::packet_route::link::VlanProtocol;

    use super::*;

    fn vlan_link(attributes: Vec<LinkAttribute>) -> LinkMessage {
        let data = vec![InfoVlan::Id(100), InfoVlan::Protocol(VlanProtocol::Ieee8021Ad)];
        let info = vec![LinkInfo::Kind(InfoKind::Vlan), LinkInfo::Data(InfoData::Vlan(data))];
        let mut link = LinkMessage::default();
        link.header.index = 3;
        link.attributes = [vec![LinkAttribute::LinkInfo(info)], attributes].concat();
        link
    }

    #[test]
    fn a_vlan_device_tells_its_tag_and_what_is_below() {
        let tag = VlanTag { protocol_be: 0x88a8u16.to_be(), id_be: 100u16.to_be() };
        assert_eq!(
            device(&vlan_link(vec![LinkAttribute::Link(2)])).vlan,
            Some(Vlan { parent: 2, tags: vec![tag] })
        );
    }

    #[test]
    fn a_parent_in_another_namespace_is_none() {
        let link = vlan_link(vec![LinkAttribute::Link(2), LinkAttribute::LinkNetNsId(0)]);
        assert_eq!(device(&link).vlan, None);
    }
}
