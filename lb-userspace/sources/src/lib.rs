//! Where objects come from: a folder of manifests, or the Kubernetes API.
//!
//! A started source publishes on three channels and never ends before it is told to:
//! - [`Feed::snapshots`] holds `None` until everything was read once, then always the newest complete [`Snapshot`].
//!   Bursts of changes arrive as one snapshot, and equal snapshots are not published twice. A source that fails keeps
//!   its last snapshot: nothing disappears because a connection broke, a list was cut short or a file became broken.
//! - [`Feed::arrivals`] holds when the events behind it came in, for the agent, which takes them.
//! - [`Feed::status`] says how the source is doing.
//!
//! Objects that could not be taken are in [`Snapshot::refused`]; the source logs each once, when it first appears.

mod arrival;
mod consumer;
mod error;
mod follow;
pub mod kube;
pub mod manifest;
pub mod policy;
mod printable;
mod publish;
mod status;
pub mod translate;

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use lb_model::{
    ingress_class::ClassSelector,
    object::{ObjectKey, Snapshot},
};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub use self::{
    arrival::{Arrival, Arrivals},
    consumer::Consumer,
    error::Error,
    kube::{Announcer, Cluster},
    status::{Status, Stream},
};

/// Where to take objects from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A folder of manifests, followed live.
    Manifests(PathBuf),
    /// A Kubernetes API server.
    Kubernetes {
        /// How to reach it; the cluster that this pod runs in where there is none.
        kubeconfig: Option<PathBuf>,
        /// The Secrets to read. The agent reads none.
        secrets: SecretSelector,
    },
}

/// The Secrets that sluice-ingress reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretSelector {
    /// Those that Ingresses of ours refer to; which these are.
    pub class: ClassSelector,
    /// Those that are wanted besides, such as that of a default certificate.
    pub named: BTreeSet<ObjectKey>,
}

/// What a source publishes.
#[derive(Debug)]
pub struct Feed {
    /// The newest complete snapshot; `None` until everything was read once.
    pub snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    /// When the events behind the newest snapshot arrived; always empty for [`Consumer::Ingress`].
    pub arrivals: Arrivals,
    /// How the source is doing.
    pub status: watch::Receiver<Status>,
    /// The cluster behind it, if any.
    pub cluster: Option<Cluster>,
    /// The source itself; ends after the token was cancelled.
    pub task: JoinHandle<()>,
}

impl Source {
    /// Starts following the source for a program until `stop` is cancelled. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The source can never work as configured. An API server that does not answer yet is no such case.
    pub async fn start(self, consumer: Consumer, stop: CancellationToken) -> Result<Feed, Error> {
        let (publisher, publish::Channel { snapshots, arrivals, status }) = publish::channel(consumer);
        let (task, cluster) = match self {
            Self::Manifests(path) => (follow::start(consumer, path, publisher, stop)?, None),
            Self::Kubernetes { kubeconfig, secrets } => {
                let client = kube::connect(kubeconfig.as_deref()).await?;
                (kube::start(consumer, secrets, &client, publisher, stop), Some(Cluster::new(client)))
            }
        };
        Ok(Feed { snapshots, arrivals, status, cluster, task })
    }
}
