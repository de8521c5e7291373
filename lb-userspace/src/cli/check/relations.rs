//! What only shows when objects are seen together: the model's verdict on all of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use lb_model::{
    cidr::Cidr,
    config::NodeConfig,
    desired::desired,
    object::{EndpointSlice, ObjectKey, Snapshot},
    policy::ExternalIpPolicy,
};

use super::{
    report::{At, Report, Severity},
    routing,
};
use lb_sources::translate::{Kind, Outcome, Translation};

/// All objects of all files.
#[derive(Default)]
pub(super) struct Relations {
    defined: BTreeMap<(Kind, ObjectKey), At>,
    twice: Vec<(At, Kind, ObjectKey)>,
    /// What the agent would see …
    snapshot: Snapshot,
    /// … and the proxy.
    routed: Snapshot,
    /// Where Ingresses say what the proxy's findings are about.
    pub(super) places: routing::Places,
    policy: Option<ExternalIpPolicy>,
}

impl Relations {
    /// Adds an object as both programs see it; of two with one name the first counts.
    pub(super) fn add(&mut self, at: At, for_agent: Option<Translation>, for_ingress: Translation) {
        let served = |translation: Translation| match translation.outcome {
            Outcome::Served(object) => Some(object),
            Outcome::Skipped | Outcome::Refused => None,
        };
        let key = (for_ingress.kind, for_ingress.key.clone());
        let (for_agent, for_ingress) = (for_agent.and_then(served), served(for_ingress));
        if for_agent.is_none() && for_ingress.is_none() {
            return;
        }
        if self.defined.contains_key(&key) {
            self.twice.push((at, key.0, key.1));
            return;
        }
        if let Some(object) = for_agent {
            object.put(key.1.clone(), &mut self.snapshot);
        }
        if let Some(object) = for_ingress {
            object.put(key.1.clone(), &mut self.routed);
        }
        self.defined.insert(key, at);
    }

    /// Judges external IPs by `policy`; false where there is one already.
    pub(super) fn set_policy(&mut self, policy: ExternalIpPolicy) -> bool {
        let first = self.policy.is_none();
        self.policy.get_or_insert(policy);
        first
    }

    /// Reports what is wrong between objects.
    pub(super) fn check(&self, report: &mut Report) {
        for (at, kind, key) in &self.twice {
            let first = self.defined.get(&(*kind, key.clone())).map(|first| report.show(*first));
            let first = first.unwrap_or_default();
            let message = format!("{} {key}: already defined at {first}; remove one", kind.as_str());
            report.add_at(*at, Severity::Error, message);
        }
        let refusals = desired(&self.snapshot, &self.any_node()).refusals;
        // A NodePort clashes on each family's stand-in; once is enough.
        let messages: BTreeSet<_> = refusals.iter().map(|refusal| refusal.message.clone()).collect();
        let is_repeated = |message: &str| {
            message.starts_with("[::]:") && messages.contains(&message.replacen("[::]:", "0.0.0.0:", 1))
        };
        for refusal in refusals.into_iter().filter(|refusal| !is_repeated(&refusal.message)) {
            if let Some(at) = self.at(&refusal.kind, &refusal.object) {
                report.add_at(at, Severity::Error, refusal.message);
            }
        }
        routing::check(&self.routed, &self.places, |kind, object| self.at(kind, object), report);
        for (key, slice) in &self.routed.slices {
            let at = self.defined.get(&(Kind::EndpointSlice, key.clone()));
            if let (Some(at), Some(message)) = (at, self.unmatched_ports(key, slice)) {
                report.add_at(*at, Severity::Warning, format!("EndpointSlice {key}: {message}"));
            }
        }
    }

    /// Where an object is defined.
    fn at(&self, kind: &str, object: &ObjectKey) -> Option<At> {
        self.defined.get(&(Kind::named(kind)?, object.clone())).copied()
    }

    /// A port of the slice that no port of its Service leads to. A Service in none of the files is not missed: it may
    /// stand in others; one whose ports were all refused was reported before.
    fn unmatched_ports(&self, key: &ObjectKey, slice: &EndpointSlice) -> Option<String> {
        let service = self.routed.services.get(&ObjectKey::new(&key.namespace, &slice.service))?;
        let names: BTreeSet<_> =
            service.ports.iter().map(|port| (port.protocol, port.name.as_str())).collect();
        if names.is_empty() {
            return None;
        }
        let stray = slice.ports.iter().find(|port| !names.contains(&(port.protocol, port.name.as_str())))?;
        let known: Vec<_> = names.iter().map(|(protocol, name)| format!("{name:?} ({protocol})")).collect();
        Some(format!(
            "port {:?} ({}) matches no port of Service {}, which has {}; ports are matched by name",
            stray.name,
            stray.protocol,
            slice.service,
            known.join(", ")
        ))
    }

    /// A node that allows everything that a flag could allow where no file says who may have what, and answers NodePorts
    /// on an address that stands for any.
    fn any_node(&self) -> NodeConfig {
        let any = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
        let everything = || ExternalIpPolicy::everywhere(any.map(|any| Cidr::holding(any, 0)).to_vec());
        NodeConfig {
            primary_addresses: any.to_vec(),
            external_ips_allowed: self.policy.clone().unwrap_or_else(everything),
            ..NodeConfig::default()
        }
    }
}
