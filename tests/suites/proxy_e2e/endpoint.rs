//! Endpoints that note what they see.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use lb_tests::netns::Namespace;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Number of its connection.
    pub(crate) connection: usize,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    /// The first line.
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    /// The values of a field.
    pub(crate) fn fields(&self, name: &str) -> Vec<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        fields.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }
}

type Answer = dyn Fn(&Seen, &mut TcpStream) -> bool + Send + Sync;

/// A server whose answers a test decides.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
}

/// `200 OK` with a text.
pub(crate) fn ok(stream: &mut TcpStream, text: &str) -> bool {
    let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
    stream.write_all(response.as_bytes()).is_ok()
}

impl Endpoint {
    /// Answers each request with the name of the endpoint.
    pub(crate) fn named(namespace: &Namespace, address: &str) -> Self {
        let name = address.to_owned();
        Self::start(namespace, address, move |_, stream| ok(stream, &name))
    }

    /// Answers as told; false ends the connection.
    pub(crate) fn start(
        namespace: &Namespace,
        address: &str,
        answer: impl Fn(&Seen, &mut TcpStream) -> bool + Send + Sync + 'static,
    ) -> Self {
        let listener = namespace.enter(|| TcpListener::bind(address)).unwrap();
        let address = listener.local_addr().unwrap();
        let endpoint = Self { address, seen: Arc::default(), connections: Arc::default() };
        let (own, answer) = (endpoint.clone(), Arc::<Answer>::from(Box::new(answer) as Box<Answer>));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (own, answer) = (own.clone(), answer.clone());
                let connection = own.connections.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || own.serve(connection, stream, &*answer));
            }
        });
        endpoint
    }

    fn serve(&self, connection: usize, mut stream: TcpStream, answer: &Answer) {
        stream.set_nodelay(true).unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some((head, body)) = read(&mut reader, &mut stream) {
            let seen = Seen { connection, head, body };
            self.seen.lock().unwrap().push(seen.clone());
            if !answer(&seen, &mut stream) {
                let _ = stream.shutdown(std::net::Shutdown::Both);
                return;
            }
        }
    }

    /// Requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The only request.
    pub(crate) fn only(&self) -> Seen {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:#?}");
        seen[0].clone()
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn read(reader: &mut BufReader<TcpStream>, stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let lower = head.to_lowercase();
    let mut body = Vec::new();
    if lower.contains("expect: 100-continue") {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
    }
    if let Some(length) = lower.lines().find_map(|line| line.strip_prefix("content-length: ")) {
        body.resize(length.trim().parse().ok()?, 0);
        reader.read_exact(&mut body).ok()?;
    } else if lower.contains("transfer-encoding: chunked") {
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let length = usize::from_str_radix(line.trim(), 16).ok()?;
            let mut chunk = vec![0; length + 2];
            if length == 0 {
                // Trailers, if any, up to the empty line.
                loop {
                    let mut trailer = String::new();
                    reader.read_line(&mut trailer).ok()?;
                    if trailer.trim().is_empty() {
                        return Some((head, body));
                    }
                    head.push_str(&trailer);
                }
            }
            reader.read_exact(&mut chunk).ok()?;
            body.extend(&chunk[..length]);
        }
    }
    Some((head, body))
}
