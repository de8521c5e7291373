//! `healthCheckNodePort`: external load balancers ask there whether this node has endpoints of a Service.

mod answer;
mod listener;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
};

use lb_model::{
    desired::health_check::HealthCheck,
    object::{ObjectKey, Refusal},
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::{
    answer::Answerer,
    listener::{LIMITS, Listener},
};
use super::readiness::Readiness;

/// Reason of a refusal.
const UNAVAILABLE: &str = "HealthCheckPortUnavailable";

/// The ports that answer.
pub(super) struct HealthChecks {
    readiness: Arc<Readiness>,
    node: String,
    open: BTreeMap<u16, Open>,
    /// Ports that another program has: kube-proxy beside us, which answers the same, for the API server gives a port of
    /// health checks to one Service alone. Nothing is amiss then, so that these are logged and no refusals.
    taken: BTreeSet<u16>,
}

/// A port that answers; it closes when this is dropped.
struct Open {
    health: watch::Sender<HealthCheck>,
    _stop: DropGuard,
}

impl HealthChecks {
    /// No port of this `node` yet. Answers are 503 while `readiness` lacks anything.
    pub(super) fn new(readiness: Arc<Readiness>, node: &str) -> Self {
        Self { readiness, node: node.to_owned(), open: BTreeMap::new(), taken: BTreeSet::new() }
    }

    /// Closes, opens and updates ports so that exactly `wanted` answer, by us or by another program that has the port
    /// already. What could not be opened is refused, and can be asked for again.
    pub(super) fn set(&mut self, wanted: BTreeMap<u16, HealthCheck>) -> Vec<Refusal> {
        self.open.retain(|port, _| wanted.contains_key(port));
        self.taken.retain(|port| wanted.contains_key(port));
        let mut refusals = Vec::new();
        for (port, health) in wanted {
            if let Some(open) = self.open.get(&port) {
                open.health.send_if_modified(|current| {
                    let changed = *current != health;
                    *current = health;
                    changed
                });
                continue;
            }
            match Listener::open(port) {
                Ok(listener) => {
                    tracing::info!(port, service = %health.service, "health checks are answered");
                    self.taken.remove(&port);
                    self.open.insert(port, self.answer(listener, health));
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    if self.taken.insert(port) {
                        tracing::info!(
                            port,
                            service = %health.service,
                            "health checks are left to the program that has the port, kube-proxy perhaps"
                        );
                    }
                }
                Err(error) => refusals.push(unavailable(&self.node, port, &health.service, &error)),
            }
        }
        refusals
    }

    /// True where another program has a port, which may leave it.
    pub(super) fn is_waiting(&self) -> bool {
        !self.taken.is_empty()
    }

    fn answer(&self, listener: Listener, health: HealthCheck) -> Open {
        let (sender, health) = watch::channel(health);
        let stop = CancellationToken::new();
        let answerer = Answerer { readiness: self.readiness.clone(), health };
        tokio::spawn(stop.clone().run_until_cancelled_owned(listener.serve(answerer, LIMITS)));
        Open { health: sender, _stop: stop.drop_guard() }
    }
}

/// Lets this process open as many files as it may: every port is one, and there may be thousands.
pub(super) fn raise_open_files() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::debug!(%error, "cannot raise the limit of open files");
    }
}

/// The message names the node: on others the port may be free.
fn unavailable(node: &str, port: u16, service: &ObjectKey, error: &io::Error) -> Refusal {
    Refusal {
        kind: "Service".to_owned(),
        object: service.clone(),
        reason: UNAVAILABLE.to_owned(),
        message: format!(
            "healthCheckNodePort {port} of Service {service} is not answered on {node}: {error}; Sluice tries again every few seconds"
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    fn health(name: &str) -> HealthCheck {
        HealthCheck { service: ObjectKey::new("default", name), local_endpoints: 1 }
    }

    #[tokio::test]
    async fn a_port_in_use_is_waited_for_without_a_refusal_and_opens_once_it_is_free() {
        let taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let mut checks = HealthChecks::new(Arc::default(), "node-a");
        let wanted: BTreeMap<_, _> = [(port, health("web"))].into();
        assert_eq!(checks.set(wanted.clone()), []);
        assert!(checks.is_waiting());
        drop(taken);
        assert_eq!(checks.set(wanted), []);
        assert!(!checks.is_waiting());
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    }

    #[test]
    fn a_port_that_cannot_be_opened_is_refused_with_the_node_and_why() {
        let error = io::Error::from_raw_os_error(libc::EMFILE);
        let refusal = unavailable("node-a", 32_000, &ObjectKey::new("default", "web"), &error);
        assert_eq!((refusal.object.name.as_str(), refusal.reason.as_str()), ("web", UNAVAILABLE));
        assert!(refusal.message.contains("on node-a: Too many open files"), "{}", refusal.message);
    }

    #[tokio::test]
    async fn a_port_that_nobody_wants_any_more_is_free_at_once() {
        let mut checks = HealthChecks::new(Arc::default(), "node-a");
        let listener = Listener::open(0).unwrap();
        let port = listener.port();
        checks.open.insert(port, checks.answer(listener, health("web")));
        assert!(TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await.is_err());
        assert_eq!(checks.set(BTreeMap::new()), []);
        // The task that holds the socket ends when the runtime next runs it.
        tokio::task::yield_now().await;
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await.unwrap();
    }
}
