//! An API server and proxies that follow it, in a namespace where every address of 10.1.0.0/16 is local.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::{Child, ExitStatus, Stdio},
    sync::Arc,
};

use lb_tests::{
    agent,
    api_server::ApiServer,
    netns::{self, Namespace},
    skip::{self, Need},
    wait::until_async,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::{client, trust::Trust};

/// What these tests need.
const NEEDS: [Need; 4] = [Need::Root, Need::Namespaces, Need::Tool("ip"), Need::Tool("openssl")];

/// An API server, and room for proxies and endpoints.
pub(crate) struct Site {
    pub(crate) namespace: Arc<Namespace>,
    pub(crate) server: ApiServer,
    files: TempDir,
}

/// Runs a test in a namespace of its own, where it can.
pub(crate) fn run<F: Future<Output = ()>>(test: impl FnOnce(Site) -> F + Send) {
    if !skip::need(&NEEDS) {
        return;
    }
    let namespace = Arc::new(Namespace::create(&netns::unique_name()).unwrap());
    namespace.run("ip", &["route", "add", "local", "10.1.0.0/16", "dev", "lo"]).unwrap();
    let inside = namespace.clone();
    namespace.block_on(move || async move {
        let files = TempDir::new().unwrap();
        let server = ApiServer::start().await;
        server.write_kubeconfig(&files.path().join("kubeconfig"));
        test(Site { namespace: inside, server, files }).await;
    });
}

/// A running proxy; it ends when dropped.
pub(crate) struct Proxy {
    address: Ipv4Addr,
    log: PathBuf,
    process: Child,
}

impl Site {
    /// Starts a proxy, by its number, and waits for nothing. It publishes 203.0.113.`number`.
    pub(crate) fn spawn(&self, number: u8) -> Proxy {
        let address = Ipv4Addr::new(10, 1, 1, number);
        let log = self.files.path().join(format!("proxy-{number}.log"));
        let output = File::create(&log).unwrap();
        let mut command = self.namespace.command(agent::ingress_binary().unwrap()).unwrap();
        command.arg("--kubeconfig").arg(self.files.path().join("kubeconfig"));
        for (flag, value) in [
            ("--http", format!("{address}:80")),
            ("--https", format!("{address}:443")),
            ("--admin", format!("{address}:9480")),
            ("--publish-address", format!("203.0.113.{number}")),
            ("--pod-name", format!("proxy-{number}")),
            ("--threads", "2".to_owned()),
            ("--drain-delay", "0".to_owned()),
            ("--access-log", "off".to_owned()),
        ] {
            command.args([flag, &value]);
        }
        let process = command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        Proxy { address, log, process: process.spawn().unwrap() }
    }

    /// Starts a proxy and waits until it is ready.
    pub(crate) async fn start(&self, number: u8) -> Proxy {
        let proxy = self.spawn(number);
        proxy.until_status("/readyz", 200).await;
        proxy
    }
}

impl Proxy {
    pub(crate) fn http(&self) -> SocketAddr {
        (self.address, 80).into()
    }

    pub(crate) fn https(&self) -> SocketAddr {
        (self.address, 443).into()
    }

    /// Status and text of the admin server; none where it does not answer yet.
    pub(crate) async fn admin(&self, path: &str) -> Option<(u16, String)> {
        let mut client = client::http1((self.address, 9480).into()).await.ok()?;
        client.get("admin", path).await.ok()
    }

    /// Asks until there is an answer, for as long as any wait may take.
    async fn until<T>(&self, what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
        let asking = async {
            loop {
                match ask().await {
                    Some(answer) => return answer,
                    None => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
                }
            }
        };
        let answer = tokio::time::timeout(lb_tests::wait::DEADLINE, asking).await;
        answer.unwrap_or_else(|_| panic!("waited in vain: {what}\n{}", self.log()))
    }

    /// Waits until the admin server answers with a status; its text then.
    pub(crate) async fn until_status(&self, path: &str, status: u16) -> String {
        let right = async || self.admin(path).await.filter(|(found, _)| *found == status);
        self.until(&format!("{path} answers {status}"), right).await.1
    }

    /// Status and text of a path of a host over HTTP.
    pub(crate) async fn get(&self, host: &str, path: &str) -> (u16, String) {
        client::http1(self.http()).await.unwrap().get(host, path).await.unwrap()
    }

    /// Waits until a path of a host is answered like this.
    pub(crate) async fn until_answer(&self, host: &str, path: &str, expected: (u16, &str)) {
        let right =
            async || (self.get(host, path).await == (expected.0, expected.1.to_owned())).then_some(());
        self.until(&format!("{host}{path} is answered {expected:?}"), right).await;
    }

    /// The name of the certificate that a host gets, and what it answers to `/`; none where the handshake fails.
    pub(crate) async fn secure_get(&self, host: &str, trust: &Trust) -> Option<(String, (u16, String))> {
        let (mut client, certificate) = client::https1(self.https(), host, trust).await.ok()?;
        Some((certificate, client.get(host, "/").await.unwrap()))
    }

    /// Waits until a host gets a certificate.
    pub(crate) async fn until_certificate(&self, host: &str, trust: &Trust, name: &str) {
        let right = async || self.secure_get(host, trust).await.filter(|(found, _)| found == name);
        self.until(&format!("{host} gets the certificate {name}"), right).await;
    }

    /// The value of a series, 0 where there is none.
    pub(crate) async fn metric(&self, series: &str) -> f64 {
        let (_, text) = self.admin("/metrics").await.expect("metrics");
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Sends SIGTERM and waits for the end.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        kill(Pid::from_raw(self.process.id().cast_signed()), Signal::SIGTERM).unwrap();
        let mut ended = None;
        until_async("the proxy ends", || {
            ended = self.process.try_wait().unwrap();
            ended.is_some()
        })
        .await;
        ended.unwrap()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            eprintln!("--- end of the proxy's log\n{}", lines[lines.len().saturating_sub(20)..].join("\n"));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
