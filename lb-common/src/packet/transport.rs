//! TCP, UDP and SCTP headers, as far as they decide.

use super::{SCTP_LEN, TCP_LEN, UDP_LEN};
use crate::{
    pipeline::Hook,
    tcp::{SCTP, TCP, UDP, flag},
};

/// SCTP chunk types (RFC 9260 §3.2).
mod chunk {
    pub(super) const INIT: u8 = 1;
    pub(super) const INIT_ACK: u8 = 2;
    pub(super) const ABORT: u8 = 6;
    pub(super) const SHUTDOWN: u8 = 7;
    pub(super) const SHUTDOWN_ACK: u8 = 8;
    pub(super) const SHUTDOWN_COMPLETE: u8 = 14;
}

/// What a transport header says.
pub(super) struct Transport {
    /// Header length, bytes.
    pub(super) len: usize,
    pub(super) tcp_flags: u8,
    pub(super) src_port_be: u16,
    pub(super) dst_port_be: u16,
}

/// Reads the header at `l4`; None where it is not sound or of another protocol.
#[inline(always)]
pub(super) fn parse<H: Hook>(hook: &H, l4: usize, protocol: u8) -> Option<Transport> {
    match protocol {
        TCP => {
            let tcp = hook.bytes(l4, TCP_LEN)?;
            let len = usize::from(tcp.u8(12) >> 4) * 4;
            if len < TCP_LEN {
                return None;
            }
            Some(Transport { len, tcp_flags: tcp.u8(13), src_port_be: tcp.u16(0), dst_port_be: tcp.u16(2) })
        }
        UDP => {
            let udp = hook.bytes(l4, UDP_LEN)?;
            Some(Transport { len: UDP_LEN, tcp_flags: 0, src_port_be: udp.u16(0), dst_port_be: udp.u16(2) })
        }
        SCTP => {
            let sctp = hook.bytes(l4, SCTP_LEN + 4)?;
            let tcp_flags = flags_of_chunk(sctp.u8(SCTP_LEN));
            Some(Transport {
                len: SCTP_LEN + 4,
                tcp_flags,
                src_port_be: sctp.u16(0),
                dst_port_be: sctp.u16(2),
            })
        }
        _ => None,
    }
}

/// The TCP flags that a packet's first chunk amounts to. Chunks that open, reset or close an association come first in
/// their packet, most of them alone (RFC 9260 §6.10).
#[inline(always)]
const fn flags_of_chunk(kind: u8) -> u8 {
    match kind {
        chunk::INIT => flag::SYN,
        chunk::INIT_ACK => flag::SYN | flag::ACK,
        chunk::ABORT => flag::RST,
        chunk::SHUTDOWN | chunk::SHUTDOWN_ACK | chunk::SHUTDOWN_COMPLETE => flag::FIN | flag::ACK,
        _ => flag::ACK,
    }
}
