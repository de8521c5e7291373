//! A port of both families, and clients that are served briefly or not at all.

use std::{
    convert::Infallible,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use lb_admin::limited::{self, Limits};
use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::Answerer;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 128;
/// Probes send one small request and read one small answer.
pub(super) const LIMITS: Limits = Limits { connections: 64, patience: Duration::from_secs(5) };

/// A port on every address of the node.
pub(super) struct Listener {
    listener: TcpListener,
}

impl Listener {
    /// Opens `port` for both families with one socket, or for IPv4 where the kernel has no IPv6.
    pub(super) fn open(port: u16) -> io::Result<Self> {
        let ipv4 = || bind(TcpSocket::new_v4()?, (Ipv4Addr::UNSPECIFIED, port).into());
        let listener = match TcpSocket::new_v6() {
            Ok(socket) => {
                // Overrides net.ipv6.bindv6only (ipv6(7)).
                setsockopt(&socket, sockopt::Ipv6V6Only, &false)?;
                match bind(socket, (Ipv6Addr::UNSPECIFIED, port).into()) {
                    Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => ipv4(),
                    bound => bound,
                }
            }
            Err(_) => ipv4(),
        };
        listener.map(|listener| Self { listener })
    }

    /// The port.
    #[cfg(test)]
    pub(super) fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    /// Answers until it is dropped.
    pub(super) async fn serve(self, answerer: Answerer, limits: Limits) {
        limited::serve(self.listener, limits, "a health check port", |stream, _| {
            serve(stream, answerer.clone())
        })
        .await;
    }
}

fn bind(socket: TcpSocket, address: SocketAddr) -> io::Result<TcpListener> {
    // A port that was open a moment ago may still have connections in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// One request, one answer.
async fn serve(stream: TcpStream, answerer: Answerer) {
    let service = service_fn(|_| {
        let response = answerer.answer();
        async move { Ok::<_, Infallible>(response) }
    });
    // The client's errors are its own.
    let _ = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service).await;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lb_model::{desired::health_check::HealthCheck, object::ObjectKey};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        sync::watch,
    };

    use super::*;

    /// A port with its clients' limits.
    fn start(limits: Limits) -> u16 {
        let health = HealthCheck { service: ObjectKey::new("default", "web"), local_endpoints: 1 };
        let answerer = Answerer { readiness: Arc::default(), health: watch::channel(health).1 };
        let listener = Listener::open(0).unwrap();
        let port = listener.port();
        tokio::spawn(listener.serve(answerer, limits));
        port
    }

    async fn ask(address: SocketAddr) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn both_families_are_answered_and_the_connection_is_closed() {
        let port = start(LIMITS);
        for address in [(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()] {
            let answer = ask(address).await;
            assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
            assert!(answer.ends_with("\"serviceProxyHealthy\":false}"), "{answer}");
        }
    }

    #[tokio::test]
    async fn a_client_that_says_nothing_is_cut_off_and_the_next_is_served() {
        let port = start(Limits { connections: 1, patience: Duration::from_millis(100) });
        let mut silent = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        silent.write_all(b"GET / HT").await.unwrap();
        let answer = ask((Ipv4Addr::LOCALHOST, port).into()).await;
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert_eq!(silent.read(&mut [0; 16]).await.unwrap_or(0), 0);
    }
}
