//! What is asked for and not served, kept in the kernel so that the command line tells of it with the agent dead.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes of [`Refusal::kind`].
const KIND_LEN: usize = 24;
/// Bytes of [`Refusal::reason`].
const REASON_LEN: usize = 56;
/// Bytes of [`Refusal::object`]: a namespace of at most 63 and a name of at most 253 (RFC 1123), and a separator.
const OBJECT_LEN: usize = 320;
/// Bytes of [`Refusal::message`].
const MESSAGE_LEN: usize = 624;

/// Something that is not served, 1 KiB. Texts are UTF-8, padded with zeros, and cut where they are too long.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct Refusal {
    kind: [u8; KIND_LEN],
    reason: [u8; REASON_LEN],
    object: [u8; OBJECT_LEN],
    message: [u8; MESSAGE_LEN],
}

impl Refusal {
    /// A record of these texts.
    pub fn new(kind: &str, object: &str, reason: &str, message: &str) -> Self {
        Self { kind: padded(kind), reason: padded(reason), object: padded(object), message: padded(message) }
    }

    /// Kind of the object, `Service` and the like.
    pub fn kind(&self) -> &str {
        text(&self.kind)
    }

    /// `namespace/name`, or a name alone.
    pub fn object(&self) -> &str {
        text(&self.object)
    }

    /// Reason in CamelCase.
    pub fn reason(&self) -> &str {
        text(&self.reason)
    }

    /// One sentence.
    pub fn message(&self) -> &str {
        text(&self.message)
    }
}

fn padded<const N: usize>(text: &str) -> [u8; N] {
    let cut = &text[..text.floor_char_boundary(N)];
    let mut bytes = [0; N];
    bytes[..cut.len()].copy_from_slice(cut.as_bytes());
    bytes
}

fn text(bytes: &[u8]) -> &str {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    core::str::from_utf8(&bytes[..end]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back() {
        let record =
            Refusal::new("Service", "shop/web", "ExternalIpNotAllowed", "external IP … is not served");
        assert_eq!((record.kind(), record.object()), ("Service", "shop/web"));
        assert_eq!(
            (record.reason(), record.message()),
            ("ExternalIpNotAllowed", "external IP … is not served")
        );
        assert_eq!(size_of::<Refusal>(), 1024);
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let message = "é".repeat(MESSAGE_LEN);
        let record = Refusal::new("", "", &"x".repeat(300), &format!("a{message}"));
        assert_eq!(record.reason().len(), REASON_LEN);
        assert_eq!(record.message().len(), MESSAGE_LEN - 1);
    }
}
