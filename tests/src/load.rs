//! Load in the background: sessions that go on while a test takes something away, and say what became of them.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Result, bail};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

use crate::{
    netns::Namespace,
    pattern,
    traffic::{PATIENCE, Target, describe},
    wait,
};

/// What a session does, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Opens a connection, asks once, closes it.
    Connections,
    /// Asks over one connection.
    Exchange,
    /// Receives over one connection and checks every byte.
    Download,
    /// Sends over one connection; at the end the pod says how much arrived whole.
    Upload,
}

/// Pause of a session between two steps: load that leaves the machine room for other tests.
const PACE: Duration = Duration::from_millis(2);
/// Bytes that an upload sends in a step.
const PIECE: usize = 8 * 1024;

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    /// Steps that each session has made.
    steps: Vec<AtomicU64>,
    requests: AtomicU64,
    bytes: AtomicU64,
    failures: std::sync::Mutex<Vec<String>>,
}

/// What all sessions have done so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Requests that were answered.
    pub requests: u64,
    /// Bytes that transfers have moved.
    pub bytes: u64,
}

/// Sessions at work.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    /// Starts sessions from a namespace to a TCP target: of each kind as many as given. Returns once each has made a
    /// step.
    ///
    /// # Errors
    /// Where a session fails at once.
    pub fn start(from: &Namespace, target: Target, sessions: &[(Kind, usize)]) -> Result<Self> {
        let kinds: Vec<Kind> =
            sessions.iter().flat_map(|(kind, count)| std::iter::repeat_n(*kind, *count)).collect();
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            steps: kinds.iter().map(|_| AtomicU64::new(0)).collect(),
            requests: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            failures: std::sync::Mutex::default(),
        });
        let state = Arc::clone(&shared);
        let thread = from.spawn(move || run_all(state, target.address, kinds))?;
        let load = Self { shared, thread: Some(thread) };
        load.advance(1)?;
        Ok(load)
    }

    /// Waits until every session has made `steps` more steps.
    ///
    /// # Errors
    /// Where one has failed, or does not get on.
    pub fn advance(&self, steps: u64) -> Result<()> {
        let now = || self.shared.steps.iter().map(|steps| steps.load(Ordering::Relaxed));
        let goal: Vec<u64> = now().map(|made| made + steps).collect();
        wait::until_true("every session of the load gets on", || {
            !self.failures().is_empty() || now().zip(&goal).all(|(made, goal)| made >= *goal)
        })?;
        self.check()
    }

    /// Ends the sessions in order.
    ///
    /// # Errors
    /// Where one has failed: was reset, stalled, or received what was not sent.
    pub fn finish(mut self) -> Result<()> {
        self.stop();
        self.check()
    }

    /// What was done so far.
    pub fn progress(&self) -> Progress {
        let Shared { requests, bytes, .. } = &*self.shared;
        Progress { requests: requests.load(Ordering::Relaxed), bytes: bytes.load(Ordering::Relaxed) }
    }

    /// What failed so far.
    pub fn failures(&self) -> Vec<String> {
        self.shared.failures.lock().map(|failures| failures.clone()).unwrap_or_default()
    }

    fn check(&self) -> Result<()> {
        let failures = self.failures();
        if !failures.is_empty() {
            bail!("{} sessions failed: {}", failures.len(), failures.join("; "));
        }
        Ok(())
    }

    fn stop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

async fn run_all(shared: Arc<Shared>, target: SocketAddr, kinds: Vec<Kind>) {
    let mut tasks = JoinSet::new();
    for (number, kind) in kinds.into_iter().enumerate() {
        let shared = Arc::clone(&shared);
        tasks.spawn(async move {
            let session = Session { shared: &shared, number, target };
            if let Err(error) = session.run(kind).await {
                let after = shared.steps[number].load(Ordering::Relaxed);
                let failure = format!("{kind:?} {number} after {after} steps: {error:#}");
                if let Ok(mut failures) = shared.failures.lock() {
                    failures.push(failure);
                }
            }
        });
    }
    tasks.join_all().await;
}

struct Session<'a> {
    shared: &'a Shared,
    number: usize,
    target: SocketAddr,
}

impl Session<'_> {
    async fn run(&self, kind: Kind) -> Result<()> {
        match kind {
            Kind::Connections => self.connections().await,
            Kind::Exchange => self.exchange().await,
            Kind::Download => self.download().await,
            Kind::Upload => self.upload().await,
        }
    }

    /// Counts a step; false once the load is to end.
    async fn goes_on(&self) -> bool {
        self.shared.steps[self.number].fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(PACE).await;
        !self.shared.stop.load(Ordering::Relaxed)
    }

    async fn connections(&self) -> Result<()> {
        loop {
            self.ask(&mut self.open().await?).await?;
            if !self.goes_on().await {
                return Ok(());
            }
        }
    }

    async fn exchange(&self) -> Result<()> {
        let mut stream = self.open().await?;
        let first = self.ask(&mut stream).await?;
        while self.goes_on().await {
            let next = self.ask(&mut stream).await?;
            if next != first {
                bail!("the connection to {first:?} was answered by {next:?}");
            }
        }
        Ok(())
    }

    async fn download(&self) -> Result<()> {
        let mut stream = self.open().await?;
        stream.write_all(b"download\n").await?;
        let mut buffer = vec![0; pattern::MAX_LEN];
        let mut offset = 0;
        loop {
            let length = within(stream.read(&mut buffer)).await?;
            if length == 0 {
                bail!("the download ended after {offset} bytes");
            }
            if let Some(position) = pattern::first_difference(offset, &buffer[..length]) {
                bail!("byte {position} of the download is wrong");
            }
            offset += length as u64;
            self.moved(length);
            if !self.goes_on().await {
                return Ok(());
            }
        }
    }

    async fn upload(&self) -> Result<()> {
        let mut stream = self.open().await?;
        stream.write_all(b"upload\n").await?;
        let mut offset = 0;
        loop {
            within(stream.write_all(pattern::at(offset, PIECE))).await?;
            offset += PIECE as u64;
            self.moved(PIECE);
            if !self.goes_on().await {
                break;
            }
        }
        stream.shutdown().await?;
        let mut line = String::new();
        within(stream.read_line(&mut line)).await?;
        if line.split_whitespace().last() != Some(offset.to_string().as_str()) {
            bail!("sent {offset} bytes, the pod says {line:?}");
        }
        Ok(())
    }

    fn moved(&self, bytes: usize) {
        self.shared.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    async fn ask(&self, stream: &mut BufReader<TcpStream>) -> Result<String> {
        within(stream.write_all(b"who\n")).await?;
        let mut line = String::new();
        if within(stream.read_line(&mut line)).await? == 0 {
            bail!("closed instead of an answer");
        }
        self.shared.requests.fetch_add(1, Ordering::Relaxed);
        Ok(line)
    }

    async fn open(&self) -> Result<BufReader<TcpStream>> {
        let stream = within(TcpStream::connect(self.target)).await?;
        stream.set_nodelay(true)?;
        Ok(BufReader::new(stream))
    }
}

/// Bounds a step, and names what it met.
async fn within<T>(step: impl Future<Output = std::io::Result<T>>) -> Result<T> {
    match timeout(PATIENCE, step).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => bail!("{}", describe(&error)),
        Err(_) => bail!("stalled for {} s", PATIENCE.as_secs()),
    }
}
