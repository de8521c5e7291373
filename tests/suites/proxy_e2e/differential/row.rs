//! A row of the table: a payload, and what is to become of it.

/// A payload, and what sluice-ingress is to do with it.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) bytes: Vec<u8>,
    pub(super) expected: Expected,
    /// How that is not what both others do.
    pub(super) differs: Option<Differs>,
}

/// How and why Sluice does not do what both others do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Differs {
    pub(super) how: How,
    pub(super) why: &'static str,
}

/// How Sluice does not do what both others do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// It refuses what one passes, or both.
    Stricter,
    /// It passes what one refuses; it may send on something else than the other.
    Laxer,
    /// It sends on something else.
    Otherwise,
}

/// What becomes of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// Nothing whole reaches the endpoint; the client is told so, and the connection ends.
    Refused(u16),
    /// As `Refused`, without a word.
    Dropped,
    /// The endpoint sees these requests, and the connection is kept.
    Passed(&'static [&'static str]),
    /// As `Passed`, and the connection ends.
    PassedAsTheLast(&'static [&'static str]),
}

/// A row of any bytes.
pub(super) fn row(name: &'static str, bytes: impl Into<Vec<u8>>, expected: Expected) -> Row {
    Row { name, bytes: bytes.into(), expected, differs: None }
}

/// A GET with one more line.
pub(super) fn get(name: &'static str, line: &str, expected: Expected) -> Row {
    row(name, format!("GET / HTTP/1.1\r\nHost: a.example\r\n{line}\r\n\r\n"), expected)
}

/// A POST with one more line, and what follows its head.
pub(super) fn post(name: &'static str, line: &str, body: &str, expected: Expected) -> Row {
    row(name, format!("POST / HTTP/1.1\r\nHost: a.example\r\n{line}\r\n\r\n{body}"), expected)
}

/// A GET of a target.
pub(super) fn target(target: &'static str, expected: Expected) -> Row {
    row(target, format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n\r\n"), expected)
}

impl Row {
    /// Sluice refuses what another passes.
    pub(super) const fn stricter(self, why: &'static str) -> Self {
        self.differs(How::Stricter, why)
    }

    /// Sluice passes what another refuses.
    pub(super) const fn laxer(self, why: &'static str) -> Self {
        self.differs(How::Laxer, why)
    }

    /// Sluice sends on something else, or keeps the connection where another does not.
    pub(super) const fn otherwise(self, why: &'static str) -> Self {
        self.differs(How::Otherwise, why)
    }

    const fn differs(mut self, how: How, why: &'static str) -> Self {
        self.differs = Some(Differs { how, why });
        self
    }
}
