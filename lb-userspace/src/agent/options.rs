//! Flags of `sluice agent`.

use std::{net::SocketAddr, ops::RangeInclusive, path::PathBuf};

use clap::{Args, builder::NonEmptyStringValueParser, value_parser};
use lb_common::{abi::capacity, limit, snat};
use lb_model::cidr::Cidr;

use crate::dataplane::{attach::Mode, loader::Settings, spec::Sizes};
use lb_sources::{SecretSelector, Source};

/// `sluice agent`.
#[derive(Clone, Debug, Args)]
#[command(after_help = super::error::EXIT_CODES)]
pub struct Options {
    /// Take Services, EndpointSlices and Nodes from the manifests in this folder, and follow changes.
    #[arg(long, env = "SLUICE_MANIFESTS", value_name = "DIR", conflicts_with = "kubeconfig")]
    pub manifests: Option<PathBuf>,
    /// Take them from the cluster of this kubeconfig; without either flag, from the cluster that the agent runs in.
    #[arg(long, env = "SLUICE_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// This node's name in the cluster [default: the host name].
    #[arg(long, env = "NODE_NAME", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub node_name: Option<String>,
    /// Uplinks, by name [default: the devices with the node's addresses and default routes].
    #[arg(long, env = "SLUICE_INTERFACE", value_name = "NAME", value_delimiter = ',')]
    pub interface: Vec<String>,
    /// Where packets are met.
    #[arg(long, env = "SLUICE_MODE", value_enum, default_value_t)]
    pub mode: Mode,
    /// Serve external IPs inside these ranges, whatever the namespace; no other external IP is served, but for what
    /// --external-ip-policy allows.
    #[arg(long, env = "SLUICE_EXTERNAL_IPS_ALLOWED", value_name = "CIDR", value_delimiter = ',')]
    pub external_ips_allowed: Vec<Cidr>,
    /// A file that says which namespaces may claim which external IPs; followed while it changes.
    #[arg(long, env = "SLUICE_EXTERNAL_IP_POLICY", value_name = "FILE")]
    pub external_ip_policy: Option<PathBuf>,
    /// Answer on node ports at the node's addresses inside these ranges [default: its primary addresses].
    #[arg(long, env = "SLUICE_NODE_PORT_ADDRESSES", value_name = "CIDR", value_delimiter = ',')]
    pub node_port_addresses: Vec<Cidr>,
    /// Where /healthz, /readyz and /metrics answer; `none` for nowhere.
    #[arg(long, env = "SLUICE_ADMIN", value_name = "ADDR", default_value = "127.0.0.1:9470", value_parser = admin)]
    pub admin: Admin,
    /// Source ports of forwarded connections, FIRST-LAST.
    #[arg(long, env = "SLUICE_SNAT_PORTS", value_name = "RANGE", default_value_t = default_ports(), value_parser = ports)]
    pub snat_ports: Ports,
    /// New flows that each CPU takes in a second, 0 for any number; beyond, they are dropped for the sake of those that
    /// exist.
    #[arg(long, env = "SLUICE_NEW_FLOWS_PER_SECOND", value_name = "N", default_value_t = limit::NEW_FLOWS_PER_SECOND, value_parser = value_parser!(u32).range(..=i64::from(limit::MOST_PER_SECOND)))]
    pub new_flows_per_second: u32,
    /// Frontends at most: addresses and ports that clients use.
    #[arg(long, env = "SLUICE_MAX_SERVICES", value_name = "N", default_value_t = capacity::SERVICES, value_parser = entries())]
    pub max_services: u32,
    /// Endpoints at most.
    #[arg(long, env = "SLUICE_MAX_BACKENDS", value_name = "N", default_value_t = capacity::BACKENDS, value_parser = entries())]
    pub max_backends: u32,
    /// Flow table entries of IPv4 at most; a connection takes two.
    #[arg(long, env = "SLUICE_MAX_FLOWS", value_name = "N", default_value_t = capacity::FLOWS, value_parser = entries())]
    pub max_flows: u32,
    /// Flow table entries of IPv6 at most; a connection takes two.
    #[arg(long, env = "SLUICE_MAX_FLOWS6", value_name = "N", default_value_t = capacity::FLOWS6, value_parser = entries())]
    pub max_flows6: u32,
    /// Clients of Services with sessionAffinity at most, each counted once a Service port.
    #[arg(long, env = "SLUICE_MAX_AFFINITIES", value_name = "N", default_value_t = capacity::AFFINITY, value_parser = entries())]
    pub max_affinities: u32,
    /// Fragmented datagrams on their way at most.
    #[arg(long, env = "SLUICE_MAX_FRAGMENTS", value_name = "N", default_value_t = capacity::FRAGMENTS, value_parser = entries())]
    pub max_fragments: u32,
    /// Ranges of loadBalancerSourceRanges of all Service ports at most.
    #[arg(long, env = "SLUICE_MAX_SOURCE_RANGES", value_name = "N", default_value_t = capacity::SOURCE_RANGES, value_parser = entries())]
    pub max_source_ranges: u32,
    /// Addresses of nodes that may send encapsulated packets at most.
    #[arg(long, env = "SLUICE_MAX_PEERS", value_name = "N", default_value_t = capacity::PEERS, value_parser = entries())]
    pub max_peers: u32,
    /// Chunks of 64 bytes for the rings at most; a Service of up to two endpoints takes 16.
    #[arg(long, env = "SLUICE_MAX_RING_CHUNKS", value_name = "N", default_value_t = capacity::RINGS, value_parser = entries())]
    pub max_ring_chunks: u32,
}

