//! One client over TCP. What it does is the same in every load; how fast, and what is made of it, is the load's.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::{pattern, traffic::describe};

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

/// What went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// A request was answered.
    Request,
    /// A new connection was answered after so long.
    Connection(Duration),
    /// A transfer moved so many bytes.
    Bytes(usize),
}

/// Who has sessions at work, and what they keep to.
pub(crate) trait Observer {
    /// Pause between two steps.
    const PAUSE: Duration;
    /// How long a step may take.
    const PATIENCE: Duration;
    /// Bytes that a step of a download takes at most.
    const RECEIVED_AT_ONCE: usize;

    /// Told of everything that went well.
    fn count(&self, done: Done);

    /// Told that a step went well.
    fn step(&self);

    /// True once the session is to end.
    fn stops(&self) -> bool;
}

/// Bytes that an upload sends in a step.
const SENT_AT_ONCE: usize = 8 * 1024;

/// A session at work.
pub(crate) struct Session<'a, O> {
    /// Whom it talks to.
    pub(crate) target: SocketAddr,
    /// Whose it is.
    pub(crate) observer: &'a O,
}

impl<O: Observer> Session<'_, O> {
    /// Goes on until its owner has enough.
    ///
    /// # Errors
    /// Where a connection fails, stalls, or carries what was not sent.
    pub(crate) async fn run(&self, kind: Kind) -> Result<()> {
        match kind {
            Kind::Connections => self.connections().await,
            Kind::Exchange => self.exchange().await,
            Kind::Download => self.download().await,
            Kind::Upload => self.upload().await,
        }
    }

    /// Counts a step; false once the session is to end.
    async fn goes_on(&self) -> bool {
        self.observer.step();
        sleep(O::PAUSE).await;
        !self.observer.stops()
    }

    async fn connections(&self) -> Result<()> {
        loop {
            let begun = Instant::now();
            self.ask(&mut self.open().await?).await?;
            self.observer.count(Done::Connection(begun.elapsed()));
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
        let mut buffer = vec![0; O::RECEIVED_AT_ONCE];
        let mut offset = 0;
        loop {
            let length = Self::within(stream.read(&mut buffer)).await?;
            if length == 0 {
                bail!("the download ended after {offset} bytes");
            }
            if let Some(position) = pattern::first_difference(offset, &buffer[..length]) {
                bail!("byte {position} of the download is wrong");
            }
            offset += length as u64;
            self.observer.count(Done::Bytes(length));
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
            Self::within(stream.write_all(pattern::at(offset, SENT_AT_ONCE))).await?;
            offset += SENT_AT_ONCE as u64;
            self.observer.count(Done::Bytes(SENT_AT_ONCE));
            if !self.goes_on().await {
                break;
            }
        }
        stream.shutdown().await?;
        let mut line = String::new();
        Self::within(stream.read_line(&mut line)).await?;
        if line.split_whitespace().last() != Some(offset.to_string().as_str()) {
            bail!("sent {offset} bytes, the pod says {line:?}");
        }
        Ok(())
    }

    async fn ask(&self, stream: &mut BufReader<TcpStream>) -> Result<String> {
        Self::within(stream.write_all(b"who\n")).await?;
        let mut line = String::new();
        if Self::within(stream.read_line(&mut line)).await? == 0 {
            bail!("closed instead of an answer");
        }
        self.observer.count(Done::Request);
        Ok(line)
    }

    async fn open(&self) -> Result<BufReader<TcpStream>> {
        let stream = Self::within(TcpStream::connect(self.target)).await?;
        stream.set_nodelay(true)?;
        Ok(BufReader::new(stream))
    }

    /// Bounds a step, and names what it met.
    async fn within<T>(step: impl Future<Output = io::Result<T>>) -> Result<T> {
        match timeout(O::PATIENCE, step).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => bail!("{}", describe(&error)),
            Err(_) => bail!("stalled for {} s", O::PATIENCE.as_secs()),
        }
    }
}
