//! The server over real sockets of the loopback device.
#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
};

use lb_admin::{Admin, Program};
use lb_logging::Level;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// A process logs by the first that it starts. One test changes it.
static LEVEL: LazyLock<Level> = LazyLock::new(lb_logging::start);

#[derive(Default)]
struct Fake {
    ready: AtomicBool,
    broken: AtomicBool,
}

impl Program for Fake {
    fn missing(&self) -> Vec<&'static str> {
        if self.ready.load(Ordering::Relaxed) { Vec::new() } else { vec!["no programs", "no snapshot"] }
    }

    fn metrics(&self) -> Result<String, fmt::Error> {
        if self.broken.load(Ordering::Relaxed) { Err(fmt::Error) } else { Ok("up 1\n# EOF\n".to_owned()) }
    }
}

struct Server {
    program: Arc<Fake>,
    address: SocketAddr,
}

/// An answer.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Server {
    async fn start() -> Self {
        let program = Arc::new(Fake::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(Admin::new(program.clone(), LEVEL.clone()).serve(listener));
        Self { program, address }
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let length = body.len();
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}");
        stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    async fn told(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let answer = self.ask(method, path, body).await;
        (answer.status, answer.body)
    }
}

#[tokio::test]
async fn the_log_level_is_told_and_changed_and_what_is_no_level_changes_nothing() {
    let server = Server::start().await;
    LEVEL.set("info").unwrap();
    assert_eq!(server.told("GET", "/log-level", "").await, (200, "info\n".to_owned()));
    let target = "info,lb_sources=debug";
    assert_eq!(server.told("PUT", "/log-level", target).await, (200, format!("{target}\n")));
    assert_eq!(LEVEL.get(), target);

    let (status, why) = server.told("PUT", "/log-level", "verbose").await;
    assert_eq!(status, 400);
    assert!(why.starts_with("`verbose` is no level: "), "{why}");
    let (status, why) = server.told("PUT", "/log-level", "").await;
    assert!(status == 400 && why.starts_with("no level: "), "{status} {why}");
    let longest = format!("debug{}", " ".repeat(1019));
    let too_long = format!("{longest} ");
    let refused = (400, "no level is that long\n".to_owned());
    assert_eq!(server.told("PUT", "/log-level", &too_long).await, refused);
    for method in ["POST", "DELETE"] {
        let refused = (405, "only GET and PUT are understood\n".to_owned());
        assert_eq!(server.told(method, "/log-level", "off").await, refused, "{method}");
    }
    assert_eq!(LEVEL.get(), target);
    assert_eq!(server.told("PUT", "/log-level", &longest).await, (200, "debug\n".to_owned()));
}

#[tokio::test]
async fn readiness_names_what_is_missing() {
    let server = Server::start().await;
    assert_eq!(server.told("GET", "/readyz", "").await, (503, "no programs\nno snapshot\n".to_owned()));
    assert_eq!(server.told("GET", "/healthz", "").await.0, 200, "it lives before it is ready");
    server.program.ready.store(true, Ordering::Relaxed);
    assert_eq!(server.told("GET", "/readyz", "").await, (200, "ok\n".to_owned()));
}

#[tokio::test]
async fn metrics_are_openmetrics_and_a_failure_says_so() {
    let server = Server::start().await;
    let answer = server.ask("GET", "/metrics", "").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "up 1\n# EOF\n"));
    assert!(
        answer.head.contains("content-type: application/openmetrics-text; version=1.0.0"),
        "{}",
        answer.head
    );
    server.program.broken.store(true, Ordering::Relaxed);
    assert_eq!(server.told("GET", "/metrics", "").await.0, 500);
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let server = Server::start().await;
    let (status, paths) = server.told("GET", "/nothing", "").await;
    assert_eq!((status, paths.as_str()), (404, "there are /healthz, /readyz, /metrics and /log-level\n"));
    for path in ["/healthz", "/readyz", "/metrics", "/nothing"] {
        assert_eq!(server.told("POST", path, "").await.0, 405, "{path}");
    }
    let head = server.ask("HEAD", "/healthz", "").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}
