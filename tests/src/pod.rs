//! Pods: a namespace, an address, and a server process inside.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream},
    path::PathBuf,
    process::{Child, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{netns::Namespace, wait};

/// The port that every pod serves, TCP and UDP.
pub const PORT: u16 = 8080;

/// A pod; its server stops when it is dropped.
#[derive(Debug)]
pub struct Pod {
    /// What the server answers with.
    pub name: String,
    /// Its address; the node's own for a pod of the host network.
    pub address: Ipv4Addr,
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
        address: Ipv4Addr,
        port: u16,
        namespace: Arc<Namespace>,
    ) -> Result<Self> {
        let mut pod = Self { name: name.into(), address, node: node.into(), port, namespace, server: None };
        pod.restart()?;
        Ok(pod)
    }

    /// Starts the server again after [`stop`](Self::stop).
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn restart(&mut self) -> Result<()> {
        let mut command = self.namespace.command(binary()?)?;
        command.args(["--name", &self.name, "--address", &self.address.to_string()]);
        command.args(["--port", &self.port.to_string()]).stdin(Stdio::null()).stdout(Stdio::null());
        self.server = Some(command.spawn().with_context(|| format!("cannot start {}", self.name))?);
        let target = SocketAddr::V4(SocketAddrV4::new(self.address, self.port));
        let what = format!("{} accepts connections on {target}", self.name);
        wait::until_true(&what, || {
            self.namespace.enter(|| TcpStream::connect_timeout(&target, Duration::from_secs(1)).is_ok())
        })
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
