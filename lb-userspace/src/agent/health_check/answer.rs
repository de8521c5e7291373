//! What a health check is answered: status, headers and body of kube-proxy (`pkg/proxy/healthcheck/service_health.go`),
//! so that load balancers made for it understand.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    header::{CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS},
};
use lb_model::desired::health_check::HealthCheck;
use serde::Serialize;
use tokio::sync::watch;

use crate::agent::readiness::Readiness;

const WEIGHT: HeaderName = HeaderName::from_static("x-load-balancing-endpoint-weight");

/// Answers one port.
#[derive(Clone)]
pub(super) struct Answerer {
    pub(super) readiness: Arc<Readiness>,
    pub(super) health: watch::Receiver<HealthCheck>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    service: Name<'a>,
    local_endpoints: usize,
    service_proxy_healthy: bool,
}

#[derive(Serialize)]
struct Name<'a> {
    namespace: &'a str,
    name: &'a str,
}

impl Answerer {
    /// The answer of this moment. 503 sends new connections to other nodes; those that are open stay.
    pub(super) fn answer(&self) -> Response<Full<Bytes>> {
        let health = self.health.borrow();
        let service_proxy_healthy = self.readiness.missing().is_empty();
        let body = Body {
            service: Name { namespace: &health.service.namespace, name: &health.service.name },
            local_endpoints: health.local_endpoints,
            service_proxy_healthy,
        };
        // Strings, a number and a boolean always become JSON.
        let mut response =
            Response::new(Full::new(serde_json::to_vec(&body).map(Bytes::from).unwrap_or_default()));
        if health.local_endpoints == 0 || !service_proxy_healthy {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(WEIGHT, HeaderValue::from(health.local_endpoints));
        response
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use lb_model::object::ObjectKey;

    use super::*;

    fn answerer(local_endpoints: usize) -> Answerer {
        let readiness = Readiness::default();
        readiness.attached();
        readiness.synced();
        let health = HealthCheck { service: ObjectKey::new("default", "web"), local_endpoints };
        Answerer { readiness: Arc::new(readiness), health: watch::channel(health).1 }
    }

    async fn told(answerer: &Answerer) -> (u16, String) {
        let response = answerer.answer();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_node_with_endpoints_is_healthy_and_says_how_many() {
        let healthy = answerer(2);
        let body = r#"{"service":{"namespace":"default","name":"web"},"localEndpoints":2,"serviceProxyHealthy":true}"#;
        assert_eq!(told(&healthy).await, (200, body.to_owned()));
        let headers = healthy.answer().headers().clone();
        assert_eq!(headers["content-type"], "application/json");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["x-load-balancing-endpoint-weight"], "2");
    }

    #[tokio::test]
    async fn a_node_without_endpoints_is_unhealthy() {
        let (status, body) = told(&answerer(0)).await;
        assert_eq!(status, 503);
        assert!(body.ends_with(r#""localEndpoints":0,"serviceProxyHealthy":true}"#), "{body}");
    }

    #[tokio::test]
    async fn an_agent_that_is_not_ready_or_stops_is_unhealthy_whatever_the_endpoints() {
        let mut starting = answerer(3);
        starting.readiness = Arc::default();
        let stopping = answerer(3);
        stopping.readiness.stopping();
        for answerer in [starting, stopping] {
            let (status, body) = told(&answerer).await;
            assert_eq!(status, 503);
            assert!(body.ends_with(r#""localEndpoints":3,"serviceProxyHealthy":false}"#), "{body}");
        }
    }
}
