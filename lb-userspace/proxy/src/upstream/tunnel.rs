//! Requests that turn their connection into something else.

use std::rc::Rc;

use hyper::{Request, Response, StatusCode, client::conn::http1, upgrade::OnUpgrade};
use tokio::{task::spawn_local, time::timeout};

use super::{
    Endpoint, Failed, Failure, InFlight, UpstreamBody,
    body::{Kind, StreamBody},
    connect::Connector,
};
use crate::{
    body::RequestBody,
    config::{Timeouts, UpstreamProtocol},
};

/// What an endpoint answers to `Upgrade`.
#[derive(Debug)]
pub(crate) enum Tunnel {
    /// It has switched: the connection is what comes of the [`OnUpgrade`].
    Switched(Response<()>, OnUpgrade, InFlight),
    /// It answers as HTTP.
    Refused(Response<UpstreamBody>),
}

/// Sends an `Upgrade` request to an endpoint, over a connection of its own.
pub(crate) async fn tunnel(
    connector: &Connector,
    endpoint: &Rc<Endpoint>,
    protocol: UpstreamProtocol,
    timeouts: Timeouts,
    request: Request<RequestBody>,
) -> Result<Tunnel, Failed> {
    let in_flight = InFlight::new(endpoint.clone());
    let encrypted = matches!(protocol, UpstreamProtocol::Https | UpstreamProtocol::Grpcs);
    let stream = connector.connect_http1(endpoint.address(), encrypted, timeouts).await?;
    let (mut sender, driver) = http1::handshake(stream).await.map_err(Failure::from_hyper)?;
    spawn_local(async move {
        // Whoever holds the body or the upgrade learns of the error.
        let _ = driver.with_upgrades().await;
    });
    let mut response = match timeout(timeouts.read, sender.send_request(request)).await {
        Err(_) => return Err(Failure::Timeout.into()),
        Ok(result) => result.map_err(Failure::from_hyper)?,
    };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let upgrade = hyper::upgrade::on(&mut response);
        return Ok(Tunnel::Switched(response.map(|_| ()), upgrade, in_flight));
    }
    Ok(Tunnel::Refused(response.map(|incoming| {
        UpstreamBody::new(Kind::Stream(StreamBody::new(incoming, timeouts.read)), in_flight)
    })))
}
