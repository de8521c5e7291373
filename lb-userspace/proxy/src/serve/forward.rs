//! The fields of a request on its way to an endpoint.

use std::net::IpAddr;

use hyper::{
    HeaderMap,
    header::{self, HeaderName, HeaderValue},
};
use lb_model::cidr::Cidr;

use super::{
    client::{Client, is_in},
    guard::{Fields, is_forwarded},
};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Fields that concern one connection only (RFC 9110 §7.6.1; RFC 7540 §3.2.1 for what goes with an upgrade to h2c), and
/// `Proxy`, which CGI programs take for the address of a proxy (CVE-2016-5385). `Expect` has been answered by the proxy
/// itself (§10.1.1).
const HOP_BY_HOP: [HeaderName; 8] = [
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::TE,
    header::EXPECT,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy"),
    HeaderName::from_static("http2-settings"),
];

/// Where the client says that it came from: for access lists, limits and hashing.
pub(super) fn origin(client: &Client, fields: &Fields, headers: &HeaderMap, trusted: &[Cidr]) -> IpAddr {
    if !(client.is_trusted && fields.forwarded) {
        return client.address;
    }
    // From the nearest hop outwards, to the first that is not trusted: what is beyond, anyone can write.
    let hops = headers.get_all(FORWARDED_FOR).iter().rev().filter_map(|value| value.to_str().ok());
    let mut origin = client.address;
    for hop in hops.flat_map(|value| value.rsplit(',')) {
        let Ok(address) = hop.trim().parse::<IpAddr>() else { break };
        origin = address.to_canonical();
        if !is_in(trusted, origin) {
            break;
        }
    }
    origin
}

/// True where the client itself spoke TLS, to the proxy or to a trusted hop before it.
pub(super) fn is_secure(client: &Client, fields: &Fields, headers: &HeaderMap) -> bool {
    if client.is_trusted
        && fields.forwarded
        && let Some(scheme) = headers.get(FORWARDED_PROTO)
    {
        return scheme.as_bytes().eq_ignore_ascii_case(b"https");
    }
    client.is_tls
}

/// Removes what concerns this connection only, and what clients could forge.
pub(super) fn strip(headers: &mut HeaderMap, fields: &Fields, client: &Client) {
    // First what `Connection` names: it must not reach what is added below (CVE-2024-45410).
    if fields.connection {
        remove_listed(headers);
    }
    if fields.hop_by_hop || fields.upgrade {
        // gRPC insists on `TE: trailers`, which concerns the whole way (RFC 9110 §10.1.4).
        let trailers = headers.get(header::TE).is_some_and(|value| value == "trailers");
        HOP_BY_HOP.iter().for_each(|name| {
            headers.remove(name);
        });
        if trailers {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
        }
    }
    let forged = fields.forwarded && !client.is_trusted;
    if forged || fields.underscores {
        let names: Vec<_> = headers
            .keys()
            .filter(|name| (forged && is_forwarded(name.as_str())) || name.as_str().contains('_'))
            .cloned()
            .collect();
        for name in names {
            headers.remove(name);
        }
    }
}

/// Removes `Connection` and the fields that it names. Those that say whom the request is for stay whatever it names.
pub(super) fn remove_listed(headers: &mut HeaderMap) {
    let listed: Vec<_> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        .filter(|name| !matches!(*name, header::HOST | header::CONTENT_LENGTH | header::TE))
        .collect();
    headers.remove(header::CONNECTION);
    for name in listed {
        headers.remove(name);
    }
}

/// Adds what the proxy says about the client. A trusted client's own word is kept and extended.
pub(super) fn add(headers: &mut HeaderMap, client: &Client, origin: IpAddr, prefix: Option<&HeaderValue>) {
    headers.reserve(6);
    let host = headers.get(header::HOST).cloned();
    if client.is_trusted {
        let hops = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
        let hops = hops.chain(client.address_value.to_str()).collect::<Vec<_>>().join(", ");
        if let Ok(hops) = HeaderValue::try_from(hops) {
            headers.insert(FORWARDED_FOR, hops);
        }
        if let Ok(origin) = HeaderValue::try_from(origin.to_string()) {
            headers.insert(REAL_IP, origin);
        }
        if let Some(host) = host {
            headers.entry(FORWARDED_HOST).or_insert(host);
        }
        headers.entry(FORWARDED_PORT).or_insert_with(|| client.port_value.clone());
        headers.entry(FORWARDED_PROTO).or_insert(HeaderValue::from_static(client.scheme()));
    } else {
        headers.insert(FORWARDED_FOR, client.address_value.clone());
        headers.insert(REAL_IP, client.address_value.clone());
        if let Some(host) = host {
            headers.insert(FORWARDED_HOST, host);
        }
        headers.insert(FORWARDED_PORT, client.port_value.clone());
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static(client.scheme()));
    }
    if let Some(prefix) = prefix {
        headers.insert(FORWARDED_PREFIX, prefix.clone());
    }
}

