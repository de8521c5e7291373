//! What `sluice trace` reads: the steps that the real pipeline took, written by its tracing build.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::address::Address;

/// A step, 48 bytes. The values mean what [`Step`] says for the step's `kind`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct TraceStep {
    /// A [`Step`] as a number; 0 ends the list.
    pub kind: u32,
    /// First value.
    pub a: u32,
    /// Second value.
    pub b: u32,
    /// Third value.
    pub c: u32,
    /// First address.
    pub from: Address,
    /// Second address.
    pub to: Address,
}

macro_rules! steps {
    ($($(#[$doc:meta])* $variant:ident = $number:literal,)+) => {
        /// Kinds of steps.
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Step {
            $($(#[$doc])* $variant = $number,)+
        }

        impl Step {
            /// The step behind a number.
            pub const fn from_u32(number: u32) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

steps! {
    /// Not an IP packet with sound headers, or nothing that a frontend can serve: passed untouched.
    NotOurs = 1,
    /// A live flow: a = `FLOW_*` flags, b = backend index, c = service id.
    FlowHit = 2,
    /// No flow for the tuple.
    FlowMiss = 3,
    /// The tuple's flow is over (closed or idle for too long): a = state, b = idle ticks.
    FlowOver = 4,
    /// The lost half of a flow was found through its restore record: a = `FLOW_*` flags, b = backend index.
    FlowRestored = 5,
    /// The flow's endpoint is gone: a = backend index.
    EndpointGone = 6,
    /// A frontend: a = service id, b = `SERVICE_*` flags, c = ring size.
    ServiceHit = 7,
    /// No frontend for the destination.
    ServiceMiss = 8,
    /// The destination is a VIP without this port.
    CatchAll = 9,
    /// The ring's answer: a = slot, b = backend index.
    RingSlot = 10,
    /// The endpoint: a = port (network byte order), b = `BACKEND_*` flags, to = address.
    Backend = 11,
    /// A FIB look-up: a = `bpf_fib_lookup` return value, b = out interface, c = MTU of the route, from = source address.
    Fib = 12,
    /// A source port was chosen: a = port (host byte order), b = attempts before it, c = 1 where the client's own.
    SourcePort = 13,
    /// The packet is rewritten: a = new ports (source in the upper half, host byte order), from and to = new source and
    /// destination addresses.
    Rewrite = 14,
    /// Untouched, for tcx to finish.
    LeftToStack = 15,
    /// Verdict pass (to the stack).
    Pass = 16,
    /// Verdict drop: a = [`DropReason`](crate::drop_reason::DropReason).
    Drop = 17,
    /// Verdict: out again through interface a.
    Forward = 18,
    /// A reset or ICMP error goes back to the sender: a = ICMP type, or 0 for a TCP reset.
    Answer = 19,
    /// Neither port nor address can be ours: passed untouched.
    Filtered = 20,
    /// The Service is limited to source ranges: a = 1 where the client is in one.
    SourceRange = 21,
    /// The client's earlier flows went to an endpoint that still takes new ones: a = backend index.
    AffinityHit = 22,
    /// The client's replies would not pass this node's uplinks: the flow takes the hairpin address, from, as source.
    Hairpin = 23,
    /// Sent to the endpoint's node in an outer header: from and to = that header's addresses.
    Encapsulated = 24,
    /// Another node, from, sent the packet here in an outer header, which was taken off.
    Decapsulated = 25,
    /// A fragment without ports, of a datagram whose first fragment was seen: a = ports (source in the upper half, host
    /// byte order).
    FragmentFollowed = 26,
    /// A fragment without ports, of a datagram whose first fragment was not seen.
    FragmentUnmatched = 27,
    /// An echo request to a VIP.
    Echo = 28,
    /// An ICMP error about a packet of a flow: a = type, b = code; from and to = addresses after translation.
    ErrorTranslated = 29,
    /// Longer than the way on takes: a = its IP length, b = MTU.
    TooBig = 30,
}
