//! Pods: a namespace, an address, and a server process inside.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{dual_stack::DualStack, netns::Namespace, wait};

/// The port that every pod serves, TCP and UDP.
pub const PORT: u16 = 8080;

/// A pod; its server stops when it is dropped.
#[derive(Debug)]
pub struct Pod {
    /// What the server answers with.
    pub name: String,
    /// Its addresses; the node's own for a pod of the host network.
    pub addresses: DualStack,
    /// The name of its node.
    pub node: String,
    /// Where it serves.
    pub port: u16,
    namespace: Arc<Namespace>,
    server: Option<Child>,
}

impl Pod {
    /// Starts a pod's server and waits until it accepts connections.
    ///
    /// # Errors
    /// Where it does not.
    pub fn start(
        name: &str,
        node: &str,
        addresses: DualStack,
        port: u16,
        namespace: Arc<Namespace>,
    ) -> Result<Self> {
        let mut pod = Self { name: name.into(), addresses, node: node.into(), port, namespace, server: None };
        pod.restart()?;
        Ok(pod)
    }

    /// Starts the server anew; one that still runs is killed.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        let mut command = self.namespace.command(binary()?)?;
        command.args(["--name", &self.name, "--port", &self.port.to_string()]);
        for address in self.addresses.both() {
            command.args(["--address", &address.to_string()]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        self.server = Some(command.spawn().with_context(|| format!("cannot start {}", self.name))?);
        let accepts = |target| TcpStream::connect_timeout(&target, Duration::from_secs(1)).is_ok();
        self.addresses.both().into_iter().try_for_each(|address| {
            let target = SocketAddr::new(address, self.port);
            let what = format!("{} accepts connections on {target}", self.name);
            wait::until_true(&what, || self.namespace.enter(|| accepts(target)))
        })
    }

    /// Its network.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Kills the server, as the end of a pod's grace period does.
    ///
    /// # Errors
    /// Where the process cannot be waited for.
    pub fn stop(&mut self) -> io::Result<()> {
        let Some(mut server) = self.server.take() else { return Ok(()) };
        server.kill()?;
        server.wait().map(drop)
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

/// The server's program: cargo puts it beside the demo, and one directory above tests.
fn binary() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let found =
        own.ancestors().skip(1).take(2).map(|directory| directory.join("pod")).find(|path| path.is_file());
    match found {
        Some(path) => Ok(path),
        None => {
            bail!("no program `pod` beside {}: build it with `cargo build -p lb-tests --bins`", own.display())
        }
    }
}