/// Removes from a response what concerned the connection to the endpoint only.
pub(super) fn strip_response(headers: &mut HeaderMap) {
    let mut found = [None; 5];
    for (name, place) in headers.keys().filter_map(|name| of_connection(name.as_str())) {
        found[place] = Some(name);
    }
    // Nearly every response that has it says nothing but whether the connection stays.
    if found[0].is_some() && headers.get_all(header::CONNECTION).iter().any(|value| !is_plain(value)) {
        remove_listed(headers);
    }
    for name in found.into_iter().flatten() {
        headers.remove(name);
    }
}

/// A field that concerns one connection, with a number of its own; `Connection` has the first.
fn of_connection(name: &str) -> Option<(&'static str, usize)> {
    const NAMES: [&str; 5] = ["connection", "transfer-encoding", "upgrade", "keep-alive", "proxy-connection"];
    // Most names differ in their length already.
    NAMES.iter().position(|known| *known == name).map(|place| (NAMES[place], place))
}

fn is_plain(connection: &HeaderValue) -> bool {
    let value = connection.as_bytes();
    value.eq_ignore_ascii_case(b"keep-alive") || value.eq_ignore_ascii_case(b"close")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &[&str]) -> Client {
        let trusted: Vec<Cidr> = trusted.iter().map(|range| range.parse().unwrap()).collect();
        Client::new(([192, 0, 2, 7], 4000).into(), ([10, 0, 0, 1], 443).into(), true, &trusted)
    }

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    fn all() -> Fields {
        let mut fields = Fields::default();
        (fields.connection, fields.forwarded, fields.underscores, fields.hop_by_hop) =
            (true, true, true, true);
        fields
    }

    #[test]
    fn what_connection_names_cannot_remove_what_the_proxy_says() {
        let mut headers = headers(&[
            ("host", "a"),
            ("connection", "x-forwarded-for, x-secret, host"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-secret", "s"),
        ]);
        let client = client(&[]);
        strip(&mut headers, &all(), &client);
        add(&mut headers, &client, client.address, None);
        assert_eq!(headers["x-forwarded-for"], "192.0.2.7");
        assert_eq!(headers["host"], "a");
        assert!(!headers.contains_key("x-secret") && !headers.contains_key("connection"));
    }

    #[test]
    fn aliases_and_forged_fields_are_dropped() {
        let mut headers = headers(&[
            ("x_forwarded_for", "1.2.3.4"),
            ("forwarded", "for=1.2.3.4"),
            ("x-forwarded-server", "evil"),
            ("proxy", "evil"),
            ("http2-settings", "AAMAAABk"),
            ("accept", "*/*"),
        ]);
        strip(&mut headers, &all(), &client(&[]));
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["accept"]);
    }

    #[test]
    fn what_concerns_the_connection_to_the_endpoint_stays_there() {
        for connection in ["keep-alive", "close, x-hop", "X-Hop"] {
            let mut headers = headers(&[
                ("connection", connection),
                ("keep-alive", "timeout=5"),
                ("x-hop", "here"),
                ("transfer-encoding", "chunked"),
                ("etag", "x"),
            ]);
            strip_response(&mut headers);
            let left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
            let kept = if connection == "keep-alive" { vec!["x-hop", "etag"] } else { vec!["etag"] };
            assert!(left.len() == kept.len() && kept.iter().all(|name| left.contains(name)), "{left:?}");
        }
    }

    #[test]
    fn a_trusted_hop_is_believed_as_far_as_it_is_trusted() {
        let trusted = ["192.0.2.0/24"];
        let ranges = [trusted[0].parse().unwrap()];
        let (client, mut headers) =
            (client(&trusted), headers(&[("x-forwarded-for", "6.6.6.6, 203.0.113.9, 192.0.2.3")]));
        let origin = origin(&client, &all(), &headers, &ranges);
        assert_eq!(origin.to_string(), "203.0.113.9");
        add(&mut headers, &client, origin, None);
        assert_eq!(headers["x-forwarded-for"], "6.6.6.6, 203.0.113.9, 192.0.2.3, 192.0.2.7");
        assert_eq!(headers["x-real-ip"], "203.0.113.9");
    }
}
