//! Keeps the link-layer addresses of next hops known: XDP can use a neighbour, but not resolve one.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
};

use rtnetlink::packet_route::neighbour::{
    NeighbourAttribute, NeighbourExtFlags, NeighbourFlags, NeighbourMessage, NeighbourState,
};

use super::netlink::{Change, Netlink, NetlinkError, NextHop, collect, neighbour};

/// Neighbours that the kernel resolves by itself because we asked (`NTF_EXT_MANAGED`, Linux 5.16, below our floor).
#[derive(Default)]
pub struct Neighbours {
    managed: BTreeSet<NextHop>,
    macs: BTreeMap<NextHop, Vec<u8>>,
}

impl Neighbours {
    /// Manages exactly `wanted`. Permanent entries are their owner's and are left alone: managing would make the
    /// kernel forget that they are permanent (`__neigh_update`).
    ///
    /// # Errors
    /// Where the kernel does not list its neighbours; an entry that it refuses is logged.
    pub async fn manage(
        &mut self,
        netlink: &Netlink,
        wanted: &BTreeSet<NextHop>,
    ) -> Result<(), NetlinkError> {
        let listed = collect("listing neighbours", netlink.handle.neighbours().get().execute()).await?;
        let known: BTreeMap<_, _> =
            listed.iter().filter_map(|message| Some((hop_of(message)?, message))).collect();
        let is_permanent = |hop: &NextHop| {
            known.get(hop).is_some_and(|message| message.header.state == NeighbourState::Permanent)
        };
        for hop in wanted {
            let fresh = known.get(hop).is_none_or(|message| !is_managed(message));
            if !is_permanent(hop) && fresh {
                match add(netlink, *hop).await {
                    Ok(()) => {
                        tracing::debug!(address = %hop.address, ifindex = hop.ifindex, "keeping neighbour warm")
                    }
                    Err(error) => {
                        tracing::warn!(address = %hop.address, %error, "cannot keep neighbour warm")
                    }
                }
            }
        }
        for hop in self.managed.difference(wanted) {
            if let Some(message) = known.get(hop).filter(|message| is_managed(message)) {
                // Gone meanwhile is as good as removed; whoever still needs the neighbour resolves it again.
                let _ = netlink.handle.neighbours().del((*message).clone()).execute().await;
            }
        }
        self.managed.clone_from(wanted);
        Ok(())
    }

    /// True where a next hop that was known under another link-layer address has a new one: flows remember the old.
    pub fn moved(&mut self, ifindex: u32, address: Ipv4Addr, mac: Option<Vec<u8>>) -> bool {
        let Some(mac) = mac else { return false };
        let hop = NextHop { ifindex, address };
        let before = self.macs.insert(hop, mac.clone());
        before.is_some_and(|before| before != mac)
    }
}

fn hop_of(message: &NeighbourMessage) -> Option<NextHop> {
    match neighbour(message) {
        Some(Change::Neighbour { ifindex, address, .. }) => Some(NextHop { ifindex, address }),
        _ => None,
    }
}

fn is_managed(message: &NeighbourMessage) -> bool {
    message.attributes.iter().any(
        |attribute| matches!(attribute, NeighbourAttribute::ExtFlags(flags) if flags.contains(NeighbourExtFlags::Managed)),
    )
}

async fn add(netlink: &Netlink, hop: NextHop) -> Result<(), rtnetlink::Error> {
    // Learned entries are exempt from garbage collection; the kernel still probes a managed one.
    let mut request = netlink
        .handle
        .neighbours()
        .add(hop.ifindex, IpAddr::V4(hop.address))
        .state(NeighbourState::None)
        .flags(NeighbourFlags::ExtLearned)
        .replace();
    request.message_mut().attributes.push(NeighbourAttribute::ExtFlags(NeighbourExtFlags::Managed));
    request.execute().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_address_of_a_known_neighbour_is_a_move() {
        let mut neighbours = Neighbours::default();
        let address = Ipv4Addr::new(192, 0, 2, 1);
        assert!(!neighbours.moved(2, address, Some(vec![1; 6])));
        assert!(!neighbours.moved(2, address, Some(vec![1; 6])));
        assert!(!neighbours.moved(2, address, None));
        assert!(neighbours.moved(2, address, Some(vec![2; 6])));
        assert!(!neighbours.moved(3, address, Some(vec![3; 6])));
    }
}
