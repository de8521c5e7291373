//! The real agent on a node: started, killed, started again.

use std::{
    ffi::OsString,
    fs::{self, OpenOptions},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use lb_userspace::dataplane::{pin::PinDir, pinned::Pinned};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{BPFFS, manifests::Manifests, netns::Namespace, topo, traffic::request, wait};

/// Where every agent answers for its health; each node has a loopback of its own.
const ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9470);

/// An agent with its pin directory; both are gone when it is dropped.
#[derive(Debug)]
pub struct Agent {
    /// Name of its node.
    pub node: &'static str,
    namespace: Arc<Namespace>,
    bpf_dir: PathBuf,
    log: PathBuf,
    arguments: Vec<String>,
    /// More of them, from its next start on.
    more: Vec<String>,
    /// What it is started by; empty where it is started itself.
    wrapper: Vec<String>,
    /// Another program than the one under test.
    release: Option<PathBuf>,
    process: Option<Child>,
}

impl Agent {
    /// Starts the agent of a node, with more arguments than it needs, and does not wait for it. Its log goes into
    /// `log_dir`.
    ///
    /// # Errors
    /// Where there is no program to start.
    pub fn spawn(
        network: &str,
        node: &topo::Node,
        manifests: &Manifests,
        log_dir: &Path,
        more: &[&str],
    ) -> Result<Self> {
        let manifests = manifests.directory().display().to_string();
        let bpf_dir = Path::new(BPFFS).join(format!("{network}-{}", node.name));
        Self::spawn_with(bpf_dir, node, ["--manifests", &manifests], log_dir, more)
    }

