//! Certificates that tests made, and clients that accept these and no others.

use std::{collections::BTreeMap, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use serde_json::Value;

/// Certificates by their names.
#[derive(Clone, Debug)]
pub(crate) struct Trust {
    known: Arc<BTreeMap<Vec<u8>, String>>,
    provider: Arc<CryptoProvider>,
}

impl Trust {
    /// Trusts the certificates of these Secrets, each under a name.
    pub(crate) fn new<'a>(secrets: impl IntoIterator<Item = (&'a str, &'a Value)>) -> Self {
        let known = secrets.into_iter().map(|(name, secret)| {
            let text = secret["stringData"]["tls.crt"].as_str().unwrap();
            (CertificateDer::from_pem_slice(text.as_bytes()).unwrap().to_vec(), name.to_owned())
        });
        Self { known: Arc::new(known.collect()), provider: Arc::new(ring::default_provider()) }
    }

    /// The name of a certificate, if it is one of ours.
    pub(crate) fn name(&self, certificate: &CertificateDer<'_>) -> Option<String> {
        self.known.get(certificate.as_ref()).cloned()
    }

    /// A client that speaks a protocol and resumes no session: each connection shows its certificate.
    pub(crate) fn client(&self, protocol: &str) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(self.provider.clone());
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let verifier = Arc::new(self.clone());
        let mut client = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        client.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        client.resumption = rustls::client::Resumption::disabled();
        Arc::new(client)
    }
}

/// The handshake is checked as always; a certificate is good if a test made it.
impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let known = self.name(certificate).map(|_| ServerCertVerified::assertion());
        known.ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
