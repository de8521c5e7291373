//! One client of the load.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpStream, UdpSocket},
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use super::load::{Progress, Shared};
use crate::{pattern, traffic::describe};

/// Pause between two steps of a session over TCP.
const PACE: Duration = Duration::from_millis(5);
/// Pause between two datagrams of a flow.
const DATAGRAM_PACE: Duration = Duration::from_millis(5);
/// Pause between two flows of one datagram each.
const FLOW_PACE: Duration = Duration::from_millis(20);
/// How long a step over TCP may take: far beyond the retransmissions that bridge the longest fault.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long an answer over UDP may take on a machine that has much else to do.
const ANSWER_TIME: Duration = Duration::from_secs(3);
/// A little less than TCP's first retransmission of a SYN (RFC 6298 §2.1): what takes longer lost a packet.
const DELAYED: Duration = Duration::from_millis(950);
/// Bytes of a step.
const PIECE: usize = 8 * 1024;

/// What a session does, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Opens a connection, asks once, closes it.
    Connections,
    /// Asks over one connection.
    Exchange,
    /// Receives over one connection.
    Download,
    /// Sends over one connection; at its end the pod says how much arrived whole.
    Upload,
    /// Sends numbered datagrams from one socket without waiting for answers.
    Datagrams,
    /// Sends a datagram from a new socket.
    Flows,
}

impl Kind {
    pub(super) const ALL: [Self; 6] =
        [Self::Connections, Self::Exchange, Self::Download, Self::Upload, Self::Datagrams, Self::Flows];
}

#[derive(Clone)]
pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) number: usize,
    pub(super) target: SocketAddr,
}

impl Session {
    /// Goes on until the load ends, whatever happens.
    pub(super) async fn run(self, kind: Kind) {
        while !self.stops() {
            let Err(error) = self.run_once(kind).await else { return };
            match kind {
                Kind::Connections => self.shared.count(|tally| tally.connections_failed += 1),
                Kind::Exchange | Kind::Download | Kind::Upload => {
                    self.shared.count(|tally| tally.streams_broken += 1)
                }
                Kind::Datagrams | Kind::Flows => {}
            }
            self.shared.note(format!("{kind:?} to {}: {error:#}", self.target));
            self.end_step();
            sleep(PACE).await;
        }
    }

    async fn run_once(&self, kind: Kind) -> Result<()> {
        match kind {
            Kind::Connections => self.connections().await,
            Kind::Exchange => self.exchange().await,
            Kind::Download => self.download().await,
            Kind::Upload => self.upload().await,
            Kind::Datagrams => Ok(self.datagrams().await?),
            Kind::Flows => {
                self.flows().await;
                Ok(())
            }
        }
    }

    fn stops(&self) -> bool {
        self.shared.stop.load(Ordering::Relaxed)
    }

    fn progress(&self) -> &Progress {
        self.shared.session(self.number)
    }

