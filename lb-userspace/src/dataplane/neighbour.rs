//! Keeps the link-layer addresses of next hops known: XDP can use a neighbour, but not resolve one.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use rtnetlink::packet_route::{
    neighbour::{NeighbourAttribute, NeighbourExtFlags, NeighbourFlags, NeighbourMessage, NeighbourState},
    route::RouteProtocol,
};

use super::{
    netlink::{Change, Netlink, NetlinkError, collect, neighbour},
    routes::NextHop,
};

/// Marks our entries (`ip neigh` shows `proto 92`), so that those of an earlier agent are known again. The kernel
/// leaves numbers above 4 to user space (include/uapi/linux/rtnetlink.h); iproute2 names no 92.
const PROTOCOL: RouteProtocol = RouteProtocol::Other(92);

/// How long a host on the link may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the kernel is asked meanwhile.
const INTERVAL: Duration = Duration::from_millis(50);

/// Makes the kernel keep exactly `wanted` resolved by itself (`NTF_EXT_MANAGED`, Linux 5.16, below our floor).
/// Permanent entries are their owner's and are left alone: managing would make the kernel forget that they are
/// permanent (`__neigh_update`).
///
/// # Errors
/// Where the kernel does not list its neighbours; an entry that it refuses is logged.
pub async fn manage(netlink: &Netlink, wanted: &BTreeSet<NextHop>) -> Result<(), NetlinkError> {
    let listed = list(netlink).await?;
    let known: BTreeMap<_, _> =
        listed.iter().filter_map(|message| Some((hop_of(message)?, message))).collect();
    for hop in wanted {
        let leave = |message: &&NeighbourMessage| {
            message.header.state == NeighbourState::Permanent || is_managed(message)
        };
        if known.get(hop).is_some_and(leave) {
            continue;
        }
        match add(netlink, *hop).await {
            Ok(()) => {
                tracing::debug!(address = %hop.address, ifindex = hop.ifindex, "keeping neighbour warm")
            }
            Err(error) => tracing::warn!(address = %hop.address, %error, "cannot keep neighbour warm"),
        }
    }
    let stale = known.into_iter().filter(|(hop, message)| !wanted.contains(hop) && is_ours(message));
    remove(netlink, stale.map(|(_, message)| message)).await;
    Ok(())
}

/// Lets go of our entries on `devices`; how many there were.
///
/// # Errors
/// Where the kernel does not list its neighbours.
pub async fn forget(netlink: &Netlink, devices: &BTreeSet<u32>) -> Result<usize, NetlinkError> {
    let listed = list(netlink).await?;
    let ours = listed.iter().filter(|message| is_ours(message) && devices.contains(&message.header.ifindex));
    Ok(remove(netlink, ours).await)
}

/// Those of `hops` that the kernel asks for and gets no answer.
///
/// # Errors
/// Where the kernel does not list its neighbours.
pub async fn unanswered(
    netlink: &Netlink,
    hops: &BTreeSet<NextHop>,
) -> Result<BTreeSet<NextHop>, NetlinkError> {
    let answers = settle(netlink, hops).await?;
    Ok(answers.into_iter().filter(|(_, answered)| !answered).map(|(hop, _)| hop).collect())
}

/// Has the kernel ask for `hops`, as a packet to them would, and tells for which of them somebody answers; those that it
/// refuses to ask for are left out. No entry stays that was not there before.
///
/// # Errors
/// Where the kernel does not list its neighbours.
pub async fn ask(
    netlink: &Netlink,
    hops: &BTreeSet<NextHop>,
) -> Result<BTreeMap<NextHop, bool>, NetlinkError> {
    let before: BTreeSet<_> = list(netlink).await?.iter().filter_map(hop_of).collect();
    let mut asked = BTreeSet::new();
    for hop in hops {
        let request = netlink.handle.neighbours().add(hop.ifindex, hop.address);
        // NTF_USE: `neigh_add` in the kernel's net/core/neighbour.c sends the first request at once.
        let request = request.state(NeighbourState::None).flags(NeighbourFlags::Use).replace();
        if request.execute().await.is_ok() {
            asked.insert(*hop);
        }
    }
    let answers = settle(netlink, &asked).await?;
    let listed = list(netlink).await?;
    let is_new = |message: &&NeighbourMessage| {
        hop_of(message).is_some_and(|hop| asked.contains(&hop) && !before.contains(&hop))
    };
    remove(netlink, listed.iter().filter(is_new)).await;
    Ok(answers)
}

/// Those of `hops` that have an entry, and whether somebody answered for them, once none is being asked for any more or
/// [`PATIENCE`] is over.
async fn settle(
    netlink: &Netlink,
    hops: &BTreeSet<NextHop>,
) -> Result<BTreeMap<NextHop, bool>, NetlinkError> {
    for _ in 0..PATIENCE.as_millis() / INTERVAL.as_millis() {
        let states = states(netlink, hops).await?;
        if !states.values().any(|state| *state == NeighbourState::Incomplete) {
            return Ok(answers(states));
        }
        tokio::time::sleep(INTERVAL).await;
    }
    Ok(answers(states(netlink, hops).await?))
}

