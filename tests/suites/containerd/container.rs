//! A container as the kubelet would have it made from a DaemonSet of `deploy/`, on a node of the test network.

use std::{collections::BTreeSet, fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};
use lb_tests::{topo::Node, wait};
use serde_json::Value;

use crate::daemon::Daemon;

/// The capabilities that containerd gives where nothing is said (`oci/spec.go`); `ctr` has no word for all of them.
const GIVEN: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// The first container of a DaemonSet, and what its pod says about all.
pub(crate) struct Manifest {
    pod: Value,
}

impl Manifest {
    /// Reads `deploy/kustomize/<folder>/daemonset.yaml`.
    pub(crate) fn read(folder: &str) -> Result<Self> {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/kustomize");
        let text = fs::read_to_string(format!("{root}/{folder}/daemonset.yaml"))?;
        let document: Value = serde_saphyr::from_str(&text)?;
        Ok(Self { pod: document["spec"]["template"]["spec"].clone() })
    }

    fn container(&self) -> &Value {
        &self.pod["containers"][0]
    }

    /// The arguments of the program.
    pub(crate) fn args(&self) -> Vec<&str> {
        words(&self.container()["args"])
    }

    /// The capabilities that it asks for, as the kernel spells them.
    pub(crate) fn capabilities(&self) -> BTreeSet<String> {
        let added = words(&self.container()["securityContext"]["capabilities"]["add"]);
        added.into_iter().map(|name| format!("CAP_{name}")).collect()
    }

    /// Where the volume of a name is mounted.
    pub(crate) fn mount_path(&self, volume: &str) -> Option<&str> {
        let mounts = self.container()["volumeMounts"].as_array()?;
        mounts.iter().find(|mount| mount["name"] == volume)?["mountPath"].as_str()
    }

    /// The variables that have a value of their own.
    fn variables(&self) -> impl Iterator<Item = String> {
        let variables = self.container()["env"].as_array().into_iter().flatten();
        variables.filter_map(|variable| {
            Some(format!("{}={}", variable["name"].as_str()?, variable["value"].as_str()?))
        })
    }
}

/// A container to be: what `ctr run` is told.
pub(crate) struct Plan {
    words: Vec<String>,
    image: String,
    name: String,
}

impl Plan {
    /// With the security context of the manifest, and the network of a node.
    pub(crate) fn new(manifest: &Manifest, image: &str, name: &str, node: &Node) -> Self {
        let mut plan = Self { words: Vec::new(), image: image.to_owned(), name: name.to_owned() };
        let security = &manifest.container()["securityContext"];
        assert_eq!(security["capabilities"]["drop"], serde_json::json!(["ALL"]), "the rest is dropped below");
        assert_eq!(security["readOnlyRootFilesystem"], true);
        plan.words.push("--read-only".to_owned());
        GIVEN.iter().for_each(|capability| plan.option("--cap-drop", capability));
        manifest.capabilities().iter().for_each(|capability| plan.option("--cap-add", capability));
        manifest.variables().for_each(|variable| plan.option("--env", &variable));
        plan.option("--with-ns", &format!("network:{}", node.namespace.path().display()));
        plan
    }

    fn option(&mut self, name: &str, value: &str) {
        self.words.extend([name.to_owned(), value.to_owned()]);
    }

    /// With an environment variable.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.option("--env", &format!("{name}={value}"));
        self
    }

    /// With a file or folder of the machine.
    pub(crate) fn mount(mut self, from: &str, to: &str, access: &str) -> Self {
        self.option("--mount", &format!("type=bind,src={from},dst={to},options=rbind:{access}"));
        self
    }

    /// Under a seccomp profile.
    pub(crate) fn seccomp(mut self, profile: &str) -> Self {
        self.words.push("--seccomp".to_owned());
        self.option("--seccomp-profile", profile);
        self
    }

    fn command(&self, daemon: &Daemon, more: &[&str], program: &[&str]) -> Command {
        let mut command = daemon.run(more);
        command.args(&self.words).args([&self.image, &self.name]).args(program);
        command
    }

    /// Runs a program in it to its end; what it printed, and whether it succeeded.
    pub(crate) fn run(&self, daemon: &Daemon, program: &[&str]) -> Result<(bool, String)> {
        let output = self.command(daemon, &["--rm"], program).output().context("cannot start ctr")?;
        let text = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
    }

    /// Starts a program in it that goes on.
    pub(crate) fn start<'a>(&self, daemon: &'a Daemon, program: &[&str]) -> Result<Container<'a>> {
        let log = daemon.path(&format!("{}.log", self.name));
        let uri = format!("file://{}", log.display());
        let container = Container { daemon, name: self.name.clone(), log };
        let output = self.command(daemon, &["--detach", "--log-uri", &uri], program).output()?;
        ensure!(
            output.status.success(),
            "{}: {}{}",
            self.name,
            String::from_utf8_lossy(&output.stderr),
            container.log()
        );
        Ok(container)
    }
}

/// A container that runs; removed when it is dropped.
pub(crate) struct Container<'a> {
    daemon: &'a Daemon,
    name: String,
    log: PathBuf,
}

impl Container<'_> {
    /// What it has written.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The process of its program.
    pub(crate) fn pid(&self) -> Result<u32> {
        let tasks = self.daemon.ctr(&["tasks", "list"])?;
        let mut rows = tasks.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let row = rows.find(|row| row.first() == Some(&self.name.as_str())).context("no such task")?;
        Ok(row.get(1).context("no process")?.parse()?)
    }

    /// A line of the process's `/proc/PID/status`.
    pub(crate) fn status(&self, field: &str) -> Result<String> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(":\t"));
        Ok(line.with_context(|| format!("no {field}"))?.to_owned())
    }

    /// Runs a program beside the one that it runs, as `kubectl exec` does.
    pub(crate) fn exec(&self, program: &[&str]) -> Result<String> {
        self.daemon.ctr(&[&["tasks", "exec", "--exec-id", "beside", &self.name], program].concat())
    }

    /// Sends a signal and waits until its process is gone.
    pub(crate) fn end(&self, signal: &str) -> Result<()> {
        self.daemon.ctr(&["tasks", "kill", "--signal", signal, &self.name])?;
        wait::until_true("the container ends", || {
            self.daemon
                .ctr(&["tasks", "list"])
                .is_ok_and(|tasks| tasks.lines().any(|line| is_stopped(line, &self.name)))
        })
    }
}

fn is_stopped(line: &str, name: &str) -> bool {
    let mut words = line.split_whitespace();
    words.next() == Some(name) && words.last() == Some("STOPPED")
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of {}\n{}\n---", self.name, self.log());
        }
        for words in [
            &["tasks", "rm", "--force", self.name.as_str()][..],
            &["containers", "rm", self.name.as_str()][..],
        ] {
            if let Err(error) = self.daemon.ctr(words) {
                eprintln!("{error:#}");
            }
        }
    }
}

fn words(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}
