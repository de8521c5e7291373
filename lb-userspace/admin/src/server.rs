//! The HTTP server. Nothing else answers there.

use std::{convert::Infallible, net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use lb_logging::Level;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    task::spawn_blocking,
};

use crate::{
    Program,
    answer::{answer, text},
    limited::{self, Limits},
    log_level,
};

/// The HTTP server for probes and Prometheus: one request a connection.
#[derive(Clone)]
pub struct Admin {
    program: Arc<dyn Program>,
    level: Level,
    limits: Limits,
}

impl Admin {
    /// A server that tells of `program`, and changes the level at which it logs.
    pub fn new(program: Arc<dyn Program>, level: Level) -> Self {
        // As long as Prometheus waits for an answer by default (`scrape_timeout`).
        let limits = Limits { connections: 64, patience: Duration::from_secs(10) };
        Self { program, level, limits }
    }

    /// Answers until it is dropped; connections that are open then are answered still.
    pub async fn serve(self, listener: TcpListener) {
        let limits = self.limits;
        limited::serve(listener, limits, "the admin address", |stream, peer| {
            self.clone().converse(stream, peer)
        })
        .await;
    }

    async fn converse(self, stream: impl AsyncRead + AsyncWrite + Unpin, peer: IpAddr) {
        let service = service_fn(|request: Request<Incoming>| {
            let admin = &self;
            async move {
                Ok::<_, Infallible>(match request.uri().path() {
                    "/log-level" => log_level::answer(&admin.level, request, peer).await,
                    "/metrics" => admin.measured(request).await,
                    _ => answer(&*admin.program, &request),
                })
            }
        });
        // The client's errors are its own.
        let _ = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service).await;
    }

    /// Reading all counters takes a system call for each Service, which nothing else should wait for.
    async fn measured(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let program = Arc::clone(&self.program);
        let measured = spawn_blocking(move || answer(&*program, &request)).await;
        measured.unwrap_or_else(|error| text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")))
    }
}

#[cfg(test)]
mod tests {
    use std::{fmt, sync::LazyLock};

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
    };

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
    async fn a_client_that_says_nothing_is_cut_off_and_the_next_is_served() {
        let limits = Limits { connections: 1, patience: Duration::from_millis(100) };
        let admin = Admin { limits, ..Admin::new(Arc::new(Idle), LEVEL.clone()) };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(admin.serve(listener));
        let mut silent = TcpStream::connect(address).await.unwrap();
        silent.write_all(b"GET / HT").await.unwrap();
        let mut next = TcpStream::connect(address).await.unwrap();
        next.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        next.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert_eq!(silent.read(&mut [0; 16]).await.unwrap_or(0), 0);
    }

    #[tokio::test]
    async fn anybody_may_probe() {
        let admin = Admin::new(Arc::new(Idle), LEVEL.clone());
        let request = "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        assert!(told(&admin, "192.0.2.1", request).await.starts_with("HTTP/1.1 200 "));
    }
}
