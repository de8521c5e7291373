//! Maglev rings (Eisenbud et al., NSDI'16, §3.4).

use crate::address::Address;

/// Identity of an endpoint for the ring: what every node knows of it, so that every node builds the same ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// Address.
    pub address: Address,
    /// Port, network byte order.
    pub port_be: u16,
}

const fn scramble(value: u64) -> u64 {
    let value = (value ^ (value >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let value = (value ^ (value >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    value ^ (value >> 33)
}

impl Member {
    /// First slot and stride of the member's permutation of a ring of `size` slots.
    const fn permutation(self, size: u32) -> (u32, u32) {
        let [a, b, c, d] = self.address.words_be;
        let identity = ((d as u64) << 16) | self.port_be as u64;
        let mut hash = scramble(identity ^ 0x736c_7569_6365_2121);
        if !self.address.is_v4() {
            hash = scramble(scramble(hash ^ (((a as u64) << 32) | b as u64)) ^ c as u64);
        }
        ((hash >> 32) as u32 % size, (hash as u32) % (size - 1) + 1)
    }
}

/// Fills `ring` (whose length is a prime of [`ring::SIZES`](crate::ring::SIZES)) with positions in `members`.
///
/// The result depends only on the members and their order, and callers sort them. `scratch` holds one word a member.
/// Nothing is written where there are no members.
pub fn fill(members: &[Member], scratch: &mut [(u32, u32)], ring: &mut [u32]) {
    const EMPTY: u32 = u32::MAX;
    let size = ring.len() as u32;
    if members.is_empty() || size < 2 {
        return;
    }
    for (member, state) in members.iter().zip(scratch.iter_mut()) {
        *state = member.permutation(size);
    }
    ring.fill(EMPTY);
    let mut filled = 0;
    loop {
        for (position, (next, stride)) in scratch.iter_mut().enumerate().take(members.len()) {
            while ring[*next as usize] != EMPTY {
                *next = (*next + *stride) % size;
            }
            ring[*next as usize] = position as u32;
            filled += 1;
            if filled == size {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ring::size_for;

    fn members(count: usize) -> Vec<Member> {
        (0..count)
            .map(|n| Member {
                address: Address::v4((0x0a00_0000 + n as u32).to_be()),
                port_be: 8080u16.to_be(),
            })
            .collect()
    }

    fn ring(members: &[Member]) -> Vec<u32> {
        ring_of(members, size_for(members.len()))
    }

    fn ring_of(members: &[Member], size: u32) -> Vec<u32> {
        let mut ring = vec![0; size as usize];
        fill(members, &mut vec![(0, 0); members.len()], &mut ring);
        ring
    }

    #[test]
    fn one_member_takes_every_slot() {
        assert!(ring(&members(1)).iter().all(|slot| *slot == 0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn shares_differ_by_at_most_one_slot_a_round(count in 1usize..120) {
            let ring = ring(&members(count));
            let mut shares = vec![0u32; count];
            ring.iter().for_each(|slot| shares[*slot as usize] += 1);
            let (min, max) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
            prop_assert!(max - min <= 1, "{min}..{max}");
        }

        #[test]
        fn removing_a_member_moves_few_slots_of_the_others(count in 5usize..40, gone in 0usize..5) {
            let all = members(count);
            let size = size_for(count);
            let before = ring_of(&all, size);
            let mut fewer = all.clone();
            fewer.remove(gone);
            let after = ring_of(&fewer, size);
            let moved = before
                .iter()
                .zip(&after)
                .filter(|(old, new)| all[**old as usize] != all[gone] && all[**old as usize] != fewer[**new as usize])
                .count();
            // NSDI'16 figure 12: a few per cent of the slots at 100 slots a member.
            prop_assert!(moved * 100 < size as usize * 12, "{moved} of {size}");
        }
    }
}
