//! What all threads share.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use lb_model::cidr::Cidr;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{limits::Limiters, retired::Retired};
use crate::{
    config::Config,
    observe::{LogWriter, Metrics},
    upstream::Connector,
};

/// How the proxy meets its clients.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Whose forwarded headers are believed.
    pub(crate) trusted_proxies: Vec<Cidr>,
    /// Who speaks the PROXY protocol.
    pub(crate) proxy_protocol_from: Vec<Cidr>,
    /// How long a client may take for the head of a request, a TLS handshake or a PROXY header.
    pub(crate) header_timeout: Duration,
    /// How long a connection is kept without a request.
    pub(crate) keep_alive: Duration,
    /// How long a client may pause while it sends a body, or reads none of what it is sent.
    pub(crate) client_timeout: Duration,
    /// How long a WebSocket may be silent.
    pub(crate) tunnel_timeout: Duration,
}

/// What all threads share.
pub(crate) struct Shared {
    pub(super) config: ArcSwap<Config>,
    retired: Retired<Config>,
    /// Generation of `config`, for threads that have to let go of connections.
    changed: watch::Sender<u64>,
    pub(super) settings: Settings,
    pub(crate) metrics: Arc<Metrics>,
    pub(super) connector: Connector,
    pub(super) limiters: Limiters,
    pub(super) log: Option<LogWriter>,
    /// No more keep-alive: every response is a connection's last.
    pub(crate) draining: CancellationToken,
    /// The end.
    pub(crate) stop: CancellationToken,
}

impl Shared {
    /// With nothing to serve yet.
    pub(crate) fn new(
        settings: Settings,
        connector: Connector,
        metrics: Arc<Metrics>,
        log: Option<LogWriter>,
    ) -> Self {
        Self {
            config: ArcSwap::default(),
            retired: Retired::default(),
            changed: watch::Sender::new(0),
            settings,
            metrics,
            connector,
            limiters: Limiters::default(),
            log,
            draining: CancellationToken::new(),
            stop: CancellationToken::new(),
        }
    }

    /// Serves another configuration from now on. Requests and tunnels that are under way keep what they have.
    pub(crate) fn swap(&self, mut config: Config, since: Instant) {
        let generation = self.config.load().generation + 1;
        config.generation = generation;
        let config = Arc::new(config);
        self.retired.keep(self.config.swap(config.clone()));
        self.changed.send_replace(generation);
        let ingresses: std::collections::BTreeSet<_> =
            config.routes.iter().map(|route| (*route.ingress).clone()).collect();
        self.limiters.retain(|ingress| ingresses.contains(ingress));
        self.metrics.retain(|ingress| ingresses.contains(ingress));
        self.metrics.reloaded(config, since.elapsed());
        tracing::info!(generation, ingresses = ingresses.len(), "configuration swapped");
        self.drop_retired();
    }

    /// Drops configurations that are served no more and that no request uses.
    pub(crate) fn drop_retired(&self) {
        self.retired.drop_unused();
    }

    /// Tells of swaps.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}
