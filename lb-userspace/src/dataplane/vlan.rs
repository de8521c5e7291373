//! VLAN devices: which device their frames leave by, and with which tags.

use std::collections::BTreeMap;

use lb_common::interface::VlanTag;

use super::device::Device;

/// Tags that an [`Interface`](lb_common::interface::Interface) has room for.
const MOST_TAGS: usize = 2;

/// What a VLAN device is on top of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vlan {
    /// Index of the device that frames leave by.
    pub parent: u32,
    /// Tags that frames carry there, the outer first.
    pub tags: Vec<VlanTag>,
}

/// Makes the parents of `devices` those at the bottom: a VLAN device on a VLAN device puts its tag inside the other's.
///
/// A device whose bottom is not among `devices`, or whose frames carry more tags than the kernel programs know, keeps
/// no parent: packets that leave by it are the stack's to send.
pub fn resolve(devices: &mut [Device]) {
    let known: BTreeMap<u32, Option<Vlan>> =
        devices.iter().map(|device| (device.index, device.vlan.clone())).collect();
    for device in devices {
        device.vlan = device.vlan.take().and_then(|vlan| to_bottom(vlan, &known));
    }
}

fn to_bottom(mut vlan: Vlan, known: &BTreeMap<u32, Option<Vlan>>) -> Option<Vlan> {
    while let Some(below) = known.get(&vlan.parent)? {
        vlan.tags.splice(0..0, below.tags.iter().copied());
        vlan.parent = below.parent;
        if vlan.tags.len() > MOST_TAGS {
            return None;
        }
    }
    Some(vlan)
}

impl Vlan {
    /// The tags as the `interfaces` map keeps them.
    pub fn words(&self) -> [VlanTag; MOST_TAGS] {
        std::array::from_fn(|place| self.tags.get(place).copied().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(id: u16) -> VlanTag {
        VlanTag { protocol_be: 0x8100u16.to_be(), id_be: id.to_be() }
    }

    fn device(index: u32, vlan: Option<(u32, u16)>) -> Device {
        let vlan = vlan.map(|(parent, id)| Vlan { parent, tags: vec![tag(id)] });
        Device { index, vlan, ..Device::default() }
    }

    fn resolved(mut devices: Vec<Device>) -> Vec<Option<Vlan>> {
        resolve(&mut devices);
        devices.into_iter().map(|device| device.vlan).collect()
    }

    #[test]
    fn a_vlan_device_on_another_puts_its_tag_inside() {
        let vlans = resolved(vec![device(4, Some((3, 200))), device(2, None), device(3, Some((2, 100)))]);
        assert_eq!(vlans[0], Some(Vlan { parent: 2, tags: vec![tag(100), tag(200)] }));
        assert_eq!(vlans[1], None);
        assert_eq!(vlans[2].as_ref().unwrap().words(), [tag(100), VlanTag::default()]);
    }

    #[test]
    fn three_tags_and_a_parent_elsewhere_are_left_to_the_stack() {
        let stacked =
            vec![device(1, None), device(2, Some((1, 1))), device(3, Some((2, 2))), device(4, Some((3, 3)))];
        assert_eq!(resolved(stacked)[3], None);
        assert_eq!(resolved(vec![device(7, Some((9, 1)))]), [None]);
    }
}
