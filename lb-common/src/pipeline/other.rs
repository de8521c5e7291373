//! Packets without ports: echo requests, ICMP errors, and what a VIP does not speak.

use super::{Hook, Stage, Verdict, answer, drop, error, is_for_another, is_vip};
use crate::{
    address::IpAddress as _,
    checksum,
    drop_reason::DropReason,
    limit,
    packet::{Form, IPV4_LEN, Packet, icmp4, icmp6},
    stat::Stat,
    tcp::{SCTP, TCP, UDP},
    trace::Step,
};

/// Handles a packet without ports, for which [`run`](super::run) said [`Action::Other`](super::Action::Other).
#[inline(always)]
pub fn other<H: Hook>(hook: &mut H) -> Verdict {
    let Some(mut packet) = Packet::parse(hook) else {
        return Verdict::PASS;
    };
    packet.blur(hook.zero());
    if packet.form == Form::ICMP_ERROR {
        return error::translate(hook, &packet);
    }
    if H::STAGE == Stage::TcxEgress
        || packet.is_martian()
        || !is_vip(hook, packet.key.dst_be)
        || is_for_another(hook)
    {
        hook.step(Step::NotOurs, 0, 0, 0);
        return Verdict::PASS;
    }
    match packet.form {
        Form::ECHO => echo(hook, &packet),
        // Headers that are not sound are the stack's to judge.
        _ if matches!(packet.protocol, TCP | UDP | SCTP) => Verdict::PASS,
        _ => drop(hook, DropReason::UnknownProtocol),
    }
}

/// Turns an echo request into its reply (RFC 792, RFC 4443 §4.2), in place and as long as it came.
#[inline(always)]
fn echo<H: Hook>(hook: &mut H, packet: &Packet<H::Address>) -> Verdict {
    hook.step(Step::Echo, 0, 0, 0);
    if !hook.take_token(limit::ECHOES, limit::ANSWERS_PER_TICK, hook.now()) {
        hook.count(Stat::AnswerSuppressed);
        return Verdict::DROP;
    }
    let replied = reply(hook, packet).is_some() && swap_addresses(hook).is_some();
    if !replied || !answer::turn_around(hook) {
        return drop(hook, DropReason::Truncated);
    }
    hook.count(Stat::EchoAnswered);
    hook.step(
        Step::Answer,
        u32::from(if H::Address::IS_V6 { icmp6::ECHO_REPLY } else { icmp4::ECHO_REPLY }),
        0,
        0,
    );
    Verdict::ANSWER
}

/// Changes the type. Swapped addresses leave every checksum as it is.
#[inline(always)]
fn reply<H: Hook>(hook: &mut H, packet: &Packet<H::Address>) -> Option<()> {
    let kind = if H::Address::IS_V6 { icmp6::ECHO_REPLY } else { icmp4::ECHO_REPLY };
    let icmp = hook.bytes(packet.l4, 4)?;
    let (old, new) = (icmp.u16(0), u16::from_ne_bytes([kind, icmp.u8(1)]));
    // A reply of nothing but zeros has all ones as its checksum; elsewhere the two zeros are worth the same (RFC 1071).
    let sum = match checksum::apply(icmp.u16(2), u32::from(checksum::delta16(old, new))) {
        0 => 0xffff,
        sum => sum,
    };
    hook.store(packet.l4, &[new, sum]).then_some(())
}

#[inline(always)]
fn swap_addresses<H: Hook>(hook: &mut H) -> Option<()> {
    if H::Address::IS_V6 {
        let ip = hook.bytes(H::L3, 40)?;
        let mut words = [0u16; 17];
        words[0] = u16::from_ne_bytes([ip.u8(6), TTL]);
        let mut word = 0;
        while word < 8 {
            words[1 + word] = ip.u16(24 + word * 2);
            words[9 + word] = ip.u16(8 + word * 2);
            word += 1;
        }
        return hook.store(H::L3 + 6, &words).then_some(());
    }
    let ip = hook.bytes(H::L3, IPV4_LEN)?;
    let (old, new) = (ip.u16(8), u16::from_ne_bytes([TTL, ip.u8(9)]));
    let sum = checksum::apply(ip.u16(10), u32::from(checksum::delta16(old, new)));
    hook.store(H::L3 + 8, &[new, sum, ip.u16(16), ip.u16(18), ip.u16(12), ip.u16(14)]).then_some(())
}

/// TTL of the reply, as of every packet that we originate.
const TTL: u8 = 64;
