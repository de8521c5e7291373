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
    backends::{self, Need, Wanted},
    report::{At, Report, Severity},
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
    /// Services of type ExternalName.
    external_names: BTreeSet<ObjectKey>,
    /// What Ingresses need.
    wanted: Vec<(At, ObjectKey, Wanted)>,
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
        if key.0 == Kind::Service && for_ingress.outcome == Outcome::Skipped {
            self.external_names.insert(key.1);
            return;
        }
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

    /// Notes what an Ingress needs.
    pub(super) fn want(&mut self, at: At, ingress: ObjectKey, wanted: Wanted) {
        self.wanted.push((at, ingress, wanted));
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
            let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == refusal.kind);
            if let Some(at) = kind.and_then(|kind| self.defined.get(&(kind, refusal.object.clone()))) {
                report.add_at(*at, Severity::Error, refusal.message);
            }
        }
        for (at, ingress, wanted) in &self.wanted {
            if let Some(message) = self.missing(ingress, &wanted.what) {
                let message = format!("Ingress {ingress}: {}: {message}", wanted.field);
                report.add_at(*at, Severity::Warning, message);
            }
        }
        for (key, slice) in &self.routed.slices {
            let at = self.defined.get(&(Kind::EndpointSlice, key.clone()));
            if let (Some(at), Some(message)) = (at, self.unmatched_ports(key, slice)) {
                report.add_at(*at, Severity::Warning, format!("EndpointSlice {key}: {message}"));
            }
        }
    }

    /// What an Ingress needs and does not get from these files. It may stand in others, so nothing of it is an error.
    fn missing(&self, ingress: &ObjectKey, need: &Need) -> Option<String> {
        match need {
            Need::Port { service, port } => {
                let key = ObjectKey::new(&ingress.namespace, service);
                match self.routed.services.get(&key) {
                    Some(found) => backends::lacks(found, &key.name, port),
                    None if self.external_names.contains(&key) => {
                        Some(format!("Service {key} is of type ExternalName, which has no endpoints"))
                    }
                    None => Some(format!("Service {key} is in none of the files")),
                }
            }
            Need::Secret(name) => {
                let key = ObjectKey::new(&ingress.namespace, name);
                let is_there = self.routed.secrets.contains_key(&key);
                (!is_there).then(|| format!("Secret {key} with tls.crt and tls.key is in none of the files"))
            }
        }
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
