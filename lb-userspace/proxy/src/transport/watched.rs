//! A connection whose peer must go on reading.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use hyper::rt;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::{LazyTimer, Stream};

/// Bytes read so far, for those who decide whether a peer is idle or slow.
#[derive(Clone, Debug, Default)]
pub(crate) struct Received(Arc<AtomicU64>);

impl Received {
    /// The number.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// One task reads a connection: there is no other writer, and the sum needs no locked instruction.
    fn add(&self, bytes: usize) {
        self.0.store(self.0.load(Relaxed) + bytes as u64, Relaxed);
    }
}

/// A [`Stream`] that fails once a write has made no progress for a while, and counts what it read.
#[derive(Debug)]
pub(crate) struct Watched {
    stream: Stream,
    received: Received,
    stall: Duration,
    timer: LazyTimer,
}

impl Watched {
    /// Writes must make progress within `stall`.
    pub(crate) fn new(stream: Stream, stall: Duration) -> Self {
        Self { stream, received: Received::default(), stall, timer: LazyTimer::default() }
    }

    /// Counts what is read, also after the stream was handed to hyper.
    pub(crate) fn received(&self) -> Received {
        self.received.clone()
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.timer.stop();
            return result;
        }
        if !self.timer.is_running() {
            self.timer.restart(Instant::now(), self.stall);
        }
        match self.timer.poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
        }
    }
}

impl rt::Read for Watched {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut cursor: rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let watched = self.get_mut();
        // SAFETY: the bytes are handed on as `MaybeUninit`; tokio's contract keeps initialised what it reports filled.
        let mut buffer = ReadBuf::uninit(unsafe { cursor.as_mut() });
        let result = Pin::new(&mut watched.stream).poll_read(cx, &mut buffer);
        let filled = buffer.filled().len();
        if matches!(result, Poll::Ready(Ok(()))) {
            watched.received.add(filled);
            // SAFETY: `ReadBuf` says that these bytes were filled.
            unsafe { cursor.advance(filled) };
        }
        result
    }
}

impl rt::Write for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.watch(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(cx, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.watch(cx, result)
    }
}
