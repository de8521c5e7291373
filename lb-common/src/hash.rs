//! The flow hash: the same on every node, so that every node's ring gives the same answer.

use crate::flow::FlowKey;

/// Two rounds of the SplitMix64 finaliser (Steele, Lea, Flood, OOPSLA'14) over the 13 bytes of the tuple.
///
/// The upper 32 bits pick the ring's slot, the lower 32 the first SNAT port.
#[inline(always)]
pub const fn flow(key: &FlowKey) -> u64 {
    let addresses = ((key.src_be as u64) << 32) | key.dst_be as u64;
    let rest = ((key.src_port_be as u64) << 32) | ((key.dst_port_be as u64) << 16) | key.protocol as u64;
    mix(mix(addresses ^ 0x9e37_79b9_7f4a_7c15) ^ rest)
}

#[inline(always)]
const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(port: u16) -> FlowKey {
        FlowKey::new(0x0100_000a, 0x0a71_00cb, port.to_be(), 80u16.to_be(), 6)
    }

    #[test]
    fn the_hash_is_fixed_because_nodes_of_two_releases_must_agree() {
        // Computed apart from this code.
        assert_eq!(flow(&key(40_000)), 16_920_670_356_507_961_002);
    }

    #[test]
    fn neighbouring_ports_spread_over_a_ring() {
        let mut hits = [0u32; 16];
        for port in 0..16_000 {
            hits[(((flow(&key(port)) >> 32) * 16) >> 32) as usize] += 1;
        }
        assert!(hits.iter().all(|n| (800..1200).contains(n)), "{hits:?}");
    }
}
