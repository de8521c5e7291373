//! TLS towards clients.

use std::sync::Arc;

use rustls::{
    Error, ServerConfig,
    crypto::ring,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio_rustls::TlsAcceptor;

use super::shared::Shared;

/// Accepts TLS 1.2 and 1.3, with the certificates of whatever configuration is served at the time.
#[derive(Clone)]
pub(super) struct Acceptor(TlsAcceptor);

impl Acceptor {
    /// # Errors
    /// Where the cryptography lacks a TLS version.
    pub(super) fn new(shared: Arc<Shared>) -> Result<Self, Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(BySni(shared)));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// The acceptor of tokio-rustls.
    pub(super) const fn inner(&self) -> &TlsAcceptor {
        &self.0
    }
}

/// Chooses by server name, from the configuration of the moment.
struct BySni(Arc<Shared>);

impl std::fmt::Debug for BySni {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BySni")
    }
}

impl ResolvesServerCert for BySni {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // rustls gives the name in lower case.
        self.0.config.load().certificates.find(hello.server_name()).cloned()
    }
}
