//! Frontends that kube-proxy's rules answer for.

use std::{collections::BTreeSet, io, net::IpAddr, process::Command};

use lb_model::object::{IpFamily, Protocol};

/// An address and port that a rule matches; no address for a node port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Claim {
    /// Of which addresses the rule is.
    pub(crate) family: IpFamily,
    /// Destination address.
    pub(crate) address: Option<IpAddr>,
    /// Destination port.
    pub(crate) port: u16,
    /// IP protocol number.
    pub(crate) protocol: u8,
}

/// What is known of kube-proxy's rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rules {
    /// Nothing: no tool is here to list them.
    Unknown,
    /// It has none here.
    Absent,
    /// It answers for these.
    Claims(BTreeSet<Claim>),
}

/// Reads the rules of this network namespace.
pub(crate) fn rules() -> Rules {
    let families = [(IpFamily::Ipv4, "ip", "iptables-save"), (IpFamily::Ipv6, "ip6", "ip6tables-save")];
    let (mut tools, mut found) = (0, Vec::new());
    for (family, table, save) in families {
        if let Ok(rules) = output("nft", &["list", "table", table, "kube-proxy"]) {
            tools += 1;
            found.extend(rules.map(|rules| of_nftables(family, &rules)));
        }
        if let Ok(rules) = output(save, &["-t", "nat"]) {
            tools += 1;
            let rules = rules.filter(|rules| rules.contains(":KUBE-SERVICES "));
            found.extend(rules.map(|rules| of_iptables(family, &rules)));
        }
    }
    match (tools, found.is_empty()) {
        (0, _) => Rules::Unknown,
        (_, true) => Rules::Absent,
        (_, false) => Rules::Claims(found.into_iter().flatten().collect()),
    }
}

/// What a command prints; none where it fails, as `nft` does for a table that is not there.
///
/// # Errors
/// Where there is no such command.
fn output(program: &str, arguments: &[&str]) -> io::Result<Option<String>> {
    let output = Command::new(program).args(arguments).output()?;
    Ok(output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned()))
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
fn of_nftables(family: IpFamily, rules: &str) -> BTreeSet<Claim> {
    let elements = rules.split([',', '{', '}', '\n']).filter_map(|text| text.split_once(" : "));
    elements
        .filter_map(|(key, _)| {
            let parts: Vec<_> = key.trim().split(" . ").collect();
            match parts[..] {
                [address, name, port] => Some(Claim {
                    family,
                    address: Some(address.parse().ok()?),
                    port: number(port)?,
                    protocol: protocol(name)?,
                }),
                [name, port] => {
                    Some(Claim { family, address: None, port: number(port)?, protocol: protocol(name)? })
                }
                _ => None,
            }
        })
        .collect()
}

/// A port, which a comment may follow.
fn number(text: &str) -> Option<u16> {
    text.split_whitespace().next()?.parse().ok()
}

/// Rules of the chains `KUBE-SERVICES` and `KUBE-NODEPORTS` of kube-proxy's iptables mode.
fn of_iptables(family: IpFamily, rules: &str) -> BTreeSet<Claim> {
    rules
        .lines()
        .filter_map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            let after = |flag: &str| {
                let position = words.iter().position(|word| *word == flag)?;
                words.get(position + 1).copied()
            };
            let address = match after("-A")? {
                "KUBE-SERVICES" => Some(after("-d")?.split('/').next()?.parse().ok()?),
                "KUBE-NODEPORTS" => None,
                _ => return None,
            };
            Some(Claim {
                family,
                address,
                port: after("--dport")?.parse().ok()?,
                protocol: protocol(after("-p")?)?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected() -> BTreeSet<Claim> {
        let vip = Some(IpAddr::from([203, 0, 113, 10]));
        BTreeSet::from([
            Claim { family: IpFamily::Ipv4, address: vip, port: 80, protocol: 6 },
            Claim { family: IpFamily::Ipv4, address: vip, port: 53, protocol: 17 },
            Claim { family: IpFamily::Ipv4, address: None, port: 30_080, protocol: 6 },
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
        assert_eq!(of_nftables(IpFamily::Ipv4, rules), expected());
    }

    #[test]
    fn rules_of_the_other_family_are_read() {
        let address = "2001:db8:f::10".parse().ok();
        let expected = Claim { family: IpFamily::Ipv6, address, port: 80, protocol: 6 };
        let nft = "elements = { 2001:db8:f::10 . tcp . 80 : goto external-ABC-default/web/tcp/http }";
        assert_eq!(of_nftables(IpFamily::Ipv6, nft), [expected].into());
        let iptables = "-A KUBE-SERVICES -d 2001:db8:f::10/128 -p tcp -m tcp --dport 80 -j KUBE-EXT-A";
        assert_eq!(of_iptables(IpFamily::Ipv6, iptables), [expected].into());
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
        assert_eq!(of_iptables(IpFamily::Ipv4, rules), expected());
    }
}
