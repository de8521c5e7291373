//! What is in a Secret of type `kubernetes.io/tls`.

use std::sync::Arc;

use lb_model::{ingress::TlsSecret, object::ObjectKey};
use rustls::{
    InconsistentKeys,
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    sign::CertifiedKey,
};
use x509_cert::{
    Certificate as X509,
    der::{Decode, Error as DerError},
    ext::pkix::{SubjectAltName, name::GeneralName},
    time::Time,
};

use super::super::reason;
use crate::config::{Certificate, Validity};

/// Why a Secret has no certificate that could be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::compile) enum CertificateError {
    #[error("it is not there, or cannot be read; create it with the keys tls.crt and tls.key")]
    NotFound,
    #[error("tls.crt has no PEM certificate; it must begin with the certificate of the host")]
    NoCertificate,
    #[error("tls.crt is no PEM: {0}")]
    CertificatePem(String),
    #[error("certificate {number} of tls.crt cannot be read: {error}")]
    Certificate { number: usize, error: DerError },
    #[error("tls.key has no PEM private key; PKCS#1, PKCS#8 and SEC1 are read, without a passphrase")]
    NoKey,
    #[error("tls.key is no PEM: {0}")]
    KeyPem(String),
    #[error(
        "the key in tls.key cannot be used: {0}; use RSA of 2048 bits or more, ECDSA P-256 or P-384, or Ed25519"
    )]
    Key(String),
    #[error("the key in tls.key is not that of the first certificate in tls.crt")]
    Mismatch,
    #[error("the key in tls.key is that of certificate {number} in tls.crt; the host's own must come first")]
    Order { number: usize },
}

impl CertificateError {
    /// The reason as Events and metrics spell it.
    pub(in crate::compile) const fn reason(&self) -> &'static str {
        match self {
            Self::NotFound => reason::SECRET_NOT_FOUND,
            _ => reason::SECRET_INVALID,
        }
    }
}

/// Reads a certificate with its key, and whether they fit.
pub(in crate::compile) fn read(key: &ObjectKey, secret: &TlsSecret) -> Result<Certificate, CertificateError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&secret.certificate)
        .collect::<Result<_, _>>()
        .map_err(|error| CertificateError::CertificatePem(error.to_string()))?;
    let parsed: Vec<_> = (1..)
        .zip(&chain)
        .map(|(number, der)| {
            X509::from_der(der).map_err(|error| CertificateError::Certificate { number, error })
        })
        .collect::<Result<_, _>>()?;
    let leaf = parsed.first().ok_or(CertificateError::NoCertificate)?;
    let private_key = PrivateKeyDer::from_pem_slice(&secret.key).map_err(|error| match error {
        pem::Error::NoItemsFound => CertificateError::NoKey,
        other => CertificateError::KeyPem(other.to_string()),
    })?;
    let signing_key = ring::sign::any_supported_type(&private_key)
        .map_err(|error| CertificateError::Key(error.to_string()))?;
    let certified_key = CertifiedKey::new(chain, signing_key);
    match certified_key.keys_match() {
        Ok(()) => {}
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            return Err(mismatch(&certified_key));
        }
        Err(error) => return Err(CertificateError::Key(error.to_string())),
    }
    let validity = &leaf.tbs_certificate.validity;
    let seconds = |time: Time| time.to_unix_duration().as_secs().cast_signed();
    Ok(Certificate {
        secret: key.clone(),
        names: names(leaf),
        validity: Validity {
            not_before: seconds(validity.not_before),
            not_after: seconds(validity.not_after),
        },
        certified_key: Arc::new(certified_key),
    })
}

/// A chain in the wrong order is the usual reason.
fn mismatch(certified_key: &CertifiedKey) -> CertificateError {
    let fits = |certificate: &CertificateDer<'static>| {
        CertifiedKey::new(vec![certificate.clone()], certified_key.key.clone()).keys_match().is_ok()
    };
    match certified_key.cert.iter().position(fits) {
        Some(at) => CertificateError::Order { number: at + 1 },
        None => CertificateError::Mismatch,
    }
}

/// The DNS names of the subject; clients look at no others (RFC 9525 §6.3).
fn names(certificate: &X509) -> Vec<String> {
    let Ok(Some((_, SubjectAltName(names)))) = certificate.tbs_certificate.get::<SubjectAltName>() else {
        return Vec::new();
    };
    let dns = names.iter().filter_map(|name| match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_ascii_lowercase()),
        _ => None,
    });
    dns.collect()
}
