//! The slots of a ring, packed: an agent keeps ten thousand rings of a thousand slots in mind.

use std::{fmt, sync::Arc};

/// Backend indices, one a slot. Copies share them; a slot takes a byte as long as the ring has at most 256 endpoints.
#[derive(Clone, PartialEq, Eq)]
pub struct Slots(Arc<Packed>);

/// Equal slots are packed alike.
#[derive(PartialEq, Eq)]
struct Packed {
    /// Sorted, each once.
    indices: Box<[u32]>,
    positions: Positions,
}

/// For each slot, where its index stands among `indices`.
#[derive(PartialEq, Eq)]
enum Positions {
    Narrow(Box<[u8]>),
    Wide(Box<[u16]>),
    Widest(Box<[u32]>),
}

impl Slots {
    /// How many there are.
    pub fn len(&self) -> usize {
        match &self.0.positions {
            Positions::Narrow(positions) => positions.len(),
            Positions::Wide(positions) => positions.len(),
            Positions::Widest(positions) => positions.len(),
        }
    }

    /// True where there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The backend index of each.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        let Packed { indices, positions } = &*self.0;
        (0..self.len()).map(move |slot| {
            let position = match positions {
                Positions::Narrow(positions) => positions[slot].into(),
                Positions::Wide(positions) => positions[slot].into(),
                Positions::Widest(positions) => positions[slot] as usize,
            };
            indices[position]
        })
    }
}

impl From<&[u32]> for Slots {
    fn from(slots: &[u32]) -> Self {
        let mut indices = slots.to_vec();
        indices.sort_unstable();
        indices.dedup();
        let position = |slot: &u32| indices.partition_point(|index| index < slot);
        let positions = if indices.len() <= 1 << 8 {
            Positions::Narrow(slots.iter().map(|slot| position(slot) as u8).collect())
        } else if indices.len() <= 1 << 16 {
            Positions::Wide(slots.iter().map(|slot| position(slot) as u16).collect())
        } else {
            Positions::Widest(slots.iter().map(|slot| position(slot) as u32).collect())
        };
        Self(Arc::new(Packed { indices: indices.into(), positions }))
    }
}

impl From<Vec<u32>> for Slots {
    fn from(slots: Vec<u32>) -> Self {
        slots.as_slice().into()
    }
}

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn slots_come_out_as_they_went_in(slots in collection::vec(0u32..1000, 0..2000), other in collection::vec(0u32..3, 0..3)) {
            let packed = Slots::from(slots.as_slice());
            prop_assert_eq!(packed.iter().collect::<Vec<_>>(), slots.as_slice());
            prop_assert_eq!(packed.len(), slots.len());
            prop_assert_eq!(packed.is_empty(), slots.is_empty());
            prop_assert_eq!(&packed, &Slots::from(slots.clone()));
            prop_assert_eq!(packed == Slots::from(other.clone()), slots == other);
        }
    }

    #[test]
    fn more_endpoints_than_fit_a_byte_or_two_are_kept_too() {
        for count in [256, 257, 65_536, 65_537] {
            let slots: Vec<u32> = (0..count).rev().collect();
            assert!(Slots::from(slots.as_slice()).iter().eq(slots), "{count}");
        }
    }
}
