//! What Sluice is measured beside.

use super::{ENDPOINTS, POD_PORT, PORT, pod, vip};

/// Services whose chains are made in one transaction: the kernel walks the whole transaction for each anonymous map in it
/// (`__nft_set_trans_bind` in net/netfilter/nf_tables_api.c), which takes a minute for 10,000 at once.
const AT_ONCE: u32 = 1000;

/// The transactions that make rules of the shape that kube-proxy's nftables mode writes
/// (`pkg/proxy/nftables/proxier.go`): one verdict map from frontend to the service's chain, a random choice among endpoint
/// chains, DNAT, and masquerading by mark.
pub(super) fn ruleset(services: u32) -> Vec<String> {
    let mut transactions = vec![table("chain mark-for-masquerade { meta mark set mark or 0x4000; }\n")];
    for first in (0..services).step_by(AT_ONCE as usize) {
        let chains: String = (first..services.min(first + AT_ONCE)).map(service_chains).collect();
        transactions.push(table(&chains));
    }
    let frontends: Vec<String> = (0..services)
        .map(|service| format!("{} . udp . {PORT} : goto external-{service}", vip(service)))
        .collect();
    transactions.push(table(&format!(
        "map service-ips {{ type ipv4_addr . inet_proto . inet_service : verdict; elements = {{ {} }}; }}\n\
         chain services {{ ip daddr . meta l4proto . th dport vmap @service-ips; }}\n\
         chain nat-prerouting {{ type nat hook prerouting priority dstnat; jump services; }}\n\
         chain nat-output {{ type nat hook output priority -100; jump services; }}\n\
         chain masquerading {{ meta mark & 0x4000 == 0 return; meta mark set mark xor 0x4000; masquerade fully-random; }}\n\
         chain nat-postrouting {{ type nat hook postrouting priority srcnat; jump masquerading; }}\n",
        frontends.join(", ")
    )));
    transactions
}

fn table(content: &str) -> String {
    format!("table ip kube-proxy {{\n{content}}}\n")
}

fn service_chains(service: u32) -> String {
    let endpoints = if service == 0 { ENDPOINTS } else { 1 };
    let mut chains: String = (0..endpoints)
        .map(|number| {
            format!(
                "chain endpoint-{service}-{number} {{ meta l4proto udp dnat to {}:{POD_PORT}; }}\n",
                pod(number + 1)
            )
        })
        .collect();
    let choice: Vec<String> =
        (0..endpoints).map(|number| format!("{number} : goto endpoint-{service}-{number}")).collect();
    chains += &format!(
        "chain service-{service} {{ numgen random mod {endpoints} vmap {{ {} }}; }}\n\
         chain external-{service} {{ jump mark-for-masquerade; goto service-{service}; }}\n",
        choice.join(", ")
    );
    chains
}
