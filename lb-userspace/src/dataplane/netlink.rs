//! What the kernel says about devices, addresses and routes, and when it changes.

use std::net::Ipv4Addr;

use futures::{Stream, StreamExt, TryStream, TryStreamExt, future};
use rtnetlink::{
    Handle, MulticastGroup, RouteMessageBuilder, new_connection, new_multicast_connection,
    packet_core::NetlinkPayload,
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        address::{AddressAttribute, AddressHeaderFlags, AddressMessage},
        link::{
            InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage, LinkXdp, XdpAttached,
        },
        neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage},
        route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteType},
    },
};

use super::device::{Device, XdpProgram};

/// Why the kernel's tables could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// No socket.
    #[error("opening a netlink socket: {0}")]
    Socket(#[source] std::io::Error),
    /// A request failed.
    #[error("netlink, {what}: {source}")]
    Request {
        /// What was asked for.
        what: &'static str,
        /// What the kernel said.
        source: rtnetlink::Error,
    },
}

/// Something that the kernel tells by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Devices or addresses.
    Devices,
    /// Something that was lost, the socket's buffer being full.
    Lost,
    /// Routes or rules.
    Routes,
    /// A neighbour, with its link-layer address where it has one.
    Neighbour {
        /// The neighbour.
        hop: NextHop,
        /// Its link-layer address.
        mac: Option<Vec<u8>>,
    },
}

/// Where a packet to some address goes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NextHop {
    /// Index of the device.
    pub ifindex: u32,
    /// The gateway, or the address itself where it is on the link.
    pub address: Ipv4Addr,
}

/// A netlink connection in this thread's network namespace.
#[derive(Clone)]
pub struct Netlink {
    pub(super) handle: Handle,
}

impl Netlink {
    /// Opens a connection; its driver runs on the current tokio runtime.
    ///
    /// # Errors
    /// Where there is no socket.
    pub fn open() -> Result<Self, NetlinkError> {
        let (connection, handle, _) = new_connection().map_err(NetlinkError::Socket)?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    /// Every device with its addresses, in the order of their indices.
    ///
    /// # Errors
    /// Where the kernel does not answer.
    pub async fn devices(&self) -> Result<Vec<Device>, NetlinkError> {
        let links = collect("listing devices", self.handle.link().get().execute()).await?;
        let addresses = collect("listing addresses", self.handle.address().get().execute()).await?;
        let routes = self.default_routes().await?;
        let mut devices: Vec<_> = links.iter().map(device).collect();
        devices.sort_by_key(|device| device.index);
        for device in &mut devices {
            let own = addresses.iter().filter(|address| address.header.index == device.index);
            let (secondary, primary): (Vec<_>, Vec<_>) =
                own.partition(|address| address.header.flags.contains(AddressHeaderFlags::Secondary));
            device.addresses = primary.into_iter().chain(secondary).filter_map(ipv4).collect();
            device.default_route = routes.iter().any(|hop| hop.0 == device.index);
        }
        Ok(devices)
    }

    /// Next hops of default routes in the main table, with the gateway where there is one.
    async fn default_routes(&self) -> Result<Vec<(u32, Option<Ipv4Addr>)>, NetlinkError> {
        let all = RouteMessageBuilder::<Ipv4Addr>::new().build();
        let routes = collect("listing routes", self.handle.route().get(all).execute()).await?;
        Ok(routes
            .iter()
            .filter(|route| is_default(route))
            .flat_map(|route| hops(&route.attributes))
            .collect())
    }

    /// The gateways of default routes.
    ///
    /// # Errors
    /// Where the kernel does not answer.
    pub async fn gateways(&self) -> Result<Vec<NextHop>, NetlinkError> {
        let routes = self.default_routes().await?;
        Ok(routes
            .into_iter()
            .filter_map(|(ifindex, gateway)| gateway.map(|address| NextHop { ifindex, address }))
            .collect())
    }

    /// Where packets to `address` go next; none where there is no route.
    pub async fn next_hop(&self, address: Ipv4Addr) -> Option<NextHop> {
        let mut request = RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(address, 32).build();
        request.header.table = RouteHeader::RT_TABLE_UNSPEC;
        // "Network is unreachable" is the kernel's way to say that there is none.
        let route = self.handle.route().get(request).execute().try_next().await.ok()??;
        if route.header.kind != RouteType::Unicast {
            return None;
        }
        let (ifindex, gateway) = hops(&route.attributes).into_iter().next()?;
        Some(NextHop { ifindex, address: gateway.unwrap_or(address) })
    }
}

/// Tells of changes from now on.
///
/// # Errors
/// Where there is no socket.
pub fn changes() -> Result<impl Stream<Item = Change> + Unpin, NetlinkError> {
    const GROUPS: [MulticastGroup; 5] = [
        MulticastGroup::Link,
        MulticastGroup::Ipv4Ifaddr,
        MulticastGroup::Ipv4Route,
        MulticastGroup::Ipv4Rule,
        MulticastGroup::Neigh,
    ];
    let (connection, _, messages) = new_multicast_connection(&GROUPS).map_err(NetlinkError::Socket)?;
    tokio::spawn(connection);
    Ok(messages.filter_map(|(message, _)| future::ready(change(message.payload))))
}

fn change(payload: NetlinkPayload<RouteNetlinkMessage>) -> Option<Change> {
    match payload {
        NetlinkPayload::Overrun(_) => Some(Change::Lost),
        NetlinkPayload::InnerMessage(message) => match message {
            RouteNetlinkMessage::NewLink(_)
            | RouteNetlinkMessage::DelLink(_)
            | RouteNetlinkMessage::NewAddress(_)
            | RouteNetlinkMessage::DelAddress(_) => Some(Change::Devices),
            RouteNetlinkMessage::NewRoute(_)
            | RouteNetlinkMessage::DelRoute(_)
            | RouteNetlinkMessage::NewRule(_)
            | RouteNetlinkMessage::DelRule(_) => Some(Change::Routes),
            RouteNetlinkMessage::NewNeighbour(message) => neighbour(&message),
            _ => None,
        },
        _ => None,
    }
}

/// A neighbour message's address; none where it is not of IPv4.
pub(super) fn neighbour(message: &NeighbourMessage) -> Option<Change> {
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some(*address),
        _ => None,
    })?;
    let mac = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(mac) => Some(mac.clone()),
        _ => None,
    });
    Some(Change::Neighbour { hop: NextHop { ifindex: message.header.ifindex, address }, mac })
}

