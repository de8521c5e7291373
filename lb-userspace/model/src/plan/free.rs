//! Numbers that are given away, the lowest free one first.

use std::collections::BTreeSet;

/// Which of the numbers from 1 up to an end are free.
#[derive(Debug)]
pub(super) struct Free {
    /// Those below `next`.
    released: BTreeSet<u32>,
    next: u32,
    end: u32,
}

impl Free {
    /// All but the `used` ones, which come in order.
    pub(super) fn new(used: impl IntoIterator<Item = u32>, end: u32) -> Self {
        let mut free = Self { released: BTreeSet::new(), next: 1, end };
        for number in used {
            free.released.extend(free.next..number);
            free.next = free.next.max(number.saturating_add(1));
        }
        free
    }

    /// Takes the lowest.
    pub(super) fn take(&mut self) -> Option<u32> {
        self.released.pop_first().or_else(|| {
            let number = self.next;
            (number < self.end).then(|| {
                self.next += 1;
                number
            })
        })
    }

    /// Frees a number that is not.
    pub(super) fn release(&mut self, number: u32) {
        self.released.insert(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_number_is_given_away_first() {
        let mut free = Free::new([2, 3, 5], 8);
        let taken: Vec<_> = std::iter::from_fn(|| free.take()).collect();
        assert_eq!(taken, [1, 4, 6, 7]);
        free.release(6);
        free.release(3);
        assert_eq!([free.take(), free.take(), free.take()], [Some(3), Some(6), None]);
    }
}
