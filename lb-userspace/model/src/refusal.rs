//! Reasons of [`Refusal`]s that the model itself finds.

use crate::object::{ObjectKey, Refusal};

/// Reasons as Events and metrics spell them.
pub mod reason {
    /// An external IP outside `--external-ips-allowed`.
    pub const EXTERNAL_IP_NOT_ALLOWED: &str = "ExternalIpNotAllowed";
    /// A VIP that is an address of a node.
    pub const FRONTEND_IS_NODE_ADDRESS: &str = "FrontendIsNodeAddress";
    /// A VIP that is a Service's ClusterIP.
    pub const FRONTEND_IS_CLUSTER_IP: &str = "FrontendIsClusterIp";
    /// A VIP inside a node's podCIDR or equal to a pod's address.
    pub const FRONTEND_IS_POD_ADDRESS: &str = "FrontendIsPodAddress";
    /// A VIP that no packet from outside may carry as destination: loopback, link-local, multicast and the like.
    pub const FRONTEND_IS_SPECIAL_ADDRESS: &str = "FrontendIsSpecialAddress";
    /// An (address, port, protocol) that an older Service has.
    pub const FRONTEND_CONFLICT: &str = "FrontendConflict";
    /// A VIP of an address family that is not the Service's.
    pub const ADDRESS_FAMILY_MISMATCH: &str = "AddressFamilyMismatch";
    /// A NodePort on a node without an address to answer on.
    pub const NO_NODE_PORT_ADDRESS: &str = "NoNodePortAddress";
    /// Two ports of one name in one Service.
    pub const DUPLICATE_PORT_NAME: &str = "DuplicatePortName";
    /// A `healthCheckNodePort` that an older Service has.
    pub const HEALTH_CHECK_PORT_CONFLICT: &str = "HealthCheckPortConflict";
    /// A map without room.
    pub const MAP_FULL: &str = "MapFull";
}

impl Refusal {
    /// A refusal about a Service.
    pub(crate) fn of_service(service: &ObjectKey, reason: &str, message: String) -> Self {
        Self { kind: "Service".to_owned(), object: service.clone(), reason: reason.to_owned(), message }
    }
}
