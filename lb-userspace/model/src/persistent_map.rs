//! A sorted map whose copies share what they have in common.
//!
//! Copying ten thousand entries costs a few hundred reference counts, and two copies are compared by looking only at
//! the chunks in which they differ: so a source can publish a whole snapshot after each change, and who takes it finds
//! out by itself what changed, however many snapshots it missed.

mod diff;
#[cfg(test)]
mod tests;

pub use self::diff::Change;

use std::{borrow::Borrow, fmt, iter::FusedIterator, ops::Index, sync::Arc};

/// A chunk is divided when it grows beyond this. A write to a shared chunk copies as many pointers at most.
const CHUNK: usize = 64;

/// A sorted map with cheap copies; see the module.
pub struct PersistentMap<K, V> {
    /// In order, none of them empty.
    chunks: Vec<Chunk<K, V>>,
    len: usize,
}

/// A key and its value, shared by all copies of a map that have it.
pub type Entry<K, V> = Arc<(K, V)>;

type Chunk<K, V> = Arc<Vec<Entry<K, V>>>;

impl<K: Ord, V> PersistentMap<K, V> {
    /// Number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True without entries.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let chunk = self.chunks.get(self.chunk_of(key))?;
        let position = position(chunk, key).ok()?;
        Some(&chunk[position].1)
    }

    /// True where there is a value for the key.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get(key).is_some()
    }

    /// Sets the value of a key. Copies that were made before keep what they have.
    pub fn insert(&mut self, key: K, value: V) {
        let number = self.chunk_of(&key);
        let Some(chunk) = self.chunks.get_mut(number) else {
            self.chunks.push(Arc::new(vec![Arc::new((key, value))]));
            self.len += 1;
            return;
        };
        let chunk = Arc::make_mut(chunk);
        match position(chunk, &key) {
            Ok(position) => chunk[position] = Arc::new((key, value)),
            Err(position) => {
                chunk.insert(position, Arc::new((key, value)));
                self.len += 1;
            }
        }
        if chunk.len() > CHUNK {
            // Keys often arrive in order: a full chunk and a new one then, instead of two halves.
            let at = if number + 1 == self.chunks.len() { CHUNK } else { CHUNK / 2 };
            let chunk = Arc::make_mut(&mut self.chunks[number]).split_off(at);
            self.chunks.insert(number + 1, Arc::new(chunk));
        }
    }

    /// Removes a key; true where it was there.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        let number = self.chunk_of(key);
        let Some(position) = self.chunks.get(number).and_then(|chunk| position(chunk, key).ok()) else {
            return false;
        };
        let chunk = Arc::make_mut(&mut self.chunks[number]);
        chunk.remove(position);
        if chunk.is_empty() {
            self.chunks.remove(number);
        }
        self.len -= 1;
        true
    }

    /// The chunk that holds a key or would: the last that does not begin behind it.
    fn chunk_of<Q: Ord + ?Sized>(&self, key: &Q) -> usize
    where
        K: Borrow<Q>,
    {
        self.chunks.partition_point(|chunk| chunk[0].0.borrow() <= key).saturating_sub(1)
    }
}

fn position<K: Ord + Borrow<Q>, V, Q: Ord + ?Sized>(chunk: &[Entry<K, V>], key: &Q) -> Result<usize, usize> {
    chunk.binary_search_by(|entry| entry.0.borrow().cmp(key))
}

impl<K, V> PersistentMap<K, V> {
    /// Entries in the order of their keys.
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter { chunks: self.chunks.iter(), chunk: [].iter() }
    }

    /// Keys in order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    /// Values in the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }
}

/// Entries of a [`PersistentMap`] in order.
#[derive(Debug)]
pub struct Iter<'a, K, V> {
    chunks: std::slice::Iter<'a, Chunk<K, V>>,
    chunk: std::slice::Iter<'a, Entry<K, V>>,
}

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.chunk.next() {
                return Some((&entry.0, &entry.1));
            }
            self.chunk = self.chunks.next()?.iter();
        }
    }
}

impl<K, V> FusedIterator for Iter<'_, K, V> {}

impl<'a, K, V> IntoIterator for &'a PersistentMap<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<K: Ord, V> Extend<(K, V)> for PersistentMap<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        entries.into_iter().for_each(|(key, value)| self.insert(key, value));
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for PersistentMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        map.extend(entries);
        map
    }
}

impl<K: Ord, V, const N: usize> From<[(K, V); N]> for PersistentMap<K, V> {
    fn from(entries: [(K, V); N]) -> Self {
        entries.into_iter().collect()
    }
}

impl<K: Ord + Borrow<Q>, V, Q: Ord + ?Sized> Index<&Q> for PersistentMap<K, V> {
    type Output = V;

    /// # Panics
    /// Where the key is not there.
    fn index(&self, key: &Q) -> &V {
        self.get(key).unwrap_or_else(|| panic!("no entry for the key"))
    }
}

impl<K, V> Default for PersistentMap<K, V> {
    fn default() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }
}

impl<K, V> Clone for PersistentMap<K, V> {
    fn clone(&self) -> Self {
        Self { chunks: self.chunks.clone(), len: self.len }
    }
}

impl<K: Ord, V: PartialEq> PartialEq for PersistentMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.changes_since(other).next().is_none()
    }
}

impl<K: Ord, V: Eq> Eq for PersistentMap<K, V> {}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for PersistentMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}
