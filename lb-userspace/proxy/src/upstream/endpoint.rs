//! One endpoint, as one thread knows it: its idle connections and what is under way.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    time::Duration,
};

use tokio::{sync::Mutex, time::Instant};

use super::{http1, http2};

/// How long a connection is kept without a request: less than the 60 s after which many servers close theirs, so that
/// a request seldom meets a connection that is being closed.
const IDLE: Duration = Duration::from_secs(55);
/// Idle connections at most.
const IDLE_CONNECTIONS: usize = 512;

/// An endpoint.
#[derive(Debug)]
pub(crate) struct Endpoint {
    address: SocketAddr,
    /// The newest last: what was used last is used next, and the others grow old.
    idle: RefCell<Vec<Idle>>,
    /// Connections of HTTP/2, shared by requests.
    pub(super) multiplexed: RefCell<Vec<http2::Connection>>,
    /// Taken while a connection of HTTP/2 is being made, so that many requests do not make many.
    pub(super) dialling: Mutex<()>,
    /// Requests under way.
    in_flight: Cell<usize>,
    /// No route leads here any more.
    retired: Cell<bool>,
}

#[derive(Debug)]
struct Idle {
    connection: http1::Connection,
    since: Instant,
}

impl Endpoint {
    /// Without connections.
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            idle: RefCell::default(),
            multiplexed: RefCell::default(),
            dialling: Mutex::default(),
            in_flight: Cell::new(0),
            retired: Cell::new(false),
        }
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests under way.
    pub(super) const fn in_flight(&self) -> usize {
        self.in_flight.get()
    }

    /// A connection that waits for a request, if any.
    pub(super) fn idle(&self) -> Option<http1::Connection> {
        let mut idle = self.idle.borrow_mut();
        while let Some(mut last) = idle.pop() {
            if last.connection.is_reusable() {
                return Some(last.connection);
            }
        }
        None
    }

    /// Keeps a connection for the next request.
    pub(super) fn park(&self, connection: http1::Connection) {
        let mut idle = self.idle.borrow_mut();
        if !self.retired.get() && idle.len() < IDLE_CONNECTIONS {
            idle.push(Idle { connection, since: Instant::now() });
        }
    }

    /// Closes all idle connections: the next request makes a fresh one.
    pub(crate) fn discard_idle(&self) {
        self.idle.borrow_mut().clear();
    }

    /// Closes what was idle for too long, and what the other side has closed.
    pub(super) fn sweep(&self, now: Instant) {
        self.idle.borrow_mut().retain_mut(|idle| now - idle.since < IDLE && idle.connection.is_reusable());
        self.multiplexed.borrow_mut().retain(http2::Connection::is_open);
    }

    /// No new requests: idle connections are closed, others when their requests end.
    pub(super) fn retire(&self) {
        self.retired.set(true);
        self.idle.borrow_mut().clear();
        self.multiplexed.borrow_mut().clear();
    }

    /// True where no route leads here any more.
    pub(super) const fn is_retired(&self) -> bool {
        self.retired.get()
    }
}

/// Counts a request as under way at its endpoint until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlight(Rc<Endpoint>);

impl InFlight {
    /// One more.
    pub(crate) fn new(endpoint: Rc<Endpoint>) -> Self {
        endpoint.in_flight.set(endpoint.in_flight.get() + 1);
        Self(endpoint)
    }

    /// The endpoint.
    pub(crate) const fn endpoint(&self) -> &Rc<Endpoint> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get() - 1);
    }
}
