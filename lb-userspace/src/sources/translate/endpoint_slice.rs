//! discovery.k8s.io/v1 EndpointSlice.

use std::net::IpAddr;

use k8s_openapi::api::discovery::v1 as discovery;
use lb_model::object::{Endpoint, EndpointPort, EndpointSlice};

use super::{
    field::{self, Finding, keep, reason},
    has_label,
    service::{HEADLESS, SERVICE_PROXY_NAME},
};

/// The Service that a slice belongs to (`discovery/v1` `LabelServiceName`).
pub(super) const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// The slice, or nothing where it is not ours: of another address family, of no Service, of a Service that is not
/// proxied.
pub(super) fn translate(
    object: &discovery::EndpointSlice,
    findings: &mut Vec<Finding>,
) -> Result<Option<EndpointSlice>, Finding> {
    field::check_name(&object.metadata)?;
    match object.address_type.as_str() {
        "IPv4" => {}
        "IPv6" | "FQDN" => return Ok(None),
        other => {
            let message = format!("{other:?} is no address type; use IPv4");
            return Err(Finding::new("addressType", reason::INVALID_VALUE, message));
        }
    }
    let service = object.metadata.labels.as_ref().and_then(|labels| labels.get(SERVICE_NAME));
    let Some(service) = service.filter(|name| !name.is_empty()) else { return Ok(None) };
    if has_label(&object.metadata, SERVICE_PROXY_NAME) || has_label(&object.metadata, HEADLESS) {
        return Ok(None);
    }
    Ok(Some(EndpointSlice {
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
            .filter_map(|(i, entry)| keep(endpoint(i, entry), findings))
            .collect(),
    }))
}

fn port(i: usize, entry: &discovery::EndpointPort) -> Result<Option<EndpointPort>, Finding> {
    // "All ports" has no meaning behind a Service port. SCTP is refused once, at the Service that asks for it.
    let (Some(number), false) = (entry.port, entry.protocol.as_deref() == Some("SCTP")) else {
        return Ok(None);
    };
    Ok(Some(EndpointPort {
        name: entry.name.clone().unwrap_or_default(),
        protocol: field::protocol(format!("ports[{i}].protocol"), entry.protocol.as_deref())?,
        port: field::port(format!("ports[{i}].port"), number)?,
    }))
}

fn endpoint(i: usize, entry: &discovery::Endpoint) -> Result<Endpoint, Finding> {
    let path = format!("endpoints[{i}].addresses");
    let Some(text) = entry.addresses.first() else {
        return Err(Finding::new(path, reason::INVALID_ADDRESS, "empty; give the endpoint an IPv4 address"));
    };
    let field = format!("{path}[0]");
    let address = match field::reachable_address(field.clone(), text)? {
        ip @ IpAddr::V4(_) => ip,
        ip @ IpAddr::V6(_) => {
            let message =
                format!("{ip} in a slice of addressType IPv4; move it to a slice of addressType IPv6");
            return Err(Finding::new(field, reason::INVALID_ADDRESS, message));
        }
    };
    let conditions = entry.conditions.as_ref();
    let ready = conditions.and_then(|conditions| conditions.ready).unwrap_or(true);
    Ok(Endpoint {
        address,
        node: entry.node_name.clone().filter(|name| !name.is_empty()),
        ready,
        serving: conditions.and_then(|conditions| conditions.serving).unwrap_or(ready),
        terminating: conditions.and_then(|conditions| conditions.terminating).unwrap_or(false),
    })
}
