//! Why a source cannot start.

use std::path::PathBuf;

/// A source that cannot start. Once started, a source never gives up: it keeps what it knows, reports and retries.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder of manifests cannot be read.
    #[error("cannot read the manifest folder {}: {source}; create it, or name another with --manifests", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The kernel does not watch the folder for us.
    #[error("cannot watch the manifest folder {}: {source}; raise fs.inotify.max_user_watches or max_user_instances", .path.display())]
    Watch {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: notify::Error,
    },
    /// The kubeconfig cannot be used.
    #[error("cannot use the kubeconfig {}: {source}; name another with --kubeconfig", .path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// Why.
        source: kube::config::KubeconfigError,
    },
    /// No kubeconfig was named and this is no pod.
    #[error(
        "not inside a cluster ({0}); pass --kubeconfig FILE, or --manifests DIR to work without an API server"
    )]
    NotInCluster(#[source] kube::config::InClusterError),
    /// The client cannot be built from the configuration.
    #[error("cannot build a client for the API server: {0}; check its address and certificates")]
    Client(#[source] kube::Error),
}
