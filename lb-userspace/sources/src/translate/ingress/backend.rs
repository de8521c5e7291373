//! Where an Ingress sends requests.

use k8s_openapi::api::networking::v1 as networking;
use lb_model::ingress::{BackendPort, IngressBackend, IngressVersion};

use super::super::field::{self, Finding, reason};

/// Characters of a port's name at most (`IsValidPortName`, after RFC 6335 §5.1).
const LONGEST_PORT_NAME: usize = 15;

/// What an API version calls the fields of a backend.
#[derive(Clone, Copy)]
pub(super) struct Names {
    pub(super) default_backend: &'static str,
    service: &'static str,
    port: &'static str,
    number: &'static str,
    name: &'static str,
}

impl Names {
    pub(super) fn of(version: IngressVersion) -> Self {
        match version {
            IngressVersion::NetworkingV1 => Self {
                default_backend: "defaultBackend",
                service: "service.name",
                port: "service.port",
                number: "service.port.number",
                name: "service.port.name",
            },
            IngressVersion::NetworkingV1beta1 | IngressVersion::ExtensionsV1beta1 => Self {
                default_backend: "backend",
                service: "serviceName",
                port: "servicePort",
                number: "servicePort",
                name: "servicePort",
            },
        }
    }
}

/// The backend at `path`.
pub(super) fn translate(
    path: &str,
    backend: networking::IngressBackend,
    names: Names,
) -> Result<IngressBackend, Finding> {
    let (service, port) = match (backend.service, backend.resource) {
        (Some(_), Some(_)) => {
            let message = "both a Service and a resource; remove one";
            return Err(Finding::new(path, reason::INVALID_VALUE, message));
        }
        (None, None) => {
            let message = format!("no backend; write {} and {}", names.service, names.port);
            return Err(Finding::new(path, reason::MISSING_VALUE, message));
        }
        (None, Some(resource)) => {
            return Ok(IngressBackend::Resource { kind: resource.kind, name: resource.name });
        }
        (Some(service), None) => (service.name, service.port.unwrap_or_default()),
    };
    field::check_label(&format!("{path}.{}", names.service), &service)?;
    Ok(IngressBackend::Service { name: service, port: service_port(path, port, names)? })
}

fn service_port(
    path: &str,
    port: networking::ServiceBackendPort,
    names: Names,
) -> Result<BackendPort, Finding> {
    let at = |field: &str| format!("{path}.{field}");
    // What is not there arrives from Go as zero values too.
    match (port.name.filter(|name| !name.is_empty()), port.number.filter(|number| *number != 0)) {
        (Some(_), Some(_)) => {
            let message = "both a name and a number; remove one";
            Err(Finding::new(at(names.port), reason::INVALID_PORT, message))
        }
        (None, None) => {
            let message = "no port; write the number or the name of one of the Service's ports";
            Err(Finding::new(at(names.port), reason::INVALID_PORT, message))
        }
        (None, Some(number)) => Ok(BackendPort::Number(field::port(at(names.number), number)?)),
        (Some(name), None) if is_port_name(&name) => Ok(BackendPort::Name(name)),
        (Some(name), None) => {
            let rule = "use a number, or at most 15 of a-z, 0-9 and '-', with a letter among them";
            Err(Finding::new(
                at(names.name),
                reason::INVALID_PORT,
                format!("{name:?} is no name of a port; {rule}"),
            ))
        }
    }
}

/// `IsValidPortName` of apimachinery.
fn is_port_name(name: &str) -> bool {
    name.len() <= LONGEST_PORT_NAME
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && name.bytes().any(|byte| byte.is_ascii_lowercase())
        && !name.contains("--")
        && !name.starts_with('-')
        && !name.ends_with('-')
}
