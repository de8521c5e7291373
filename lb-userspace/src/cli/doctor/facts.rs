//! What `doctor` looks at, as plain values.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    ops::RangeInclusive,
    path::PathBuf,
};

use super::kube_proxy::Rules;
use crate::{
    cli::names::{FrontendType, Target},
    dataplane::{attach::Hook, device::XdpProgram, usage::Usage},
};

/// Everything that is judged.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// `uname -r`.
    pub(crate) release: String,
    /// Major and minor number of the kernel.
    pub(crate) version: (u8, u8),
    /// The kernel's types are known (`/sys/kernel/btf/vmlinux`).
    pub(crate) btf: bool,
    /// Capabilities that this process lacks and an agent needs.
    pub(crate) missing_capabilities: Vec<&'static str>,
    /// `--bpf-dir`.
    pub(crate) bpf_dir: PathBuf,
    /// It is on a BPF filesystem.
    pub(crate) bpffs: bool,
    /// Pin directories of other layouts.
    pub(crate) other_layouts: Vec<PathBuf>,
    /// An agent holds the pin directory; unknown where it cannot be opened.
    pub(crate) agent_runs: Option<bool>,
    /// Maps are pinned, and this process may not open them.
    pub(crate) denied: bool,
    /// What the pinned maps hold; none where there are none.
    pub(crate) data_plane: Option<DataPlane>,
    /// Devices with our programs on them, or those that an agent would choose.
    pub(crate) devices: Vec<Device>,
    /// `net.ipv4.ip_forward`.
    pub(crate) ip_forward: Option<bool>,
    /// `net.ipv6.conf.all.forwarding`.
    pub(crate) ip6_forward: Option<bool>,
    /// Source ports of forwarded connections.
    pub(crate) snat_ports: RangeInclusive<u16>,
    /// `net.ipv4.ip_local_port_range`.
    pub(crate) local_ports: Option<RangeInclusive<u16>>,
    /// `net.ipv4.ip_local_reserved_ports`.
    pub(crate) reserved_ports: Vec<RangeInclusive<u16>>,
    /// Frontends that kube-proxy's rules answer for.
    pub(crate) kube_proxy: Rules,
}

/// What the pinned maps hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct DataPlane {
    /// Devices that its maps know.
    pub(crate) interfaces: usize,
    /// Frontends, catch-alls left out.
    pub(crate) frontends: Vec<Frontend>,
    /// How full the maps are.
    pub(crate) maps: Vec<Usage>,
    /// Direct server return.
    pub(crate) dsr: Dsr,
    /// Addresses of frontends that are not the nodes' own.
    pub(crate) vips: Vec<Vip>,
    /// Next hops that do not answer.
    pub(crate) silent: Vec<Silent>,
    /// Endpoints on other nodes that no route leads to.
    pub(crate) unrouted: BTreeSet<IpAddr>,
}

/// An external IP or a load balancer's address.
#[derive(Clone, Debug)]
pub(crate) struct Vip {
    /// Address.
    pub(crate) address: IpAddr,
    /// The Services behind it.
    pub(crate) services: BTreeSet<String>,
    /// Packets that its Service ports have had here, by whichever of their addresses.
    pub(crate) packets: u64,
    /// Where it lies.
    pub(crate) place: Place,
}

/// Where a VIP lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In no segment of an uplink: routers have to know the way.
    Routed,
    /// A device of this node has it.
    Own,
    /// In the segment of an uplink: hosts and routers there ask who has it (ARP, neighbour discovery).
    Segment {
        /// The uplink.
        device: String,
        /// Another host answers for it; unknown where this process may not ask.
        answered: Option<bool>,
    },
}

/// A next hop that does not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Silent {
    /// Its address.
    pub(crate) address: IpAddr,
    /// The device by which packets go there.
    pub(crate) device: String,
    /// Endpoints behind it; none behind a gateway that only clients are behind.
    pub(crate) endpoints: BTreeSet<IpAddr>,
}

/// Direct server return, as far as it is used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dsr {
    /// Service ports that are forwarded like this.
    pub(crate) services: usize,
    /// Addresses of nodes that may send encapsulated packets here.
    pub(crate) peers: usize,
    /// Bytes that encapsulation adds on the way to endpoints on other nodes; 0 where there are none.
    pub(crate) overhead: u32,
}

impl Facts {
    /// True where a frontend is IPv4.
    pub(crate) fn has_ipv4(&self) -> bool {
        self.frontends().any(|frontend| frontend.target.socket.is_ipv4())
    }

    /// True where a frontend is IPv6.
    pub(crate) fn has_ipv6(&self) -> bool {
        self.frontends().any(|frontend| frontend.target.socket.is_ipv6())
    }

    fn frontends(&self) -> impl Iterator<Item = &Frontend> {
        self.data_plane.iter().flat_map(|data_plane| &data_plane.frontends)
    }
}

/// A frontend.
#[derive(Clone, Debug)]
pub(crate) struct Frontend {
    /// Address, port, protocol.
    pub(crate) target: Target,
    /// Which field of the Service it comes from.
    pub(crate) r#type: FrontendType,
    /// The Service port's name.
    pub(crate) service: String,
    /// `externalTrafficPolicy: Local`.
    pub(crate) local: bool,
    /// Its ring is empty.
    pub(crate) empty: bool,
}

/// What a device is to the data plane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Role {
    /// Clients' packets come in and go out by it.
    #[default]
    Uplink,
    /// An uplink that is a VLAN of another device, below which XDP is.
    Vlan,
    /// Carries XDP for VLANs, and is no uplink itself.
    Parent,
    /// Packets leave it encapsulated.
    Overlay,
    /// Not in the data plane, though an agent that chooses for itself would take it, or had taken one of its name.
    Outside,
}

/// A device.
#[derive(Clone, Debug, Default)]
pub(crate) struct Device {
    /// Name.
    pub(crate) name: String,
    /// What it is to the data plane.
    pub(crate) role: Role,
    /// Largest packet that it sends; 0 where that is not known.
    pub(crate) mtu: u32,
    /// Ids of the programs that our links hold here. A link of a device that is gone is left out.
    pub(crate) links: BTreeMap<Hook, u32>,
    /// The maps say that our XDP program is here.
    pub(crate) has_xdp: bool,
    /// Links of ours were on a device of this name that is gone.
    pub(crate) is_anew: bool,
    /// The XDP program on it, whosever it is.
    pub(crate) xdp: Option<XdpProgram>,
    /// tcx programs that are not ours and see packets before ours do: direction and name.
    pub(crate) tcx_before: Vec<(Hook, String)>,
    /// `net.ipv4.conf.DEVICE.forwarding`.
    pub(crate) forwarding: Option<bool>,
    /// `net.ipv6.conf.DEVICE.forwarding`.
    pub(crate) forwarding6: Option<bool>,
    /// The greater of `net.ipv4.conf.{all,DEVICE}.rp_filter`, which is what counts.
    pub(crate) rp_filter: Option<u8>,
}
