//! What changed between two copies of a map.

use std::{cmp::Ordering, sync::Arc};

use super::{Chunk, Entry, PersistentMap};

/// A key whose value is not the same in two maps.
#[derive(Debug)]
pub struct Change<'a, K, V> {
    /// The key.
    pub key: &'a K,
    /// The entry in the older map.
    pub before: Option<&'a Entry<K, V>>,
    /// The entry in the newer map.
    pub after: Option<&'a Entry<K, V>>,
}

impl<K: Ord, V: PartialEq> PersistentMap<K, V> {
    /// What is different here from an `older` map, in the order of the keys. Chunks that both share are passed over.
    pub fn changes_since<'a>(&'a self, older: &'a Self) -> impl Iterator<Item = Change<'a, K, V>> {
        let mut before = Cursor { chunks: &older.chunks, position: 0 };
        let mut after = Cursor { chunks: &self.chunks, position: 0 };
        std::iter::from_fn(move || {
            loop {
                pass_shared_chunks(&mut before, &mut after);
                let (old, new) = match (before.peek(), after.peek()) {
                    (None, None) => return None,
                    (Some(old), None) => (Some(old), None),
                    (None, Some(new)) => (None, Some(new)),
                    (Some(old), Some(new)) => match old.0.cmp(&new.0) {
                        Ordering::Less => (Some(old), None),
                        Ordering::Greater => (None, Some(new)),
                        Ordering::Equal => (Some(old), Some(new)),
                    },
                };
                if old.is_some() {
                    before.advance();
                }
                if new.is_some() {
                    after.advance();
                }
                let same = match (old, new) {
                    (Some(old), Some(new)) => Arc::ptr_eq(old, new) || old.1 == new.1,
                    _ => false,
                };
                if let Some(entry) = new.or(old).filter(|_| !same) {
                    return Some(Change { key: &entry.0, before: old, after: new });
                }
            }
        })
    }
}

/// A place between two entries.
struct Cursor<'a, K, V> {
    chunks: &'a [Chunk<K, V>],
    /// Within the first chunk.
    position: usize,
}

impl<'a, K, V> Cursor<'a, K, V> {
    fn peek(&self) -> Option<&'a Entry<K, V>> {
        self.chunks.first().map(|chunk| &chunk[self.position])
    }

    fn advance(&mut self) {
        self.position += 1;
        if self.chunks.first().is_some_and(|chunk| self.position == chunk.len()) {
            self.next_chunk();
        }
    }

    fn next_chunk(&mut self) {
        self.chunks = &self.chunks[1..];
        self.position = 0;
    }
}

fn pass_shared_chunks<K, V>(before: &mut Cursor<'_, K, V>, after: &mut Cursor<'_, K, V>) {
    while before.position == 0
        && after.position == 0
        && let (Some(old), Some(new)) = (before.chunks.first(), after.chunks.first())
        && Arc::ptr_eq(old, new)
    {
        before.next_chunk();
        after.next_chunk();
    }
}
