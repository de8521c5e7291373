//! What is read once for many configurations.

use std::{collections::HashMap, sync::Arc};

use lb_model::{
    ingress::TlsSecret,
    object::{ObjectKey, Snapshot},
};

use super::tls::{self, CertificateError};
use crate::config::{Certificate, Pattern, PatternError};

/// What was read for the last configuration: certificates with their keys, and regular expressions. Nothing depends
/// on what is in it but the time that [`compile`](super::compile) takes.
#[derive(Debug, Default)]
pub struct Cache {
    certificates: HashMap<ObjectKey, ReadCertificate>,
    patterns: HashMap<String, ReadPattern>,
}

#[derive(Debug)]
struct ReadCertificate {
    secret: TlsSecret,
    result: Result<Arc<Certificate>, CertificateError>,
    is_used: bool,
}

#[derive(Debug)]
struct ReadPattern {
    result: Result<Pattern, PatternError>,
    is_used: bool,
}

/// Regular expressions by their text.
#[derive(Debug)]
pub(super) struct Patterns<'a> {
    read: &'a mut HashMap<String, ReadPattern>,
}

impl Patterns<'_> {
    /// The regular expression of a text.
    pub(super) fn get(&mut self, text: &str) -> Result<Pattern, PatternError> {
        if !self.read.contains_key(text) {
            let result = Pattern::new(text);
            self.read.insert(text.to_owned(), ReadPattern { result, is_used: true });
        }
        let Some(pattern) = self.read.get_mut(text) else { return Pattern::new(text) };
        pattern.is_used = true;
        pattern.result.clone()
    }
}

impl Cache {
    pub(super) fn patterns(&mut self) -> Patterns<'_> {
        Patterns { read: &mut self.patterns }
    }

    /// The certificate in a Secret.
    pub(super) fn certificate(
        &mut self,
        key: &ObjectKey,
        snapshot: &Snapshot,
    ) -> Result<Arc<Certificate>, CertificateError> {
        let secret = snapshot.secrets.get(key).ok_or(CertificateError::NotFound)?;
        // Many Ingresses may share a Secret; its content is compared for the first.
        let is_current = |read: &&mut ReadCertificate| read.is_used || read.secret == *secret;
        if let Some(read) = self.certificates.get_mut(key).filter(is_current) {
            read.is_used = true;
            return read.result.clone();
        }
        let result = tls::read(key, secret).map(Arc::new);
        let read = ReadCertificate { secret: secret.clone(), result: result.clone(), is_used: true };
        self.certificates.insert(key.clone(), read);
        result
    }

    /// Drops what the configuration that was just made does not need.
    pub(super) fn forget_unused(&mut self) {
        self.certificates.retain(|_, read| std::mem::take(&mut read.is_used));
        self.patterns.retain(|_, read| std::mem::take(&mut read.is_used));
    }
}
