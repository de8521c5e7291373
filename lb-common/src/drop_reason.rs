//! Why a packet was dropped: each reason is a counter, a metric and a line of the documentation.

use crate::counters::counters;

counters! {
    /// Why the packet path dropped a packet (or answered it in the backend's stead). Index of the `drops` map.
    DropReason {
        NoEndpoint = "no-endpoint",
            "The Service has no endpoint; answered with a TCP reset or an ICMP port unreachable, within a rate limit.";
        NoLocalEndpoint = "no-local-endpoint",
            "externalTrafficPolicy is Local and this node has no endpoint; dropped in silence, as kube-proxy does.";
        UnknownPort = "unknown-port",
            "The address is a VIP of ours but no Service uses this port; answered like a closed port.";
        EndpointGone = "endpoint-gone",
            "A packet of a TCP connection whose endpoint was deleted; the client is sent a reset.";
        SnatPortsExhausted = "snat-ports-exhausted",
            "No source port free towards this endpoint after all probes; the connection was not opened.";
        FlowTableFull = "flow-table-full",
            "The flow table did not take the new flow.";
        TtlExpired = "ttl-expired",
            "The packet's TTL ran out here; answered with an ICMP time exceeded, within a rate limit.";
        NoRoute = "no-route",
            "The kernel has no route to the endpoint or the client.";
        NoSourceAddress = "no-source-address",
            "The route to the endpoint leads through a device without an address to use as source.";
        SourceNotAllowed = "source-not-allowed",
            "The client is outside the Service's loadBalancerSourceRanges; dropped in silence, as kube-proxy does.";
        PacketTooBig = "packet-too-big",
            "The packet is longer than the route's MTU; answered with an ICMP fragmentation needed or packet too big.";
        UnknownProtocol = "unknown-protocol",
            "The address is a VIP of ours, and the packet is neither TCP, UDP, SCTP nor an ICMP that a VIP answers.";
        FragmentUnmatched = "fragment-unmatched",
            "A fragment for a VIP of ours whose first fragment was not seen.";
        Truncated = "truncated",
            "The packet shrank under the program's hands; a driver fault.";
        NewFlowLimit = "new-flow-limit",
            "This CPU had opened as many flows as --new-flows-per-second allows; packets of flows that exist went on.";
    }
}
