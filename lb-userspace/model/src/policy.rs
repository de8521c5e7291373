//! Which namespace may claim which external IP: whoever may write a Service could otherwise take over traffic that is
//! not theirs (CVE-2020-8554).

use std::{collections::BTreeMap, net::IpAddr};

use crate::cidr::Cidr;

/// What the operator allows. The default allows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExternalIpPolicy {
    /// Ranges for Services of every namespace (`--external-ips-allowed`).
    pub everywhere: Vec<Cidr>,
    /// Ranges by namespace, in addition to `everywhere`.
    pub namespaces: BTreeMap<String, Vec<Cidr>>,
}

impl ExternalIpPolicy {
    /// The policy without a word on single namespaces.
    pub fn everywhere(ranges: Vec<Cidr>) -> Self {
        Self { everywhere: ranges, namespaces: BTreeMap::new() }
    }

    /// True where a Service of `namespace` may claim `address`.
    pub fn allows(&self, namespace: &str, address: IpAddr) -> bool {
        self.ranges_of(namespace).any(|range| range.contains(address))
    }

    /// Why a Service of `namespace` may not claim `address`, to follow "external IP … is"; nothing where it may.
    pub fn objection(&self, namespace: &str, address: IpAddr) -> Option<String> {
        if self.allows(namespace, address) {
            return None;
        }
        let ranges: Vec<_> = self.ranges_of(namespace).map(ToString::to_string).collect();
        Some(match (ranges.is_empty(), self.namespaces.is_empty()) {
            (true, true) => {
                "not served: no external IP is, until --external-ips-allowed or --external-ip-policy names its range".into()
            }
            (true, false) => format!("not served: the policy allows namespace {namespace} no external IP"),
            (false, true) => format!("outside --external-ips-allowed and --external-ip-policy ({})", ranges.join(", ")),
            (false, false) => {
                format!(
                    "outside the ranges that the policy allows namespace {namespace} ({})",
                    ranges.join(", ")
                )
            }
        })
    }

    fn ranges_of(&self, namespace: &str) -> impl Iterator<Item = &Cidr> {
        self.everywhere.iter().chain(self.namespaces.get(namespace).into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(everywhere: &[&str], namespaces: &[(&str, &str)]) -> ExternalIpPolicy {
        ExternalIpPolicy {
            everywhere: everywhere.iter().map(|range| range.parse().unwrap()).collect(),
            namespaces: namespaces
                .iter()
                .map(|(name, range)| ((*name).to_owned(), vec![range.parse().unwrap()]))
                .collect(),
        }
    }

    #[test]
    fn a_namespace_may_claim_its_own_ranges_and_those_of_all() {
        let policy = policy(&["203.0.113.0/24"], &[("shop", "2001:db8::/64"), ("bank", "198.51.100.0/24")]);
        for (namespace, address, allowed) in [
            ("shop", "203.0.113.9", true),
            ("shop", "2001:db8::9", true),
            ("shop", "198.51.100.9", false),
            ("bank", "198.51.100.9", true),
            ("other", "203.0.113.9", true),
            ("other", "2001:db8::9", false),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(policy.allows(namespace, address), allowed, "{namespace} {address}");
            assert_eq!(policy.objection(namespace, address).is_none(), allowed, "{namespace} {address}");
        }
    }

    #[test]
    fn an_objection_says_what_is_allowed() {
        let objection =
            |policy: ExternalIpPolicy| policy.objection("shop", "192.0.2.1".parse().unwrap()).unwrap();
        assert_eq!(
            objection(policy(&[], &[])),
            "not served: no external IP is, until --external-ips-allowed or --external-ip-policy names its range"
        );
        assert_eq!(
            objection(policy(&["10.0.0.0/8"], &[])),
            "outside --external-ips-allowed and --external-ip-policy (10.0.0.0/8)"
        );
        assert_eq!(
            objection(policy(&[], &[("bank", "192.0.2.0/24")])),
            "not served: the policy allows namespace shop no external IP"
        );
        assert_eq!(
            objection(policy(&["10.0.0.0/8"], &[("shop", "198.51.100.0/24")])),
            "outside the ranges that the policy allows namespace shop (10.0.0.0/8, 198.51.100.0/24)"
        );
    }
}
