//! Connections to endpoints.

use std::{io, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error as TlsError, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use super::Failure;
use crate::{
    config::{Timeouts, UpstreamProtocol},
    transport::{Prefixed, Stream, Watched},
};

/// Makes connections, with TLS where the protocol asks for it.
#[derive(Clone)]
pub(crate) struct Connector {
    /// Offers HTTP/2 and HTTP/1.1.
    either: TlsConnector,
    /// Offers HTTP/2 only.
    http2: TlsConnector,
    /// Offers HTTP/1.1 only.
    http1: TlsConnector,
}

/// A fresh connection, and whether it speaks HTTP/2.
pub(super) struct Fresh {
    pub(super) stream: Watched,
    pub(super) is_http2: bool,
}

impl Connector {
    /// One connector serves all threads.
    ///
    /// # Errors
    /// Where the cryptography lacks a TLS version.
    pub(crate) fn new() -> Result<Self, TlsError> {
        let connector = |protocols: &[&[u8]]| {
            let provider = Arc::new(ring::default_provider());
            let mut config = ClientConfig::builder_with_provider(provider.clone())
                .with_safe_default_protocol_versions()?
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
                .with_no_client_auth();
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            Ok::<_, TlsError>(TlsConnector::from(Arc::new(config)))
        };
        Ok(Self {
            either: connector(&[b"h2", b"http/1.1"])?,
            http2: connector(&[b"h2"])?,
            http1: connector(&[b"http/1.1"])?,
        })
    }

    /// Connects within `timeouts.connect`, handshake included.
    pub(super) async fn connect(
        &self,
        address: SocketAddr,
        protocol: UpstreamProtocol,
        timeouts: Timeouts,
    ) -> Result<Fresh, Failure> {
        match timeout(timeouts.connect, self.open(address, protocol)).await {
            Ok(Ok((stream, is_http2))) => Ok(Fresh { stream: Watched::new(stream, timeouts.send), is_http2 }),
            Ok(Err(error)) => Err(Failure::Connect(error)),
            Err(_) => Err(Failure::ConnectTimeout),
        }
    }

    /// As [`Connector::connect`] for HTTP/1.1 whatever the endpoint prefers: what `Upgrade` leads to is its own
    /// connection (RFC 9110 §7.8), which HTTP/2 has not.
    pub(super) async fn connect_http1(
        &self,
        address: SocketAddr,
        encrypted: bool,
        timeouts: Timeouts,
    ) -> Result<Watched, Failure> {
        let connector = Self { either: self.http1.clone(), ..self.clone() };
        let protocol = if encrypted { UpstreamProtocol::Https } else { UpstreamProtocol::Http };
        Ok(connector.connect(address, protocol, timeouts).await?.stream)
    }

    async fn open(&self, address: SocketAddr, protocol: UpstreamProtocol) -> io::Result<(Stream, bool)> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let tcp = Prefixed::new(Bytes::new(), tcp);
        let connector = match protocol {
            UpstreamProtocol::Http => return Ok((Stream::Plain(tcp), false)),
            UpstreamProtocol::H2c => return Ok((Stream::Plain(tcp), true)),
            UpstreamProtocol::Https => &self.either,
            UpstreamProtocol::Grpcs => &self.http2,
        };
        // An address is no name for SNI (RFC 6066 §3): none is sent, as ingress-nginx does by default.
        let tls = connector.connect(ServerName::IpAddress(address.ip().into()), tcp).await?;
        let is_http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
        if protocol == UpstreamProtocol::Grpcs && !is_http2 {
            return Err(io::Error::other("the endpoint does not offer HTTP/2 by ALPN, which gRPC needs"));
        }
        Ok((Stream::Tls(Box::new(tls.into())), is_http2))
    }
}

/// Takes every certificate, as ingress-nginx does without `proxy-ssl-verify`: pods have certificates of their own
/// making, for names that the proxy does not know. The bytes are encrypted; who answers is left to the network.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
