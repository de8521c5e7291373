//! Certificates: which Secret each host of `spec.tls` gets.

mod read;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use lb_model::{
    ingress::IngressTls,
    object::{ObjectKey, Snapshot},
};

pub(super) use self::read::{CertificateError, read};
use super::{Cache, Ingress, Settings, more_hosts::www_of, reason, refusals::Refusals};
use crate::config::{Certificate, Certificates};

/// The certificates of all Ingresses, the oldest first, and of the controller.
pub(super) fn certificates(
    snapshot: &Snapshot,
    settings: &Settings,
    ingresses: &[Ingress<'_>],
    cache: &mut Cache,
    refusals: &mut Refusals,
) -> Certificates {
    let mut collector = Collector { certificates: Certificates::default(), refusals };
    if let Some(key) = &settings.default_certificate {
        match cache.certificate(key, snapshot) {
            // The first one cannot conflict with another.
            Ok(certificate) => drop(collector.certificates.insert_default(certificate)),
            Err(error) => {
                let message = format!("--default-certificate: {error}");
                collector.refusals.add("Secret", key, error.reason(), message);
            }
        }
    }
    for ingress in ingresses {
        for tls in &ingress.object.tls {
            let Some(secret) = &tls.secret else {
                collector.need_default(ingress, settings);
                continue;
            };
            let key = ObjectKey::new(ingress.key.namespace.as_str(), secret.as_str());
            match cache.certificate(&key, snapshot) {
                Ok(certificate) => collector.add(ingress, tls, &certificate),
                Err(error) => collector.refusals.ingress(
                    &ingress.key,
                    error.reason(),
                    format!("Secret {key} of {}: {error}", hosts_of(tls)),
                ),
            }
        }
    }
    collector.certificates
}

struct Collector<'a> {
    certificates: Certificates,
    refusals: &'a mut Refusals,
}

impl Collector<'_> {
    /// Sets the certificate of the hosts of an entry of `spec.tls`: without hosts, those of all rules, and every other
    /// one where a rule is for every host or there is no rule.
    fn add(&mut self, ingress: &Ingress<'_>, tls: &IngressTls, certificate: &Arc<Certificate>) {
        let rule_hosts = || ingress.object.rules.iter().filter_map(|rule| rule.host.as_deref());
        let hosts: Vec<&str> = if tls.hosts.is_empty() {
            rule_hosts().collect()
        } else {
            tls.hosts.iter().map(String::as_str).collect()
        };
        for host in &hosts {
            if !certificate.covers(host) {
                let names = certificate.names.join(", ");
                let names = if names.is_empty() { "no DNS name".to_owned() } else { names };
                let message = format!(
                    "the certificate of Secret {} is not for {host}, but for {names}: clients will refuse it; renew it",
                    certificate.secret
                );
                self.refusals.ingress(&ingress.key, reason::CERTIFICATE_NAME_MISMATCH, message);
            }
            let inserted = self.certificates.insert(host, certificate.clone());
            self.refuse_other(ingress, host, certificate, inserted);
        }
        // Names that annotations add have the certificate where it is for them, too.
        let annotations = &ingress.annotations;
        let www = hosts.iter().filter(|_| annotations.from_to_www).map(|host| www_of(host));
        for host in annotations.aliases.iter().cloned().chain(www).filter(|host| certificate.covers(host)) {
            // Where the host has one of its own, that one counts.
            let _ = self.certificates.insert(&host, certificate.clone());
        }
        let rules = &ingress.object.rules;
        let is_for_every_host = rules.is_empty() || rules.iter().any(|rule| rule.host.is_none());
        if tls.hosts.is_empty() && is_for_every_host {
            let inserted = self.certificates.insert_default(certificate.clone());
            self.refuse_other(ingress, "every other host", certificate, inserted);
        }
    }

    fn refuse_other(
        &mut self,
        ingress: &Ingress<'_>,
        host: &str,
        certificate: &Certificate,
        inserted: Result<(), Arc<Certificate>>,
    ) {
        if let Err(owner) = inserted
            && owner.secret != certificate.secret
        {
            let message = format!(
                "{host} has the certificate of Secret {} already, from an older Ingress or the command line; that of {} is not used for it",
                owner.secret, certificate.secret
            );
            self.refusals.ingress(&ingress.key, reason::CERTIFICATE_CONFLICT, message);
        }
    }

    fn need_default(&mut self, ingress: &Ingress<'_>, settings: &Settings) {
        if settings.default_certificate.is_none() {
            let message =
                "an entry of spec.tls names no Secret, and there is no --default-certificate; name a Secret"
                    .to_owned();
            self.refusals.ingress(&ingress.key, reason::NO_DEFAULT_CERTIFICATE, message);
        }
    }
}

fn hosts_of(tls: &IngressTls) -> String {
    if tls.hosts.is_empty() { "spec.tls".to_owned() } else { tls.hosts.join(", ") }
}
