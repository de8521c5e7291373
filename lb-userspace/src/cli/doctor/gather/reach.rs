//! Whether packets find their way: from here to endpoints, and from outside to VIPs.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use lb_common::backend::{BACKEND_LOCAL, Backend};

use crate::{
    cli::{
        CliError,
        doctor::facts::{Place, Silent, Vip},
    },
    dataplane::{
        device::Device,
        neighbour,
        netlink::{Netlink, NetlinkError},
        routes::{NextHop, Routes},
    },
};

/// VIPs that are asked for at most: each is a broadcast.
const MOST_ASKED: usize = 64;

/// What the kernel's routes and neighbours say.
#[derive(Default)]
pub(super) struct Reach {
    /// Next hops that do not answer.
    pub(super) silent: Vec<Silent>,
    /// Endpoints on other nodes that no route leads to.
    pub(super) unrouted: BTreeSet<IpAddr>,
}

/// Looks for the way to `backends`, and to `vips`, whose places it fills in; `uplinks` are the indices of those.
///
/// # Errors
/// Where the kernel does not list its routes or neighbours.
pub(super) fn gather<'a>(
    backends: impl Iterator<Item = &'a Backend>,
    vips: &mut [Vip],
    present: &[Device],
    uplinks: &BTreeSet<u32>,
) -> Result<Reach, CliError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::Runtime)?;
    let names = present.iter().map(|device| (device.index, device.name.as_str())).collect();
    let look = async {
        let netlink = Netlink::open()?;
        let routes = netlink.routes().await?;
        place(&netlink, &routes, vips, present, uplinks).await?;
        endpoints(&netlink, &routes, backends, uplinks, &names).await
    };
    Ok(runtime.block_on(look)?)
}

async fn endpoints<'a>(
    netlink: &Netlink,
    routes: &Routes,
    backends: impl Iterator<Item = &'a Backend>,
    uplinks: &BTreeSet<u32>,
    names: &BTreeMap<u32, &str>,
) -> Result<Reach, NetlinkError> {
    let mut reach = Reach::default();
    let gateways = routes.gateways().filter(|hop| uplinks.contains(&hop.ifindex));
    let mut behind: BTreeMap<NextHop, BTreeSet<IpAddr>> =
        gateways.map(|hop| (hop, BTreeSet::new())).collect();
    for backend in backends.filter(|backend| !backend.address.is_none()) {
        let address = IpAddr::from(backend.address);
        let mut hops = routes.next_hops(address).peekable();
        if hops.peek().is_none() && backend.flags & BACKEND_LOCAL == 0 {
            reach.unrouted.insert(address);
        }
        for hop in hops {
            behind.entry(hop).or_default().insert(address);
        }
    }
    let silent = neighbour::unanswered(netlink, &behind.keys().copied().collect()).await?;
    reach.silent = silent
        .into_iter()
        .map(|hop| Silent {
            address: hop.address,
            device: names.get(&hop.ifindex).map_or_else(|| format!("if{}", hop.ifindex), ToString::to_string),
            endpoints: behind.remove(&hop).unwrap_or_default(),
        })
        .collect();
    Ok(reach)
}

/// Finds out where VIPs lie, and asks the hosts of a segment for those that no packet has come for.
async fn place(
    netlink: &Netlink,
    routes: &Routes,
    vips: &mut [Vip],
    present: &[Device],
    uplinks: &BTreeSet<u32>,
) -> Result<(), NetlinkError> {
    let owned: BTreeSet<_> =
        present.iter().filter(|device| !device.dummy).flat_map(|d| &d.addresses).collect();
    let segments: BTreeMap<IpAddr, NextHop> = vips
        .iter()
        .filter(|vip| !owned.contains(&vip.address))
        .filter_map(|vip| {
            let mut hops = routes.next_hops(vip.address);
            Some((
                vip.address,
                hops.find(|hop| hop.address == vip.address && uplinks.contains(&hop.ifindex))?,
            ))
        })
        .collect();
    let quiet = vips.iter().filter(|vip| vip.packets == 0).filter_map(|vip| segments.get(&vip.address));
    let answers = neighbour::ask(netlink, &quiet.take(MOST_ASKED).copied().collect()).await?;
    for vip in vips {
        vip.place = match segments.get(&vip.address) {
            _ if owned.contains(&vip.address) => Place::Own,
            None => Place::Routed,
            Some(hop) => Place::Segment {
                device: present
                    .iter()
                    .find(|d| d.index == hop.ifindex)
                    .map(|d| d.name.clone())
                    .unwrap_or_default(),
                answered: answers.get(hop).copied(),
            },
        };
    }
    Ok(())
}
