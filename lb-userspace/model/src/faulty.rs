//! A data plane that fails on purpose.

use crate::op::{Capacity, DataPlane, Op, Tables};

/// Decides which writes fail.
#[derive(Clone, Debug)]
pub enum Faults {
    /// None from here on.
    None,
    /// The `n`-th write from now (0 is the next), once.
    Nth(usize),
    /// About `percent` of a hundred writes, by a generator that starts from `seed`.
    Random {
        /// State of the generator.
        seed: u64,
        /// How many of a hundred.
        percent: u8,
    },
}

/// An error of a [`Faulty`] data plane.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultyError<E> {
    /// A failure on purpose.
    #[error("{0:?} failed on purpose")]
    OnPurpose(Op),
    /// A failure of the data plane behind.
    #[error(transparent)]
    Inner(#[from] E),
}

/// A data plane before another one, some of whose writes fail and change nothing.
#[derive(Clone, Debug)]
pub struct Faulty<D> {
    inner: D,
    /// What fails from now on.
    pub faults: Faults,
}

impl<D> Faulty<D> {
    /// A data plane in which `faults` occur.
    pub fn new(inner: D, faults: Faults) -> Self {
        Self { inner, faults }
    }

    fn strikes(&mut self) -> bool {
        match &mut self.faults {
            Faults::None => false,
            Faults::Nth(0) => {
                self.faults = Faults::None;
                true
            }
            Faults::Nth(left) => {
                *left -= 1;
                false
            }
            Faults::Random { seed, percent } => {
                // SplitMix64 (Steele, Lea, Flood, OOPSLA'14).
                *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                (mixed ^ (mixed >> 31)) % 100 < u64::from(*percent)
            }
        }
    }
}

impl<D: DataPlane> DataPlane for Faulty<D> {
    type Error = FaultyError<D::Error>;

    fn dump(&mut self) -> Result<Tables, Self::Error> {
        Ok(self.inner.dump()?)
    }

    fn apply(&mut self, op: &Op) -> Result<(), Self::Error> {
        if self.strikes() { Err(FaultyError::OnPurpose(op.clone())) } else { Ok(self.inner.apply(op)?) }
    }

    fn capacity(&self) -> Capacity {
        self.inner.capacity()
    }
}
