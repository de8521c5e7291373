//! Names of Services for the command line, kept in the kernel so that it works with the agent dead.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes of a [`Name`]: namespace, name and port name of at most 63 each (RFC 1123), two separators, and what tells the
/// IPv6 side of a port; a multiple of four.
pub const NAME_LEN: usize = 200;

/// `namespace/name` or `namespace/name:port`, UTF-8, padded with zeros.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Name {
    /// The text.
    pub bytes: [u8; NAME_LEN],
}

impl Name {
    /// A name, cut at [`NAME_LEN`] bytes.
    pub fn new(text: &str) -> Self {
        let mut bytes = [0; NAME_LEN];
        let length = text.len().min(NAME_LEN);
        bytes[..length].copy_from_slice(&text.as_bytes()[..length]);
        Self { bytes }
    }

    /// The text; empty where it is not UTF-8.
    pub fn as_str(&self) -> &str {
        let end = self.bytes.iter().position(|byte| *byte == 0).unwrap_or(NAME_LEN);
        core::str::from_utf8(&self.bytes[..end]).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back() {
        assert_eq!(Name::new("default/web:http").as_str(), "default/web:http");
        assert_eq!(Name::new(&"x".repeat(300)).as_str().len(), NAME_LEN);
    }
}
