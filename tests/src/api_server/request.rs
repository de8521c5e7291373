//! What a request is about, by its method and path.

use std::collections::BTreeMap;

use hyper::Method;
use serde_json::Value;

/// A collection of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// core/v1 Services.
    Services,
    /// discovery.k8s.io/v1 EndpointSlices.
    EndpointSlices,
    /// core/v1 Nodes.
    Nodes,
    /// networking.k8s.io/v1 Ingresses.
    Ingresses,
    /// networking.k8s.io/v1 IngressClasses.
    IngressClasses,
    /// core/v1 Secrets.
    Secrets,
    /// coordination.k8s.io/v1 Leases.
    Leases,
}

impl Resource {
    /// Every collection.
    pub const ALL: [Self; 7] = [
        Self::Services,
        Self::EndpointSlices,
        Self::Nodes,
        Self::Ingresses,
        Self::IngressClasses,
        Self::Secrets,
        Self::Leases,
    ];

    pub(super) fn of(object: &Value) -> Option<Self> {
        Self::ALL.into_iter().find(|resource| object["kind"] == resource.kind())
    }

    pub(super) const fn kind(self) -> &'static str {
        match self {
            Self::Services => "Service",
            Self::EndpointSlices => "EndpointSlice",
            Self::Nodes => "Node",
            Self::Ingresses => "Ingress",
            Self::IngressClasses => "IngressClass",
            Self::Secrets => "Secret",
            Self::Leases => "Lease",
        }
    }

    pub(super) const fn api_version(self) -> &'static str {
        match self {
            Self::Services | Self::Nodes | Self::Secrets => "v1",
            Self::EndpointSlices => "discovery.k8s.io/v1",
            Self::Ingresses | Self::IngressClasses => "networking.k8s.io/v1",
            Self::Leases => "coordination.k8s.io/v1",
        }
    }

    /// Group and plural.
    const fn path(self) -> (&'static str, &'static str) {
        match self {
            Self::Services => ("/api/v1/", "services"),
            Self::EndpointSlices => ("/apis/discovery.k8s.io/v1/", "endpointslices"),
            Self::Nodes => ("/api/v1/", "nodes"),
            Self::Ingresses => ("/apis/networking.k8s.io/v1/", "ingresses"),
            Self::IngressClasses => ("/apis/networking.k8s.io/v1/", "ingressclasses"),
            Self::Secrets => ("/api/v1/", "secrets"),
            Self::Leases => ("/apis/coordination.k8s.io/v1/", "leases"),
        }
    }
}

/// What a request wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// A page of a list.
    List,
    /// A watch.
    Watch,
    /// One object.
    Get,
    /// A new object.
    Create,
    /// Another version of an object.
    Update,
    /// Another status of an object.
    PatchStatus,
}

/// A request that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Of what.
    pub resource: Resource,
    /// What it wants.
    pub operation: Operation,
    /// The object that it names, `namespace/name`, or the namespace of an object to come.
    pub key: String,
    /// Query parameters.
    pub query: BTreeMap<String, String>,
}

impl Request {
    /// The request, if it is one that this server knows.
    pub(super) fn of(method: &Method, path: &str, query: BTreeMap<String, String>) -> Option<Self> {
        let (resource, namespace, rest) = Resource::ALL.into_iter().find_map(|resource| {
            let (group, plural) = resource.path();
            let parts: Vec<_> = path.strip_prefix(group)?.split('/').collect();
            match parts[..] {
                ["namespaces", namespace, found, ref rest @ ..] if found == plural => {
                    Some((resource, namespace, rest.to_vec()))
                }
                [found, ref rest @ ..] if found == plural => Some((resource, "", rest.to_vec())),
                _ => None,
            }
        })?;
        let is_watch = query.get("watch").is_some_and(|value| value == "true" || value == "1");
        let (operation, key) = match (method, &rest[..]) {
            (&Method::GET, []) if is_watch => (Operation::Watch, namespace.to_owned()),
            (&Method::GET, []) => (Operation::List, namespace.to_owned()),
            (&Method::POST, []) => (Operation::Create, namespace.to_owned()),
            (&Method::GET, [name]) => (Operation::Get, format!("{namespace}/{name}")),
            (&Method::PUT, [name]) => (Operation::Update, format!("{namespace}/{name}")),
            (&Method::PATCH, [name, "status"]) => (Operation::PatchStatus, format!("{namespace}/{name}")),
            _ => return None,
        };
        Some(Self { resource, operation, key, query })
    }
}
