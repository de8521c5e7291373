//! Network devices that the agent has a program on, or may send through.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::address::{Address, IpAddress, V4, V6};

/// XDP is attached, to a VLAN device's parent in its stead: XDP on another device may redirect here.
pub const INTERFACE_XDP: u32 = 1 << 0;
/// Packets leave encapsulated (vxlan, geneve, ipip, wireguard …); only the stack can send through it.
pub const INTERFACE_OVERLAY: u32 = 1 << 1;

/// tcx egress is attached: replies of local endpoints that leave here are translated.
pub const INTERFACE_UPLINK: u32 = 1 << 2;

/// A VLAN tag (IEEE 802.1Q), 4 bytes. All zero where there is none.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct VlanTag {
    /// EtherType of the tag, 0x8100 or 0x88a8, network byte order.
    pub protocol_be: u16,
    /// VLAN identifier, network byte order.
    pub id_be: u16,
}

/// A device, 44 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Interface {
    /// Source address for SNAT of IPv4 through this device, network byte order; used where the kernel cannot name the
    /// source of a route itself (before 6.7). 0 where the device has none.
    pub address_be: V4,
    /// The same for IPv6.
    pub address6_be: V6,
    /// `INTERFACE_*` bits.
    pub flags: u32,
    /// Interface that the frames of a VLAN device leave by; 0 for other devices.
    pub parent: u32,
    /// Tags that the frames of a VLAN device carry there, the outer first.
    pub tags: [VlanTag; 2],
    /// The device's own MAC address; zeros where it has none. A frame for another address (flooded by a bridge to
    /// every port) must not open a flow here: the node that it is meant for does.
    pub mac: [u8; 6],
    /// Zero.
    pub _pad: [u8; 2],
}

impl Interface {
    /// The source address of the family.
    #[inline(always)]
    pub fn source<A: IpAddress>(&self) -> A {
        if A::IS_V6 {
            A::from_address(Address::v6(self.address6_be))
        } else {
            A::from_address(Address::v4(self.address_be))
        }
    }
}
