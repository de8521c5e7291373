//! Translation, byte by byte.

use std::vec::Vec;

use super::{Family, Host, Place};
use crate::{
    checksum,
    flow::Flow,
    packet::{ETHERNET_LEN, Form, Packet},
    tcp::{SCTP, TCP},
};

/// Reflected polynomial of CRC32c (RFC 9260 appendix A).
const CRC32C: u32 = 0x82f6_3b78;

impl<P: Place, A: Family> Host<'_, P, A> {
    /// Rewrites addresses, ports and checksums; `hop` takes one off the TTL.
    pub(super) fn rewrite_frame(&mut self, packet: &Packet<A>, flow: &Flow<A>, hop: bool) {
        let (ttl, addresses, len) = if A::IS_V6 { (7, 8, 16) } else { (8, 12, 4) };
        let pairs = [(addresses, flow.src_be), (addresses + len, flow.dst_be)];
        let mut change = 0;
        for (offset, address) in pairs {
            let words = address.words();
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
            change += self.overwrite(ETHERNET_LEN + offset, &bytes[16 - len..]);
        }
        let ttl_change = if hop { self.overwrite(ETHERNET_LEN + ttl, &[packet.ttl - 1]) } else { 0 };
        if !A::IS_V6 {
            self.add_to_sum(ETHERNET_LEN + 10, change + ttl_change, false);
        }
        if packet.form != Form::LATER_FRAGMENT {
            self.rewrite_transport(packet, flow, change);
        }
    }

    fn rewrite_transport(&mut self, packet: &Packet<A>, flow: &Flow<A>, mut change: u32) {
        let end = ETHERNET_LEN + packet.total_len as usize;
        let before = self.frame[packet.l4..end].to_vec();
        for (offset, port_be) in [(0, flow.src_port_be), (2, flow.dst_port_be)] {
            change += self.overwrite(packet.l4 + offset, &port_be.to_ne_bytes());
        }
        match packet.protocol {
            SCTP => {
                let change = crc32c(&before) ^ crc32c(&self.frame[packet.l4..end]);
                for (byte, change) in self.frame[packet.l4 + 8..].iter_mut().zip(change.to_le_bytes()) {
                    *byte ^= change;
                }
            }
            TCP => self.add_to_sum(packet.l4 + 16, change, false),
            _ => self.add_to_sum(packet.l4 + 6, change, true),
        }
    }

    /// Writes bytes, and says what that does to a checksum over them.
    fn overwrite(&mut self, at: usize, bytes: &[u8]) -> u32 {
        // A single byte changes the word around it.
        let words = at & !1..(at + bytes.len()).next_multiple_of(2);
        let old = self.frame[words.clone()].to_vec();
        self.frame[at..at + bytes.len()].copy_from_slice(bytes);
        let pairs = old.chunks_exact(2).zip(self.frame[words].chunks_exact(2));
        let word = |bytes: &[u8]| u16::from_ne_bytes([bytes[0], bytes[1]]);
        pairs.map(|(old, new)| u32::from(!word(old)) + u32::from(word(new))).sum()
    }

    fn add_to_sum(&mut self, at: usize, change: u32, udp: bool) {
        let old = u16::from_ne_bytes([self.frame[at], self.frame[at + 1]]);
        let change = u32::from(checksum::fold(change.into()));
        let new = if udp { checksum::apply_udp(old, change) } else { checksum::apply(old, change) };
        self.frame[at..at + 2].copy_from_slice(&new.to_ne_bytes());
    }
}

/// CRC32c of an SCTP packet whose checksum field counts as zero.
fn crc32c(packet: &[u8]) -> u32 {
    !packet.iter().enumerate().fold(!0u32, |crc, (at, byte)| {
        let byte = if (8..12).contains(&at) { 0 } else { *byte };
        let shift = |crc: u32| (crc >> 1) ^ if crc & 1 == 1 { CRC32C } else { 0 };
        (0..8).fold(crc ^ u32::from(byte), |crc, _| shift(crc))
    })
}
