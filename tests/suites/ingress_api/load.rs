//! Clients of every kind that ask without a pause and forgive nothing.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    thread::JoinHandle,
    time::Duration,
};

use lb_tests::{netns::Namespace, wait::until_async};
use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    client::{self, Client, Failure, WebSocket},
    trust::Trust,
};

/// WebSockets that are held all the time.
const TUNNELS: u64 = 20;
/// Between two connections of a client, or two words on a WebSocket: the ports of one address are soon used up.
const PAUSE: Duration = Duration::from_millis(2);
/// How many failures are worth telling.
const FAILURES: usize = 10;

/// What clients saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Good answers by kind of client.
    pub(crate) answers: BTreeMap<&'static str, usize>,
    /// Handshakes by certificate.
    pub(crate) certificates: BTreeMap<String, usize>,
    pub(crate) failures: Vec<String>,
}

#[derive(Clone)]
struct Clients {
    http: SocketAddr,
    https: SocketAddr,
    trust: Arc<Trust>,
    seen: Arc<Mutex<Seen>>,
    over: CancellationToken,
}

/// Clients on a thread of their own.
pub(crate) struct Load {
    clients: Clients,
    thread: JoinHandle<()>,
}

/// The kinds of clients.
const KINDS: [&str; 8] = [
    "http/1.1 kept alive",
    "h2c kept alive",
    "https/1.1 kept alive",
    "https/2 kept alive",
    "http/1.1 anew",
    "https/1.1 anew",
    "https/2 anew",
    "websocket",
];

impl Load {
    pub(crate) fn start(
        namespace: &Namespace,
        http: SocketAddr,
        https: SocketAddr,
        trust: Arc<Trust>,
    ) -> Self {
        let seen = Arc::default();
        let clients = Clients { http, https, trust, seen, over: CancellationToken::new() };
        let own = clients.clone();
        let thread = namespace.spawn(move || own.run()).unwrap();
        Self { clients, thread }
    }

    /// Waits until each kind of client had an answer.
    pub(crate) async fn until_running(&self) {
        until_async("all clients run", || {
            let seen = self.clients.seen();
            seen.answers.len() == KINDS.len() || !seen.failures.is_empty()
        })
        .await;
    }

    /// Handshakes so far that showed a certificate.
    pub(crate) fn handshakes(&self, certificate: &str) -> usize {
        self.clients.seen().certificates.get(certificate).copied().unwrap_or_default()
    }

    /// Lets every client finish its request, and tells what they saw.
    pub(crate) fn stop(self) -> Seen {
        self.clients.over.cancel();
        self.thread.join().unwrap();
        std::mem::take(&mut *self.clients.seen())
    }
}

impl Clients {
    async fn run(self) {
        let mut tasks = JoinSet::new();
        for kind in KINDS {
            let count = if kind == "websocket" { TUNNELS } else { 1 };
            for number in 0..count {
                let own = self.clone();
                tasks.spawn(async move {
                    if let Err(failure) = own.client(kind, number).await {
                        own.failed(format!("{kind}: {failure}"));
                    }
                });
            }
        }
        tasks.join_all().await;
    }

    /// One client; what goes wrong on a connection that is kept ends it.
    async fn client(&self, kind: &'static str, number: u64) -> Result<(), Failure> {
        match kind {
            "http/1.1 kept alive" => self.ask(kind, client::http1(self.http).await?, "stable.example").await,
            "h2c kept alive" => self.ask(kind, client::http2(self.http).await?, "stable.example").await,
            "https/1.1 kept alive" => {
                let (client, _) = client::https1(self.https, "tls.example", &self.trust).await?;
                self.ask(kind, client, "tls.example").await
            }
            "https/2 kept alive" => {
                let (client, _) = client::https2(self.https, "tls.example", &self.trust).await?;
                self.ask(kind, client, "tls.example").await
            }
            "websocket" => self.talk(kind, number).await,
            _ => self.come_again(kind).await,
        }
    }

    /// Asks over one connection.
    async fn ask(&self, kind: &'static str, mut client: Client, host: &str) -> Result<(), Failure> {
        while !self.over.is_cancelled() {
            self.judge(kind, client.get(host, "/").await?);
        }
        Ok(())
    }

    /// Asks over a new connection each time.
    async fn come_again(&self, kind: &'static str) -> Result<(), Failure> {
        let hosts = ["tls.example", "turning.example"];
        for host in hosts.into_iter().cycle() {
            if self.over.is_cancelled() {
                break;
            }
            let (mut client, host) = match kind {
                "http/1.1 anew" => (client::http1(self.http).await?, "stable.example"),
                "https/1.1 anew" => {
                    let (client, name) = client::https1(self.https, host, &self.trust).await?;
                    *self.seen().certificates.entry(name).or_default() += 1;
                    (client, host)
                }
                _ => {
                    let (client, name) = client::https2(self.https, host, &self.trust).await?;
                    *self.seen().certificates.entry(name).or_default() += 1;
                    (client, host)
                }
            };
            self.judge(kind, client.get(host, "/").await?);
            sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Words over a WebSocket, each of which has to come back.
    async fn talk(&self, kind: &'static str, number: u64) -> Result<(), Failure> {
        let mut socket = WebSocket::open(self.http, "chat.example").await?;
        let mut word = number << 32;
        while !self.over.is_cancelled() {
            socket.echo(word.to_be_bytes()).await?;
            word += 1;
            self.judge(kind, (200, "pod-1".to_owned()));
            sleep(PAUSE).await;
        }
        Ok(())
    }

    fn judge(&self, kind: &'static str, (status, text): (u16, String)) {
        if status == 200 && text.starts_with("pod-") {
            *self.seen().answers.entry(kind).or_default() += 1;
        } else {
            self.failed(format!("{kind}: {status} {text:?}"));
        }
    }

    fn failed(&self, failure: String) {
        let mut seen = self.seen();
        if seen.failures.len() < FAILURES {
            seen.failures.push(failure);
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }
}
