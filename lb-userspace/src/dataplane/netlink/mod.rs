//! What the kernel says about devices, addresses and routes, and when it changes.

mod address;
mod link;
mod route;

use std::{collections::BTreeSet, net::IpAddr};

use futures::{Stream, StreamExt, TryStream, TryStreamExt, future};
use rtnetlink::{
    Handle, MulticastGroup, new_connection, new_multicast_connection,
    packet_core::NetlinkPayload,
    packet_route::{
        RouteNetlinkMessage,
        neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage},
        route::RouteMessage,
    },
};

use super::{
    device::Device,
    ethtool,
    routes::{NextHop, Routes},
    vlan,
};

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
        let mut devices: Vec<_> = links.iter().map(link::device).collect();
        devices.sort_by_key(|device| device.index);
        for device in &mut devices {
            let own = addresses.iter().filter(|address| address.header.index == device.index);
            (device.addresses, device.sources) = address::of_device(own);
            device.default_route = routes.iter().any(|hop| hop.0 == device.index);
        }
        vlan::resolve(&mut devices);
        let parents: BTreeSet<_> =
            devices.iter().filter_map(|device| device.vlan.as_ref()).map(|vlan| vlan.parent).collect();
        for device in devices.iter_mut().filter(|device| parents.contains(&device.index)) {
            // A device without a driver of its own takes nothing off.
            device.hides_tags = ethtool::strips_vlan_tags(&device.name).unwrap_or(false);
        }
        Ok(devices)
    }

    /// Next hops of default routes of both families in the main table, with the gateway where there is one.
    async fn default_routes(&self) -> Result<Vec<(u32, Option<IpAddr>)>, NetlinkError> {
        let routes = self.every_route().await?;
        let default = routes.iter().filter(|route| route::is_default(route));
        Ok(default.flat_map(|route| route::hops(&route.attributes)).collect())
    }

    /// The routes by which packets find their next hop.
    ///
    /// # Errors
    /// Where the kernel does not answer.
    pub async fn routes(&self) -> Result<Routes, NetlinkError> {
        let routes = self.every_route().await?;
        Ok(routes.iter().filter_map(route::read).collect())
    }

    /// Every route of both families.
    async fn every_route(&self) -> Result<Vec<RouteMessage>, NetlinkError> {
        let mut found = Vec::new();
        for family in route::all() {
            found.extend(collect("listing routes", self.handle.route().get(family).execute()).await?);
        }
        Ok(found)
    }
}

/// Tells of changes from now on.
///
/// # Errors
/// Where there is no socket.
pub fn changes() -> Result<impl Stream<Item = Change> + Unpin, NetlinkError> {
    const GROUPS: [MulticastGroup; 8] = [
        MulticastGroup::Link,
        MulticastGroup::Ipv4Ifaddr,
        MulticastGroup::Ipv4Route,
        MulticastGroup::Ipv4Rule,
        MulticastGroup::Ipv6Ifaddr,
        MulticastGroup::Ipv6Route,
        MulticastGroup::Ipv6Rule,
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
            RouteNetlinkMessage::NewRoute(route) | RouteNetlinkMessage::DelRoute(route) => {
                (!route::stays_on_link(&route)).then_some(Change::Routes)
            }
            RouteNetlinkMessage::NewRule(_) | RouteNetlinkMessage::DelRule(_) => Some(Change::Routes),
            RouteNetlinkMessage::NewNeighbour(message) => neighbour(&message),
            _ => None,
        },
        _ => None,
    }
}

/// A neighbour message's address; none where it is not of IP.
pub(super) fn neighbour(message: &NeighbourMessage) -> Option<Change> {
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some(IpAddr::V4(*address)),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    })?;
    let mac = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(mac) => Some(mac.clone()),
        _ => None,
    });
    Some(Change::Neighbour { hop: NextHop { ifindex: message.header.ifindex, address }, mac })
}

pub(super) async fn collect<T>(
    what: &'static str,
    stream: impl TryStream<Ok = T, Error = rtnetlink::Error>,
) -> Result<Vec<T>, NetlinkError> {
    stream.try_collect().await.map_err(|source| NetlinkError::Request { what, source })
}
