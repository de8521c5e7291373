//! WebSockets: after the 101 two connections are joined, by a task that no configuration touches.

use std::rc::Rc;

use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
    upgrade::{OnUpgrade, Upgraded},
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::time::{Duration, Instant, timeout_at};

use super::{
    answer,
    attempts::Attempts,
    decide::Plan,
    forward,
    handler::{self, Exchange},
    route_state::RouteState,
    thread::Thread,
};
use crate::{
    body::{RequestBody, ResponseBody},
    upstream::{InFlight, Tunnel},
};

/// Bytes that are read at a time.
const CHUNK: usize = 16 << 10;

/// Asks an endpoint for a WebSocket, and joins client and endpoint once it agrees. Not a byte passes before.
pub(super) async fn open(
    exchange: &mut Exchange,
    mut request: Request<Incoming>,
    plan: Plan,
) -> (Response<ResponseBody>, Option<Rc<RouteState>>) {
    let client = hyper::upgrade::on(&mut request);
    let (mut head, _) = request.into_parts();
    let version = head.version;
    let connection = exchange.connection.clone();
    handler::prepare(&mut head, &plan, &connection);
    mark(&mut head.headers);
    let Plan { state, origin, permit, .. } = plan;
    exchange.under_way.hold(permit);
    let Some(forward) = &state.forward else {
        return (answer::status(StatusCode::SERVICE_UNAVAILABLE), Some(state));
    };
    let thread = &connection.open.thread;
    let request = (head, RequestBody::empty());
    let mut attempts = Attempts::new(thread, &state, forward, request, origin, exchange.began);
    let result = attempts.run_tunnel().await;
    exchange.note(attempts.endpoint, attempts.count);
    let response = match result {
        Err(given_up) => handler::failed(&given_up, version),
        Ok(Tunnel::Refused(mut response)) => {
            forward::strip_response(response.headers_mut());
            response.map(ResponseBody::upstream)
        }
        Ok(Tunnel::Switched(mut response, endpoint, in_flight)) => {
            let answer = response.headers_mut();
            answer.contains_key(header::CONNECTION).then(|| forward::strip_response(answer));
            mark(answer);
            join(thread, client, endpoint, in_flight);
            response.map(|()| ResponseBody::own(bytes::Bytes::new()))
        }
    };
    drop(attempts);
    (response, Some(state))
}

/// Says that this connection becomes a WebSocket.
fn mark(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}

fn join(thread: &Rc<Thread>, client: OnUpgrade, endpoint: OnUpgrade, in_flight: InFlight) {
    let limit = thread.shared.settings.tunnel_timeout;
    let counted = thread.connections.clone();
    thread.spawn(move |open| async move {
        if let (Ok(client), Ok(endpoint)) = (client.await, endpoint.await) {
            counted.tunnels.add(1);
            copy(client, endpoint, limit).await;
            counted.tunnels.subtract_one();
        }
        drop((open, in_flight));
    });
}

/// Copies both ways until both are done, one breaks, or neither says anything for too long.
async fn copy(client: Upgraded, endpoint: Upgraded, limit: Duration) {
    let (client_out, client_in) = split(TokioIo::new(client));
    let (endpoint_out, endpoint_in) = split(TokioIo::new(endpoint));
    let heard = std::cell::Cell::new(Instant::now());
    let up = one_way(client_out, endpoint_in, &heard, limit);
    let down = one_way(endpoint_out, client_in, &heard, limit);
    // An error on one way ends both.
    let _ = futures::future::try_join(up, down).await;
}

type Half = TokioIo<Upgraded>;

async fn one_way(
    mut from: ReadHalf<Half>,
    mut to: WriteHalf<Half>,
    heard: &std::cell::Cell<Instant>,
    limit: Duration,
) -> Result<(), ()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let length = loop {
            match timeout_at(heard.get() + limit, from.read(&mut chunk)).await {
                Ok(result) => break result.map_err(drop)?,
                // The other way may have been busy meanwhile.
                Err(_) if heard.get().elapsed() < limit => {}
                Err(_) => return Err(()),
            }
        };
        heard.set(Instant::now());
        if length == 0 {
            return to.shutdown().await.map_err(drop);
        }
        timeout_at(Instant::now() + limit, to.write_all(&chunk[..length]))
            .await
            .map_err(drop)?
            .map_err(drop)?;
    }
}