    /// As [`spawn`](Self::spawn), for an agent that follows the API server of a kubeconfig.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    pub fn spawn_following(
        network: &str,
        node: &topo::Node,
        kubeconfig: &Path,
        log_dir: &Path,
        more: &[&str],
    ) -> Result<Self> {
        let bpf_dir = Path::new(BPFFS).join(format!("{network}-{}", node.name));
        Self::spawn_pinning(&bpf_dir, node, kubeconfig, log_dir, more)
    }

    /// As [`spawn_following`](Self::spawn_following), with a pin directory of the test's choice.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    pub fn spawn_pinning(
        bpf_dir: &Path,
        node: &topo::Node,
        kubeconfig: &Path,
        log_dir: &Path,
        more: &[&str],
    ) -> Result<Self> {
        let kubeconfig = kubeconfig.display().to_string();
        Self::spawn_with(bpf_dir.to_owned(), node, ["--kubeconfig", &kubeconfig], log_dir, more)
    }

    fn spawn_with(
        bpf_dir: PathBuf,
        node: &topo::Node,
        source: [&str; 2],
        log_dir: &Path,
        more: &[&str],
    ) -> Result<Self> {
        let arguments = ["agent", "--node-name", node.name]
            .into_iter()
            .chain(source)
            .chain(["--external-ips-allowed", &topo::VIPS.join(",")])
            .chain(more.iter().copied())
            .map(String::from)
            .collect();
        let mut agent = Self {
            node: node.name,
            namespace: Arc::clone(&node.namespace),
            bpf_dir,
            log: log_dir.join(format!("{}.log", node.name)),
            arguments,
            more: Vec::new(),
            wrapper: Vec::new(),
            release: None,
            process: None,
        };
        agent.spawn_again()?;
        Ok(agent)
    }

    /// Starts it again after [`kill`](Self::kill) or [`terminate`](Self::terminate), with what is pinned, and waits
    /// until it is ready.
    ///
    /// # Errors
    /// Where it does not come up; the message holds the end of its log.
    pub fn start_again(&mut self) -> Result<()> {
        self.spawn_again()?;
        self.wait_ready()
    }

    /// From its next start on it has some more arguments than at its first; replaces those of an earlier call.
    pub fn set_more(&mut self, more: &[&str]) {
        self.more = more.iter().copied().map(String::from).collect();
    }

    /// From its next start on it is another program than the one under test; without, that one again.
    pub fn set_release(&mut self, release: Option<PathBuf>) {
        self.release = release;
    }

    /// From its next start on it is started by a command, which must become the agent itself; empty for none.
    pub fn set_wrapper(&mut self, wrapper: &[&str]) {
        self.wrapper = wrapper.iter().copied().map(String::from).collect();
    }

    fn spawn_again(&mut self) -> Result<()> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let program = self.release.clone().map_or_else(binary, Ok)?;
        let mut words = self.wrapper.iter().map(OsString::from).chain([program.into_os_string()]);
        let first = words.next().unwrap_or_default();
        let mut command = self.namespace.command(first)?;
        command.args(words).args(&self.arguments).args(&self.more);
        command.arg("--bpf-dir").arg(&self.bpf_dir).args(["--admin", &ADMIN.to_string()]);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.process = Some(command.spawn().context("cannot start sluice")?);
        Ok(())
    }

    /// Starts one more agent like it beside it, which is expected to end by itself: its end and its log.
    ///
    /// # Errors
    /// Where it does not end.
    pub fn start_second(&self, bpf_dir: &Path) -> Result<(ExitStatus, String)> {
        let mut command = self.namespace.command(binary()?)?;
        command.args(&self.arguments).arg("--bpf-dir").arg(bpf_dir).args(["--admin", "none"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().context("cannot start sluice")?;
        let ended = wait::until("the second agent ends", || process.try_wait().ok().flatten());
        if ended.is_err() {
            let _ = process.kill();
        }
        let log = process.wait_with_output()?.stderr;
        Ok((ended?, String::from_utf8_lossy(&log).into_owned()))
    }

    /// Waits until it says that it is ready.
    ///
    /// # Errors
    /// Where it does not come up; the message holds the end of its log.
    pub fn wait_ready(&mut self) -> Result<()> {
        self.ready().with_context(|| format!("agent of {}\n{}", self.node, self.log_tail()))
    }

    fn ready(&mut self) -> Result<()> {
        let mut exit = None;
        wait::until_true("the agent says it is ready", || {
            exit = self.process.as_mut().and_then(|process| process.try_wait().ok().flatten());
            exit.is_some() || self.admin("/readyz").is_ok_and(|(status, _)| status == 200)
        })?;
        match exit {
            Some(status) => bail!("the agent ended at once: {status}"),
            None => Ok(()),
        }
    }

    /// Kills it without warning.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn kill(&mut self) -> Result<()> {
        self.end(Signal::SIGKILL).map(drop)
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    /// Where it does not run, or does not end.
    pub fn terminate(&mut self) -> Result<ExitStatus> {
        self.end(Signal::SIGTERM)
    }

    fn end(&mut self, signal: Signal) -> Result<ExitStatus> {
        let mut process = self.process.take().context("no agent runs")?;
        kill(Pid::from_raw(process.id().cast_signed()), signal)?;
        let ended = wait::until("the agent ends", || process.try_wait().ok().flatten());
        if ended.is_err() {
            let _ = process.kill();
            let _ = process.wait();
        }
        ended
    }

    /// Asks its admin server: status and body.
    ///
    /// # Errors
    /// Where nobody answers.
    pub fn admin(&self, path: &str) -> Result<(u16, String)> {
        let page = request(&self.namespace, ADMIN, "GET", path, "")?;
        Ok((page.status, page.body))
    }

    /// Runs another command of `sluice` on the node, over what is pinned.
    ///
    /// # Errors
    /// Where it fails; the message holds its standard error.
    pub fn sluice(&self, arguments: &[&str]) -> Result<String> {
        self.sluice_by(&[], arguments)
    }

    /// As [`sluice`](Self::sluice), by a command that starts it.
    ///
    /// # Errors
    /// As `sluice`.
    pub fn sluice_by(&self, wrapper: &[&str], arguments: &[&str]) -> Result<String> {
        let (program, bpf_dir) = (binary()?.display().to_string(), self.bpf_dir.display().to_string());
        let words: Vec<&str> = wrapper
            .iter()
            .copied()
            .chain([program.as_str()])
            .chain(arguments.iter().copied())
            .chain(["--bpf-dir", &bpf_dir])
            .collect();
        self.namespace.run(words[0], &words[1..])
    }

    /// Starts another command of `sluice` on the node, over what is pinned, with pipes for what it prints.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start_sluice(&self, arguments: &[&str]) -> Result<Child> {
        let mut command = self.command(arguments)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().context("cannot start sluice")
    }

    /// Another command of `sluice` on the node, over what is pinned.
    ///
    /// # Errors
    /// Where there is no program to start.
    pub fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = self.namespace.command(binary()?)?;
        command.args(arguments).arg("--bpf-dir").arg(&self.bpf_dir);
        Ok(command)
    }

    /// Where it pins.
    pub fn pins(&self) -> PinDir {
        PinDir::new(&self.bpf_dir)
    }

    /// Its maps.
    ///
    /// # Errors
    /// Where they are not there.
    pub fn maps(&self) -> Result<Pinned> {
        Ok(Pinned::open(&self.pins())?)
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of the agent of {}\n{}\n---", self.node, self.log_tail());
        }
        if self.process.is_some() && self.end(Signal::SIGTERM).is_err() {
            eprintln!("the agent of {} had to be killed", self.node);
        }
        if let Err(error) = self.sluice(&["cleanup"]) {
            eprintln!("{error:#}");
        }
        // What a failed cleanup leaves would be taken over by nobody: the directory's name is this test's own.
        let _ = fs::remove_dir_all(&self.bpf_dir);
    }
}

/// The agent under test: `SLUICE_BIN`, or what `cargo xtask build` made.
///
/// # Errors
/// Where there is none.
pub fn binary() -> Result<PathBuf> {
    program("SLUICE_BIN", "sluice")
}

/// The Ingress proxy under test: `SLUICE_INGRESS_BIN`, or what `cargo xtask build` made.
///
/// # Errors
/// Where there is none.
pub fn ingress_binary() -> Result<PathBuf> {
    program("SLUICE_INGRESS_BIN", "sluice-ingress")
}

fn program(variable: &str, name: &str) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Ok(path.into());
    }
    let own = std::env::current_exe()?;
    let file = format!("{}-unknown-linux-gnu/release/{name}", std::env::consts::ARCH);
    let built = own.ancestors().map(|directory| directory.join(&file));
    built.into_iter().find(|path| path.is_file()).with_context(|| {
        format!("no target/{file}: run `cargo xtask build`, or name a program with {variable}")
    })
}
