//! The program that a source works for.

use crate::translate::Kind;

/// The program that a source works for. It decides which kinds are followed, and which objects of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consumer {
    /// `sluice agent`: the Services that kube-proxy would serve, their EndpointSlices, and Nodes.
    Agent,
    /// `sluice-ingress`: Ingresses and all that they lead to. Headless Services and those of other proxies are among
    /// that, since requests go to endpoints and not to the Service's address.
    Ingress,
}

impl Consumer {
    /// The kinds that it follows.
    pub const fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Agent => &[Kind::Service, Kind::EndpointSlice, Kind::Node],
            Self::Ingress => &Kind::ALL,
        }
    }

    /// True where it follows the kind.
    pub fn follows(self, kind: Kind) -> bool {
        self.kinds().contains(&kind)
    }

    /// What to ask the API for. For the agent as kube-proxy selects (`cmd/kube-proxy/app/server.go`): nothing that
    /// another proxy serves, nothing headless.
    pub(crate) fn label_selector(self, kind: Kind) -> Option<String> {
        match (self, kind) {
            (Self::Agent, Kind::Service | Kind::EndpointSlice) => {
                Some("!service.kubernetes.io/service-proxy-name,!service.kubernetes.io/headless".to_owned())
            }
            _ => None,
        }
    }
}
