//! The flow hash: the same on every node, so that every node's ring gives the same answer.

use crate::{address::IpAddress, flow::FlowKey};

/// Rounds of the SplitMix64 finaliser (Steele, Lea, Flood, OOPSLA'14) over the tuple: two for the 13 bytes of IPv4, five
/// for the 37 of IPv6.
///
/// The upper 32 bits pick the ring's slot, the lower 32 the first SNAT port.
#[inline(always)]
pub fn flow<A: IpAddress>(key: &FlowKey<A>) -> u64 {
    let (src, dst) = (key.src_be.words(), key.dst_be.words());
    let rest =
        (u64::from(key.src_port_be) << 32) | (u64::from(key.dst_port_be) << 16) | u64::from(key.protocol);
    if !A::IS_V6 {
        return mix(mix(pair(src[3], dst[3]) ^ SEED) ^ rest);
    }
    let hash = mix(pair(src[0], src[1]) ^ SEED);
    let hash = mix(hash ^ pair(src[2], src[3]));
    let hash = mix(hash ^ pair(dst[0], dst[1]));
    mix(mix(hash ^ pair(dst[2], dst[3])) ^ rest)
}

/// Without the source port, for a Service whose clients keep their endpoint: all flows of a client meet the same slot on
/// every node.
#[inline(always)]
pub fn client<A: IpAddress>(key: &FlowKey<A>) -> u64 {
    flow(&FlowKey { src_port_be: 0, ..*key })
}

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

#[inline(always)]
const fn pair(high: u32, low: u32) -> u64 {
    (high as u64) << 32 | low as u64
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
