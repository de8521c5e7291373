//! Which events are shown.

use std::net::IpAddr;

use lb_model::cidr::Cidr;

use super::line::Line;

/// What flags ask for; an empty list asks for everything.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    pub(super) reasons: Vec<String>,
    pub(super) namespace: Option<String>,
    pub(super) services: Vec<String>,
    pub(super) vips: Vec<IpAddr>,
    pub(super) clients: Vec<Cidr>,
    pub(super) endpoints: Vec<IpAddr>,
    pub(super) protocols: Vec<u8>,
}

impl Filter {
    pub(super) fn takes(&self, line: &Line) -> bool {
        let [source, destination] = [line.source(), line.destination()];
        let ends = |addresses: &[IpAddr]| {
            let mut ends = line.endpoint().into_iter();
            ends.any(|address| addresses.contains(&address))
        };
        let service = |name: &String| {
            line.service.as_ref().is_some_and(|service| match name.split_once('/') {
                Some((namespace, name)) => service.namespace == namespace && service.name == name,
                None => service.name == *name,
            })
        };
        let inside =
            |namespace: &String| line.service.as_ref().is_some_and(|service| service.namespace == *namespace);
        any(&self.reasons, |reason| line.reason == Some(reason.as_str()))
            && self.namespace.as_ref().is_none_or(inside)
            && any(&self.services, service)
            && any(&self.vips, |vip| *vip == destination)
            && any(&self.clients, |range| range.contains(source))
            && (self.endpoints.is_empty() || ends(&self.endpoints))
            && any(&self.protocols, |protocol| *protocol == line.protocol_number)
    }
}

fn any<T>(wanted: &[T], fits: impl Fn(&T) -> bool) -> bool {
    wanted.is_empty() || wanted.iter().any(fits)
}
