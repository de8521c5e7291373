//! Network devices that the agent has a program on, or may send through.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Native XDP is attached: XDP on another device may redirect here.
pub const INTERFACE_XDP: u32 = 1 << 0;
/// Packets leave encapsulated (vxlan, geneve, ipip, wireguard …); only the stack can send through it.
pub const INTERFACE_OVERLAY: u32 = 1 << 1;

/// A device, 16 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Interface {
    /// Source address for SNAT through this device, network byte order; used where the kernel cannot name the source
    /// of a route itself (before 6.7). 0 where the device has none.
    pub address_be: u32,
    /// `INTERFACE_*` bits.
    pub flags: u32,
    /// The device's own MAC address; zeros where it has none. A frame for another address (flooded by a bridge to
    /// every port) must not open a flow here: the node that it is meant for does.
    pub mac: [u8; 6],
    /// Zero.
    pub _pad: [u8; 2],
}
