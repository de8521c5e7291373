//! Services and their endpoints.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::Arc,
};

use lb_model::{
    ingress::{BackendPort, IngressBackend},
    object::{EndpointSlice, ObjectKey, Protocol, Service, ServicePort, Snapshot},
};

use super::{annotation::How, reason};
use crate::config::{Endpoint, Upstream, UpstreamKey, UpstreamProtocol};

/// Why a backend cannot be reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BackendError {
    #[error(
        "Service {0} is not there, or is of type ExternalName, which is not served; create it or name another one"
    )]
    ServiceNotFound(ObjectKey),
    #[error("Service {service} has no TCP port {port}; it has {has}")]
    PortNotFound { service: ObjectKey, port: String, has: String },
    #[error("backend {kind} {name} is no Service, and nothing else is served; name a Service")]
    Resource { kind: String, name: String },
}

impl BackendError {
    /// The reason as Events and metrics spell it.
    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Self::ServiceNotFound(_) => reason::SERVICE_NOT_FOUND,
            Self::PortNotFound { .. } => reason::PORT_NOT_FOUND,
            Self::Resource { .. } => reason::RESOURCE_BACKEND,
        }
    }
}

/// All Services with the slices that they have, and the upstreams made of them so far.
pub(super) struct Backends<'a> {
    snapshot: &'a Snapshot,
    /// By namespace and Service.
    slices: HashMap<(&'a str, &'a str), Vec<&'a EndpointSlice>>,
    upstreams: BTreeMap<UpstreamKey, Arc<Upstream>>,
}

impl<'a> Backends<'a> {
    pub(super) fn new(snapshot: &'a Snapshot) -> Self {
        let mut slices = HashMap::<_, Vec<_>>::with_capacity(snapshot.slices.len());
        for (key, slice) in &snapshot.slices {
            slices.entry((key.namespace.as_str(), slice.service.as_str())).or_default().push(slice);
        }
        Self { snapshot, slices, upstreams: BTreeMap::new() }
    }

    /// The upstream that a backend of an Ingress means.
    pub(super) fn resolve(
        &mut self,
        namespace: &str,
        backend: &IngressBackend,
        how: &How,
    ) -> Result<Arc<Upstream>, BackendError> {
        match backend {
            IngressBackend::Service { name, port } => {
                self.service(&ObjectKey::new(namespace, name.as_str()), Some(port), how)
            }
            IngressBackend::Resource { kind, name } => {
                Err(BackendError::Resource { kind: kind.clone(), name: name.clone() })
            }
        }
    }

    /// The upstream of a port of a Service; of its first one where none is named.
    pub(super) fn service(
        &mut self,
        key: &ObjectKey,
        port: Option<&BackendPort>,
        how: &How,
    ) -> Result<Arc<Upstream>, BackendError> {
        let snapshot = self.snapshot;
        let service = snapshot.services.get(key).ok_or_else(|| BackendError::ServiceNotFound(key.clone()))?;
        let service_port = find_port(service, port).ok_or_else(|| BackendError::PortNotFound {
            service: key.clone(),
            port: port.map_or_else(|| "at all".to_owned(), BackendPort::to_string),
            has: ports_of(service),
        })?;
        let cluster_ip = service.cluster_ips.first().filter(|_| how.by_cluster_ip);
        let upstream_key = UpstreamKey {
            namespace: key.namespace.clone(),
            service: key.name.clone(),
            port: service_port.port,
            protocol: how.protocol.unwrap_or_else(|| protocol_of(service_port)),
            balance: how.balance.clone(),
            by_cluster_ip: cluster_ip.is_some(),
        };
        if let Some(upstream) = self.upstreams.get(&upstream_key) {
            return Ok(upstream.clone());
        }
        let upstream = match cluster_ip {
            Some(address) => Upstream {
                key: upstream_key.clone(),
                endpoints: vec![Endpoint { address: SocketAddr::new(*address, service_port.port) }],
                draining: Vec::new(),
            },
            None => self.read_slices(key, service_port, upstream_key.clone()),
        };
        let upstream = Arc::new(upstream);
        self.upstreams.insert(upstream_key, upstream.clone());
        Ok(upstream)
    }

    /// Every upstream that was asked for.
    pub(super) fn into_upstreams(self) -> BTreeMap<UpstreamKey, Arc<Upstream>> {
        self.upstreams
    }

    fn read_slices(&self, key: &ObjectKey, port: &ServicePort, upstream_key: UpstreamKey) -> Upstream {
        let mut fitness = BTreeMap::<SocketAddr, Fitness>::new();
        let slices = self.slices.get(&(key.namespace.as_str(), key.name.as_str()));
        for slice in slices.into_iter().flatten() {
            let ports = slice.ports.iter();
            for slice_port in ports.filter(|other| other.name == port.name && other.protocol == Protocol::Tcp)
            {
                for endpoint in &slice.endpoints {
                    let address = SocketAddr::new(endpoint.address, slice_port.port);
                    let here = Fitness::of(endpoint);
                    // An endpoint that moves between slices is in both for a while: the better word counts.
                    let best = fitness.entry(address).or_insert(here);
                    *best = here.max(*best);
                }
            }
        }
        let of = |wanted| {
            let fitting = fitness.iter().filter(move |(_, fitness)| **fitness == wanted);
            fitting.map(|(address, _)| Endpoint { address: *address }).collect::<Vec<_>>()
        };
        let (ready, terminating) = (of(Fitness::Ready), of(Fitness::Terminating));
        let (endpoints, draining) =
            if ready.is_empty() { (terminating, Vec::new()) } else { (ready, terminating) };
        Upstream { key: upstream_key, endpoints, draining }
    }
}

/// What an endpoint is good for (KEP-1669).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fitness {
    Unfit,
    /// It still serves: for want of a better one, and for the clients it has.
    Terminating,
    Ready,
}

impl Fitness {
    fn of(endpoint: &lb_model::object::Endpoint) -> Self {
        match endpoint {
            endpoint if endpoint.ready => Self::Ready,
            endpoint if endpoint.serving && endpoint.terminating => Self::Terminating,
            _ => Self::Unfit,
        }
    }
}

fn tcp_ports(service: &Service) -> impl Iterator<Item = &ServicePort> {
    service.ports.iter().filter(|port| port.protocol == Protocol::Tcp)
}

fn find_port<'a>(service: &'a Service, port: Option<&BackendPort>) -> Option<&'a ServicePort> {
    tcp_ports(service).find(|other| match port {
        None => true,
        Some(BackendPort::Number(number)) => other.port == *number,
        Some(BackendPort::Name(name)) => other.name == *name,
    })
}

fn ports_of(service: &Service) -> String {
    let ports: Vec<_> = tcp_ports(service)
        .map(|port| match port.name.as_str() {
            "" => port.port.to_string(),
            name => format!("{} ({name})", port.port),
        })
        .collect();
    if ports.is_empty() { "none".to_owned() } else { ports.join(", ") }
}

/// What `appProtocol` says: names of the API (KEP-3726), and those of IANA that say enough.
fn protocol_of(port: &ServicePort) -> UpstreamProtocol {
    match port.app_protocol.as_deref() {
        Some("kubernetes.io/h2c" | "h2c" | "grpc") => UpstreamProtocol::H2c,
        Some("https" | "HTTPS" | "kubernetes.io/wss") => UpstreamProtocol::Https,
        Some("grpcs") => UpstreamProtocol::Grpcs,
        _ => UpstreamProtocol::Http,
    }
}