fn device(link: &LinkMessage) -> Device {
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
            }
            LinkAttribute::Address(mac) if device.ethernet => {
                device.mac = mac.as_slice().try_into().unwrap_or_default();
            }
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
        | InfoKind::GreTun
        | InfoKind::IpIp
        | InfoKind::SitTun
        | InfoKind::Wireguard
        | InfoKind::Xfrm => true,
        // A tap is a virtual machine's Ethernet device, a tun somebody's tunnel.
        InfoKind::Tun => !ethernet,
        _ => false,
    }
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

fn ipv4(message: &AddressMessage) -> Option<Ipv4Addr> {
    // On a point-to-point link `Address` is the peer's and `Local` ours (rtnetlink(7)).
    message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(std::net::IpAddr::V4(address)) => Some(*address),
        _ => None,
    })
}

fn is_default(route: &RouteMessage) -> bool {
    route.header.address_family == AddressFamily::Inet
        && route.header.destination_prefix_length == 0
        && route.header.table == RouteHeader::RT_TABLE_MAIN
        && route.header.kind == RouteType::Unicast
}

/// Device and gateway of a route, of each path of a multipath route.
fn hops(attributes: &[RouteAttribute]) -> Vec<(u32, Option<Ipv4Addr>)> {
    let gateway = |attributes: &[RouteAttribute]| {
        attributes.iter().find_map(|attribute| match attribute {
            RouteAttribute::Gateway(RouteAddress::Inet(address)) => Some(*address),
            _ => None,
        })
    };
    let mut found = Vec::new();
    for attribute in attributes {
        match attribute {
            RouteAttribute::Oif(index) => found.push((*index, gateway(attributes))),
            RouteAttribute::MultiPath(paths) => {
                found.extend(paths.iter().map(|path| (path.interface_index, gateway(&path.attributes))));
            }
            _ => {}
        }
    }
    found
}

pub(super) async fn collect<T>(
    what: &'static str,
    stream: impl TryStream<Ok = T, Error = rtnetlink::Error>,
) -> Result<Vec<T>, NetlinkError> {
    stream.try_collect().await.map_err(|source| NetlinkError::Request { what, source })
}
