//! Who is at the other end of a connection.

use std::net::{IpAddr, SocketAddr};

use hyper::header::HeaderValue;
use lb_model::cidr::Cidr;

/// One connection's client, with the field values that its requests get, made once.
#[derive(Debug)]
pub(super) struct Client {
    /// Its address: the socket's, or what the PROXY protocol says.
    pub(super) address: IpAddr,
    /// True over TLS.
    pub(super) is_tls: bool,
    /// True where what it says about earlier hops is believed.
    pub(super) is_trusted: bool,
    /// `address` as a field value.
    pub(super) address_value: HeaderValue,
    /// The port that it connected to, as a field value.
    pub(super) port_value: HeaderValue,
}

impl Client {
    /// A client at `address` that connected to `local`.
    pub(super) fn new(address: SocketAddr, local: SocketAddr, is_tls: bool, trusted: &[Cidr]) -> Self {
        let address = address.ip().to_canonical();
        // Digits, dots and colons are valid in a field.
        let value = |text: String| HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("unknown"));
        Self {
            address,
            is_tls,
            is_trusted: is_in(trusted, address),
            address_value: value(address.to_string()),
            port_value: value(local.port().to_string()),
        }
    }

    /// `http` or `https`.
    pub(super) const fn scheme(&self) -> &'static str {
        if self.is_tls { "https" } else { "http" }
    }
}

/// True where one of the ranges holds the address.
pub(super) fn is_in(ranges: &[Cidr], address: IpAddr) -> bool {
    ranges.iter().any(|range| range.contains(address))
}
