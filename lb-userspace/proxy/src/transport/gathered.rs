//! Writes of HTTP/2, gathered: h2 flushes every DATA frame of 256 bytes or more before it looks at the next
//! (`codec/framed_write.rs`), which over TLS is a record and a system call for each response.

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use hyper::rt::{self, Read, Write};

use super::Watched;

/// Bytes that wait at most: two full records of TLS.
const FULL: usize = 32 << 10;
/// What a buffer begins with. It is given back once it is empty: most connections are idle most of the time.
const FIRST: usize = 4 << 10;

/// What hyper writes to: writes wait until the [`Flusher`] sends them, or there are too many.
#[derive(Debug)]
pub(crate) struct Gathered(Rc<RefCell<Gatherer>>);

/// Sends what has gathered: to be called whenever the connection was polled.
#[derive(Debug)]
pub(crate) struct Flusher(Rc<RefCell<Gatherer>>);

#[derive(Debug)]
struct Gatherer {
    stream: Watched,
    waiting: Vec<u8>,
    /// Bytes of `waiting` that were sent.
    sent: usize,
    is_flushed: bool,
}

/// Both ends of a stream whose writes are gathered.
pub(crate) fn gathered(stream: Watched) -> (Gathered, Flusher) {
    let gatherer = Gatherer { stream, waiting: Vec::new(), sent: 0, is_flushed: true };
    let gatherer = Rc::new(RefCell::new(gatherer));
    (Gathered(gatherer.clone()), Flusher(gatherer))
}

impl Flusher {
    /// Sends all that waits.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_flush(cx)
    }
}

impl Gatherer {
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_flushed {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_empty(cx))?;
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.is_flushed = true;
        Poll::Ready(Ok(()))
    }

    fn poll_empty(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.waiting.len() {
            let bytes = &self.waiting[self.sent..];
            match ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => self.sent += sent,
            }
        }
        (self.waiting, self.sent) = (Vec::new(), 0);
        Poll::Ready(Ok(()))
    }

    /// Takes as much as there is room for, so that records of TLS are full ones while there is more.
    fn poll_take(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.waiting.len() == FULL {
            ready!(self.poll_empty(cx))?;
        }
        self.is_flushed = false;
        let all: usize = slices.iter().map(|slice| slice.len()).sum();
        let taken = all.min(FULL - self.waiting.len());
        self.waiting.reserve(taken.max(FIRST.saturating_sub(self.waiting.len())));
        let mut left = taken;
        for slice in slices {
            let part = &slice[..slice.len().min(left)];
            self.waiting.extend_from_slice(part);
            left -= part.len();
        }
        Poll::Ready(Ok(taken))
    }
}

impl Read for Gathered {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        cursor: rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.borrow_mut().stream).poll_read(cx, cursor)
    }
}

impl Write for Gathered {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().poll_take(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().poll_take(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The flusher's business: who flushes here is about to write more.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut gatherer = self.0.borrow_mut();
        ready!(gatherer.poll_flush(cx))?;
        Pin::new(&mut gatherer.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Duration};

    use bytes::Bytes;
    use tokio::{
        io::AsyncReadExt,
        net::{TcpListener, TcpStream},
    };

    use super::*;
    use crate::transport::{Prefixed, Stream};

    async fn pair() -> (Gathered, Flusher, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (tcp, _) = listener.accept().await.unwrap();
        let stream = Stream::Plain(Prefixed::new(Bytes::new(), tcp));
        let (gathered, flusher) = gathered(Watched::new(stream, Duration::from_secs(20)));
        (gathered, flusher, peer)
    }

    async fn write(gathered: &mut Gathered, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let taken = poll_fn(|cx| Pin::new(&mut *gathered).poll_write(cx, bytes)).await.unwrap();
            bytes = &bytes[taken..];
            poll_fn(|cx| Pin::new(&mut *gathered).poll_flush(cx)).await.unwrap();
        }
    }

    #[tokio::test]
    async fn what_is_written_and_flushed_waits_for_the_flusher_and_goes_out_at_once() {
        let (mut gathered, flusher, mut peer) = pair().await;
        write(&mut gathered, b"one").await;
        write(&mut gathered, b"two").await;
        let mut bytes = [0; 16];
        assert_eq!(peer.try_read(&mut bytes).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        poll_fn(|cx| flusher.poll_flush(cx)).await.unwrap();
        assert_eq!(peer.read(&mut bytes).await.unwrap(), 6);
        assert_eq!(&bytes[..6], b"onetwo");
    }

    #[tokio::test]
    async fn more_than_fits_goes_out_in_order_before_the_flusher_is_asked() {
        let (mut gathered, flusher, mut peer) = pair().await;
        let expected: Vec<u8> = (0..20 * FULL).map(|number| (number % 251) as u8).collect();
        let sizes = [1, 300, FULL, FULL + 1, 5 * FULL, 20_000];
        let send = async {
            let mut rest = expected.as_slice();
            for size in sizes.into_iter().cycle() {
                let (now, later) = rest.split_at(size.min(rest.len()));
                write(&mut gathered, now).await;
                rest = later;
                if rest.is_empty() {
                    break;
                }
                assert!(gathered.0.borrow().waiting.len() <= FULL);
            }
            // What is left goes out with the farewell.
            poll_fn(|cx| Pin::new(&mut gathered).poll_shutdown(cx)).await.unwrap();
        };
        let mut received = Vec::new();
        let (_, all) = tokio::join!(send, peer.read_to_end(&mut received));
        assert_eq!(all.unwrap(), expected.len());
        assert!(received == expected);
        drop(flusher);
    }

    #[tokio::test]
    async fn a_peer_that_does_not_read_stops_the_writer_until_it_reads_again() {
        let (mut gathered, flusher, mut peer) = pair().await;
        let piece = [7; 10_000];
        let mut written = 0;
        poll_fn(|cx| {
            while let Poll::Ready(taken) = Pin::new(&mut gathered).poll_write(cx, &piece) {
                written += taken.unwrap();
                // The kernel keeps some megabytes for the two sockets.
                assert!(written < 64 << 20, "nothing stops the writer");
            }
            Poll::Ready(())
        })
        .await;
        assert_eq!(gathered.0.borrow().waiting.len(), FULL);
        let send = async {
            write(&mut gathered, &piece).await;
            poll_fn(|cx| flusher.poll_flush(cx)).await.unwrap();
        };
        let mut received = vec![0; written + piece.len()];
        let (_, all) = tokio::join!(send, peer.read_exact(&mut received));
        assert_eq!(all.unwrap(), written + piece.len());
        assert!(gathered.0.borrow().waiting.is_empty());
    }
}
