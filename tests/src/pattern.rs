//! Bytes that tell their own position in a stream, so that a loss, a repetition or a change shows where it happened.

use std::sync::LazyLock;

/// A prime: no segment or buffer size divides it, so data that moved by any of them does not fit any more.
const PERIOD: usize = 65_521;

/// Twice, so that every slice of up to one period lies in one piece.
static BLOCK: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let period: Vec<u8> = (0..PERIOD)
        .map(|_| {
            // xorshift64 (Marsaglia, 2003).
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect();
    period.repeat(2)
});

/// The most that [`at`] returns.
pub const MAX_LEN: usize = PERIOD;

/// The `len` bytes of the stream that start at `offset`; at most [`MAX_LEN`].
pub fn at(offset: u64, len: usize) -> &'static [u8] {
    let start = (offset % PERIOD as u64) as usize;
    &BLOCK[start..start + len.min(MAX_LEN)]
}

/// Where `data`, received at `offset` of the stream, first differs from it.
pub fn first_difference(offset: u64, data: &[u8]) -> Option<u64> {
    let mut offset = offset;
    for piece in data.chunks(MAX_LEN) {
        let expected = at(offset, piece.len());
        if piece != expected {
            let same = piece.iter().zip(expected).take_while(|(a, b)| a == b).count();
            return Some(offset + same as u64);
        }
        offset += piece.len() as u64;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_agrees_with_itself_in_any_pieces() {
        let mut stream = at(0, MAX_LEN).to_vec();
        stream.extend_from_slice(at(MAX_LEN as u64, 1000));
        assert_eq!(first_difference(0, &stream), None);
        assert_eq!(first_difference(17, &stream[17..]), None);
    }

    #[test]
    fn a_changed_a_lost_and_a_repeated_byte_are_found() {
        let mut changed = at(500, 100).to_vec();
        changed[40] ^= 1;
        assert_eq!(first_difference(500, &changed), Some(540));
        assert!(first_difference(500, at(501, 100)).is_some());
        assert!(first_difference(500, at(499, 100)).is_some());
    }
}
