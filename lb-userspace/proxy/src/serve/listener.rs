//! Listening sockets: one for each thread on the same address, so that the kernel spreads connections.

use std::{io, net::SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;

/// An address that all threads listen on, held from before the first of them starts: a port that the system chose is
/// the same for all, and one that is taken is found out early.
#[derive(Debug)]
pub(crate) struct Address {
    reserved: std::net::TcpListener,
}

impl Address {
    /// Takes the address.
    ///
    /// # Errors
    /// Where it is taken or not ours.
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { reserved: socket(address)?.listen(BACKLOG)?.into_std()? })
    }

    /// The address, with its port.
    pub(crate) fn local(&self) -> io::Result<SocketAddr> {
        self.reserved.local_addr()
    }

    /// One listener for each thread. The reserved socket is the first: a socket that nobody accepts from would keep
    /// its share of the connections waiting.
    pub(super) fn listeners(self, threads: usize) -> io::Result<Vec<std::net::TcpListener>> {
        let address = self.local()?;
        let others = (1..threads).map(|_| socket(address)?.listen(BACKLOG)?.into_std());
        std::iter::once(Ok(self.reserved)).chain(others).collect()
    }
}

fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// A thread's listener, within its runtime.
pub(super) fn adopt(listener: std::net::TcpListener) -> io::Result<TcpListener> {
    TcpListener::from_std(listener)
}
