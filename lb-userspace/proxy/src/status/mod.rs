//! Tells the API where Ingresses answer: `status.loadBalancer.ingress`.
//!
//! ```text
//! Lease ── the holder alone ──▶ every Ingress of ours whose status says something else ── get, patch ──▶ API
//! ```
//! What was published stays when the leader dies, steps down or knows no address: an emptied status makes external-dns
//! delete names and deployments fail (jcmoraisjr/haproxy-ingress#1485, kubernetes/ingress-nginx#4092).

mod addresses;
mod lease;
mod publish;

use std::{collections::BTreeMap, future::pending, net::IpAddr, time::Duration};

use lb_model::object::ObjectKey;
use lb_sources::Cluster;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub use self::addresses::addresses;
use self::{lease::Candidate, publish::Publisher};

/// Who publishes, and when another does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The Lease that decides.
    pub lease: ObjectKey,
    /// What tells this proxy from others of the same Lease: the name of its pod.
    pub identity: String,
    /// How soon a silent leader is replaced.
    pub timing: Timing,
}

/// How soon a silent leader is replaced. `Default` is what client-go's controllers use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long a lease that is not renewed keeps others out; whole seconds.
    pub duration: Duration,
    /// When a leader that cannot renew steps down; shorter than `duration`, so that there are never two.
    pub renew_deadline: Duration,
    /// How often leaders renew and others look.
    pub retry: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { duration: seconds(15), renew_deadline: seconds(10), retry: seconds(2) }
    }
}

/// What the status should say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Where the proxies answer; while there is none, nothing is published.
    pub addresses: Vec<IpAddr>,
    /// Every Ingress that is served, with what its status says by the newest snapshot.
    pub ingresses: BTreeMap<ObjectKey, Vec<String>>,
}

/// Publishes while this proxy holds the Lease. After `stop` the Lease is given up, and the task ends.
pub fn start(
    cluster: &Cluster,
    settings: Settings,
    wanted: watch::Receiver<Wanted>,
    stop: CancellationToken,
) -> JoinHandle<()> {
    let (leads, is_leading) = watch::channel(false);
    let candidate = Candidate::new(cluster.client().clone(), settings);
    let publisher = Publisher::new(cluster.client().clone(), is_leading, wanted);
    tokio::spawn(async move {
        // Where nothing is wanted any more, the Lease is still to be given up.
        let publishing = async {
            publisher.run().await;
            pending::<()>().await;
        };
        tokio::select! {
            () = candidate.run(leads, stop) => {}
            () = publishing => {}
        }
    })
}
