//! Why an attempt at an endpoint came to nothing.

use std::{error::Error, io};

/// Why there is no response. What is said here is for the log; clients get a status.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// No connection: nothing of the request was sent.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// No connection within `proxy-connect-timeout`.
    #[error("cannot connect: no answer in time")]
    ConnectTimeout,
    /// The connection was closed before anything of the request was written to it.
    #[error("the connection was closed before the request was sent")]
    Unsent,
    /// The connection broke before the response.
    #[error("the connection broke: {0}")]
    Broken(hyper::Error),
    /// No response within `proxy-read-timeout`, or nothing of the request taken within `proxy-send-timeout`.
    #[error("no answer, or no progress of the request, in time")]
    Timeout,
    /// What came back is not HTTP.
    #[error("the answer is not HTTP: {0}")]
    Invalid(hyper::Error),
}

impl Failure {
    /// Sorts what hyper says.
    pub(super) fn from_hyper(error: hyper::Error) -> Self {
        if has_timed_out(&error) {
            Self::Timeout
        } else if error.is_parse() {
            Self::Invalid(error)
        } else if error.is_canceled() || error.is_closed() {
            Self::Unsent
        } else {
            Self::Broken(error)
        }
    }

    /// True where the endpoint has seen nothing of the request.
    pub(crate) const fn is_unsent(&self) -> bool {
        matches!(self, Self::Connect(_) | Self::ConnectTimeout | Self::Unsent)
    }

    /// True where the wait was too long.
    pub(crate) const fn is_timeout(&self) -> bool {
        matches!(self, Self::ConnectTimeout | Self::Timeout)
    }

    /// Its name in metrics.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::ConnectTimeout => "connect_timeout",
            Self::Unsent => "closed",
            Self::Broken(_) => "broken",
            Self::Timeout => "timeout",
            Self::Invalid(_) => "invalid",
        }
    }
}

/// True where a write had made no progress for too long.
fn has_timed_out(error: &hyper::Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|source| source.kind() == io::ErrorKind::TimedOut)
}
