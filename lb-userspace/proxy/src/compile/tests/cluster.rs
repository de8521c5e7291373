//! Small clusters, and what requests find in them.

use lb_model::{
    ingress::{
        BackendPort, Ingress, IngressBackend, IngressPath, IngressRule, IngressTls, PathType, TlsSecret,
    },
    object::{Endpoint, EndpointPort, EndpointSlice, ObjectKey, Protocol, Service, ServicePort, Snapshot},
};

use crate::{
    compile::{Cache, Settings, compile},
    config::{Action, Config},
};

/// A snapshot under construction; all is in namespace `default`.
#[derive(Default)]
pub(crate) struct Cluster {
    pub(crate) snapshot: Snapshot,
    pub(crate) settings: Settings,
}

pub(crate) fn key(name: &str) -> ObjectKey {
    ObjectKey::new("default", name)
}

/// `name:port`, the port by number or name.
pub(crate) fn backend(text: &str) -> IngressBackend {
    let (name, port) = text.split_once(':').unwrap();
    let port = port.parse().map_or_else(|_| BackendPort::Name(port.to_owned()), BackendPort::Number);
    IngressBackend::Service { name: name.to_owned(), port }
}

pub(crate) fn path(path: &str, path_type: PathType, to: &str) -> IngressPath {
    IngressPath { path: path.to_owned(), path_type, backend: backend(to) }
}

pub(crate) fn rule(host: Option<&str>, paths: &[(&str, PathType, &str)]) -> IngressRule {
    let paths = paths.iter().map(|(text, path_type, to)| path(text, *path_type, to)).collect();
    IngressRule { host: host.map(str::to_owned), paths }
}

pub(crate) fn tls(hosts: &[&str], secret: &str) -> IngressTls {
    IngressTls { hosts: hosts.iter().map(|host| host.to_string()).collect(), secret: Some(secret.to_owned()) }
}

pub(crate) fn annotated(ingress: Ingress, annotations: &[(&str, &str)]) -> Ingress {
    let annotations = annotations.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    Ingress { annotations, ..ingress }
}

/// An Ingress of one host whose every path goes to `web:80`.
pub(crate) fn one_host(host: &str) -> Ingress {
    Ingress { rules: vec![rule(Some(host), &[("/", PathType::Prefix, "web:80")])], ..Ingress::default() }
}

pub(crate) fn endpoint(address: &str) -> Endpoint {
    Endpoint {
        address: address.parse().unwrap(),
        node: None,
        ready: true,
        serving: true,
        terminating: false,
        for_nodes: Vec::new(),
        for_zones: Vec::new(),
    }
}

pub(crate) fn service_port(name: &str, port: u16) -> ServicePort {
    ServicePort { name: name.to_owned(), protocol: Protocol::Tcp, port, node_port: None, app_protocol: None }
}

pub(crate) fn slice(service: &str, port: (&str, u16), endpoints: Vec<Endpoint>) -> EndpointSlice {
    let port = EndpointPort { name: port.0.to_owned(), protocol: Protocol::Tcp, port: port.1 };
    EndpointSlice { service: service.to_owned(), ports: vec![port], endpoints, ..EndpointSlice::default() }
}

impl Cluster {
    /// With the Service `web`, port 80 named `http`, and an endpoint.
    pub(crate) fn new() -> Self {
        let mut cluster = Self::default();
        cluster.settings.class.unclassed = true;
        cluster.service("web");
        cluster
    }

    pub(crate) fn service(&mut self, name: &str) -> &mut Self {
        let ports = vec![service_port("http", 80)];
        self.snapshot.services.insert(key(name), Service { ports, ..Service::default() });
        let slice = slice(name, ("http", 8080), vec![endpoint("10.0.0.1")]);
        self.snapshot.slices.insert(key(&format!("{name}-1")), slice);
        self
    }

    pub(crate) fn ingress(&mut self, name: &str, ingress: Ingress) -> &mut Self {
        self.snapshot.ingresses.insert(key(name), ingress);
        self
    }

    pub(crate) fn secret(&mut self, name: &str, certificate: &str, private_key: &str) -> &mut Self {
        let secret = TlsSecret { certificate: certificate.into(), key: private_key.into() };
        self.snapshot.secrets.insert(key(name), secret);
        self
    }

    pub(crate) fn compile(&self) -> Config {
        compile(&self.snapshot, &self.settings, &mut Cache::default())
    }
}

/// What a request finds: `404`, `503`, a redirect's status and target, or the Service.
pub(crate) fn answer(config: &Config, host: &str, path: &str) -> String {
    let Some(found) = config.routes.find(host, path) else { return "404".to_owned() };
    match &found.route.action {
        Action::Forward(upstream) => upstream.key.service.clone(),
        Action::Redirect(redirect) => {
            format!("{} {}", redirect.status, redirect.location("http", host, path))
        }
        Action::Unavailable(_) => "503".to_owned(),
    }
}

/// Names of objects with the reasons why they are refused.
pub(crate) fn reasons(config: &Config) -> Vec<(&str, &str)> {
    let refusals = config.refusals.iter();
    refusals.map(|refusal| (refusal.object.name.as_str(), refusal.reason.as_str())).collect()
}
