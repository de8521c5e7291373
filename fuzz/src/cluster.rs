//! The node that everything is decided for, and the Service that is served whatever else there is.

use std::net::IpAddr;

use lb_common::service::ServiceKey;
use lb_model::{
    config::NodeConfig,
    desired::Desired,
    explain::explain,
    object::{ObjectKey, Protocol},
    op::{Capacity, Tables},
    policy::ExternalIpPolicy,
};

/// Room for whatever an input asks for.
pub(crate) const CAPACITY: Capacity = Capacity {
    services: 1 << 14,
    chunks: 1 << 14,
    backends: 1 << 14,
    source_ranges: 1 << 14,
    peers: 1 << 14,
};

/// The Service and its EndpointSlice. Its namespace and name stand before all others and it is as old as can be, so
/// that no other Service has a better claim; only its VIP may be refused, by name.
pub(crate) const GOOD: &str = "\
apiVersion: v1
kind: Service
metadata: {namespace: '0', name: '0', creationTimestamp: '-009999-01-02T01:59:59Z'}
spec:
  type: LoadBalancer
  ports: [{name: good, port: 4443, nodePort: 32000}]
status: {loadBalancer: {ingress: [{ip: 203.0.113.250}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {namespace: '0', name: '0', labels: {kubernetes.io/service-name: '0'}}
addressType: IPv4
ports: [{name: good, port: 8443}]
endpoints: [{addresses: [10.99.0.1]}]
";

/// Node n1, with an address of each family.
pub(crate) fn config() -> NodeConfig {
    let own = ["192.0.2.1", "2001:db8::1"].map(|text| text.parse().unwrap()).to_vec();
    let allowed = ["203.0.113.0/24", "2001:db8:1::/64"].map(|text| text.parse().unwrap()).to_vec();
    NodeConfig {
        node_name: "n1".to_owned(),
        addresses: own.clone(),
        primary_addresses: own,
        external_ips_allowed: ExternalIpPolicy::everywhere(allowed),
        node_port_addresses: Vec::new(),
    }
}

/// The Service's key.
pub(crate) fn good_key() -> ObjectKey {
    ObjectKey::new("0", "0")
}

/// Panics where the good Service is not decided to be served: on its node port always, on its VIP unless that is
/// refused by name.
pub(crate) fn assert_good_is_desired(desired: &Desired) {
    let service = desired.services.get("0/0:good").expect("the good Service is served");
    let serves = |address: [u8; 4], port: u16| {
        let key = ServiceKey::new(IpAddr::from(address).into(), port.to_be(), Protocol::Tcp.number());
        service.frontends.iter().any(|frontend| frontend.key == key)
    };
    assert!(serves([192, 0, 2, 1], 32_000), "the good Service's node port: {desired:#?}");
    let is_refused = desired.refusals.iter().any(|refusal| refusal.object == good_key());
    assert!(is_refused || serves([203, 0, 113, 250], 4443), "the good Service's VIP: {desired:#?}");
}

/// Panics where the maps do not lead packets of the good Service's node port to its endpoint.
pub(crate) fn assert_good_is_programmed(tables: &Tables) {
    let explanation = explain(tables);
    let views = explanation.services.iter().filter(|view| view.name == "0/0:good");
    let leads = views.clone().any(|view| {
        let pod = IpAddr::from([10, 99, 0, 1]);
        let shares = view.ring.shares.iter().filter_map(|share| share.backend);
        view.frontends.iter().any(|frontend| frontend.port == 32_000)
            && shares.into_iter().any(|backend| backend.address == pod && backend.port == 8443)
    });
    assert!(leads, "the good Service in the maps: {:#?}", views.collect::<Vec<_>>());
}
