//! A cluster of many Services, with the weight that objects have in a real one.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

/// Nodes that pods are spread over.
const NODES: u32 = 100;
/// Services with a NodePort too; the default range has no more.
const NODE_PORTS: u32 = 2_700;

/// Makes the objects.
pub(super) struct Objects {
    /// The node that the agent runs on.
    pub(super) node: &'static str,
    /// Its InternalIP.
    pub(super) address: Ipv4Addr,
    /// Endpoints of each Service.
    pub(super) endpoints: u32,
}

impl Objects {
    /// Everything, with so many Services.
    pub(super) fn all(&self, services: u32) -> impl Iterator<Item = Value> {
        let nodes = (0..NODES).map(|number| self.node(number));
        nodes.chain((0..services).flat_map(|number| [self.service(number), self.slice(number, None)]))
    }

    /// The slice of a Service; the endpoint at `changed` is another one than at first.
    pub(super) fn slice(&self, service: u32, changed: Option<u32>) -> Value {
        let endpoint = |position: u32| {
            let number = service * self.endpoints + position;
            let (node, pod) = (number % NODES, number / NODES);
            // The second half of a node's range is for those that replace others.
            let low = pod % 64 * 2 + u32::from(changed == Some(position));
            let address = Ipv4Addr::from([10, node as u8, (pod / 64) as u8, low as u8 + 1]);
            json!({
                "addresses": [address], "nodeName": self.node_name(node), "zone": format!("zone-{}", number % 3),
                "conditions": {"ready": true, "serving": true, "terminating": false},
                "targetRef": {
                    "kind": "Pod", "name": format!("web-{service}-7d4b9c6f5-{position:05}"), "namespace": namespace(service),
                    "uid": uid(number),
                },
            })
        };
        let name = format!("web-{service}");
        let mut metadata = metadata(&format!("{name}-x7k2p"), service);
        metadata["generateName"] = json!(format!("{name}-"));
        metadata["labels"]["kubernetes.io/service-name"] = json!(name);
        metadata["labels"]["endpointslice.kubernetes.io/managed-by"] =
            json!("endpointslice-controller.k8s.io");
        metadata["ownerReferences"] = json!([{
            "apiVersion": "v1", "blockOwnerDeletion": true, "controller": true, "kind": "Service", "name": name,
            "uid": uid(service),
        }]);
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": metadata, "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            "endpoints": (0..self.endpoints).map(endpoint).collect::<Vec<_>>(),
        })
    }

    fn service(&self, number: u32) -> Value {
        let vip = Ipv4Addr::from(u32::from(Ipv4Addr::new(203, 0, 113, 0)) + number);
        let mut port = json!({"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080});
        if number < NODE_PORTS {
            port["nodePort"] = json!(30_000 + number);
        }
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": metadata(&format!("web-{number}"), number),
            "spec": {
                "type": "LoadBalancer", "ports": [port], "selector": {"app": format!("web-{number}")},
                "allocateLoadBalancerNodePorts": number < NODE_PORTS, "sessionAffinity": "None",
                "clusterIP": Ipv4Addr::from(0x0b00_0000 + number), "clusterIPs": [Ipv4Addr::from(0x0b00_0000 + number)],
                "externalTrafficPolicy": "Cluster", "internalTrafficPolicy": "Cluster",
                "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
            },
            "status": {"loadBalancer": {"ingress": [{"ip": vip, "ipMode": "VIP"}]}},
        })
    }

    fn node(&self, number: u32) -> Value {
        let address = if number == 0 { self.address } else { Ipv4Addr::new(192, 0, 2, 100 + number as u8) };
        let cidr = format!("10.{number}.0.0/16");
        let mut metadata = metadata(&self.node_name(number), number);
        metadata["namespace"] = Value::Null;
        json!({
            "apiVersion": "v1", "kind": "Node", "metadata": metadata,
            "spec": {"podCIDR": cidr, "podCIDRs": [cidr]},
            "status": {"addresses": [
                {"type": "InternalIP", "address": address}, {"type": "Hostname", "address": self.node_name(number)},
            ]},
        })
    }

    fn node_name(&self, number: u32) -> String {
        if number == 0 { self.node.to_owned() } else { format!("worker-{number:03}.cluster.example") }
    }
}

fn namespace(number: u32) -> String {
    format!("team-{}", number % 200)
}

fn uid(number: u32) -> String {
    format!("{number:08x}-5b1d-4e6a-9c3f-2f8d7a6b{number:04x}")
}

fn metadata(name: &str, number: u32) -> Value {
    json!({
        "name": name, "namespace": namespace(number), "uid": uid(number), "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": {"app": name, "app.kubernetes.io/managed-by": "Helm", "team": namespace(number)},
        "annotations": {"meta.helm.sh/release-name": name, "meta.helm.sh/release-namespace": namespace(number)},
        "managedFields": [{
            "apiVersion": "v1", "fieldsType": "FieldsV1", "manager": "kube-controller-manager", "operation": "Update",
            "time": "2026-01-01T00:00:00Z",
            "fieldsV1": {
                "f:metadata": {"f:annotations": {".": {}, "f:meta.helm.sh/release-name": {}}, "f:labels": {".": {}, "f:app": {}}},
                "f:spec": {"f:ports": {".": {}, "k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:name": {}, "f:port": {}}}},
            },
        }],
    })
}
