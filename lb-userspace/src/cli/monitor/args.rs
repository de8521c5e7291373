//! Flags of `sluice monitor`.

use std::net::IpAddr;

use clap::{Args, ValueEnum, builder::PossibleValuesParser};
use lb_common::{
    drop_reason::DropReason,
    monitor::{CloseReason, Kind},
    tcp,
};
use lb_model::cidr::Cidr;

use super::filter::Filter;
use crate::dataplane::monitor::Wanted;

/// `sluice monitor`.
#[derive(Debug, Args)]
#[command(
    after_help = "Flags narrow what is shown; the values of one flag widen it. Events are held to --rate in the kernel, \
                  before all flags but --type and --reason: what is left out is counted and said. A flow that is only \
                  forgotten, idle or evicted, is told when its tuple is used again."
)]
pub(crate) struct MonitorArgs {
    /// Kinds of events.
    #[arg(short = 't', long = "type", value_enum, value_delimiter = ',', value_name = "KIND")]
    types: Vec<EventType>,
    /// Why a packet was dropped or a flow is over.
    #[arg(short, long, value_delimiter = ',', value_name = "REASON", value_parser = reasons())]
    reason: Vec<String>,
    /// Services of this namespace.
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// The Service NAME or NAMESPACE/NAME.
    #[arg(short, long, value_name = "NAME")]
    service: Vec<String>,
    /// The address that clients use.
    #[arg(long, value_name = "ADDRESS")]
    vip: Vec<IpAddr>,
    /// Clients in this range; an address stands for itself.
    #[arg(short, long, value_name = "CIDR")]
    client: Vec<Cidr>,
    /// The address of an endpoint.
    #[arg(short, long, visible_alias = "pod", value_name = "ADDRESS")]
    endpoint: Vec<IpAddr>,
    /// Transport protocol.
    #[arg(short, long, value_enum, value_delimiter = ',', value_name = "PROTOCOL")]
    protocol: Vec<Transport>,
    /// End after this many events.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) count: Option<u64>,
    /// Events a second that each CPU tells at most.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// Output format.
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Output::Text)]
    pub(super) output: Output,
}

/// How events are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// A line an event, for people.
    Text,
    /// A JSON object a line.
    Json,
}

/// `--type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum EventType {
    /// A flow was opened.
    Open,
    /// A flow is over.
    Close,
    /// A packet was dropped, or answered in an endpoint's stead.
    Drop,
}

impl EventType {
    const fn kind(self) -> Kind {
        match self {
            Self::Open => Kind::Open,
            Self::Close => Kind::Close,
            Self::Drop => Kind::Drop,
        }
    }
}

/// `--protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Transport {
    Tcp,
    Udp,
    Sctp,
    Icmp,
}

impl Transport {
    /// IP protocol numbers.
    const fn numbers(self) -> &'static [u8] {
        match self {
            Self::Tcp => &[tcp::TCP],
            Self::Udp => &[tcp::UDP],
            Self::Sctp => &[tcp::SCTP],
            Self::Icmp => &[1, 58],
        }
    }
}

fn reasons() -> PossibleValuesParser {
    let mut names: Vec<_> = DropReason::ALL.map(DropReason::as_str).to_vec();
    let closes = CloseReason::ALL.map(CloseReason::as_str);
    names.extend(
        closes.into_iter().filter(|close| !DropReason::ALL.iter().any(|drop| drop.as_str() == *close)),
    );
    PossibleValuesParser::new(names)
}

impl MonitorArgs {
    /// What the kernel is asked for.
    pub(super) fn wanted(&self) -> Wanted {
        let named = |name: &str| self.reason.is_empty() || self.reason.iter().any(|reason| reason == name);
        let reasons = DropReason::ALL.into_iter().filter(|reason| named(reason.as_str()));
        let reasons = reasons.fold(0, |bits, reason| bits | 1 << reason as u32);
        let types = if self.types.is_empty() { EventType::value_variants() } else { &self.types };
        let kinds = types.iter().fold(0, |bits, kind| bits | 1 << kind.kind() as u32);
        Wanted { kinds, reasons, rate: self.rate }
    }

    /// What of that is shown.
    pub(super) fn filter(&self) -> Filter {
        Filter {
            reasons: self.reason.clone(),
            namespace: self.namespace.clone(),
            services: self.service.clone(),
            vips: self.vip.clone(),
            clients: self.client.clone(),
            endpoints: self.endpoint.clone(),
            protocols: self.protocol.iter().flat_map(|protocol| protocol.numbers()).copied().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: MonitorArgs,
    }

    fn wanted(words: &[&str]) -> Wanted {
        Command::try_parse_from([&["monitor"], words].concat()).unwrap().args.wanted()
    }

    #[test]
    fn the_kernel_is_asked_for_all_kinds_unless_told_otherwise() {
        let all = 1 << Kind::Open as u32 | 1 << Kind::Close as u32 | 1 << Kind::Drop as u32;
        assert_eq!(wanted(&[]).kinds, all);
        assert_eq!(wanted(&["-t", "drop"]).kinds, 1 << Kind::Drop as u32);
    }

    #[test]
    fn every_reason_of_a_drop_has_a_bit() {
        assert_eq!(wanted(&[]).reasons.count_ones(), DropReason::COUNT);
        assert_eq!(wanted(&["-r", "no-route"]).reasons, 1 << DropReason::NoRoute as u32);
    }

    #[test]
    fn a_mistyped_reason_is_met_with_those_there_are() {
        let error = Command::try_parse_from(["monitor", "-r", "no-rout"]).err().unwrap().to_string();
        assert!(error.contains("a similar value exists: 'no-route'"), "{error}");
    }
}
