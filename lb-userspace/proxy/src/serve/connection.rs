//! One connection of a client.

use std::{
    convert::Infallible,
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::{
    Request, Response,
    body::Incoming,
    server::conn::{http1, http2},
    service::{Service, service_fn},
};
use hyper_util::rt::TokioTimer;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};

use super::{
    activity::Activity,
    client::Client,
    handler,
    preamble::{self, Preamble},
    streams::Streams,
    thread::Open,
};
use crate::{
    body::ResponseBody,
    transport::{Flusher, Gathered, LazyTimer, Received, Stream, Watched, gathered},
};

/// Bytes of a request's head, or of its trailers, at most; with more it is answered 431.
const HEAD: u32 = 32 << 10;
/// Requests on one connection of HTTP/2 at a time, as nginx has it.
const STREAMS: u32 = 128;
/// Streams that a client has reset and nobody has looked at yet, at most (CVE-2023-44487).
const PENDING_RESETS: usize = 20;
/// Streams reset for the client's faults, at most (CVE-2025-8671).
const ERROR_RESETS: usize = 128;
/// Bytes that one stream holds for a client that does not read them.
const SEND_BUFFER: usize = 64 << 10;
/// How often a silent connection of HTTP/2 is pinged; the other side has as long again to answer.
const PING: Duration = Duration::from_secs(30);

/// What the requests of one connection have in common.
pub(super) struct Connection {
    pub(super) open: Rc<Open>,
    pub(super) client: Client,
    pub(super) activity: Rc<Activity>,
}

/// Serves a connection to its end. Its errors are the client's own.
pub(super) async fn serve(open: Rc<Open>, tcp: TcpStream, peer: SocketAddr, is_tls: bool) {
    let counters = &open.thread.connections;
    if is_tls { &counters.https } else { &counters.http }.add(1);
    let patience = open.thread.shared.settings.header_timeout;
    // Boxed: a handshake takes much room, and only at the beginning.
    let begun = Box::pin(timeout(patience, begin(&open, tcp, peer, is_tls)));
    let (stream, client, is_http2) = match begun.await {
        Ok(Ok(begun)) => begun,
        Ok(Err(error)) => return tracing::debug!(%peer, "connection ended at its beginning: {error}"),
        Err(_) => return tracing::debug!(%peer, "connection ended: nothing came in time"),
    };
    let patience = open.thread.shared.settings.client_timeout;
    let stream = Watched::new(stream, patience);
    let received = stream.received();
    let activity = Rc::<Activity>::default();
    let connection = Rc::new(Connection { open: open.clone(), client, activity: activity.clone() });
    let requests = service_fn(move |request| handler::handle(connection.clone(), request));
    // The first request has to begin as fast as one that has begun.
    let since = Some((Instant::now(), 0, true));
    let idle = Idle { open, activity, received, is_http2, since, timer: LazyTimer::default() };
    if is_http2 {
        let http = http2(stream, requests, patience);
        Drive { http, idle, is_closing: false }.await;
    } else {
        let http = http1(stream, requests);
        Drive { http, idle, is_closing: false }.await;
    }
}

async fn begin(
    open: &Open,
    tcp: TcpStream,
    peer: SocketAddr,
    is_tls: bool,
) -> io::Result<(Stream, Client, bool)> {
    let settings = &open.thread.shared.settings;
    tcp.set_nodelay(true)?;
    let Preamble { stream, client, local, is_http2 } = preamble::read(tcp, peer, is_tls, settings).await?;
    let client = Client::new(client, local, is_tls, &settings.trusted_proxies);
    if !is_tls {
        return Ok((Stream::Plain(stream), client, is_http2));
    }
    let tls = open.thread.acceptor.inner().accept(stream).await.inspect_err(|_| {
        open.thread.connections.failed_handshakes.add(1);
    })?;
    let is_http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok((Stream::Tls(Box::new(tls.into())), client, is_http2))
}

type Http1<S> = http1::UpgradeableConnection<Watched, S>;

/// HTTP/2, and the way out for what it writes.
struct Http2<S: Requests> {
    http: http2::Connection<Gathered, S, Streams>,
    flusher: Flusher,
}

