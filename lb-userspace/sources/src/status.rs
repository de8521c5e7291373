//! How a source is doing, for metrics and readiness.

use std::{collections::BTreeMap, time::SystemTime};

/// How each of a source's streams is doing: `manifests` for a folder, the kinds for the API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Streams by name.
    pub streams: BTreeMap<&'static str, Stream>,
}

impl Status {
    /// True while every stream follows changes as they happen.
    pub fn is_connected(&self) -> bool {
        !self.streams.is_empty() && self.streams.values().all(|stream| stream.connected)
    }
}

/// One stream of changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    /// Changes arrive as they happen. What was known before stays served while this is false.
    pub connected: bool,
    /// When the stream last brought anything.
    pub last_event: Option<SystemTime>,
    /// Failures so far.
    pub errors: u64,
    /// The last failure.
    pub last_error: Option<String>,
}
