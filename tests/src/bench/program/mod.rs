//! Nanoseconds a packet by `test_run`, one call a packet, in a namespace with real routes.
//!
//! Each call is a system call, so the floor (an empty XDP program under the same method) is about 60 ns: quote the net
//! figure with the floor beside it. No driver and no DMA take part.

mod features;
mod nat;
mod network;
mod packets;

use anyhow::{Result, ensure};
use aya::{TestRun, TestRunOptions, programs::Xdp};
use lb_common::abi::program;

use self::{
    network::{IPV4, IPV6},
    packets::syn,
};
use super::report::{Row, Spread};
use crate::{
    lab::Lab,
    prog::{Sizes, run, xdp_context},
};

const ROUNDS: usize = 5;
/// Packets of each case in each round.
const PACKETS: usize = 20_000;

/// Cases that share tables; each group has tables of its own, so that one does not evict another's flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Translation of IPv4.
    Ipv4,
    /// Translation of IPv6.
    Ipv6,
    /// Direct server return and session affinity.
    Features,
}

impl Group {
    /// Every group.
    pub const ALL: [Self; 3] = [Self::Ipv4, Self::Ipv6, Self::Features];
}

/// Measures every case of a group with `services` frontends in the maps and `flows` flows in use.
///
/// # Errors
/// Where the kernel refuses, or a packet did not go the way that the case says.
pub fn measure(group: Group, services: u32, flows: u32) -> Result<Vec<Row>> {
    let sizes =
        Sizes { flows: 1 << 20, restore: 1 << 19, services: 65_536, backends: 65_536, chunks: 1 << 19 };
    let mut lab = Lab::new(sizes)?;
    let cases = match group {
        Group::Ipv4 => nat::cases(&mut lab, &IPV4, services, flows)?,
        Group::Ipv6 => nat::cases(&mut lab, &IPV6, services, flows)?,
        Group::Features => features::cases(&mut lab, services, flows)?,
    };
    let mut floors = Vec::new();
    let mut figures = vec![Vec::new(); cases.len()];
    let mut next = flows;
    for _ in 0..ROUNDS {
        let floor = syn(IPV4.client(0), IPV4.client(1));
        floors.push(nanos(lab.programs.xdp(program::PASS), &vec![floor; PACKETS], None, None)?);
        for (case, figures) in cases.iter().zip(&mut figures) {
            let program = lab.programs.xdp(program::XDP);
            let packets = match &case.packets {
                Packets::Cycle(packets) => {
                    // Flows that were not used for a while would be looked after; that is not what is measured.
                    packets.iter().try_for_each(|packet| run(program, packet, case.ingress).map(drop))?;
                    packets.iter().cycle().take(PACKETS).cloned().collect()
                }
                Packets::New(packet) => {
                    let numbers = next..next + PACKETS as u32;
                    next = numbers.end;
                    numbers.map(packet).collect::<Vec<_>>()
                }
            };
            figures.push(nanos(program, &packets, case.ingress, Some(case.verdict))?);
        }
    }
    let floor = Spread::of(floors).median;
    let row = |(case, rounds): (Case, Vec<f64>)| {
        let nanos = Spread::of(rounds);
        Row { case: case.name, services, flows, nanos, floor, net: nanos.median - floor }
    };
    Ok(cases.into_iter().zip(figures).map(row).collect())
}

struct Case {
    name: String,
    verdict: u32,
    /// The device that packets came in by; none is the loopback, which the programs know nothing of.
    ingress: Option<u32>,
    packets: Packets,
}

enum Packets {
    /// The same packets over and over.
    Cycle(Vec<Vec<u8>>),
    /// The first packet of a new flow each time, made from the number of the flow.
    New(Box<dyn Fn(u32) -> Vec<u8>>),
}

const PASS: u32 = 2;
const REDIRECT: u32 = 4;

/// The mean of the middle half of one call a packet: a mean is finer than the steps of the kernel's clock (10 ns where
/// it is a paravirtual one), and the quarters left out are what interrupts and neighbours add. At most one packet in a
/// hundred may go another way than `verdict`.
fn nanos(program: &Xdp, packets: &[Vec<u8>], ingress: Option<u32>, verdict: Option<u32>) -> Result<f64> {
    let mut nanos = Vec::with_capacity(packets.len());
    let mut astray = 0;
    for packet in packets {
        let context = ingress.map(|ifindex| xdp_context(packet.len(), ifindex));
        let options = TestRunOptions {
            data_in: Some(packet),
            ctx_in: context.as_ref().map(<[u8; 24]>::as_slice),
            ..TestRunOptions::default()
        };
        let result = program.test_run(options)?;
        nanos.push(result.duration.as_nanos() as u64);
        astray += usize::from(verdict.is_some_and(|verdict| verdict != result.return_value));
    }
    ensure!(astray * 100 <= nanos.len(), "{astray} of {} packets did not end as {verdict:?}", nanos.len());
    nanos.sort_unstable();
    let middle = &nanos[nanos.len() / 4..nanos.len() * 3 / 4];
    Ok(middle.iter().sum::<u64>() as f64 / middle.len() as f64)
}
