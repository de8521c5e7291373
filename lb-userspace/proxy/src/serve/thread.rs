//! Threads that serve: each has a runtime, listeners, connections and pools of its own.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::Future,
    io,
    rc::Rc,
    sync::Arc,
    task::Waker,
    thread::{self, JoinHandle},
    time::Duration,
};

use futures::FutureExt;
use tokio::{
    net::TcpListener,
    runtime::{Builder, LocalOptions},
    task::spawn_local,
    time::{MissedTickBehavior, interval, sleep},
};

use super::{
    connection,
    listener::{self, Address},
    route_state::RouteStates,
    shared::Shared,
    tls::Acceptor,
};
use crate::{
    observe::{AccessLog, ConnectionCounters, IngressCounters},
    upstream::Upstreams,
};

/// How often idle connections are looked at, and the access log is handed over.
const SWEEP: Duration = Duration::from_secs(1);

/// What one thread has for all its connections.
pub(super) struct Thread {
    pub(super) shared: Arc<Shared>,
    pub(super) acceptor: Acceptor,
    pub(super) upstreams: Upstreams,
    pub(super) routes: RouteStates,
    pub(super) connections: Arc<ConnectionCounters>,
    /// Of requests that no Ingress asks for.
    pub(super) unrouted: Arc<IngressCounters>,
    pub(super) log: Option<Rc<AccessLog>>,
    /// What is open, with the wakers of those that have to know of the drain.
    open: RefCell<BTreeMap<u64, Option<Waker>>>,
    next: Cell<u64>,
    is_draining: Cell<bool>,
}

/// The threads.
pub(crate) struct Threads(Vec<JoinHandle<()>>);

impl Threads {
    /// Starts `count` threads that accept on both addresses.
    ///
    /// # Errors
    /// Where there are no more threads or sockets.
    pub(crate) fn start(
        shared: &Arc<Shared>,
        count: usize,
        http: Option<Address>,
        https: Option<Address>,
    ) -> io::Result<Self> {
        let listeners = |address: Option<Address>| match address {
            None => Ok(vec![]),
            Some(address) => address.listeners(count),
        };
        let (mut http, mut https) = (listeners(http)?.into_iter(), listeners(https)?.into_iter());
        let mut threads = Vec::with_capacity(count);
        for number in 0..count {
            let (shared, http, https) = (shared.clone(), http.next(), https.next());
            let runtime = Builder::new_current_thread();
            let builder = thread::Builder::new().name(format!("serve-{number}"));
            threads.push(builder.spawn(move || run(runtime, number, shared, http, https))?);
        }
        Ok(Self(threads))
    }

    /// Waits for all threads to end.
    pub(crate) fn join(self) {
        for thread in self.0 {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

fn run(
    mut runtime: Builder,
    number: usize,
    shared: Arc<Shared>,
    http: Option<std::net::TcpListener>,
    https: Option<std::net::TcpListener>,
) {
    let runtime = match runtime.enable_all().build_local(LocalOptions::default()) {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("cannot start the runtime of a thread: {error}");
            return;
        }
    };
    runtime.block_on(async {
        if let Err(error) = Thread::serve(number, shared, http, https).await {
            tracing::error!("cannot serve: {error}");
        }
    });
}

impl Thread {
    async fn serve(
        number: usize,
        shared: Arc<Shared>,
        http: Option<std::net::TcpListener>,
        https: Option<std::net::TcpListener>,
    ) -> io::Result<()> {
        let thread = Rc::new(Self {
            acceptor: Acceptor::new(shared.clone()).map_err(io::Error::other)?,
            upstreams: Upstreams::new(number),
            routes: RouteStates::default(),
            connections: shared.metrics.connections(),
            unrouted: shared.metrics.ingress(None),
            log: shared.log.clone().map(|writer| Rc::new(AccessLog::new(writer))),
            open: RefCell::default(),
            next: Cell::new(0),
            is_draining: Cell::new(false),
            shared,
        });
        for (listener, is_tls) in [(http, false), (https, true)] {
            if let Some(listener) = listener {
                spawn_local(thread.clone().accept(listener::adopt(listener)?, is_tls));
            }
        }
        spawn_local(thread.clone().follow());
        spawn_local(thread.clone().drain());
        let mut sweep = interval(SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let ended = thread.shared.stop.run_until_cancelled(sweep.tick()).await.is_none();
            thread.upstreams.sweep();
            if let Some(log) = &thread.log {
                log.flush();
            }
            if ended {
                return Ok(());
            }
        }
    }

    /// Lets go of endpoints as soon as a configuration lacks them.
    async fn follow(self: Rc<Self>) {
        let mut changes = self.shared.changes();
        while changes.changed().await.is_ok() {
            self.upstreams.follow(&self.shared.config.load_full());
        }
    }

    async fn accept(self: Rc<Self>, listener: TcpListener, is_tls: bool) {
        let draining = self.shared.draining.clone();
        // Who comes before there is anything to serve waits in the kernel, and is not told that nothing is there.
        let mut changes = self.shared.changes();
        let configured = changes.wait_for(|generation| *generation > 0);
        if !matches!(draining.run_until_cancelled(configured).await, Some(Ok(_))) {
            return;
        }
        while let Some(accepted) = draining.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((tcp, peer)) => self.spawn(|open| connection::serve(open, tcp, peer, is_tls)),
                Err(error) => {
                    // Out of file descriptors, most likely: others will be closed.
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
        // Those that the kernel has accepted already are served, or they would be reset.
        while let Some(Ok((tcp, peer))) = listener.accept().now_or_never() {
            self.spawn(|open| connection::serve(open, tcp, peer, is_tls));
        }
    }

    /// Runs a connection or a tunnel, which is open until its future ends.
    pub(super) fn spawn<F: Future<Output = ()> + 'static>(self: &Rc<Self>, work: impl FnOnce(Rc<Open>) -> F) {
        let open = Rc::new(Open::new(self.clone()));
        spawn_local(work(open));
    }

    /// Wakes whoever has to say that this response is the last.
    async fn drain(self: Rc<Self>) {
        self.shared.draining.cancelled().await;
        self.is_draining.set(true);
        let wakers: Vec<_> = self.open.borrow_mut().values_mut().filter_map(Option::take).collect();
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// Something open on a thread; closed when it is dropped.
pub(super) struct Open {
    pub(super) thread: Rc<Thread>,
    number: u64,
    is_registered: Cell<bool>,
}

impl Open {
    fn new(thread: Rc<Thread>) -> Self {
        let number = thread.next.replace(thread.next.get() + 1);
        thread.open.borrow_mut().insert(number, None);
        thread.connections.open.add(1);
        Self { thread, number, is_registered: Cell::new(false) }
    }

    /// True once the proxy is about to end. Wakes the task that asks first when it is.
    pub(super) fn is_draining(&self, waker: &Waker) -> bool {
        if !self.thread.is_draining.get() && !self.is_registered.replace(true) {
            self.thread.open.borrow_mut().insert(self.number, Some(waker.clone()));
        }
        self.thread.is_draining.get()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.thread.open.borrow_mut().remove(&self.number);
        self.thread.connections.open.subtract_one();
    }
}
