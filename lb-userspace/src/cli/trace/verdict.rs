//! What the steps of a packet amount to.

use std::{fmt, net::IpAddr};

use lb_common::{
    drop_reason::DropReason,
    trace::{Step, TraceStep},
};
use serde::Serialize;

use super::{
    explain::{Names, answer},
    packet::Packet,
};
use crate::cli::{devices, names};

/// What would become of the packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum Verdict {
    /// Out to another node, translated.
    Forward {
        /// New source.
        source: String,
        /// New destination.
        destination: String,
        /// Device it leaves by.
        interface: String,
    },
    /// Out to another node as it is, inside an outer header.
    Encapsulate {
        /// Source of the outer header.
        source: IpAddr,
        /// Destination of the outer header: the endpoint's node.
        node: IpAddr,
        /// Device it leaves by.
        interface: String,
    },
    /// To an endpoint on this node, through the stack.
    Deliver {
        /// New source.
        source: String,
        /// New destination.
        destination: String,
    },
    /// Not sent on; the sender gets an answer.
    Answer {
        /// What it is sent.
        with: &'static str,
        /// Why it is refused, if it is.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'static str>,
    },
    /// Not sent on, in silence.
    Drop {
        /// Why.
        reason: &'static str,
    },
    /// Left to a later hook.
    LeftToStack,
    /// Not ours: the node's stack gets it as it came.
    Pass {
        /// Why.
        reason: &'static str,
    },
}

impl Verdict {
    /// The verdict of a program's steps.
    pub(crate) fn of(packet: &Packet, steps: &[TraceStep], names: &Names) -> Self {
        let last = |kind: Step| steps.iter().rev().find(|step| step.kind == kind as u32);
        let (source, destination) = last(Step::Rewrite)
            .map(|step| {
                let source = names::socket(step.from, ((step.a >> 16) as u16).to_be());
                let destination = names::socket(step.to, (step.a as u16).to_be());
                (source.to_string(), destination.to_string())
            })
            .unwrap_or_default();
        let reason =
            last(Step::Drop).map(|step| DropReason::from_u32(step.a).map_or("unknown", DropReason::as_str));
        let Some((end, kind)) = steps.last().and_then(|step| Some((step, Step::from_u32(step.kind)?))) else {
            return Self::Pass { reason: why_untouched(None) };
        };
        match (kind, last(Step::Encapsulated)) {
            (Step::Forward, Some(outer)) => Self::Encapsulate {
                source: outer.from.into(),
                node: outer.to.into(),
                interface: devices::name(&names.devices, end.a),
            },
            (Step::Forward, None) => {
                Self::Forward { source, destination, interface: devices::name(&names.devices, end.a) }
            }
            (Step::Pass, _) => Self::Deliver { source, destination },
            (Step::Answer, _) => Self::Answer { with: answer(packet, end.a, end.b), reason },
            (Step::Drop, _) => Self::Drop { reason: reason.unwrap_or("unknown") },
            (Step::LeftToStack, _) => Self::LeftToStack,
            _ => Self::Pass { reason: why_untouched(Some(kind)) },
        }
    }
}

/// Why the pipeline passed a packet on after `last`, which is no verdict of its own.
fn why_untouched(last: Option<Step>) -> &'static str {
    match last {
        None => {
            "its flow's replies are handled where they leave this node (tcx egress), not where they would enter"
        }
        Some(Step::NotOurs) => "it is nothing that a frontend serves",
        Some(Step::FragmentUnmatched) => "the first fragment of its datagram was not seen",
        // A frontend was found and a sender that cannot be answered, or a frame for another station: the pipeline
        // stops before it says "frontend".
        Some(Step::FlowMiss) => {
            "nothing can be sent back to its source address, or its frame is another station's"
        }
        Some(Step::CatchAll | Step::ServiceMiss | Step::Filtered) => "no Service claims its destination",
        Some(_) => "the packet path handed it on",
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forward { source, destination, interface } => {
                write!(f, "forwarded through {interface} as {source} -> {destination}")
            }
            Self::Encapsulate { source, node, interface } => {
                write!(f, "forwarded through {interface} inside a header {source} -> {node}")
            }
            Self::Deliver { source, destination } => {
                write!(f, "delivered on this node as {source} -> {destination}")
            }
            Self::Answer { with, reason: Some(reason) } => {
                write!(f, "refused ({reason}), answered with {with}")
            }
            Self::Answer { with, reason: None } => write!(f, "answered with {with}"),
            Self::Drop { reason } => write!(f, "dropped ({reason})"),
            Self::LeftToStack => f.write_str("left to the node's stack"),
            Self::Pass { reason } => write!(f, "passed to the node's stack untouched: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::trace::args::Transport;

    fn verdict(steps: &[(Step, u32)]) -> String {
        let steps: Vec<_> = steps
            .iter()
            .map(|(kind, a)| TraceStep {
                kind: *kind as u32,
                a: *a,
                from: IpAddr::from([10, 0, 0, 1]).into(),
                to: IpAddr::from([10, 0, 0, 2]).into(),
                ..TraceStep::default()
            })
            .collect();
        Verdict::of(&packet(Transport::Tcp), &steps, &Names::default()).to_string()
    }

    fn packet(transport: Transport) -> Packet {
        let source = "198.51.100.7:40000".parse().unwrap();
        Packet {
            transport,
            source,
            destination: "203.0.113.10:80".parse().unwrap(),
            tcp_flags: 0,
            fragment: None,
        }
    }

    #[test]
    fn the_last_step_decides() {
        let ports = 5 << 16 | 6;
        assert_eq!(
            verdict(&[(Step::Rewrite, ports), (Step::Forward, 7)]),
            "forwarded through if7 as 10.0.0.1:5 -> 10.0.0.2:6"
        );
        assert_eq!(
            verdict(&[(Step::Rewrite, ports), (Step::Pass, 0)]),
            "delivered on this node as 10.0.0.1:5 -> 10.0.0.2:6"
        );
        let reason = DropReason::UnknownPort as u32;
        assert_eq!(verdict(&[(Step::Drop, reason)]), "dropped (unknown-port)");
        assert_eq!(
            verdict(&[(Step::Drop, reason), (Step::Answer, 0)]),
            "refused (unknown-port), answered with a TCP reset"
        );
        assert_eq!(verdict(&[(Step::LeftToStack, 0)]), "left to the node's stack");
        assert!(verdict(&[(Step::FlowMiss, 0), (Step::ServiceMiss, 0)]).contains("no Service claims"));
    }

    #[test]
    fn what_goes_to_another_node_as_it_is_names_the_outer_header() {
        assert_eq!(
            verdict(&[(Step::Encapsulated, 0), (Step::Forward, 7)]),
            "forwarded through if7 inside a header 10.0.0.1 -> 10.0.0.2"
        );
    }

    #[test]
    fn an_echo_is_answered_and_not_refused() {
        let steps =
            [Step::Echo, Step::Answer].map(|kind| TraceStep { kind: kind as u32, ..TraceStep::default() });
        let verdict = Verdict::of(&packet(Transport::Icmp), &steps, &Names::default());
        assert_eq!(verdict.to_string(), "answered with an ICMP echo reply");
    }
}
