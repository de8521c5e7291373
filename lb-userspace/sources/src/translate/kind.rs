//! Kinds of objects.

/// A kind of object that Sluice follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// core/v1 Service.
    Service,
    /// discovery.k8s.io/v1 EndpointSlice.
    EndpointSlice,
    /// core/v1 Node.
    Node,
    /// networking.k8s.io/v1 Ingress, and in manifests its two predecessors.
    Ingress,
    /// networking.k8s.io/v1 IngressClass, and in manifests its predecessor.
    IngressClass,
    /// core/v1 Secret.
    Secret,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Service, Self::EndpointSlice, Self::Node, Self::Ingress, Self::IngressClass, Self::Secret];

    /// The kind's name in manifests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Node => "Node",
            Self::Ingress => "Ingress",
            Self::IngressClass => "IngressClass",
            Self::Secret => "Secret",
        }
    }

    /// The kind behind a manifest's kind, whatever its `apiVersion`.
    pub fn named(kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == kind)
    }

    /// The kind behind a manifest's `apiVersion` and `kind`, if Sluice follows it.
    pub fn of(api_version: &str, kind: &str) -> Option<Self> {
        Self::named(kind).filter(|known| known.api_versions().contains(&api_version))
    }

    /// Every `apiVersion` that is understood, the one that API servers speak first.
    pub const fn api_versions(self) -> &'static [&'static str] {
        match self {
            Self::Service | Self::Node | Self::Secret => &["v1"],
            Self::EndpointSlice => &["discovery.k8s.io/v1"],
            Self::Ingress => &["networking.k8s.io/v1", "networking.k8s.io/v1beta1", "extensions/v1beta1"],
            Self::IngressClass => &["networking.k8s.io/v1", "networking.k8s.io/v1beta1"],
        }
    }

    /// True where objects of the kind live in a namespace.
    pub const fn is_namespaced(self) -> bool {
        !matches!(self, Self::Node | Self::IngressClass)
    }
}
