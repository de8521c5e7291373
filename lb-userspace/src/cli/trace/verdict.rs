//! What the steps of a packet amount to.

use std::fmt;

use lb_common::{
    drop_reason::DropReason,
    trace::{Step, TraceStep},
};
use serde::Serialize;

use super::explain::{Names, answer};
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
    /// To an endpoint on this node, through the stack.
    Deliver {
        /// New source.
        source: String,
        /// New destination.
        destination: String,
    },
    /// Not sent on; the sender is told.
    Answer {
        /// What it is sent.
        with: &'static str,
        /// Why.
        reason: &'static str,
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
    pub(crate) fn of(steps: &[TraceStep], names: &Names) -> Self {
        let last = |kind: Step| steps.iter().rev().find(|step| step.kind == kind as u32);
        let (source, destination) = last(Step::Rewrite)
            .map(|step| {
                let source = names::socket(step.from, ((step.a >> 16) as u16).to_be());
                let destination = names::socket(step.to, (step.a as u16).to_be());
                (source.to_string(), destination.to_string())
            })
            .unwrap_or_default();
        let reason = last(Step::Drop)
            .and_then(|step| DropReason::from_u32(step.a))
            .map_or("unknown", DropReason::as_str);
        let end = steps.last().and_then(|step| Step::from_u32(step.kind).map(|kind| (kind, step.a)));
        match end {
            Some((Step::Forward, ifindex)) => {
                Self::Forward { source, destination, interface: devices::name(&names.devices, ifindex) }
            }
            Some((Step::Pass, _)) => Self::Deliver { source, destination },
            Some((Step::Answer, icmp_type)) => Self::Answer { with: answer(icmp_type), reason },
            Some((Step::Drop, _)) => Self::Drop { reason },
            Some((Step::LeftToStack, _)) => Self::LeftToStack,
            other => Self::Pass { reason: why_untouched(other.map(|(kind, _)| kind)) },
        }
    }
}

/// Why the pipeline passed a packet on after `last`, which is no verdict of its own.
fn why_untouched(last: Option<Step>) -> &'static str {
    match last {
        None => {
            "its flow's replies are handled where they leave this node (tcx egress), not where they would enter"
        }
        Some(Step::NotOurs) => "Sluice handles unfragmented IPv4 TCP and UDP only",
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
            Self::Deliver { source, destination } => {
                write!(f, "delivered on this node as {source} -> {destination}")
            }
            Self::Answer { with, reason } => write!(f, "refused ({reason}), answered with {with}"),
            Self::Drop { reason } => write!(f, "dropped ({reason})"),
            Self::LeftToStack => f.write_str("left to the node's stack"),
            Self::Pass { reason } => write!(f, "passed to the node's stack untouched: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

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
        Verdict::of(&steps, &Names::default()).to_string()
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
}
