//! Clients: who answers, whom the answerer saw, and what failed.

mod page;
mod session;
mod tally;
mod target;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

pub use lb_model::object::{IpFamily, Protocol};
pub use page::{Page, get, request};
pub use session::{Answer, Session, echo, echo_that_fits};
pub use tally::{Tally, requests};
pub use target::Target;

use crate::netns::Namespace;

/// How long a client waits for anything. Far beyond the first retransmissions of TCP, so that a request counts as
/// failed only where nothing would have saved it.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Asks once, over a new session.
///
/// # Errors
/// What the connection met.
pub fn ask(from: &Namespace, target: Target) -> io::Result<Answer> {
    Session::open(from, target)?.ask()
}

/// Whether a datagram of a client, one of the namespace's addresses, is answered at once.
pub fn is_served(from: &Namespace, client: IpAddr, address: SocketAddr) -> bool {
    // Silence costs a client its whole patience; a pod in the next namespace takes a thousandth of this.
    let patience = Duration::from_millis(700);
    let target = Target::udp(address.ip(), address.port());
    let Ok(Session::Udp(socket)) = Session::open_from(from, SocketAddr::new(client, 0), target) else {
        return false;
    };
    socket.set_read_timeout(Some(patience)).is_ok()
        && socket.send(b"who").is_ok()
        && socket.recv(&mut [0; 256]).is_ok()
}

/// An error in few words, the same for all of its kind.
pub fn describe(error: &io::Error) -> String {
    // How blocking sockets report that the time for connecting, or for reading, has run out (socket(7)).
    let timed_out = matches!(error.raw_os_error(), Some(libc::EINPROGRESS | libc::EAGAIN));
    if timed_out { io::ErrorKind::TimedOut } else { error.kind() }.to_string()
}