fn http1<S: Requests>(stream: Watched, requests: S) -> Http1<S> {
    // The head's deadline is that of `Idle`, which costs no timer for each request.
    http1::Builder::new()
        .header_read_timeout(None)
        .max_header_size(HEAD as usize)
        .serve_connection(stream, requests)
        .with_upgrades()
}

fn http2<S: Requests>(stream: Watched, requests: S, patience: Duration) -> Http2<S> {
    let (stream, flusher) = gathered(stream);
    let http = http2::Builder::new(Streams { patience })
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(ERROR_RESETS)
        .max_header_list_size(HEAD)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .serve_connection(stream, requests);
    Http2 { http, flusher }
}

impl<S: Requests> Future for Http2<S> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let ended = Pin::new(&mut self.http).poll(cx).is_ready();
        let failed = matches!(self.flusher.poll_flush(cx), Poll::Ready(Err(_)));
        if ended || failed { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// What answers requests: [`handler::handle`], whose type has no name.
trait Requests:
    Service<
        Request<Incoming>,
        Response = Response<ResponseBody>,
        Error = Infallible,
        Future: Future<Output = Result<Response<ResponseBody>, Infallible>> + 'static,
    > + Unpin
    + 'static
{
}

impl<S> Requests for S where
    S: Service<
            Request<Incoming>,
            Response = Response<ResponseBody>,
            Error = Infallible,
            Future: Future<Output = Result<Response<ResponseBody>, Infallible>> + 'static,
        > + Unpin
        + 'static
{
}

/// A connection of either HTTP.
trait Http: Future + Unpin {
    /// No more requests after those that are under way.
    fn shut_down(&mut self);
}

impl<S: Requests> Http for Http1<S> {
    fn shut_down(&mut self) {
        Pin::new(self).graceful_shutdown();
    }
}

impl<S: Requests> Http for Http2<S> {
    fn shut_down(&mut self) {
        Pin::new(&mut self.http).graceful_shutdown();
    }
}

/// Drives a connection until it ends, the client is silent for too long, or the proxy is drained.
struct Drive<H> {
    http: H,
    idle: Idle,
    is_closing: bool,
}

impl<H: Http> Future for Drive<H> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if Pin::new(&mut this.http).poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if !this.is_closing && this.idle.is_draining(cx) {
            this.is_closing = true;
            this.http.shut_down();
            if Pin::new(&mut this.http).poll(cx).is_ready() {
                return Poll::Ready(());
            }
        }
        if this.idle.poll(cx).is_pending() {
            return Poll::Pending;
        }
        if this.is_closing || !this.idle.is_http2 {
            return Poll::Ready(());
        }
        // HTTP/2 has a farewell (RFC 9113 §6.8), and the client a moment to acknowledge it.
        this.is_closing = true;
        this.idle.restart();
        this.http.shut_down();
        match Pin::new(&mut this.http).poll(cx) {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => this.idle.poll(cx),
        }
    }
}

/// When a connection without a request is given up.
struct Idle {
    open: Rc<Open>,
    activity: Rc<Activity>,
    received: Received,
    /// What comes between the requests of HTTP/2 is not always the beginning of one.
    is_http2: bool,
    /// Since when there is no request, what was received until then, and whether something came after it.
    since: Option<(Instant, u64, bool)>,
    timer: LazyTimer,
}

impl Idle {
    fn is_draining(&self, cx: &Context<'_>) -> bool {
        self.open.is_draining(cx.waker())
    }

    /// One more wait, as short as that for a head.
    fn restart(&mut self) {
        self.since = Some((Instant::now(), self.received.bytes(), true));
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.activity.is_busy() {
            self.since = None;
            return Poll::Pending;
        }
        let settings = &self.open.thread.shared.settings;
        let received = self.received.bytes();
        let (since, limit) = match self.since {
            None => {
                let now = Instant::now();
                self.since = Some((now, received, false));
                (now, settings.keep_alive)
            }
            Some((_, before, false)) if received > before && !self.is_http2 => {
                // The head of the next request has begun.
                let now = Instant::now();
                self.since = Some((now, received, true));
                (now, settings.header_timeout)
            }
            Some((since, _, true)) => (since, settings.header_timeout),
            Some((since, _, false)) => (since, settings.keep_alive),
        };
        self.timer.restart(since, limit);
        self.timer.poll(cx)
    }
}
