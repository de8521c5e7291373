//! Nanoseconds a packet by `test_run`, one call a packet, in a namespace with real routes.
//!
//! Each call is a system call, so the floor (an empty XDP program under the same method) is about 100 ns: quote the net
//! figure with the floor beside it. No driver and no DMA take part.

use std::net::Ipv4Addr;

use anyhow::{Result, ensure};
use aya::{TestRun, TestRunOptions};
use lb_common::{abi::program, flow::FlowKey, service::SERVICE_EXTERNAL_IP, tcp::TCP};

use super::report::{Row, Spread};
use crate::{
    lab::{LOCAL_POD, Lab, NODE, REMOTE_POD, VIP, be, endpoint, frontend},
    packet::{ACK, SYN, Spec, tcp, udp},
    prog::{Programs, Sizes},
};

const PORT: u16 = 80;
const LOCAL_PORT: u16 = 81;
const POD_PORT: u16 = 8080;
const ROUNDS: usize = 5;
/// Remote endpoints: enough that their SNAT ports (16,384 towards each) are never the limit.
const ENDPOINTS: u32 = 64;
/// Packets of each case in each round.
const PACKETS: usize = 20_000;

/// Measures every case with `services` frontends in the maps and `flows` flows in use.
///
/// # Errors
/// Where the kernel refuses, or a packet did not go the way that the case says.
pub fn measure(services: u32, flows: u32) -> Result<Vec<Row>> {
    let sizes =
        Sizes { flows: 1 << 20, restore: 1 << 19, services: 65_536, backends: 65_536, chunks: 1 << 19 };
    let mut lab = Lab::new(sizes)?;
    fill(&mut lab.programs, services)?;
    let cases = cases(&mut lab, flows)?;
    let floor_packet = udp(client(0), (VIP, PORT)).build();
    let mut floors = Vec::new();
    let mut figures = vec![Vec::new(); cases.len()];
    let mut fresh = 0;
    for _ in 0..ROUNDS {
        let floor = std::iter::repeat_n(&floor_packet, PACKETS);
        floors.push(median_nanos(lab.programs.xdp(program::PASS), floor, None)?);
        for (case, figures) in cases.iter().zip(&mut figures) {
            let packets: Vec<Vec<u8>> = match &case.packets {
                Packets::Cycle(packets) => packets.iter().cycle().take(PACKETS).cloned().collect(),
                Packets::New => {
                    fresh += PACKETS as u32;
                    (fresh - PACKETS as u32..fresh)
                        .map(|n| tcp(client(flows + n), (VIP, PORT), SYN).build())
                        .collect()
                }
            };
            let program = lab.programs.xdp(program::XDP);
            if let Packets::Cycle(packets) = &case.packets {
                // Flows that were not used for a while would be looked after; that is not what is measured.
                packets.iter().try_for_each(|packet| run(program, packet).map(drop))?;
            }
            figures.push(median_nanos(program, packets.iter(), Some(case.verdict))?);
        }
    }
    let floor = Spread::of(floors).median;
    Ok(cases
        .into_iter()
        .zip(figures)
        .map(|(case, rounds)| {
            let nanos = Spread::of(rounds);
            Row { case: case.name.to_owned(), services, flows, nanos, floor, net: nanos.median - floor }
        })
        .collect())
}

struct Case {
    name: &'static str,
    verdict: u32,
    packets: Packets,
}

enum Packets {
    /// The same packets over and over.
    Cycle(Vec<Vec<u8>>),
    /// The first packet of a new flow each time.
    New,
}

const PASS: u32 = 2;
const REDIRECT: u32 = 4;

fn client(number: u32) -> (Ipv4Addr, u16) {
    let address = u32::from(Ipv4Addr::new(198, 18, 0, 0)) + number / 60_000;
    (Ipv4Addr::from(address), 1024 + (number % 60_000) as u16)
}

