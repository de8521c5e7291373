//! A network namespace with an endpoint and every proxy before it, each on its CPU.
//!
//! ```text
//! wrk, h2load (last CPU) ── nginx | haproxy | sluice-ingress (CPU 0) ── endpoint (last CPU)
//! ```
//!
//! All of them run with real-time priority: other work on the machine may then share their caches, but not delay them.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use super::{
    candidate::{Candidate, CommandLine},
    case::BODIES,
    certificate::Certificate,
};
use crate::{
    bench::process,
    netns::{Namespace, unique_name},
    wait,
};

/// Where proxies run.
pub(super) const PROXY_CPU: usize = 0;
/// Address of the endpoint.
pub(super) const ENDPOINT: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
/// The host that answers without TLS.
pub(super) const PLAIN_HOST: &str = "plain.example";
/// The host that answers over TLS.
pub(super) const SECURE_HOST: &str = "secure.example";

/// What answers, until it is dropped.
pub(super) struct Site {
    // Fields are dropped in this order: processes before what they live in.
    processes: Vec<(Candidate, Process)>,
    namespace: Namespace,
    files: TempDir,
    load_cpu: usize,
}

/// A process that is ended with its owner.
struct Process(Child);

impl Site {
    /// Starts everything and waits until each answers.
    ///
    /// # Errors
    /// Where one does not; the message holds its log.
    pub(super) fn start() -> Result<Self> {
        let cpus = thread::available_parallelism()?.get();
        ensure!(cpus > 1, "the proxies and their load need a CPU each: this machine has one");
        let name = unique_name();
        let namespace = Namespace::create(&name)?;
        namespace.ip("route add local 10.1.0.0/16 dev lo")?;
        let files = TempDir::with_prefix(&name)?;
        let certificate = Certificate::create(files.path())?;
        let mut site = Self { processes: Vec::new(), namespace, files, load_cpu: cpus - 1 };
        for candidate in Candidate::ALL {
            let command = candidate.configure(site.files(), &certificate)?;
            site.run(candidate, &command).with_context(|| site.log(candidate))?;
        }
        Ok(site)
    }

    /// A folder for files of this run.
    pub(super) fn files(&self) -> &Path {
        self.files.path()
    }

    /// A generator of load, on its CPU.
    pub(super) fn load(&self, program: &str) -> Result<Command> {
        self.command(self.load_cpu, program)
    }

    fn command(&self, cpu: usize, program: &str) -> Result<Command> {
        let mut command = self.namespace.command("taskset")?;
        command.args(["--cpu-list", &cpu.to_string(), "chrt", "--fifo", "1", program]).stdin(Stdio::null());
        Ok(command)
    }

    fn run(&mut self, candidate: Candidate, words: &CommandLine) -> Result<()> {
        let cpu = if candidate == Candidate::Direct { self.load_cpu } else { PROXY_CPU };
        let (program, arguments) = words.split_first().context("no program")?;
        let log = File::create(self.files().join(candidate.name()).with_extension("log"))?;
        let mut command = self.command(cpu, program)?;
        command.args(arguments).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        self.processes.push((candidate, Process(child)));
        for body in BODIES {
            wait::until_true(&format!("{} answers", candidate.name()), || {
                self.ask(candidate, body).is_ok_and(|answer| answer.ends_with(&"x".repeat(body)))
            })?;
        }
        Ok(())
    }

    fn ask(&self, candidate: Candidate, body: usize) -> Result<String> {
        let mut stream = self.namespace.enter(|| TcpStream::connect(candidate.address(false)))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        write!(stream, "GET /{body} HTTP/1.1\r\nHost: {PLAIN_HOST}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        ensure!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        Ok(answer)
    }

    fn log(&self, candidate: Candidate) -> String {
        let path = self.files().join(candidate.name()).with_extension("log");
        format!("{}: {}", candidate.name(), fs::read_to_string(path).unwrap_or_default())
    }

    /// Processor time of a candidate with all its processes, in seconds.
    pub(super) fn processor_seconds(&self, candidate: Candidate) -> Result<f64> {
        self.family(candidate)?.into_iter().map(process::processor_seconds).sum()
    }

    /// Resident memory of a candidate with all its processes, in MiB.
    pub(super) fn resident_mebibytes(&self, candidate: Candidate) -> Result<f64> {
        self.family(candidate)?.into_iter().map(|pid| process::mebibytes(pid, "VmRSS")).sum()
    }

    fn family(&self, candidate: Candidate) -> Result<Vec<u32>> {
        let found = self.processes.iter().find(|(running, _)| *running == candidate);
        let (_, process) = found.with_context(|| format!("{} does not run", candidate.name()))?;
        process::family(process.0.id())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // nginx's worker ends with its master only where that is asked.
        let _ = kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM);
        if wait::until("a proxy ends", || self.0.try_wait().ok().flatten()).is_err() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// What `sluice-ingress` serves.
pub(super) fn manifests(certificate: &Certificate) -> Result<String> {
    let indented = |path: &Path| -> Result<String> {
        Ok(fs::read_to_string(path)?.lines().map(|line| format!("    {line}\n")).collect())
    };
    let rules = |host: &str| {
        format!(
            "rules: [{{host: {host}, http: {{paths: [{{path: /, pathType: Prefix, \
             backend: {{service: {{name: web, port: {{number: 80}}}}}}}}]}}}}]"
        )
    };
    Ok(format!(
        "apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: plain, namespace: default}}
spec: {{{plain}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: secure, namespace: default}}
spec: {{tls: [{{hosts: [{SECURE_HOST}], secretName: secure}}], {secure}}}
---
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: default}}
spec: {{clusterIP: 10.96.0.10, ports: [{{name: http, port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: web, namespace: default, labels: {{kubernetes.io/service-name: web}}}}
addressType: IPv4
ports: [{{name: http, port: {port}, protocol: TCP}}]
endpoints: [{{addresses: [{ENDPOINT}], conditions: {{ready: true}}}}]
---
apiVersion: v1
kind: Secret
type: kubernetes.io/tls
metadata: {{name: secure, namespace: default}}
stringData:
  tls.crt: |
{chain}  tls.key: |
{key}",
        plain = rules(PLAIN_HOST),
        secure = rules(SECURE_HOST),
        port = Candidate::Direct.address(false).port(),
        chain = indented(&certificate.chain)?,
        key = indented(&certificate.key)?
    ))
}