    fn end_step(&self) {
        self.progress().settled.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a step; false once the load is to end.
    async fn goes_on(&self) -> bool {
        self.progress().succeeded.fetch_add(1, Ordering::Relaxed);
        self.end_step();
        sleep(PACE).await;
        !self.stops()
    }

    async fn connections(&self) -> Result<()> {
        loop {
            let begun = Instant::now();
            self.ask(&mut self.open().await?).await?;
            self.shared.count(|tally| {
                tally.connections += 1;
                tally.connections_delayed += u64::from(begun.elapsed() > DELAYED);
            });
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
        let mut buffer = vec![0; PIECE];
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
            self.shared.count(|tally| tally.bytes += length as u64);
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
            self.shared.count(|tally| tally.bytes += PIECE as u64);
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

    async fn ask(&self, stream: &mut BufReader<TcpStream>) -> Result<String> {
        within(stream.write_all(b"who\n")).await?;
        let mut line = String::new();
        if within(stream.read_line(&mut line)).await? == 0 {
            bail!("closed instead of an answer");
        }
        self.shared.count(|tally| tally.requests += 1);
        Ok(line)
    }

    async fn open(&self) -> Result<BufReader<TcpStream>> {
        let stream = within(TcpStream::connect(self.target)).await?;
        stream.set_nodelay(true)?;
        Ok(BufReader::new(stream))
    }

    async fn datagrams(&self) -> io::Result<()> {
        let socket = self.socket().await?;
        let mut pace = interval(DATAGRAM_PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (unanswered, mut buffer) = (Unanswered::default(), [0; 256]);
        loop {
            tokio::select! {
                // An error is an ICMP message about a datagram, which stays unanswered.
                received = socket.recv(&mut buffer) => if let Ok(length) = received {
                    let number = last_number(&buffer[..length]);
                    if number.is_some_and(|number| unanswered.remove(number)) {
                        self.progress().succeeded.fetch_add(1, Ordering::Relaxed);
                    }
                },
                _ = pace.tick() => {
                    let lost = unanswered.give_up();
                    self.shared.count(|tally| tally.datagrams_lost += lost);
                    if !self.stops() {
                        let number = self.send(&unanswered);
                        let _ = socket.send(number.to_string().as_bytes()).await;
                    } else if unanswered.is_empty() {
                        return Ok(());
                    }
                }
            }
            self.settle(&unanswered);
        }
    }

    async fn flows(&self) {
        let mut pace = interval(FLOW_PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let unanswered = Arc::new(Unanswered::default());
        let mut flows = JoinSet::new();
        while !self.stops() {
            pace.tick().await;
            let (session, unanswered) = (self.clone(), Arc::clone(&unanswered));
            let number = self.send(&unanswered);
            flows.spawn(async move {
                match timeout(ANSWER_TIME, session.flow()).await {
                    Ok(Ok(())) => drop(session.progress().succeeded.fetch_add(1, Ordering::Relaxed)),
                    _ => session.shared.count(|tally| tally.datagrams_lost += 1),
                }
                unanswered.remove(number);
                session.settle(&unanswered);
            });
            while flows.try_join_next().is_some() {}
        }
        flows.join_all().await;
    }

    async fn flow(&self) -> io::Result<()> {
        let socket = self.socket().await?;
        socket.send(b"1").await?;
        socket.recv(&mut [0; 256]).await.map(drop)
    }

    /// Counts a datagram that is about to be sent; its number.
    fn send(&self, unanswered: &Unanswered) -> u64 {
        let number = self.progress().sent.fetch_add(1, Ordering::Relaxed) + 1;
        self.shared.count(|tally| tally.datagrams += 1);
        unanswered.insert(number);
        number
    }

    fn settle(&self, unanswered: &Unanswered) {
        let sent = self.progress().sent.load(Ordering::Relaxed);
        let settled = unanswered.first().map_or(sent, |first| first - 1);
        self.progress().settled.store(settled, Ordering::Relaxed);
    }

    async fn socket(&self) -> io::Result<UdpSocket> {
        let any: IpAddr = match self.target {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0)).await?;
        socket.connect(self.target).await?;
        Ok(socket)
    }
}

/// Datagrams that were sent and not answered, with the time of each.
#[derive(Default)]
struct Unanswered(Mutex<BTreeMap<u64, Instant>>);

impl Unanswered {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, number: u64) {
        self.lock().insert(number, Instant::now());
    }

    /// True where it was among them.
    fn remove(&self, number: u64) -> bool {
        self.lock().remove(&number).is_some()
    }

    /// Removes those whose time is over; how many there were.
    fn give_up(&self) -> u64 {
        let mut unanswered = self.lock();
        let before = unanswered.len();
        unanswered.retain(|_, sent| sent.elapsed() < ANSWER_TIME);
        (before - unanswered.len()) as u64
    }

    fn first(&self) -> Option<u64> {
        self.lock().keys().next().copied()
    }

    fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }
}

/// The number that a datagram was answered with: the pod sends it back behind its own words.
fn last_number(answer: &[u8]) -> Option<u64> {
    std::str::from_utf8(answer).ok()?.split_whitespace().last()?.parse().ok()
}

/// Bounds a step, and names what it met.
async fn within<T>(step: impl Future<Output = io::Result<T>>) -> Result<T> {
    match timeout(PATIENCE, step).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => bail!("{}", describe(&error)),
        Err(_) => bail!("stalled for {} s", PATIENCE.as_secs()),
    }
}