fn fill(programs: &mut Programs, services: u32) -> Result<()> {
    let remote: Vec<u32> = (1..=ENDPOINTS).collect();
    for number in &remote {
        let pod = Ipv4Addr::from(u32::from(REMOTE_POD) + number);
        programs.set_backend(*number, endpoint(pod, POD_PORT, TCP))?;
    }
    programs.set_backend(ENDPOINTS + 1, endpoint(LOCAL_POD, POD_PORT, TCP))?;
    programs.set_service(frontend(VIP, PORT, TCP), 1, SERVICE_EXTERNAL_IP, &remote)?;
    programs.set_service(frontend(VIP, LOCAL_PORT, TCP), 2, SERVICE_EXTERNAL_IP, &[ENDPOINTS + 1])?;
    for number in 3..=services {
        let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(203, 0, 120, 0)) + number);
        programs.set_service(frontend(address, PORT, TCP), number, SERVICE_EXTERNAL_IP, &[1])?;
    }
    Ok(())
}

/// Opens the flows and lists the cases.
fn cases(lab: &mut Lab, flows: u32) -> Result<Vec<Case>> {
    let numbers = || 0..flows;
    let build = |spec: Spec| spec.build();
    let forward: Vec<_> = numbers().map(|n| build(tcp(client(n), (VIP, PORT), ACK))).collect();
    let local: Vec<_> = numbers().map(|n| build(tcp(client(n), (VIP, LOCAL_PORT), ACK))).collect();
    let program = lab.programs.xdp(program::XDP);
    for packet in forward.iter().chain(&local) {
        run(program, packet)?;
    }
    let mut replies = Vec::with_capacity(flows as usize);
    for number in numbers() {
        let (address, port) = client(number);
        let key = FlowKey::new(be(address), be(VIP), port.to_be(), PORT.to_be(), TCP);
        if let Some(flow) = lab.programs.flow(&key)? {
            let source = (NODE, u16::from_be(flow.src_port_be));
            let pod = Ipv4Addr::from(u32::from_be(flow.dst_be));
            replies.push(build(tcp((pod, POD_PORT), source, ACK)));
        }
    }
    ensure!(replies.len() * 100 >= flows as usize * 98, "only {} of {flows} flows stayed", replies.len());
    let program = lab.programs.xdp(program::XDP);
    for packet in &replies {
        run(program, packet)?;
    }
    let strangers = numbers().map(|n| build(udp(client(n), (NODE, 8472)))).take(1000).collect();
    Ok(vec![
        Case { name: "not a service", verdict: PASS, packets: Packets::Cycle(strangers) },
        Case { name: "established, local endpoint (DNAT)", verdict: PASS, packets: Packets::Cycle(local) },
        Case {
            name: "established, remote endpoint (DNAT+SNAT)",
            verdict: REDIRECT,
            packets: Packets::Cycle(forward),
        },
        Case { name: "reply of a remote endpoint", verdict: REDIRECT, packets: Packets::Cycle(replies) },
        Case { name: "new flow, remote endpoint", verdict: REDIRECT, packets: Packets::New },
    ])
}

fn run<P>(program: &P, packet: &[u8]) -> Result<(u32, u64)>
where
    P: for<'a> TestRun<Opts<'a> = TestRunOptions<'a>, Result = aya::TestRunResult>,
{
    let result = program.test_run(TestRunOptions { data_in: Some(packet), ..TestRunOptions::default() })?;
    Ok((result.return_value, result.duration.as_nanos() as u64))
}

/// Median of one call a packet. At most one packet in a hundred may go another way than `verdict`.
fn median_nanos<'a, P>(
    program: &P,
    packets: impl Iterator<Item = &'a Vec<u8>>,
    verdict: Option<u32>,
) -> Result<f64>
where
    P: for<'b> TestRun<Opts<'b> = TestRunOptions<'b>, Result = aya::TestRunResult>,
{
    let mut nanos = Vec::with_capacity(PACKETS);
    let mut astray = 0;
    for packet in packets {
        let (returned, took) = run(program, packet)?;
        nanos.push(took);
        astray += usize::from(verdict.is_some_and(|verdict| verdict != returned));
    }
    ensure!(astray * 100 <= nanos.len(), "{astray} of {} packets did not end as {verdict:?}", nanos.len());
    nanos.sort_unstable();
    Ok(nanos[nanos.len() / 2] as f64)
}
