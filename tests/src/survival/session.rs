//! One client of the load.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::{
    net::UdpSocket,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use super::load::{Progress, Shared};
use crate::load::{self, Done, Observer};

/// Pause between two datagrams of a flow.
const DATAGRAM_PACE: Duration = Duration::from_millis(5);
/// Pause between two flows of one datagram each.
const FLOW_PACE: Duration = Duration::from_millis(20);
/// How long an answer over UDP may take on a machine that has much else to do.
const ANSWER_TIME: Duration = Duration::from_secs(3);
/// A little less than TCP's first retransmission of a SYN (RFC 6298 §2.1): what takes longer lost a packet.
const DELAYED: Duration = Duration::from_millis(950);

/// What a session does, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Talks over TCP.
    Tcp(load::Kind),
    /// Sends numbered datagrams from one socket without waiting for answers.
    Datagrams,
    /// Sends a datagram from a new socket.
    Flows,
}

impl Kind {
    pub(super) const ALL: [Self; 6] = [
        Self::Tcp(load::Kind::Connections),
        Self::Tcp(load::Kind::Exchange),
        Self::Tcp(load::Kind::Download),
        Self::Tcp(load::Kind::Upload),
        Self::Datagrams,
        Self::Flows,
    ];
}

#[derive(Clone)]
pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) number: usize,
    pub(super) target: SocketAddr,
    /// The load's round that it was begun in.
    pub(super) round: u64,
}

impl Session {
    /// Goes on until the load ends, whatever happens.
    pub(super) async fn run(mut self, kind: Kind) {
        while !self.shared.ended() {
            self.round = self.shared.round();
            self.progress().round.store(self.round, Ordering::Relaxed);
            let Err(error) = self.run_once(kind).await else { continue };
            match kind {
                Kind::Tcp(load::Kind::Connections) => {
                    self.shared.count(|tally| tally.connections_failed += 1);
                }
                Kind::Tcp(_) => self.shared.count(|tally| tally.streams_broken += 1),
                Kind::Datagrams | Kind::Flows => {}
            }
            self.shared.note(format!("{kind:?} to {}: {error:#}", self.target));
            self.end_step();
            sleep(Self::PAUSE).await;
        }
    }

    async fn run_once(&self, kind: Kind) -> Result<()> {
        match kind {
            Kind::Tcp(kind) => load::Session { target: self.target, observer: self }.run(kind).await,
            Kind::Datagrams => Ok(self.datagrams().await?),
            Kind::Flows => {
                self.flows().await;
                Ok(())
            }
        }
    }

    fn progress(&self) -> &Progress {
        self.shared.session(self.number)
    }

    fn end_step(&self) {
        self.progress().settled.fetch_add(1, Ordering::Relaxed);
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

impl Observer for Session {
    const PAUSE: Duration = Duration::from_millis(5);
    /// Far beyond the retransmissions that bridge the longest fault.
    const PATIENCE: Duration = Duration::from_secs(15);
    const RECEIVED_AT_ONCE: usize = 8 * 1024;

    fn count(&self, done: Done) {
        self.shared.count(|tally| match done {
            Done::Request => tally.requests += 1,
            Done::Bytes(count) => tally.bytes += count as u64,
            Done::Connection(time) => {
                tally.connections += 1;
                tally.connections_delayed += u64::from(time > DELAYED);
            }
        });
    }

    fn step(&self) {
        self.progress().succeeded.fetch_add(1, Ordering::Relaxed);
        self.end_step();
    }

    fn stops(&self) -> bool {
        self.shared.ended() || self.shared.round() != self.round
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
