//! Which certificate a server name gets.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use lb_model::object::ObjectKey;
use rustls::sign::CertifiedKey;

/// A certificate with its key.
#[derive(Debug)]
pub struct Certificate {
    /// The Secret that it comes from.
    pub secret: ObjectKey,
    /// What TLS needs.
    pub certified_key: Arc<CertifiedKey>,
    /// The DNS names that it is for, in lower case.
    pub names: Vec<String>,
    /// When it is valid.
    pub validity: Validity,
}

/// When a certificate is valid, in seconds since the epoch (RFC 5280 §4.1.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// `notBefore`.
    pub not_before: i64,
    /// `notAfter`.
    pub not_after: i64,
}

/// Certificates by server name: the name itself before a wildcard of one label before the default.
#[derive(Debug, Default)]
pub struct Certificates {
    exact: HashMap<String, Arc<Certificate>>,
    /// By what follows `*.`.
    wildcard: HashMap<String, Arc<Certificate>>,
    default: Option<Arc<Certificate>>,
}

impl Certificate {
    /// True where the certificate is for the host, which may be a wildcard itself.
    pub fn covers(&self, host: &str) -> bool {
        self.names.iter().any(|name| covers(name, host))
    }
}

impl Certificates {
    /// The certificate for a server name in lower case, or for a client that sends none.
    pub fn find(&self, server_name: Option<&str>) -> Option<&Arc<CertifiedKey>> {
        self.certificate(server_name).map(|certificate| &certificate.certified_key)
    }

    /// As [`Self::find`], with all that is known about it. A host of a rule is looked up as it is written.
    pub fn certificate(&self, server_name: Option<&str>) -> Option<&Arc<Certificate>> {
        let named = server_name.and_then(|name| {
            let parent = name.split_once('.').map(|(_, parent)| parent);
            self.exact.get(name).or_else(|| self.wildcard.get(parent?))
        });
        named.or(self.default.as_ref())
    }

    /// Sets the certificate of a host.
    ///
    /// # Errors
    /// The certificate that has the place already, and keeps it.
    pub fn insert(&mut self, host: &str, certificate: Arc<Certificate>) -> Result<(), Arc<Certificate>> {
        let (hosts, name) = match host.strip_prefix("*.") {
            Some(parent) => (&mut self.wildcard, parent),
            None => (&mut self.exact, host),
        };
        if let Some(owner) = hosts.get(name) {
            return Err(owner.clone());
        }
        hosts.insert(name.to_owned(), certificate);
        Ok(())
    }

    /// Sets the certificate of every other host.
    ///
    /// # Errors
    /// The certificate that has the place already, and keeps it.
    pub fn insert_default(&mut self, certificate: Arc<Certificate>) -> Result<(), Arc<Certificate>> {
        match &self.default {
            Some(owner) => Err(owner.clone()),
            None => {
                self.default = Some(certificate);
                Ok(())
            }
        }
    }

    /// Hosts and their certificates in order; none stands for every other host.
    pub fn iter(&self) -> impl Iterator<Item = (Option<String>, &Arc<Certificate>)> {
        let exact = self.exact.iter().map(|(host, certificate)| (Some(host.clone()), certificate));
        let wildcard =
            self.wildcard.iter().map(|(parent, certificate)| (Some(format!("*.{parent}")), certificate));
        let default = self.default.iter().map(|certificate| (None, certificate));
        exact.chain(wildcard).chain(default).collect::<BTreeMap<_, _>>().into_iter()
    }
}

/// True where a name in a certificate stands for the host: `*` for one label (RFC 9525 §6.3).
fn covers(name: &str, host: &str) -> bool {
    name == host
        || name.strip_prefix("*.").is_some_and(|parent| {
            host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == parent)
        })
}
