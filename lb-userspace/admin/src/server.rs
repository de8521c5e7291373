//! The HTTP server. Nothing else answers there.

use std::{convert::Infallible, net::IpAddr, sync::Arc, time::Duration};

use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use lb_logging::Level;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};

use crate::{Program, answer::answer, log_level};

/// Pause after a failure to accept.
const PAUSE: Duration = Duration::from_secs(1);

/// The HTTP server for probes and Prometheus.
#[derive(Clone)]
pub struct Admin {
    program: Arc<dyn Program>,
    level: Level,
}

impl Admin {
    /// A server that tells of `program`, and changes the level at which it logs.
    pub fn new(program: Arc<dyn Program>, level: Level) -> Self {
        Self { program, level }
    }

    /// Answers until it is dropped; connections that are open then are answered still.
    pub async fn serve(self, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    tokio::spawn(self.clone().converse(stream, peer.ip()));
                }
                // Out of file descriptors, most likely: others will close theirs.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection on the admin address");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn converse(self, stream: impl AsyncRead + AsyncWrite + Unpin, peer: IpAddr) {
        let service = service_fn(|request: Request<Incoming>| {
            let admin = &self;
            async move {
                Ok::<_, Infallible>(match request.uri().path() {
                    "/log-level" => log_level::answer(&admin.level, request, peer).await,
                    _ => answer(&*admin.program, &request),
                })
            }
        });
        // The client's errors are its own; hyper's default header timeout needs the timer.
        let _ = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }
}

#[cfg(test)]
mod tests {
    use std::{fmt, sync::LazyLock};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// A process logs by the first that it starts.
    static LEVEL: LazyLock<Level> = LazyLock::new(lb_logging::start);

    struct Idle;

    impl Program for Idle {
        fn missing(&self) -> Vec<&'static str> {
            Vec::new()
        }

        fn metrics(&self) -> Result<String, fmt::Error> {
            Ok(String::new())
        }
    }

    /// What a client with the address `peer` is answered.
    async fn told(admin: &Admin, peer: &str, request: &str) -> String {
        let (mut client, server) = tokio::io::duplex(1024);
        let conversation = tokio::spawn(admin.clone().converse(server, peer.parse().unwrap()));
        client.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        conversation.await.unwrap();
        answer
    }

    #[tokio::test]
    async fn the_log_level_is_told_and_changed_on_this_machine_only() {
        const GET: &str = "GET /log-level HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        const PUT: &str =
            "PUT /log-level HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\noff";
        let admin = Admin::new(Arc::new(Idle), LEVEL.clone());
        let before = LEVEL.get();
        for peer in ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "0.0.0.0"] {
            for request in [GET, PUT] {
                let answer = told(&admin, peer, request).await;
                assert!(answer.starts_with("HTTP/1.1 403 "), "{peer}: {answer}");
                assert!(answer.ends_with("on the loopback address only\n"), "{peer}: {answer}");
            }
            assert_eq!(LEVEL.get(), before, "{peer}");
        }
        for peer in ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"] {
            let answer = told(&admin, peer, GET).await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{peer}: {answer}");
            assert!(answer.ends_with(&format!("\r\n\r\n{before}\n")), "{peer}: {answer}");
        }
        assert!(told(&admin, "::1", PUT).await.starts_with("HTTP/1.1 200 "));
        assert_eq!(LEVEL.get(), "off");
    }

    #[tokio::test]
    async fn anybody_may_probe() {
        let admin = Admin::new(Arc::new(Idle), LEVEL.clone());
        let request = "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        assert!(told(&admin, "192.0.2.1", request).await.starts_with("HTTP/1.1 200 "));
    }
}
