//! Counters that are not drops.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::counters::counters;

/// One CPU's counters of a Service port, 48 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct ServiceStats {
    /// Packets from clients.
    pub packets: u64,
    /// Bytes from clients, link-layer header included.
    pub bytes: u64,
    /// Packets to clients.
    pub reply_packets: u64,
    /// Bytes to clients, link-layer header included.
    pub reply_bytes: u64,
    /// Flows opened.
    pub new_flows: u64,
    /// Packets from clients that were dropped, or answered in an endpoint's stead.
    pub drops: u64,
}

impl ServiceStats {
    /// Of two CPUs together.
    pub const fn plus(self, other: Self) -> Self {
        Self {
            packets: self.packets.wrapping_add(other.packets),
            bytes: self.bytes.wrapping_add(other.bytes),
            reply_packets: self.reply_packets.wrapping_add(other.reply_packets),
            reply_bytes: self.reply_bytes.wrapping_add(other.reply_bytes),
            new_flows: self.new_flows.wrapping_add(other.new_flows),
            drops: self.drops.wrapping_add(other.drops),
        }
    }
}

counters! {
    /// Events of the packet path. Index of the `stats` map.
    Stat {
        LeftToStack = "left-to-stack",
            "Packets of ours that XDP left untouched for tcx: the way out is an overlay or a device without native XDP.";
        NoNeighbour = "no-neighbour",
            "Packets left to the stack because the next hop's link-layer address was not known yet.";
        HalfRestored = "half-restored",
            "Flow halves put back after the flow table had evicted them.";
        PortClaimed = "port-claimed",
            "Source ports claimed for SNAT.";
        PortProbes = "port-probes",
            "Source ports that were tried and found taken.";
        PortStolen = "port-stolen",
            "Expired claims of a source port that a new flow took over.";
        SourcePortCollision = "source-port-collision",
            "Flows given another source port because two VIPs lead one client port to the same endpoint.";
        Reselected = "reselected",
            "Flows moved to another endpoint because theirs was gone.";
        Answered = "answered",
            "Resets and ICMP errors sent.";
        AnswerSuppressed = "answer-suppressed",
            "Resets, ICMP errors and echo replies held back by the rate limit.";
        EchoAnswered = "echo-answered",
            "Echo requests to a VIP that were answered.";
        ErrorTranslated = "error-translated",
            "ICMP errors about a translated packet, translated for the side that they are meant for.";
        FragmentFollowed = "fragment-followed",
            "Fragments without ports that followed the first fragment of their datagram.";
        Encapsulated = "encapsulated",
            "Packets sent to an endpoint's node in an outer IP header (direct server return).";
        Decapsulated = "decapsulated",
            "Packets that another node sent here in an outer IP header.";
        Hairpinned = "hairpinned",
            "Flows whose client is on this node, as its endpoint is, and that take the hairpin address as source.";
        AffinityKept = "affinity-kept",
            "Flows that went to the endpoint of their client's earlier ones.";
    }
}
