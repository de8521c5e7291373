//! A Kubernetes API server for tests: lists, watches and gets objects over plain HTTP, takes Events, Leases and the
//! status of Ingresses, and misbehaves on demand as real ones do.
//!
//! Lists are paged (`limit`, `continue`) and consistent, watches start at any version that was not expired, carry
//! bookmarks to who asks for them, and honour label and field selectors: an object that stops matching is deleted for
//! that watcher. Every fault is an explicit call of the test.
#![allow(clippy::expect_used, reason = "a harness that cannot start is a failed test")]

mod answer;
mod event;
mod hosted;
mod request;
mod selector;
mod state;
mod watch_stream;
mod write;

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{Notify, broadcast, watch},
    task::JoinSet,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::state::{Order, State};
pub use self::{
    hosted::Hosted,
    request::{Operation, Request, Resource},
    state::{Fault, Gone},
};

/// A running server; it stops when dropped.
#[derive(Debug)]
pub struct ApiServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

/// What the server's tasks share.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Orders to running watches; `Look` says that the log has grown.
    orders: broadcast::Sender<(Option<Resource>, Order)>,
    requests: watch::Sender<Vec<Request>>,
    events: watch::Sender<Vec<Value>>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("a test that panicked under the lock has failed already")
    }

    fn order(&self, resource: Option<Resource>, order: Order) {
        // Nobody may be watching.
        let _ = self.orders.send((resource, order));
    }
}

impl ApiServer {
    /// Starts a server on a free loopback port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback has free ports");
        let address = listener.local_addr().expect("the listener is bound");
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            orders: broadcast::channel(1024).0,
            requests: watch::channel(Vec::new()).0,
            events: watch::channel(Vec::new()).0,
        });
        let stop = CancellationToken::new();
        let accepting = stop.child_token().run_until_cancelled_owned(accept(listener, Arc::clone(&shared)));
        tokio::spawn(accepting);
        Self { address, shared, _stop: stop.drop_guard() }
    }

    /// Writes a kubeconfig that leads here.
    pub fn write_kubeconfig(&self, path: &Path) {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": format!("http://{}", self.address)}}],
            "users": [{"name": "test", "user": {}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        });
        fs::write(path, config.to_string()).expect("the test's own directory is writable");
    }

    /// Creates or changes an object, as `kubectl apply` does.
    pub fn apply(&self, object: Value) {
        let resource = Resource::of(&object).expect("an object of a kind that this server knows");
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        let key = format!("{}/{}", text("namespace"), text("name"));
        self.put(resource, &key, Some(object));
    }

    /// An object as it is now, by the key of [`delete`](Self::delete).
    pub fn object(&self, resource: Resource, key: &str) -> Option<Value> {
        self.shared.state().objects.get(&(resource, key.to_owned())).cloned()
    }

    /// Stores any JSON at all under a key of the test's choice; a real server would not.
    pub fn apply_raw(&self, resource: Resource, key: &str, object: Value) {
        self.put(resource, key, Some(object));
    }

    /// Deletes an object by `namespace/name` (`/name` for what lives in none), or by the key of [`apply_raw`](Self::apply_raw).
    pub fn delete(&self, resource: Resource, key: &str) {
        self.put(resource, key, None);
    }

    fn put(&self, resource: Resource, key: &str, object: Option<Value>) {
        self.shared.state().put(resource, key, object);
        self.shared.order(None, Order::Look);
    }

    /// Ends every running watch as a server does at its time limit.
    pub fn end_watches(&self) {
        self.shared.order(None, Order::End);
    }

    /// Breaks the connection of every running watch.
    pub fn break_watches(&self) {
        self.shared.order(None, Order::Break);
    }

    /// Sends a line that may be anything to the running watches of a resource.
    pub fn send_line(&self, resource: Resource, line: &str) {
        self.shared.order(Some(resource), Order::Line(line.to_owned()));
    }

    /// Sends an `ERROR` event to the running watches of a resource.
    pub fn send_error(&self, resource: Resource, code: u16) {
        let event = json!({"type": "ERROR", "object": answer::status(code)});
        self.send_line(resource, &event.to_string());
    }

    /// Raises the version without a change and sends bookmarks.
    pub fn bookmark(&self) {
        self.shared.state().raise_version();
        self.shared.order(None, Order::Bookmark);
    }

    /// The next event of each watch of a resource is cut off in the middle and its connection broken.
    pub fn cut_next_event(&self, resource: Resource) {
        self.shared.order(Some(resource), Order::CutNextEvent);
    }

    /// Forgets all history up to now, as etcd does when it is compacted: no watch can start before this version any
    /// more, and lists that are being read page by page have to start over.
    pub fn expire(&self, gone: Gone) {
        self.shared.state().expire(gone);
    }

    /// The next `times` requests of this kind fail.
    pub fn fail(&self, resource: Resource, operation: Operation, fault: Fault, times: usize) {
        self.shared.state().fail(resource, operation, fault, times);
    }

    /// Lists of a resource are not answered before the gate is told.
    pub fn hold_next_list(&self, resource: Resource) -> Arc<Notify> {
        let gate = Arc::new(Notify::new());
        self.fail(resource, Operation::List, Fault::Hold(Arc::clone(&gate)), 1);
        gate
    }

    /// Refuses all service: running connections break, new ones are closed without an answer.
    pub fn set_down(&self, down: bool) {
        self.shared.state().down = down;
        if down {
            self.shared.order(None, Order::Break);
        }
    }

    /// Refuses Events from now on, as without the rule in the role.
    pub fn forbid_events(&self) {
        self.shared.state().events_forbidden = true;
    }

    /// Every Event so far, in the order of their creation.
    pub fn events(&self) -> Vec<Value> {
        self.shared.events.borrow().clone()
    }

    /// Waits for an Event that fits.
    pub async fn until_event(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let mut events = self.shared.events.subscribe();
        let there = events.wait_for(|events| events.iter().any(&fits));
        if tokio::time::timeout(DEADLINE, there).await.is_err() {
            panic!("never came: {what}; Events: {:#?}", self.events());
        }
        self.events().into_iter().find(fits).expect("it was there, and Events stay")
    }

    /// Number of requests so far that fit.
    pub fn count(&self, fits: impl Fn(&Request) -> bool) -> usize {
        self.shared.requests.borrow().iter().filter(|request| fits(request)).count()
    }

    /// Waits until `count` requests have come that fit.
    pub async fn until_requested(&self, what: &str, count: usize, fits: impl Fn(&Request) -> bool) {
        let mut requests = self.shared.requests.subscribe();
        let enough =
            requests.wait_for(|requests| requests.iter().filter(|request| fits(request)).count() >= count);
        if tokio::time::timeout(DEADLINE, enough).await.is_err() {
            panic!("never came: {count} × {what}; requests: {:#?}", self.shared.requests.borrow());
        }
    }
}

/// Long enough for a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Dropped with this task, and the connections with it.
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        if shared.state().down {
            continue;
        }
        // As Go's servers do; an event would otherwise wait for the acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let service = service_fn(move |request| answer::answer(Arc::clone(&shared), request));
            // A connection that breaks is what some tests are about.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}
