//! A containerd of the test's own: its folders and its socket are in a temporary folder, and nothing else of it is on the
//! machine once it is dropped.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use lb_tests::wait;
use nix::{
    mount::{MntFlags, umount2},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

/// Copies layers instead of stacking them: works on every file system, and in a container too.
const SNAPSHOTTER: &str = "native";

/// The daemon; everything that it runs is expected to have been removed when it is dropped.
pub(crate) struct Daemon {
    folder: TempDir,
    process: Child,
}

impl Daemon {
    /// Starts it and waits until it answers.
    pub(crate) fn start() -> Result<Self> {
        let folder = TempDir::with_prefix("sluice-containerd-")?;
        let path = |name: &str| folder.path().join(name);
        let config = path("config.toml");
        fs::write(
            &config,
            // Without the kubelet's half, which wants networks and a registry. Its names are those of releases 1 and 2.
            format!(
                "version = 2\n\
                 root = {root:?}\n\
                 state = {state:?}\n\
                 disabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.cri.v1.images\", \
                 \"io.containerd.cri.v1.runtime\"]\n\
                 [grpc]\n\
                 address = {socket:?}\n\
                 [ttrpc]\n\
                 address = {ttrpc:?}\n",
                root = path("root"),
                state = path("state"),
                socket = path("socket"),
                ttrpc = path("ttrpc"),
            ),
        )?;
        let log = fs::File::create(path("log"))?;
        let mut command = Command::new("containerd");
        command
            .arg("--config")
            .arg(&config)
            .args(["--log-level", "warn"])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let process = command.spawn().context("cannot start containerd")?;
        let daemon = Self { folder, process };
        wait::until_true("containerd answers", || daemon.ctr(&["version"]).is_ok())
            .with_context(|| fs::read_to_string(daemon.path("log")).unwrap_or_default())?;
        Ok(daemon)
    }

    /// A file of its folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command of its client.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("ctr");
        command.arg("--address").arg(self.path("socket")).args(["--namespace", "sluice-test"]).args(words);
        command.stdin(Stdio::null());
        command
    }

    /// Runs a command of its client to its end; what it printed.
    pub(crate) fn ctr(&self, words: &[&str]) -> Result<String> {
        let output = self.command(words).output().context("cannot start ctr")?;
        let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "ctr {}: {}: {out}{error}", words.join(" "), output.status);
        Ok(out.into_owned())
    }

    /// Takes in an image of `cargo xtask image`, and returns the name that it has here.
    pub(crate) fn import(&self, archive: &Path) -> Result<String> {
        let file = archive.display().to_string();
        self.ctr(&["images", "import", "--snapshotter", SNAPSHOTTER, &file])?;
        let listed = self.ctr(&["images", "list", "--quiet"])?;
        let stem = archive.file_name().and_then(|name| name.to_str()).context("no file name")?;
        let name = stem.rsplit_once(concat!("-", env!("CARGO_PKG_VERSION"))).context("another version")?.0;
        let wanted = format!("/{name}:{}", env!("CARGO_PKG_VERSION"));
        let found = listed.lines().find(|line| line.ends_with(&wanted));
        found.map(str::to_owned).with_context(|| format!("no image {wanted} in {listed}"))
    }

    /// `ctr run` with what every container here has.
    pub(crate) fn run(&self, words: &[&str]) -> Command {
        self.command(&[&["run", "--snapshotter", SNAPSHOTTER], words].concat())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "--- log of containerd\n{}\n---",
                fs::read_to_string(self.path("log")).unwrap_or_default()
            );
        }
        let _ = kill(Pid::from_raw(self.process.id().cast_signed()), Signal::SIGTERM);
        if wait::until("containerd ends", || self.process.try_wait().ok().flatten()).is_err() {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
        // Only a container that could not be removed has left a mount.
        for mount in mounts_below(self.folder.path()) {
            let _ = umount2(&mount, MntFlags::MNT_DETACH);
        }
    }
}

/// What is mounted below a folder, the innermost first.
pub(crate) fn mounts_below(folder: &Path) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    // proc_pid_mountinfo(5): the fifth field is the mount point.
    let points = table.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    let mut below: Vec<_> = points.filter(|point| point.starts_with(folder)).collect();
    below.reverse();
    below
}
