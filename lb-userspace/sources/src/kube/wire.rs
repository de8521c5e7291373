//! Lists and watch events as they come over the wire.
//!
//! Objects stay raw JSON here, so that one that cannot be decoded is an object of its own and not the end of the list
//! or the stream.

use kube::core::Status;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

/// A page of a list.
#[derive(Debug, Deserialize)]
pub struct Page<'a> {
    /// Where the list stands.
    #[serde(default)]
    pub metadata: PageMetadata,
    /// The objects. Go writes an empty list as null. Decoded one by one: as values, the objects of a page take ten times
    /// its text.
    #[serde(borrow)]
    pub items: Option<Vec<&'a RawValue>>,
}

/// `ListMeta`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PageMetadata {
    /// Version that a watch can start from.
    #[serde(default)]
    pub resource_version: String,
    /// Asks for the next page; empty on the last.
    #[serde(default, rename = "continue")]
    pub continue_token: String,
}

#[derive(Debug, Deserialize)]
struct RawEvent {
    #[serde(rename = "type")]
    event_type: String,
    object: Value,
}

/// An event of a watch.
#[derive(Debug)]
pub enum Event {
    /// `ADDED` or `MODIFIED`.
    Applied {
        /// The object as it is now.
        object: Value,
        /// The version that this leads to.
        version: String,
    },
    /// `DELETED`.
    Deleted {
        /// The object as it was last.
        object: Value,
        /// The version that this leads to.
        version: String,
    },
    /// `BOOKMARK`: nothing happened up to this version.
    Bookmark {
        /// The version.
        version: String,
    },
    /// `ERROR`: the server ends the watch.
    Error(Box<Status>),
}

/// Why a line is no event.
#[derive(Debug, thiserror::Error)]
pub enum Undecodable {
    /// Not JSON, or not of an event's shape.
    #[error("not a watch event: {0}")]
    Line(#[from] serde_json::Error),
    /// An event of a type that this program does not know.
    #[error("unknown event type {0:?}")]
    Type(String),
    /// An event that does not say which version it leads to.
    #[error("an object without metadata.resourceVersion")]
    Version,
}

impl Event {
    /// Decodes a line of a watch.
    ///
    /// # Errors
    /// Why it is none.
    pub fn decode(line: &[u8]) -> Result<Self, Undecodable> {
        let RawEvent { event_type, object } = serde_json::from_slice(line)?;
        if event_type == "ERROR" {
            return Ok(Self::Error(Box::new(serde_json::from_value(object)?)));
        }
        let version = match object["metadata"]["resourceVersion"].as_str() {
            Some(version) if !version.is_empty() => version.to_owned(),
            _ => return Err(Undecodable::Version),
        };
        match event_type.as_str() {
            "ADDED" | "MODIFIED" => Ok(Self::Applied { object, version }),
            "DELETED" => Ok(Self::Deleted { object, version }),
            "BOOKMARK" => Ok(Self::Bookmark { version }),
            _ => Err(Undecodable::Type(event_type)),
        }
    }
}
