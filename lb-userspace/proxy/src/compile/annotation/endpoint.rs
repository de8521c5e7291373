//! How endpoints are spoken to and chosen.

use super::{
    reader::Reader,
    value::{self, ValueError, is_token},
};
use crate::config::{Balance, HashKey, UpstreamProtocol};

/// How endpoints are spoken to and chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct How {
    /// None leaves it to the Service's port.
    pub(crate) protocol: Option<UpstreamProtocol>,
    pub(crate) balance: Balance,
    pub(crate) by_cluster_ip: bool,
}

pub(super) fn how(reader: &mut Reader<'_>) -> How {
    let balance = reader.read("load-balance", balance).unwrap_or_default();
    How {
        protocol: reader.read("backend-protocol", protocol),
        balance: reader.read("upstream-hash-by", hash_key).map_or(balance, Balance::Hash),
        by_cluster_ip: reader.is_set("service-upstream"),
    }
}

pub(super) fn vhost(reader: &mut Reader<'_>) -> Option<String> {
    reader.read("upstream-vhost", |text| {
        let (host, port) = text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
        value::host(host)?;
        match port {
            Some(port) if port.parse::<u16>().is_err() => Err(ValueError::Host(text.to_owned())),
            _ => Ok(text.to_owned()),
        }
    })
}

pub(super) fn forwarded_prefix(reader: &mut Reader<'_>) -> Option<String> {
    reader.read("x-forwarded-prefix", value::header)
}

fn protocol(text: &str) -> Result<UpstreamProtocol, ValueError> {
    match text.to_ascii_uppercase().as_str() {
        "HTTP" => Ok(UpstreamProtocol::Http),
        "HTTPS" => Ok(UpstreamProtocol::Https),
        "GRPC" => Ok(UpstreamProtocol::H2c),
        "GRPCS" => Ok(UpstreamProtocol::Grpcs),
        _ => Err(ValueError::OneOf("HTTP, HTTPS, GRPC and GRPCS")),
    }
}

fn balance(text: &str) -> Result<Balance, ValueError> {
    match text {
        "round_robin" => Ok(Balance::RoundRobin),
        "least_request" | "least_conn" | "ewma" => Ok(Balance::LeastRequest),
        _ => Err(ValueError::OneOf("round_robin, least_request, least_conn and ewma")),
    }
}

fn hash_key(text: &str) -> Result<HashKey, ValueError> {
    const KEYS: &str =
        "$remote_addr, $binary_remote_addr, $request_uri, $host, $http_NAME, $cookie_NAME and $arg_NAME";
    match text {
        "$remote_addr" | "$binary_remote_addr" => return Ok(HashKey::ClientAddress),
        "$request_uri" => return Ok(HashKey::Uri),
        "$host" => return Ok(HashKey::Host),
        _ => {}
    }
    // A name of several variables has a `$`, which is no part of theirs.
    let named = |prefix| text.strip_prefix(prefix).filter(|name| is_token(name) && !name.contains('$'));
    let header = named("$http_").map(|name| HashKey::Header(name.to_ascii_lowercase().replace('_', "-")));
    let cookie = || named("$cookie_").map(|name| HashKey::Cookie(name.to_owned()));
    let query = || named("$arg_").map(|name| HashKey::Query(name.to_owned()));
    header.or_else(cookie).or_else(query).ok_or(ValueError::OneOf(KEYS))
}
