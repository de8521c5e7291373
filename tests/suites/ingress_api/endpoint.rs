//! What is behind the proxy: each endpoint answers with its name, and echoes on a WebSocket.

use std::{convert::Infallible, net::SocketAddr};

use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{CONNECTION, UPGRADE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use lb_tests::netns::Namespace;
use tokio::{
    io::{copy, split},
    net::TcpListener,
};

/// Starts endpoints on 10.1.0.1, 10.1.0.2 and so on, on a thread of their own that lasts as long as the test.
pub(crate) async fn start(namespace: &Namespace, count: u8) -> Vec<SocketAddr> {
    let (bound, listening) = tokio::sync::oneshot::channel();
    let serve = move || async move {
        let mut addresses = Vec::new();
        for number in 1..=count {
            let listener =
                TcpListener::bind((std::net::Ipv4Addr::new(10, 1, 0, number), 8000)).await.unwrap();
            addresses.push(listener.local_addr().unwrap());
            tokio::spawn(accept(listener, format!("pod-{number}")));
        }
        bound.send(addresses).unwrap();
        std::future::pending::<()>().await;
    };
    drop(namespace.spawn(serve).unwrap());
    listening.await.unwrap()
}

async fn accept(listener: TcpListener, name: String) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let name = name.clone();
        let service = service_fn(move |request| {
            let response = answer(request, &name);
            async move { Ok::<_, Infallible>(response) }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades());
    }
}

fn answer(request: Request<Incoming>, name: &str) -> Response<String> {
    if !request.headers().contains_key(UPGRADE) {
        return Response::new(name.to_owned());
    }
    tokio::spawn(async move {
        let (mut input, mut output) = split(TokioIo::new(hyper::upgrade::on(request).await.unwrap()));
        let _ = copy(&mut input, &mut output).await;
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        .body(String::new())
        .unwrap()
}
