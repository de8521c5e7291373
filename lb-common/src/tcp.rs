//! What a flow remembers of a connection, and how long an idle one is kept.

use crate::time::{Tick, seconds};

/// TCP header flags, byte 13 of the header (RFC 9293 §3.1).
pub mod flag {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// The acknowledgment number counts.
    pub const ACK: u8 = 0x10;
}

/// IP protocol number of TCP.
pub const TCP: u8 = 6;
/// IP protocol number of SCTP.
pub const SCTP: u8 = 132;
/// IP protocol number of UDP.
pub const UDP: u8 = 17;

/// State of a flow, as bits that only ever gain: both halves see every change, in any order, from any CPU.
///
/// 0 is a flow that only the client has spoken on.
pub type State = u8;

/// The endpoint has answered.
pub const REPLIED: State = 1 << 0;
/// The client sent FIN.
pub const CLIENT_FIN: State = 1 << 1;
/// The endpoint sent FIN.
pub const ENDPOINT_FIN: State = 1 << 2;
/// Either side sent RST.
pub const RESET: State = 1 << 3;
/// The client went on after the endpoint's answer, so it got it: the address is its own. What a flood from forged
/// addresses never comes to, as nf_conntrack's `IPS_ASSURED`.
pub const CONFIRMED: State = 1 << 4;

/// How long idle flows live, in ticks.
pub mod timeout {
    use super::*;

    /// TCP, confirmed: RFC 5382 REQ-5 asks for at least 2 h 4 min.
    pub const ESTABLISHED: Tick = seconds(2 * 3600 + 4 * 60);
    /// TCP, not confirmed: RFC 5382 REQ-5's transitory time would be 4 min; nf_conntrack's SYN_SENT is 2 min.
    pub const OPENING: Tick = seconds(120);
    /// Not confirmed, where source ports are scarce: two resent SYNs (RFC 6298 §5, after one and three seconds), and
    /// twice [`REFRESH`](crate::flow::REFRESH), for datagrams that are never answered and still belong together.
    pub const SCARCE: Tick = seconds(8);
    /// TCP, one side has closed: the other may go on sending (nf_conntrack's CLOSE_WAIT is 60 s, too short for some:
    /// kube-proxy raises it to 1 h by `--conntrack-tcp-timeout-close-wait`).
    pub const HALF_CLOSED: Tick = seconds(3600);
    /// TCP, both sides have closed: 2 MSL as Linux keeps TIME_WAIT.
    pub const CLOSED: Tick = seconds(60);
    /// TCP after a reset.
    pub const RESET: Tick = seconds(10);
    /// UDP, both sides have spoken: RFC 4787 REQ-5 asks for at least 2 min.
    pub const UDP_REPLIED: Tick = seconds(180);
    /// UDP, only the client has spoken.
    pub const UDP_OPENING: Tick = seconds(60);
}

/// The bits that a packet adds to a flow in `state`, among others that it has. `flags` are the TCP flags, 0 for UDP.
#[inline(always)]
pub const fn gained(flags: u8, from_client: bool, state: State) -> State {
    let mut gained = if !from_client {
        REPLIED
    } else if state & REPLIED != 0 && flags & (flag::SYN | flag::RST) == 0 {
        // A reset does not confirm: hosts whose addresses were forged send one.
        CONFIRMED
    } else {
        0
    };
    if flags & flag::RST != 0 {
        gained |= RESET;
    }
    if flags & flag::FIN != 0 {
        gained |= if from_client { CLIENT_FIN } else { ENDPOINT_FIN };
    }
    gained
}

/// True where both sides have closed or one has reset: the client may use its port for a new connection.
#[inline(always)]
pub const fn is_closed(state: State) -> bool {
    state & RESET != 0 || state & (CLIENT_FIN | ENDPOINT_FIN) == (CLIENT_FIN | ENDPOINT_FIN)
}

/// 1 where [`is_closed`], else 0, without a branch.
#[inline(always)]
pub const fn closed_bit(state: State) -> State {
    const { assert!(CLIENT_FIN == 1 << 1 && ENDPOINT_FIN == 1 << 2 && RESET == 1 << 3) };
    (state >> 3 | state >> 2 & state >> 1) & 1
}

/// Idle time after which a flow in `state` is over.
#[inline(always)]
pub const fn idle_timeout(protocol: u8, state: State) -> Tick {
    if protocol == UDP {
        return if state & REPLIED != 0 { timeout::UDP_REPLIED } else { timeout::UDP_OPENING };
    }
    if state & RESET != 0 {
        timeout::RESET
    } else if is_closed(state) {
        timeout::CLOSED
    } else if state & CONFIRMED == 0 {
        timeout::OPENING
    } else if state & (CLIENT_FIN | ENDPOINT_FIN) != 0 {
        timeout::HALF_CLOSED
    } else {
        timeout::ESTABLISHED
    }
}

/// The state in one word, as the command line shows it.
pub const fn state_name(protocol: u8, state: State) -> &'static str {
    if protocol == UDP {
        return if state & REPLIED != 0 { "Replied" } else { "Unreplied" };
    }
    if state & RESET != 0 {
        "Reset"
    } else if is_closed(state) {
        "Closed"
    } else if state & (CLIENT_FIN | ENDPOINT_FIN) != 0 {
        "Closing"
    } else if state & CONFIRMED != 0 {
        "Established"
    } else {
        "Opening"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_opens_is_answered_and_closes_from_both_sides() {
        let mut state = gained(flag::SYN, true, 0);
        assert_eq!(state_name(TCP, state), "Opening");
        state |= gained(flag::SYN | flag::ACK, false, state);
        assert_eq!((state, state_name(TCP, state)), (REPLIED, "Opening"));
        state |= gained(flag::ACK, true, state);
        assert_eq!((state, state_name(TCP, state)), (REPLIED | CONFIRMED, "Established"));
        state |= gained(flag::FIN | flag::ACK, true, state);
        assert!(!is_closed(state));
        assert_eq!(idle_timeout(TCP, state), timeout::HALF_CLOSED);
        state |= gained(flag::FIN | flag::ACK, false, state);
        assert!(is_closed(state));
        assert_eq!(idle_timeout(TCP, state), timeout::CLOSED);
    }

    #[test]
    fn a_reset_from_either_side_ends_a_connection() {
        assert!(is_closed(gained(flag::RST, true, 0)));
        assert!(is_closed(gained(flag::RST | flag::ACK, false, 0)));
    }

    #[test]
    fn forged_clients_confirm_nothing_and_their_flows_end_soon() {
        let resent = gained(flag::SYN, true, REPLIED);
        let reset = gained(flag::RST, true, REPLIED);
        assert_eq!((resent, reset), (0, RESET));
        assert_eq!(gained(flag::ACK, true, 0), 0, "nothing was answered that could be confirmed");
        assert_eq!(idle_timeout(TCP, REPLIED), timeout::OPENING);
        assert_eq!(idle_timeout(TCP, REPLIED | CLIENT_FIN), timeout::OPENING);
    }

    #[test]
    fn udp_lives_longer_once_answered() {
        assert!(idle_timeout(UDP, gained(0, false, 0)) > idle_timeout(UDP, gained(0, true, 0)));
    }
}
