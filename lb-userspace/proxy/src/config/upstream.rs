//! The endpoints behind a route.

use std::net::SocketAddr;

/// A port of a Service with the way it is spoken to.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// What tells it from others, over all generations.
    pub key: UpstreamKey,
    /// Endpoints for new requests, in order, each once. Without any, requests are answered 503.
    pub endpoints: Vec<Endpoint>,
    /// Endpoints that still serve while they terminate, for clients that a cookie keeps there.
    pub draining: Vec<Endpoint>,
}

/// Name of an upstream. Counters, pools and limits are kept by it when the configuration changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UpstreamKey {
    /// Namespace of the Service.
    pub namespace: String,
    /// Its name.
    pub service: String,
    /// Its port.
    pub port: u16,
    /// How endpoints are spoken to.
    pub protocol: UpstreamProtocol,
    /// How an endpoint is chosen.
    pub balance: Balance,
    /// `service-upstream`: the Service's ClusterIP is the only endpoint.
    pub by_cluster_ip: bool,
}

/// How endpoints are spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    #[default]
    Http,
    /// HTTP/2 with prior knowledge (RFC 9113 §3.3), for gRPC and `appProtocol: kubernetes.io/h2c`.
    H2c,
    /// TLS; HTTP/2 where ALPN says so, else HTTP/1.1.
    Https,
    /// TLS and HTTP/2, for gRPC.
    Grpcs,
}

/// How an endpoint is chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Balance {
    /// One after the other.
    #[default]
    RoundRobin,
    /// The one of two with fewer requests under way.
    LeastRequest,
    /// The same one for the same key, by Maglev.
    Hash(HashKey),
}

/// What consistent hashing goes by: `upstream-hash-by`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashKey {
    /// `$binary_remote_addr`, `$remote_addr`.
    ClientAddress,
    /// `$request_uri`.
    Uri,
    /// `$host`.
    Host,
    /// `$http_NAME`, lower case with hyphens.
    Header(String),
    /// `$cookie_NAME`.
    Cookie(String),
    /// `$arg_NAME`.
    Query(String),
}

/// An endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// Where it listens.
    pub address: SocketAddr,
}
