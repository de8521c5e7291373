//! The access log: a line of JSON for each request.
//!
//! Threads that serve fill buffers of their own; one thread writes them. Where it cannot keep up, whole buffers are
//! dropped and counted: a slow disk must not slow down requests.

use std::{
    cell::RefCell,
    fs::OpenOptions,
    io::{self, Write},
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hyper::{Method, Uri, Version, header::HeaderValue};

use crate::config::Route;

/// A buffer is handed over when it is this full.
const FULL: usize = 32 << 10;
/// Buffers that may wait for the disk.
const WAITING: usize = 64;

/// Where the log goes.
#[derive(Clone, Debug)]
pub(crate) struct LogWriter {
    buffers: SyncSender<Vec<u8>>,
    dropped: Arc<AtomicU64>,
}

impl LogWriter {
    /// Starts the thread that writes to `path`, or to standard output.
    ///
    /// # Errors
    /// Where the file cannot be opened for appending, or there is no thread.
    pub(crate) fn start(path: Option<PathBuf>) -> io::Result<Self> {
        let output: Box<dyn Write + Send> = match path {
            Some(path) => Box::new(OpenOptions::new().create(true).append(true).open(path)?),
            None => Box::new(io::stdout()),
        };
        let (buffers, waiting) = sync_channel(WAITING);
        let dropped = Arc::<AtomicU64>::default();
        let failed = dropped.clone();
        thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || write(&waiting, output, &failed))?;
        Ok(Self { buffers, dropped })
    }

    /// Buffers that were dropped so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}

fn write(waiting: &Receiver<Vec<u8>>, mut output: Box<dyn Write + Send>, failed: &AtomicU64) {
    for buffer in waiting {
        if output.write_all(&buffer).and_then(|()| output.flush()).is_err() {
            failed.fetch_add(1, Relaxed);
        }
    }
}

/// One thread's end of the log.
#[derive(Debug)]
pub(crate) struct AccessLog {
    buffer: RefCell<Vec<u8>>,
    writer: LogWriter,
}

/// What a line says besides the outcome.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) client: IpAddr,
    pub(crate) method: Method,
    pub(crate) host: String,
    pub(crate) uri: Uri,
    pub(crate) version: Version,
    pub(crate) is_tls: bool,
    pub(crate) user_agent: Option<HeaderValue>,
    pub(crate) referer: Option<HeaderValue>,
    pub(crate) route: Option<Arc<Route>>,
    pub(crate) endpoint: Option<SocketAddr>,
    pub(crate) attempts: u32,
}

impl AccessLog {
    /// A thread's end.
    pub(crate) const fn new(writer: LogWriter) -> Self {
        Self { buffer: RefCell::new(Vec::new()), writer }
    }

    /// Adds a line.
    pub(crate) fn write(&self, entry: &Entry, status: u16, sent: u64, took: Duration, is_broken: bool) {
        let mut buffer = self.buffer.borrow_mut();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // Writing to memory does not fail.
        let _ = line(&mut buffer, now, entry, status, sent, took, is_broken);
        if buffer.len() >= FULL {
            drop(buffer);
            self.flush();
        }
    }

    /// Hands over what there is.
    pub(crate) fn flush(&self) {
        let buffer = self.buffer.take();
        if !buffer.is_empty() && self.writer.buffers.try_send(buffer).is_err() {
            self.writer.dropped.fetch_add(1, Relaxed);
        }
    }
}

fn line(
    out: &mut Vec<u8>,
    now: Duration,
    entry: &Entry,
    status: u16,
    sent: u64,
    took: Duration,
    is_broken: bool,
) -> io::Result<()> {
    write!(out, "{{\"time\":{}.{:03},\"client\":\"{}\"", now.as_secs(), now.subsec_millis(), entry.client)?;
    let scheme = if entry.is_tls { "https" } else { "http" };
    write!(out, ",\"method\":\"{}\",\"scheme\":\"{scheme}\",\"host\":", entry.method)?;
    string(out, entry.host.as_bytes());
    out.extend_from_slice(b",\"path\":");
    string(out, entry.uri.path_and_query().map_or("/", |path| path.as_str()).as_bytes());
    write!(out, ",\"protocol\":\"{:?}\",\"status\":{status},\"bytes\":{sent}", entry.version)?;
    write!(out, ",\"duration\":{}.{:06}", took.as_secs(), took.subsec_micros())?;
    if let Some(route) = &entry.route {
        write!(out, ",\"ingress\":\"{}\",\"route\":", route.ingress)?;
        string(out, route.path.as_bytes());
    }
    if let Some(endpoint) = entry.endpoint {
        write!(out, ",\"endpoint\":\"{endpoint}\",\"attempts\":{}", entry.attempts)?;
    }
    for (name, value) in [("user_agent", &entry.user_agent), ("referer", &entry.referer)] {
        if let Some(value) = value {
            write!(out, ",\"{name}\":")?;
            string(out, value.as_bytes());
        }
    }
    if is_broken {
        out.extend_from_slice(b",\"broken\":true");
    }
    out.extend_from_slice(b"}\n");
    Ok(())
}

/// A JSON string (RFC 8259 §7). What is not UTF-8 is replaced.
fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for character in String::from_utf8_lossy(bytes).chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            control if control < ' ' => {
                out.extend_from_slice(format!("\\u{:04x}", control as u32).as_bytes())
            }
            other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_json_whatever_clients_send() {
        let entry = Entry {
            client: [192, 0, 2, 1].into(),
            method: Method::GET,
            host: "a.example".to_owned(),
            uri: Uri::from_static("/x?q=1"),
            version: Version::HTTP_11,
            is_tls: true,
            user_agent: HeaderValue::from_bytes(b"a\"b\\c\xff").ok(),
            referer: None,
            route: None,
            endpoint: Some(([10, 0, 0, 1], 80).into()),
            attempts: 2,
        };
        let mut out = Vec::new();
        let now = Duration::from_millis(1_700_000_000_007);
        line(&mut out, now, &entry, 200, 5, Duration::from_micros(1_500), true).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"time\":1700000000.007,\"client\":\"192.0.2.1\",\"method\":\"GET\",\"scheme\":\"https\",\
             \"host\":\"a.example\",\"path\":\"/x?q=1\",\"protocol\":\"HTTP/1.1\",\"status\":200,\"bytes\":5,\
             \"duration\":0.001500,\"endpoint\":\"10.0.0.1:80\",\"attempts\":2,\
             \"user_agent\":\"a\\\"b\\\\c\u{fffd}\",\"broken\":true}\n"
        );
    }
}