/// `--admin`: none where it is switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admin(pub Option<SocketAddr>);

/// `--snat-ports`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports(pub RangeInclusive<u16>);

impl std::fmt::Display for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.0.start(), self.0.end())
    }
}

impl Options {
    /// Where objects come from.
    pub fn source(&self) -> Source {
        match &self.manifests {
            Some(folder) => Source::Manifests(folder.clone()),
            None => {
                Source::Kubernetes { kubeconfig: self.kubeconfig.clone(), secrets: SecretSelector::default() }
            }
        }
    }

    /// What the programs are loaded with.
    pub fn settings(&self) -> Settings {
        let sizes = Sizes {
            services: self.max_services,
            ring_chunks: self.max_ring_chunks,
            backends: self.max_backends,
            flows: self.max_flows,
            flows6: self.max_flows6,
            fragments: self.max_fragments,
            affinity: self.max_affinities,
            source_ranges: self.max_source_ranges,
            peers: self.max_peers,
        };
        Settings {
            sizes,
            snat_ports: self.snat_ports.0.clone(),
            new_flows_per_second: self.new_flows_per_second,
            tracing: false,
        }
    }
}

/// Default of `--snat-ports`.
pub(crate) fn default_ports() -> Ports {
    Ports(snat::PORT_MIN..=snat::PORT_MAX)
}

/// Entries of a map: what the kernel takes, and what still fits the arithmetic of byte sizes.
fn entries() -> clap::builder::RangedI64ValueParser<u32> {
    value_parser!(u32).range(16..=1 << 26)
}

/// Reads `--admin`.
pub(crate) fn admin(text: &str) -> Result<Admin, String> {
    if matches!(text, "" | "none") {
        return Ok(Admin(None));
    }
    text.parse().map(|address| Admin(Some(address))).map_err(|_| "write ADDRESS:PORT, or none".to_owned())
}

/// Reads `--snat-ports`.
pub(crate) fn ports(text: &str) -> Result<Ports, String> {
    let range = text.split_once('-').and_then(|(first, last)| Some(first.parse().ok()?..=last.parse().ok()?));
    match range {
        Some(range) if !range.is_empty() && *range.start() >= 1024 => Ok(Ports(range)),
        _ => Err("write FIRST-LAST, both from 1024 to 65535, for example 49152-65535".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        options: Options,
    }

    fn parse(words: &[&str]) -> Result<Options, clap::Error> {
        Command::try_parse_from([&["agent"], words].concat()).map(|command| command.options)
    }

    #[test]
    fn lists_may_be_repeated_or_separated_by_commas() {
        let options = parse(&[
            "--external-ips-allowed",
            "203.0.113.0/24,198.51.100.0/24",
            "--external-ips-allowed",
            "192.0.2.1",
            "--interface",
            "eth0,eth1",
        ])
        .unwrap();
        assert_eq!(options.external_ips_allowed.len(), 3);
        assert_eq!(options.interface, ["eth0", "eth1"]);
    }

    #[test]
    fn bad_values_are_refused_with_a_hint() {
        for (words, hint) in [
            (["--external-ips-allowed", "10.0.0.1/8"], "10.0.0.0/8"),
            (["--admin", "here"], "ADDRESS:PORT"),
            (["--snat-ports", "60000-50000"], "FIRST-LAST"),
            (["--snat-ports", "80-90"], "1024"),
            (["--max-flows", "0"], "16"),
            (["--mode", "fast"], "native"),
        ] {
            let error = parse(&words).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(hint), "{error}");
        }
    }

    #[test]
    fn two_sources_are_a_mistake() {
        assert!(parse(&["--manifests", "a", "--kubeconfig", "b"]).is_err());
    }

    #[test]
    fn the_admin_server_can_be_switched_off() {
        assert_eq!(parse(&["--admin", "none"]).unwrap().admin, Admin(None));
        assert_eq!(parse(&[]).unwrap().admin.0.unwrap().port(), 9470);
    }
}