async fn states(
    netlink: &Netlink,
    hops: &BTreeSet<NextHop>,
) -> Result<BTreeMap<NextHop, NeighbourState>, NetlinkError> {
    let listed = list(netlink).await?;
    let states = listed.iter().filter_map(|message| Some((hop_of(message)?, message.header.state)));
    Ok(states.filter(|(hop, _)| hops.contains(hop)).collect())
}

fn answers(states: BTreeMap<NextHop, NeighbourState>) -> BTreeMap<NextHop, bool> {
    // Nobody has asked for an entry without a state.
    let asked = states.into_iter().filter(|(_, state)| *state != NeighbourState::None);
    asked
        .map(|(hop, state)| (hop, !matches!(state, NeighbourState::Incomplete | NeighbourState::Failed)))
        .collect()
}

/// Neighbours that are remembered at most. Hosts come and go, and with IPv6 privacy addresses (RFC 8981) daily under
/// another name; kernels hold fewer (`gc_thresh3`) unless told otherwise.
const REMEMBERED: usize = 1 << 16;

/// Link-layer addresses as they were last told, of neighbours that the kernel has forgotten too: a flow may still go by
/// one, and has to be told when the neighbour is back under another.
#[derive(Debug, Default)]
pub struct Addresses {
    known: BTreeMap<NextHop, Vec<u8>>,
}

impl Addresses {
    /// True where a next hop that was known under another link-layer address has a new one: flows remember the old. And
    /// where there were too many to remember: moves of those that are forgotten would not be noticed.
    pub fn moved(&mut self, hop: NextHop, mac: Option<Vec<u8>>) -> bool {
        let Some(mac) = mac else { return false };
        let forgets = self.known.len() >= REMEMBERED && !self.known.contains_key(&hop);
        if forgets {
            self.known.clear();
        }
        let before = self.known.insert(hop, mac.clone());
        forgets || before.is_some_and(|before| before != mac)
    }

    /// Forgets those on devices that are of no interest any more.
    pub fn retain(&mut self, interesting: impl Fn(u32) -> bool) {
        self.known.retain(|hop, _| interesting(hop.ifindex));
    }
}

async fn list(netlink: &Netlink) -> Result<Vec<NeighbourMessage>, NetlinkError> {
    collect("listing neighbours", netlink.handle.neighbours().get().execute()).await
}

fn hop_of(message: &NeighbourMessage) -> Option<NextHop> {
    match neighbour(message) {
        Some(Change::Neighbour { hop, .. }) => Some(hop),
        _ => None,
    }
}

fn is_managed(message: &NeighbourMessage) -> bool {
    message.attributes.iter().any(
        |attribute| matches!(attribute, NeighbourAttribute::ExtFlags(flags) if flags.contains(NeighbourExtFlags::Managed)),
    )
}

fn is_ours(message: &NeighbourMessage) -> bool {
    message.attributes.contains(&NeighbourAttribute::Protocol(PROTOCOL))
}

async fn add(netlink: &Netlink, hop: NextHop) -> Result<(), rtnetlink::Error> {
    // Learned entries are exempt from garbage collection; the kernel still probes a managed one.
    let mut request = netlink
        .handle
        .neighbours()
        .add(hop.ifindex, hop.address)
        .state(NeighbourState::None)
        .flags(NeighbourFlags::ExtLearned)
        .replace();
    request.message_mut().attributes.extend([
        NeighbourAttribute::ExtFlags(NeighbourExtFlags::Managed),
        NeighbourAttribute::Protocol(PROTOCOL),
    ]);
    request.execute().await
}

/// Whoever still needs such a neighbour resolves it again.
async fn remove(netlink: &Netlink, entries: impl Iterator<Item = &NeighbourMessage>) -> usize {
    let mut removed = 0;
    for message in entries {
        // One that is gone meanwhile is as good as removed.
        removed += usize::from(netlink.handle.neighbours().del(message.clone()).execute().await.is_ok());
    }
    removed
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn only_another_address_of_a_known_neighbour_is_a_move() {
        let mut addresses = Addresses::default();
        let hop = NextHop { ifindex: 2, address: [192, 0, 2, 1].into() };
        assert!(!addresses.moved(hop, Some(vec![1; 6])));
        assert!(!addresses.moved(hop, Some(vec![1; 6])));
        assert!(!addresses.moved(hop, None));
        assert!(addresses.moved(hop, Some(vec![2; 6])));
        assert!(!addresses.moved(NextHop { ifindex: 3, ..hop }, Some(vec![3; 6])));
    }

    #[test]
    fn so_many_are_remembered_and_flows_look_again_when_those_are_forgotten() {
        let mut addresses = Addresses::default();
        let hop = |number: usize| NextHop { ifindex: 2, address: Ipv4Addr::from_bits(number as u32).into() };
        assert!((0..REMEMBERED).all(|number| !addresses.moved(hop(number), Some(vec![1; 6]))));
        assert!(!addresses.moved(hop(0), Some(vec![1; 6])));
        assert!(addresses.moved(hop(REMEMBERED), Some(vec![1; 6])));
        assert_eq!(addresses.known.len(), 1);
    }
}
