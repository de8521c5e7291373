//! A client that sends what it is told, byte by byte.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
};

/// A connection.
pub(crate) struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Status line and fields, as they came.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "))
            .find_map(|(found, value)| found.eq_ignore_ascii_case(name).then_some(value))
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    pub(crate) const fn new(stream: TcpStream) -> Self {
        Self { stream, unread: Vec::new() }
    }

    /// Sends bytes. The other side may have closed meanwhile, which the response tells.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// No more from here.
    pub(crate) fn finish(&self) {
        self.stream.shutdown(std::net::Shutdown::Write).unwrap();
    }

    /// Reads a response that a GET asked for.
    pub(crate) fn response(&mut self) -> Response {
        self.try_response().expect("a response")
    }

    /// As [`Client::response`]; none where the connection ends first.
    pub(crate) fn try_response(&mut self) -> Option<Response> {
        let head = self.until(b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&head).into_owned();
        let status: u16 = head.get(9..12).and_then(|status| status.parse().ok()).expect("a status");
        let mut response = Response { status, head, body: Vec::new() };
        if matches!(status, 100 | 101 | 204 | 304) {
            return Some(response);
        }
        if let Some(length) = response.field("content-length") {
            response.body = self.exactly(length.parse().unwrap())?;
        } else if response.field("transfer-encoding") == Some("chunked") {
            response.body = self.chunks()?;
        } else {
            self.stream.read_to_end(&mut self.unread).unwrap();
            response.body = std::mem::take(&mut self.unread);
        }
        Some(response)
    }

    fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.until(b"\r\n")?;
            let length = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
            if length == 0 {
                // The trailers end with an empty line.
                while self.until(b"\r\n")?.len() > 2 {}
                return Some(body);
            }
            body.extend(self.exactly(length)?);
            self.until(b"\r\n")?;
        }
    }

    /// Reads so many bytes.
    pub(crate) fn exactly(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.unread.len() < length {
            self.more()?;
        }
        Some(self.unread.drain(..length).collect())
    }

    fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.unread.windows(end.len()).position(|window| window == end) {
                return Some(self.unread.drain(..at + end.len()).collect());
            }
            self.more()?;
        }
    }

    fn more(&mut self) -> Option<()> {
        let mut chunk = [0; 16 << 10];
        match self.stream.read(&mut chunk) {
            Ok(0) => None,
            Ok(length) => {
                self.unread.extend(&chunk[..length]);
                Some(())
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            Err(error) => panic!("{error}; unread: {:?}", String::from_utf8_lossy(&self.unread)),
        }
    }

    /// True once the other side has closed, false where it sends more instead.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.unread.is_empty() && self.more().is_none()
    }
}
