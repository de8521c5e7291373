//! One attempt at one endpoint.

use std::rc::Rc;

use hyper::{Request, Response};

use super::{
    Failure, UpstreamBody,
    body::{Kind, StreamBody},
    connect::Connector,
    endpoint::{Endpoint, InFlight},
    http1::{self, Http1Body},
    http2,
};
use crate::{
    body::RequestBody,
    config::{Timeouts, UpstreamProtocol},
};

/// An attempt that failed.
#[derive(Debug)]
pub(crate) struct Failed {
    /// How.
    pub(crate) failure: Failure,
    /// On a connection that had carried requests before: it may have died of idleness, which says nothing about the
    /// endpoint.
    pub(crate) reused: bool,
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self { failure, reused: false }
    }
}

/// Sends a request, as HTTP/1.1 has it, to an endpoint.
pub(crate) async fn send(
    connector: &Connector,
    endpoint: &Rc<Endpoint>,
    protocol: UpstreamProtocol,
    timeouts: Timeouts,
    request: Request<RequestBody>,
) -> Result<Response<UpstreamBody>, Failed> {
    let in_flight = InFlight::new(endpoint.clone());
    if protocol == UpstreamProtocol::Http {
        if let Some(connection) = endpoint.idle() {
            return over_http1(connection, in_flight, timeouts, request, true).await;
        }
        let fresh = connector.connect(endpoint.address(), protocol, timeouts).await?;
        let connection = http1::Connection::new(fresh.stream).await?;
        return over_http1(connection, in_flight, timeouts, request, false).await;
    }
    // Boxed: the way that few requests take would make the future of all of them large.
    Box::pin(over_either(connector, in_flight, protocol, timeouts, request)).await
}

/// Where HTTP/2 is spoken, or ALPN decides.
async fn over_either(
    connector: &Connector,
    in_flight: InFlight,
    protocol: UpstreamProtocol,
    timeouts: Timeouts,
    request: Request<RequestBody>,
) -> Result<Response<UpstreamBody>, Failed> {
    let endpoint = in_flight.endpoint().clone();
    let encrypted = matches!(protocol, UpstreamProtocol::Https | UpstreamProtocol::Grpcs);
    if let Some(connection) = open(&endpoint) {
        return over_http2(connection, in_flight, encrypted, timeouts, request, true).await;
    }
    if let Some(connection) = endpoint.idle() {
        return over_http1(connection, in_flight, timeouts, request, true).await;
    }
    let dialling = endpoint.dialling.lock().await;
    // Another request may have made one meanwhile.
    if let Some(connection) = open(&endpoint) {
        drop(dialling);
        return over_http2(connection, in_flight, encrypted, timeouts, request, true).await;
    }
    let fresh = connector.connect(endpoint.address(), protocol, timeouts).await?;
    if !fresh.is_http2 {
        drop(dialling);
        let connection = http1::Connection::new(fresh.stream).await?;
        return over_http1(connection, in_flight, timeouts, request, false).await;
    }
    let connection = http2::Connection::new(fresh.stream).await?;
    if !endpoint.is_retired() {
        endpoint.multiplexed.borrow_mut().push(connection.clone());
    }
    drop(dialling);
    over_http2(connection, in_flight, encrypted, timeouts, request, false).await
}

fn open(endpoint: &Endpoint) -> Option<http2::Connection> {
    endpoint.multiplexed.borrow().iter().find(|connection| connection.is_open()).cloned()
}

async fn over_http1(
    connection: http1::Connection,
    in_flight: InFlight,
    timeouts: Timeouts,
    request: Request<RequestBody>,
    reused: bool,
) -> Result<Response<UpstreamBody>, Failed> {
    let (response, connection) =
        connection.send(request, timeouts.read).await.map_err(|failure| Failed { failure, reused })?;
    Ok(response.map(|incoming| {
        let body = Http1Body::new(incoming, connection, in_flight.endpoint().clone(), timeouts.read);
        UpstreamBody::new(Kind::Http1(body), in_flight)
    }))
}

async fn over_http2(
    connection: http2::Connection,
    in_flight: InFlight,
    encrypted: bool,
    timeouts: Timeouts,
    mut request: Request<RequestBody>,
    reused: bool,
) -> Result<Response<UpstreamBody>, Failed> {
    http2::translate(&mut request, encrypted);
    let response =
        connection.send(request, timeouts.read).await.map_err(|failure| Failed { failure, reused })?;
    Ok(response
        .map(|incoming| UpstreamBody::new(Kind::Stream(StreamBody::new(incoming, timeouts.read)), in_flight)))
}
