//! Single fields: what is accepted, and how a refusal reads.

use std::{fmt, net::IpAddr};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use lb_model::object::Protocol;

use crate::printable::printable;

/// Reasons of refusals.
pub mod reason {
    /// A value of the wrong type, or a required field that is missing.
    pub const UNDECODABLE: &str = "Undecodable";
    /// No name, or one that the API would not accept.
    pub const INVALID_NAME: &str = "InvalidName";
    /// Not a port.
    pub const INVALID_PORT: &str = "InvalidPort";
    /// Two ports of a Service that cannot be told apart.
    pub const DUPLICATE_PORT: &str = "DuplicatePort";
    /// Not an address, or one that cannot be served.
    pub const INVALID_ADDRESS: &str = "InvalidAddress";
    /// Not a range of addresses.
    pub const INVALID_RANGE: &str = "InvalidRange";
    /// A protocol that Sluice does not forward.
    pub const UNSUPPORTED_PROTOCOL: &str = "UnsupportedProtocol";
    /// A host that can be in no request.
    pub const INVALID_HOST: &str = "InvalidHost";
    /// A path that can be in no request.
    pub const INVALID_PATH: &str = "InvalidPath";
    /// Something that has to be there is not.
    pub const MISSING_VALUE: &str = "MissingValue";
    /// An object that the API server does not let this program read.
    pub const FORBIDDEN: &str = "Forbidden";
    /// A value that the API does not know.
    pub const INVALID_VALUE: &str = "InvalidValue";
    /// Defined twice.
    pub const DUPLICATE_OBJECT: &str = "DuplicateObject";
    /// A file or a part of it that is not YAML, or holds something else than an object.
    pub const BROKEN_MANIFEST: &str = "BrokenManifest";
}

/// Something wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Path of the field as kubectl writes it (`spec.ports[0].port`), empty for the object itself.
    pub field: String,
    /// A reason in CamelCase, one of [`reason`].
    pub reason: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

impl Finding {
    /// A finding.
    pub fn new(field: impl Into<String>, reason: &'static str, message: impl Into<String>) -> Self {
        Self { field: field.into(), reason, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (field, message) = (printable(&self.field), printable(&self.message));
        if field.is_empty() { f.write_str(&message) } else { write!(f, "{field}: {message}") }
    }
}

/// `metadata.name` and `metadata.namespace`: DNS labels and subdomains (RFC 1123), as the API has them.
pub(super) fn check_name(metadata: &ObjectMeta) -> Result<(), Finding> {
    match metadata.name.as_deref() {
        None | Some("") => {
            return Err(Finding::new("metadata.name", reason::INVALID_NAME, "missing; name the object"));
        }
        Some(name) => check_subdomain("metadata.name", name)?,
    }
    metadata
        .namespace
        .as_deref()
        .filter(|text| !text.is_empty())
        .map_or(Ok(()), |text| check_label("metadata.namespace", text))
}

/// The name of an object of most kinds.
pub(super) fn check_subdomain(field: &str, text: &str) -> Result<(), Finding> {
    let rule = "use at most 253 of a-z, 0-9, '-' and '.', with a letter or digit at both ends";
    if is_dns_text(text, 253, ".-") { Ok(()) } else { Err(no_name(field, text, rule)) }
}

/// The name of a Service, of one of its ports, or of a namespace.
pub(super) fn check_label(field: &str, text: &str) -> Result<(), Finding> {
    let rule = "use at most 63 of a-z, 0-9 and '-', with a letter or digit at both ends";
    if is_dns_text(text, 63, "-") { Ok(()) } else { Err(no_name(field, text, rule)) }
}

fn no_name(field: &str, text: &str, rule: &str) -> Finding {
    Finding::new(field, reason::INVALID_NAME, format!("{text:?} is no name; {rule}"))
}

/// True for what may be the name of a namespace.
pub(crate) fn is_label(text: &str) -> bool {
    is_dns_text(text, 63, "-")
}

/// True for a host name in lower case, or one below `*.` (`IsDNS1123Subdomain`, `IsWildcardDNS1123Subdomain`).
pub(super) fn is_host(text: &str) -> bool {
    let name = text.strip_prefix("*.").unwrap_or(text);
    text.len() <= 253 && name.split('.').all(|label| is_dns_text(label, 253, "-"))
}

fn is_dns_text(text: &str, longest: usize, inner: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= longest
        && text.starts_with(alphanumeric)
        && text.ends_with(alphanumeric)
        && text.chars().all(|c| alphanumeric(c) || inner.contains(c))
}

/// A port number.
pub(super) fn port(field: String, number: i32) -> Result<u16, Finding> {
    u16::try_from(number).ok().filter(|port| *port != 0).ok_or_else(|| {
        Finding::new(field, reason::INVALID_PORT, format!("{number} is not a port; use 1 to 65535"))
    })
}

/// A protocol; nothing is TCP.
pub(super) fn protocol(field: String, text: Option<&str>) -> Result<Protocol, Finding> {
    match text {
        None | Some("" | "TCP") => Ok(Protocol::Tcp),
        Some("UDP") => Ok(Protocol::Udp),
        Some("SCTP") => Ok(Protocol::Sctp),
        Some(other) => {
            let message = format!("{other:?} is not a protocol; use TCP, UDP or SCTP");
            Err(Finding::new(field, reason::UNSUPPORTED_PROTOCOL, message))
        }
    }
}

/// An address that is somebody's. An IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2) is the IPv4 address in it.
pub(super) fn address(field: String, text: &str) -> Result<IpAddr, Finding> {
    Ok(parse(field, text)?.to_canonical())
}

fn parse(field: String, text: &str) -> Result<IpAddr, Finding> {
    text.parse().map_err(|_| {
        let message = format!("{text:?} is not an IP address; write it like 203.0.113.10 or 2001:db8::10");
        Finding::new(field, reason::INVALID_ADDRESS, message)
    })
}

/// An address that packets from outside can be sent to: what `ValidateNonSpecialIP` of the API server accepts.
pub(super) fn reachable_address(field: String, text: &str) -> Result<IpAddr, Finding> {
    let ip = parse(field.clone(), text)?;
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    let what = if ip.to_canonical() != ip {
        "an IPv4-mapped IPv6 address"
    } else if ip.is_unspecified() {
        "the unspecified address"
    } else if ip.is_loopback() {
        "a loopback address"
    } else if link_local {
        "a link-local or broadcast address"
    } else if ip.is_multicast() {
        "a multicast address"
    } else {
        return Ok(ip);
    };
    let message = format!("{ip} is {what} and cannot be forwarded to; use a unicast address of your network");
    Err(Finding::new(field, reason::INVALID_ADDRESS, message))
}

/// Keeps what is good and notes what is not.
pub(super) fn keep<T>(result: Result<T, Finding>, findings: &mut Vec<Finding>) -> Option<T> {
    result.map_err(|finding| findings.push(finding)).ok()
}
