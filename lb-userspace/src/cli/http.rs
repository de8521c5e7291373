//! Questions to the admin server of a program on this machine.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// How long each step of an exchange may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// Bytes of an answer that are read at most.
const LONGEST: u64 = 8 << 20;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Status.
    pub(crate) status: u16,
    /// Body.
    pub(crate) body: String,
}

/// Asks; one connection a question, and the server closes it.
///
/// # Errors
/// Where nobody answers, or not in HTTP.
pub(crate) fn ask(address: SocketAddr, method: &str, path: &str, body: &str) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer)?;
    read(&String::from_utf8_lossy(&answer)).ok_or_else(|| io::Error::other("that is no HTTP answer"))
}

fn read(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.split(' ').next()?.parse().ok()?;
    Some(Answer { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_status_and_a_body() {
        let answer = read("HTTP/1.1 400 Bad Request\r\ncontent-length: 3\r\n\r\nno\n").unwrap();
        assert_eq!(answer, Answer { status: 400, body: "no\n".to_owned() });
        for other in ["", "SSH-2.0-x\r\n", "HTTP/1.1 ok\r\n\r\n"] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
