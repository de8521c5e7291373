//! Sends a payload to a proxy, and says what became of it.

use std::{fmt, net::TcpStream};

use super::{message::Message, proxies::Proxy};
use crate::{client::Client, site::Site};

/// Sent after the first response: whether it is answered tells whether the connection was kept.
const AFTER: &str = "GET /after HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";
/// Sent at last on a connection of its own: a request of somebody else, who must get what he asked for.
const NEXT: &str = "GET /next HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";

/// What became of a payload.
pub(super) struct Outcome {
    /// Status of the first response, if there was any.
    pub(super) status: Option<u16>,
    pub(super) is_kept: bool,
    /// What the endpoint has seen.
    pub(super) seen: Vec<Message>,
    /// The next client got what it asked for.
    pub(super) is_next_served: bool,
}

/// True where a request is answered with 200.
pub(super) fn is_served(stream: TcpStream) -> bool {
    let mut client = Client::new(stream);
    client.send(NEXT);
    client.try_response().is_some_and(|response| response.status == 200)
}

/// Sends a payload on a connection of its own.
pub(super) fn exchange(site: &Site, proxy: &Proxy, payload: &[u8]) -> Outcome {
    let mut client = Client::new(site.connect(proxy.address).unwrap());
    client.send(payload);
    let mut responses = std::iter::from_fn(|| client.try_response()).map(|response| response.status);
    let status = responses.find(|status| *status >= 200);
    drop(responses);
    client.send(AFTER);
    // To the end of the connection: the proxy has done by then what it does.
    while client.try_response().is_some() {}
    let is_next_served = is_served(site.connect(proxy.address).unwrap());
    let mut seen = proxy.recorder.take();
    let mut remove = |line: &str| {
        let place = seen.iter().position(|message| message.line() == format!("GET {line} HTTP/1.1"));
        place.map(|place| seen.remove(place)).is_some()
    };
    let is_kept = remove("/after");
    let is_next_seen = remove("/next");
    Outcome { status, is_kept, seen, is_next_served: is_next_served && is_next_seen }
}

impl Outcome {
    /// What the endpoint would act upon.
    pub(super) fn whole(&self) -> impl Iterator<Item = &Message> {
        self.seen.iter().filter(|message| message.is_whole)
    }

    /// True where some of it reached the endpoint.
    pub(super) fn is_passed(&self) -> bool {
        self.whole().next().is_some()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => write!(f, "{status}")?,
            None => write!(f, "no answer")?,
        }
        write!(f, ", {}", if self.is_kept { "kept" } else { "closed" })?;
        for message in &self.seen {
            let part = if message.is_whole { "" } else { " (broken off)" };
            write!(f, "; saw{part} \"{}\"", message.head.escape_ascii())?;
            if !message.body.is_empty() {
                write!(f, " + \"{}\"", message.body.escape_ascii())?;
            }
        }
        if self.is_next_served { Ok(()) } else { write!(f, "; THE NEXT REQUEST WAS NOT SERVED") }
    }
}
