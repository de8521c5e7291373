//! An object of any kind, and its place in a snapshot.

use lb_model::{
    ingress::{Ingress, IngressClass, TlsSecret},
    object::{EndpointSlice, Node, ObjectKey, Service, Snapshot},
    persistent_map::PersistentMap,
};

use super::Kind;

/// An object as the model knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// A Service.
    Service(Service),
    /// An EndpointSlice.
    EndpointSlice(EndpointSlice),
    /// A Node.
    Node(Node),
    /// An Ingress.
    Ingress(Ingress),
    /// An IngressClass.
    IngressClass(IngressClass),
    /// A Secret.
    Secret(TlsSecret),
}

impl Object {
    /// Puts the object into a snapshot; false where it was there already and is no different.
    pub fn put(self, key: ObjectKey, snapshot: &mut Snapshot) -> bool {
        match self {
            Self::Service(service) => put(&mut snapshot.services, key, service),
            Self::EndpointSlice(slice) => put(&mut snapshot.slices, key, slice),
            Self::Node(node) => put(&mut snapshot.nodes, key.name, node),
            Self::Ingress(ingress) => put(&mut snapshot.ingresses, key, ingress),
            Self::IngressClass(class) => put(&mut snapshot.ingress_classes, key.name, class),
            Self::Secret(secret) => put(&mut snapshot.secrets, key, secret),
        }
    }
}

fn put<K: Ord, V: PartialEq>(objects: &mut PersistentMap<K, V>, key: K, object: V) -> bool {
    let changed = objects.get(&key) != Some(&object);
    if changed {
        objects.insert(key, object);
    }
    changed
}

/// True where `snapshot` has the object.
pub fn contains(kind: Kind, key: &ObjectKey, snapshot: &Snapshot) -> bool {
    match kind {
        Kind::Service => snapshot.services.contains_key(key),
        Kind::EndpointSlice => snapshot.slices.contains_key(key),
        Kind::Node => snapshot.nodes.contains_key(&key.name),
        Kind::Ingress => snapshot.ingresses.contains_key(key),
        Kind::IngressClass => snapshot.ingress_classes.contains_key(&key.name),
        Kind::Secret => snapshot.secrets.contains_key(key),
    }
}

/// All objects of a kind.
pub(crate) fn keys(kind: Kind, snapshot: &Snapshot) -> Vec<ObjectKey> {
    let cluster_wide = |name: &String| ObjectKey::new("", name);
    match kind {
        Kind::Service => snapshot.services.keys().cloned().collect(),
        Kind::EndpointSlice => snapshot.slices.keys().cloned().collect(),
        Kind::Node => snapshot.nodes.keys().map(cluster_wide).collect(),
        Kind::Ingress => snapshot.ingresses.keys().cloned().collect(),
        Kind::IngressClass => snapshot.ingress_classes.keys().map(cluster_wide).collect(),
        Kind::Secret => snapshot.secrets.keys().cloned().collect(),
    }
}

/// Takes an object out; false where it was not there.
pub(crate) fn remove(kind: Kind, key: &ObjectKey, snapshot: &mut Snapshot) -> bool {
    match kind {
        Kind::Service => snapshot.services.remove(key),
        Kind::EndpointSlice => snapshot.slices.remove(key),
        Kind::Node => snapshot.nodes.remove(&key.name),
        Kind::Ingress => snapshot.ingresses.remove(key),
        Kind::IngressClass => snapshot.ingress_classes.remove(&key.name),
        Kind::Secret => snapshot.secrets.remove(key),
    }
}
