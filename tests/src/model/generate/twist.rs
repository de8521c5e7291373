//! What goes wrong with a packet on its way.

use super::Generator;
use crate::model::frame::ethernet;

/// Longest frame that `test_run` keeps in one piece: a page without room for headers before and `skb_shared_info` behind.
const MOST: usize = 3400;

impl Generator {
    /// The packet's frame: mostly sound, sometimes tagged, padded, cut or damaged.
    pub(super) fn twisted(&mut self, mut packet: Vec<u8>) -> Vec<u8> {
        packet.truncate(MOST);
        let random = &mut self.random;
        match random.u8(0..60) {
            // A wrong total length or checksum.
            0 if packet.len() > 12 => {
                let at = if random.bool() { 2 } else { 4 };
                packet[at..at + 2].copy_from_slice(&random.u16(0..200).to_be_bytes());
            }
            1 | 2 if !packet.is_empty() => {
                let at = random.usize(..packet.len().min(100));
                packet[at] ^= 1 << random.u8(0..8);
            }
            3 if !packet.is_empty() => {
                let at = random.usize(..packet.len());
                packet[at] = random.u8(..);
            }
            4 => packet.truncate(random.usize(..=packet.len())),
            // Ethernet's shortest frame is longer than many a packet.
            5 | 6 => packet.resize(packet.len().max(46), 0),
            _ => {}
        }
        let to = match random.u8(0..50) {
            0 => [2, 0, 0, 0, 0, 9],
            1 => [0xff; 6],
            2 => [1, 0, 0x5e, 0, 0, 1],
            _ => [0; 6],
        };
        let (single, double) = ([(0x8100, 5)], [(0x88a8, 6), (0x8100, 5)]);
        let triple = [double[0], double[1], (0x8100, 3)];
        let tags: &[(u16, u16)] = match random.u8(0..40) {
            0 | 1 => &single,
            2 | 3 => &double,
            4 => &triple,
            _ => &[],
        };
        let mut frame = ethernet(to, tags, &packet);
        if random.u8(0..100) == 0 {
            frame.truncate(random.usize(14..=frame.len()));
        }
        frame
    }
}
