//! What Sluice is measured beside.

use super::{ENDPOINTS, POD_PORT, PORT, pod, vip};

/// Rules of the shape that kube-proxy's nftables mode writes (`pkg/proxy/nftables/proxier.go`): one verdict map from
/// frontend to the service's chain, a random choice among endpoint chains, DNAT, and masquerading by mark.
pub(super) fn ruleset(services: u32) -> String {
    let mut rules = String::from("table ip kube-proxy {\n");
    let mut elements = Vec::new();
    for service in 0..services {
        let endpoints = if service == 0 { ENDPOINTS } else { 1 };
        let choice: Vec<String> =
            (0..endpoints).map(|number| format!("{number} : goto endpoint-{service}-{number}")).collect();
        for number in 0..endpoints {
            rules += &format!(
                "chain endpoint-{service}-{number} {{ meta l4proto udp dnat to {}:{POD_PORT}; }}\n",
                pod(number + 1)
            );
        }
        rules += &format!(
            "chain service-{service} {{ numgen random mod {endpoints} vmap {{ {} }}; }}\n",
            choice.join(", ")
        );
        rules +=
            &format!("chain external-{service} {{ jump mark-for-masquerade; goto service-{service}; }}\n");
        elements.push(format!("{} . udp . {PORT} : goto external-{service}", vip(service)));
    }
    rules += &format!(
        "map service-ips {{ type ipv4_addr . inet_proto . inet_service : verdict; elements = {{ {} }}; }}\n\
         chain mark-for-masquerade {{ meta mark set mark or 0x4000; }}\n\
         chain services {{ ip daddr . meta l4proto . th dport vmap @service-ips; }}\n\
         chain nat-prerouting {{ type nat hook prerouting priority dstnat; jump services; }}\n\
         chain nat-output {{ type nat hook output priority -100; jump services; }}\n\
         chain masquerading {{ meta mark & 0x4000 == 0 return; meta mark set mark xor 0x4000; masquerade fully-random; }}\n\
         chain nat-postrouting {{ type nat hook postrouting priority srcnat; jump masquerading; }}\n}}\n",
        elements.join(", ")
    );
    // Chains are used before they are declared in the text above; nft takes a file as one transaction.
    rules.replacen("table ip kube-proxy {", "table ip kube-proxy {\nchain mark-for-masquerade { }", 1)
}
