//! The HTTP server for probes and Prometheus.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, header, server::conn::http1, service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::{AgentError, metrics::Metrics, readiness::Readiness};

/// What the server tells.
#[derive(Clone)]
pub(super) struct Admin {
    /// For /readyz.
    pub(super) readiness: Arc<Readiness>,
    /// For /metrics.
    pub(super) metrics: Arc<Metrics>,
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
                Ok((stream, _)) => {
                    tokio::spawn(self.clone().serve(stream));
                }
                // Out of file descriptors, most likely: others will close theirs.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection on the admin address");
                    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                }
            }
        }
    }

    async fn serve(self, stream: TcpStream) {
        let service = service_fn(|request| {
            let response = self.answer(&request);
            async move { Ok::<_, Infallible>(response) }
        });
        // The client's errors are its own; hyper's default header timeout needs the timer.
        let _ = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service)
            .await;
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
            _ => text(StatusCode::NOT_FOUND, "there are /healthz, /readyz and /metrics\n"),
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
