//! discovery.k8s.io/v1 EndpointSlice.

use k8s_openapi::api::discovery::v1 as discovery;
use lb_model::object::{Endpoint, EndpointPort, EndpointSlice, IpFamily};

use super::{
    created,
    field::{self, Finding, keep, reason},
    service::is_of_others,
};
use crate::Consumer;

/// The Service that a slice belongs to (`discovery/v1` `LabelServiceName`).
pub(super) const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Who fills the slice (`discovery/v1` `LabelManagedBy`).
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// The controller that fills slices from the pods that a Service selects.
const POD_CONTROLLER: &str = "endpointslice-controller.k8s.io";

/// The slice, or nothing where it is not ours: of host names, of no Service, of a Service that is not proxied.
pub(super) fn translate(
    consumer: Consumer,
    object: &discovery::EndpointSlice,
    findings: &mut Vec<Finding>,
) -> Result<Option<EndpointSlice>, Finding> {
    field::check_name(&object.metadata)?;
    let family = match object.address_type.as_str() {
        "IPv4" => IpFamily::Ipv4,
        "IPv6" => IpFamily::Ipv6,
        "FQDN" => return Ok(None),
        other => {
            let message = format!("{other:?} is no address type; use IPv4 or IPv6");
            return Err(Finding::new("addressType", reason::INVALID_VALUE, message));
        }
    };
    let label = |name: &str| object.metadata.labels.as_ref().and_then(|labels| labels.get(name));
    let service = label(SERVICE_NAME);
    let Some(service) = service.filter(|name| !name.is_empty()) else { return Ok(None) };
    if consumer == Consumer::Agent && is_of_others(&object.metadata) {
        return Ok(None);
    }
    Ok(Some(EndpointSlice {
        created: created(&object.metadata),
        lists_pods: label(MANAGED_BY).is_some_and(|manager| manager == POD_CONTROLLER),
        service: service.clone(),
        ports: object
            .ports
            .iter()
            .flatten()
            .enumerate()
            .filter_map(|(i, entry)| keep(port(i, entry).transpose()?, findings))
            .collect(),
        endpoints: object
            .endpoints
            .iter()
            .enumerate()
            .filter_map(|(i, entry)| keep(endpoint(i, entry, family), findings))
            .collect(),
    }))
}

fn port(i: usize, entry: &discovery::EndpointPort) -> Result<Option<EndpointPort>, Finding> {
    // "All ports" has no meaning behind a Service port.
    let Some(number) = entry.port else { return Ok(None) };
    Ok(Some(EndpointPort {
        name: entry.name.clone().unwrap_or_default(),
        protocol: field::protocol(format!("ports[{i}].protocol"), entry.protocol.as_deref())?,
        port: field::port(format!("ports[{i}].port"), number)?,
    }))
}

fn endpoint(i: usize, entry: &discovery::Endpoint, family: IpFamily) -> Result<Endpoint, Finding> {
    let path = format!("endpoints[{i}].addresses");
    let Some(text) = entry.addresses.first() else {
        let message = format!("empty; give the endpoint an {family} address");
        return Err(Finding::new(path, reason::INVALID_ADDRESS, message));
    };
    let field = format!("{path}[0]");
    let address = field::reachable_address(field.clone(), text)?;
    let own = IpFamily::of(address);
    if own != family {
        let message =
            format!("{address} in a slice of addressType {family}; move it to a slice of addressType {own}");
        return Err(Finding::new(field, reason::INVALID_ADDRESS, message));
    }
    let hints = entry.hints.as_ref();
    let conditions = entry.conditions.as_ref();
    let ready = conditions.and_then(|conditions| conditions.ready).unwrap_or(true);
    Ok(Endpoint {
        address,
        node: entry.node_name.clone().filter(|name| !name.is_empty()),
        ready,
        serving: conditions.and_then(|conditions| conditions.serving).unwrap_or(ready),
        terminating: conditions.and_then(|conditions| conditions.terminating).unwrap_or(false),
        for_nodes: hints
            .iter()
            .flat_map(|hints| hints.for_nodes.iter().flatten())
            .map(|node| node.name.clone())
            .collect(),
        for_zones: hints
            .iter()
            .flat_map(|hints| hints.for_zones.iter().flatten())
            .map(|zone| zone.name.clone())
            .collect(),
    })
}
