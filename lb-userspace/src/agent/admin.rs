//! The HTTP server for probes and Prometheus.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Collected, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, header, server::conn::http1, service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use lb_logging::Level;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::{AgentError, metrics::Metrics, readiness::Readiness};

/// Bytes of a log level at most.
const LONGEST_LEVEL: usize = 1024;

/// What the server tells.
#[derive(Clone)]
pub(super) struct Admin {
    /// For /readyz.
    pub(super) readiness: Arc<Readiness>,
    /// For /metrics.
    pub(super) metrics: Arc<Metrics>,
    /// For /log-level.
    pub(super) level: Level,
}

impl Admin {
    /// Answers on `address` until `stop` is cancelled.
    ///
    /// # Errors
    /// Where the address is taken or not ours.
    pub(super) async fn start(self, address: SocketAddr, stop: CancellationToken) -> Result<(), AgentError> {
        let listener =
            TcpListener::bind(address).await.map_err(|source| AgentError::Admin { address, source })?;
        tokio::spawn(stop.run_until_cancelled_owned(self.accept(listener)));
        Ok(())
    }

    async fn accept(self, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    tokio::spawn(self.clone().serve(stream, peer.ip().to_canonical()));
                }
                // Out of file descriptors, most likely: others will close theirs.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection on the admin address");
                    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                }
            }
        }
    }

    async fn serve(self, stream: TcpStream, peer: IpAddr) {
        let service = service_fn(|request: Request<Incoming>| {
            let admin = &self;
            async move {
                Ok::<_, Infallible>(match request.uri().path() {
                    "/log-level" => admin.log_level(request, peer).await,
                    _ => admin.answer(&request),
                })
            }
        });
        // The client's errors are its own; hyper's default header timeout needs the timer.
        let _ = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }

    /// Tells the log level, or changes it: to a process of this machine only, whatever the address that is listened on.
    async fn log_level(&self, request: Request<Incoming>, peer: IpAddr) -> Response<Full<Bytes>> {
        if !peer.is_loopback() {
            return text(StatusCode::FORBIDDEN, "/log-level answers on the loopback address only\n");
        }
        match *request.method() {
            Method::GET | Method::HEAD => {}
            Method::PUT => {
                let body = Limited::new(request.into_body(), LONGEST_LEVEL).collect().await;
                let Ok(body) = body.map(Collected::to_bytes) else {
                    return text(StatusCode::BAD_REQUEST, "no level is that long\n");
                };
                if let Err(error) = self.level.set(&String::from_utf8_lossy(&body)) {
                    return text(StatusCode::BAD_REQUEST, format!("{error}\n"));
                }
            }
            _ => return text(StatusCode::METHOD_NOT_ALLOWED, "only GET and PUT are understood\n"),
        }
        text(StatusCode::OK, self.level.get() + "\n")
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET is understood\n");
        }
        match request.uri().path() {
            "/healthz" => text(StatusCode::OK, "ok\n"),
            "/readyz" => {
                let missing = self.readiness.missing();
                if missing.is_empty() {
                    text(StatusCode::OK, "ok\n")
                } else {
                    text(StatusCode::SERVICE_UNAVAILABLE, missing.join("\n") + "\n")
                }
            }
            "/metrics" => match self.metrics.text() {
                Ok(metrics) => {
                    with_type("application/openmetrics-text; version=1.0.0; charset=utf-8", metrics)
                }
                Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
            },
            _ => text(StatusCode::NOT_FOUND, "there are /healthz, /readyz, /metrics and /log-level\n"),
        }
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = with_type("text/plain; charset=utf-8", body);
    *response.status_mut() = status;
    response
}

fn with_type(content_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}
