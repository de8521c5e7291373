//! Frontends that kube-proxy's rules answer for.

use std::{collections::BTreeSet, net::Ipv4Addr, process::Command};

use lb_model::object::Protocol;

/// An address and port that a rule matches; no address for a node port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Claim {
    /// Destination address.
    pub(crate) address: Option<Ipv4Addr>,
    /// Destination port.
    pub(crate) port: u16,
    /// IP protocol number.
    pub(crate) protocol: u8,
}

/// Reads the rules of this network namespace; none where kube-proxy has none, or no tool is there to list them.
pub(crate) fn claims() -> Option<BTreeSet<Claim>> {
    let nft = output("nft", &["list", "table", "ip", "kube-proxy"]).map(|rules| of_nftables(&rules));
    let iptables = output("iptables-save", &["-t", "nat"])
        .filter(|rules| rules.contains(":KUBE-SERVICES "))
        .map(|rules| of_iptables(&rules));
    match (nft, iptables) {
        (None, None) => None,
        (nft, iptables) => Some(nft.into_iter().chain(iptables).flatten().collect()),
    }
}

/// What a command prints; none where it is missing or fails, as `nft` does for a table that is not there.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output =
        Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()
}

fn protocol(word: &str) -> Option<u8> {
    match word {
        "tcp" => Some(Protocol::Tcp.number()),
        "udp" => Some(Protocol::Udp.number()),
        _ => None,
    }
}

/// Elements of the maps `service-ips` (`203.0.113.10 . tcp . 80 : goto …`) and `service-nodeports` (`tcp . 30080 :
/// goto …`) of kube-proxy's nftables mode.
fn of_nftables(rules: &str) -> BTreeSet<Claim> {
    let elements = rules.split([',', '{', '}', '\n']).filter_map(|text| text.split_once(" : "));
    elements
        .filter_map(|(key, _)| {
            let parts: Vec<_> = key.trim().split(" . ").collect();
            match parts[..] {
                [address, name, port] => Some(Claim {
                    address: Some(address.parse().ok()?),
                    port: port.parse().ok()?,
                    protocol: protocol(name)?,
                }),
                [name, port] => {
                    Some(Claim { address: None, port: port.parse().ok()?, protocol: protocol(name)? })
                }
                _ => None,
            }
        })
        .collect()
}

/// Rules of the chains `KUBE-SERVICES` and `KUBE-NODEPORTS` of kube-proxy's iptables mode.
fn of_iptables(rules: &str) -> BTreeSet<Claim> {
    rules
        .lines()
        .filter_map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            let after = |flag: &str| {
                let position = words.iter().position(|word| *word == flag)?;
                words.get(position + 1).copied()
            };
            let address = match after("-A")? {
                "KUBE-SERVICES" => Some(after("-d")?.trim_end_matches("/32").parse().ok()?),
                "KUBE-NODEPORTS" => None,
                _ => return None,
            };
            Some(Claim { address, port: after("--dport")?.parse().ok()?, protocol: protocol(after("-p")?)? })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected() -> BTreeSet<Claim> {
        let vip = Some(Ipv4Addr::new(203, 0, 113, 10));
        BTreeSet::from([
            Claim { address: vip, port: 80, protocol: 6 },
            Claim { address: vip, port: 53, protocol: 17 },
            Claim { address: None, port: 30_080, protocol: 6 },
        ])
    }

    #[test]
    fn rules_of_the_nftables_mode_are_read() {
        let rules = "table ip kube-proxy {
\tmap service-ips {
\t\ttype ipv4_addr . inet_proto . inet_service : verdict
\t\telements = { 203.0.113.10 . tcp . 80 comment \"x\" : goto external-ABC-default/web/tcp/http,
\t\t\t     203.0.113.10 . udp . 53 : goto external-DEF-default/dns/udp/dns }
\t}
\tmap service-nodeports {
\t\ttype inet_proto . inet_service : verdict
\t\telements = { tcp . 30080 : goto external-ABC-default/web/tcp/http }
\t}
}";
        assert_eq!(of_nftables(&rules.replace(" comment \"x\"", "")), expected());
    }

    #[test]
    fn rules_of_the_iptables_mode_are_read() {
        let rules = "*nat
:KUBE-SERVICES - [0:0]
-A KUBE-SERVICES -d 203.0.113.10/32 -p tcp -m comment --comment \"default/web:http external IP\" -m tcp --dport 80 -j KUBE-EXT-A
-A KUBE-SERVICES -d 203.0.113.10/32 -p udp -m udp --dport 53 -j KUBE-EXT-B
-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
-A KUBE-NODEPORTS -d 127.0.0.0/8 -p tcp -m tcp --dport 30080 -j KUBE-EXT-A
-A KUBE-SVC-A ! -s 10.244.0.0/16 -d 10.96.0.1/32 -p tcp -m tcp --dport 443 -j KUBE-MARK-MASQ
COMMIT";
        assert_eq!(of_iptables(rules), expected());
    }
}
