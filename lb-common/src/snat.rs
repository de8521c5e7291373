//! Which source ports a flow may take.

/// Default lowest SNAT port: RFC 6335's dynamic range, above the default NodePort range and, once reserved through
/// `ip_local_reserved_ports`, apart from the node's own ephemeral ports.
pub const PORT_MIN: u16 = 49_152;
/// Default highest SNAT port, inclusive.
pub const PORT_MAX: u16 = 65_535;
/// Ports tried for a flow before it is refused.
pub const PROBES: u32 = 32;

/// The `attempt`-th port for a flow, in host byte order, from `min` to `max` inclusive.
///
/// A function of the flow's hash alone, so that a lost half can be found again by probing the same sequence. The
/// stride depends on the hash too: flows that share their first port part ways at the second.
#[inline(always)]
pub const fn candidate(hash: u64, attempt: u32, min: u16, max: u16) -> u16 {
    let range = max as u32 - min as u32 + 1;
    let stride = ((hash >> 16) as u32 & 0xffff) | 0x101;
    let position = (hash as u32).wrapping_add(attempt * stride);
    min + (((position as u64 & 0xffff) * range as u64) >> 16) as u16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_candidate_lies_in_the_range(hash: u64, attempt in 0..PROBES, min: u16, span in 0u16..16_384) {
            let max = min.saturating_add(span);
            let port = candidate(hash, attempt, min, max);
            prop_assert!((min..=max).contains(&port));
        }
    }

    #[test]
    fn first_candidates_cover_the_whole_range() {
        let mut seen = std::collections::BTreeSet::new();
        (0..=u64::from(u16::MAX)).for_each(|hash| {
            seen.insert(candidate(hash, 0, PORT_MIN, PORT_MAX));
        });
        assert_eq!(seen.len(), usize::from(PORT_MAX - PORT_MIN) + 1);
    }

    #[test]
    fn attempts_seldom_repeat_a_port() {
        let total: usize = (0..100u64)
            .map(|n| {
                let hash = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let ports: std::collections::BTreeSet<_> =
                    (0..PROBES).map(|attempt| candidate(hash, attempt, PORT_MIN, PORT_MAX)).collect();
                ports.len()
            })
            .sum();
        assert!(total > 100 * PROBES as usize * 8 / 10, "{total}");
    }
}
