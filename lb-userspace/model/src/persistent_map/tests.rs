use std::{cell::Cell, collections::BTreeMap};

use proptest::{collection, prelude::*};

use super::*;

/// `None` removes.
fn writes() -> impl Strategy<Value = Vec<(u16, Option<u8>)>> {
    collection::vec((0u16..600, proptest::option::weighted(0.7, 0u8..3)), 0..900)
}

fn write<K: Ord + Copy>(
    map: &mut PersistentMap<K, u8>,
    model: &mut BTreeMap<K, u8>,
    writes: &[(K, Option<u8>)],
) {
    for (key, value) in writes {
        match value {
            Some(value) => {
                map.insert(*key, *value);
                model.insert(*key, *value);
            }
            None => assert_eq!(map.remove(key), model.remove(key).is_some()),
        }
    }
}

fn changes<'a>(
    new: &'a PersistentMap<u16, u8>,
    old: &'a PersistentMap<u16, u8>,
) -> Vec<(u16, Option<&'a u8>, Option<&'a u8>)> {
    let value = |entry: Option<&'a Entry<u16, u8>>| entry.map(|entry| &entry.1);
    new.changes_since(old).map(|Change { key, before, after }| (*key, value(before), value(after))).collect()
}

proptest! {
    #[test]
    fn it_holds_what_an_ordinary_map_holds_and_copies_stay_as_they_were(first in writes(), second in writes()) {
        let (mut map, mut model) = (PersistentMap::default(), BTreeMap::new());
        write(&mut map, &mut model, &first);
        let (old_map, old_model) = (map.clone(), model.clone());
        write(&mut map, &mut model, &second);
        for (map, model) in [(&map, &model), (&old_map, &old_model)] {
            prop_assert!(map.iter().eq(model));
            prop_assert_eq!(map.len(), model.len());
            prop_assert_eq!(map.is_empty(), model.is_empty());
            prop_assert!((0..600).all(|key| map.get(&key) == model.get(&key)));
        }
        prop_assert_eq!(map == old_map, model == old_model);
    }

    #[test]
    fn the_difference_of_two_copies_names_every_change_and_nothing_else(first in writes(), second in writes()) {
        let (mut map, mut model) = (PersistentMap::default(), BTreeMap::new());
        write(&mut map, &mut model, &first);
        let (old_map, old_model) = (map.clone(), model.clone());
        write(&mut map, &mut model, &second);
        let expected: Vec<_> = (0..600u16)
            .map(|key| (key, old_model.get(&key), model.get(&key)))
            .filter(|(_, before, after)| before != after)
            .collect();
        prop_assert_eq!(&changes(&map, &old_map), &expected);
        // Maps that share nothing differ in the same way.
        let (new, old): (PersistentMap<_, _>, PersistentMap<_, _>) =
            (model.clone().into_iter().collect(), old_model.clone().into_iter().collect());
        prop_assert_eq!(&changes(&new, &old), &expected);
    }
}

#[test]
fn a_difference_looks_only_at_chunks_that_are_not_shared() {
    thread_local!(static COMPARED: Cell<usize> = const { Cell::new(0) });
    #[derive(Debug)]
    struct Value;
    impl PartialEq for Value {
        fn eq(&self, _: &Self) -> bool {
            COMPARED.set(COMPARED.get() + 1);
            true
        }
    }
    let old: PersistentMap<u32, Value> = (0..10_000).map(|key| (key, Value)).collect();
    let mut new = old.clone();
    new.insert(5000, Value);
    new.remove(&7000);
    let keys: Vec<_> = new.changes_since(&old).map(|change| *change.key).collect();
    assert_eq!(keys, [7000]);
    assert_eq!(COMPARED.get(), 1);
}
