//! What a monitor is told, when, and how much of it.

use aya::maps::{PerCpuArray, RingBuf};
use lb_common::{
    abi::map,
    drop_reason::DropReason,
    monitor::{CloseReason, Event, Kind, Monitor, Sampler},
};
use lb_tests::{
    lab::{CLIENT, Lab, VIP},
    packet::{ACK, FIN, RST, SYN, Spec, Tcp, tcp, udp},
};
use lb_userspace::dataplane::monitor::now;

use crate::setup::{FROM, REMOTE, TO_REMOTE, XDP_REDIRECT, lab, xdp};

const SECOND: u64 = 1_000_000_000;
/// Everything, and no rate to speak of.
fn everything() -> Monitor {
    Monitor { until: u64::MAX, interval: 0, burst: u64::MAX, kinds: u32::MAX, reasons: u32::MAX }
}

struct Listener {
    lab: Lab,
}

impl Listener {
    fn new(monitor: Monitor) -> Self {
        let mut lab = lab();
        lab.programs.array(map::MONITOR).unwrap().set(0, monitor, 0).unwrap();
        Self { lab }
    }

    fn send(&mut self, packet: &Spec) -> u32 {
        xdp(&self.lab, packet).verdict
    }

    fn told(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        let mut ring = RingBuf::try_from(self.lab.programs.ebpf.map_mut(map::EVENTS).unwrap()).unwrap();
        while let Some(item) = ring.next() {
            events.push(Event::read(&item).unwrap());
        }
        events
    }

    fn kinds(&mut self) -> Vec<(Option<Kind>, u8)> {
        self.told().iter().map(|event| (Kind::from_u32(event.kind.into()), event.reason)).collect()
    }

    fn left_out(&mut self) -> u64 {
        let sampler: PerCpuArray<_, Sampler> =
            PerCpuArray::try_from(self.lab.programs.ebpf.map_mut(map::SAMPLER).unwrap()).unwrap();
        sampler.get(&0, 0).unwrap().iter().map(|cpu| cpu.left_out).sum()
    }
}

/// A packet that is refused: nothing serves the port.
fn refused() -> Spec {
    tcp(FROM, (VIP, 4242), SYN)
}

fn segment(flags: Tcp) -> Spec {
    tcp(FROM, TO_REMOTE, flags)
}

#[test]
fn without_a_monitor_nothing_is_told() {
    let mut listener = Listener::new(Monitor::default());
    assert_eq!(listener.send(&segment(SYN)), XDP_REDIRECT);
    listener.send(&refused());
    assert_eq!((listener.told(), listener.left_out()), (vec![], 0));
}

#[test]
fn a_monitor_that_was_killed_is_told_nothing_after_its_deadline() {
    let mut listener = Listener::new(Monitor { until: now().saturating_sub(SECOND), ..everything() });
    listener.send(&refused());
    assert_eq!(listener.told(), []);
}

#[test]
fn an_opened_flow_is_told_with_both_of_its_sides() {
    let mut listener = Listener::new(everything());
    let before = now();
    listener.send(&segment(SYN));
    listener.send(&segment(ACK));
    let told = listener.told();
    let [event] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((event.kind, event.protocol), (Kind::Open as u8, 6));
    assert_eq!(
        (event.src, event.dst),
        (std::net::IpAddr::from(CLIENT).into(), std::net::IpAddr::from(VIP).into())
    );
    assert_eq!(u16::from_be(event.dst_port_be), REMOTE);
    assert_eq!(u16::from_be(event.new_dst_port_be), crate::setup::POD_PORT);
    assert!(event.service != 0 && event.new_src_port_be != event.src_port_be);
    assert!((before..=now()).contains(&event.time), "{event:?}");
}

#[test]
fn a_reset_is_told_once() {
    let mut listener = Listener::new(everything());
    for flags in [SYN, ACK, FIN, RST, RST, ACK] {
        listener.send(&segment(flags));
    }
    let reset = CloseReason::Reset as u8;
    assert_eq!(listener.kinds(), [(Some(Kind::Open), 0), (Some(Kind::Close), reset)]);
}

#[test]
fn a_drop_is_told_with_its_reason_before_the_answer_takes_the_packets_place() {
    let mut listener = Listener::new(everything());
    listener.send(&refused());
    let told = listener.told();
    let [event] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((event.kind, event.reason), (Kind::Drop as u8, DropReason::UnknownPort as u8));
    assert_eq!((event.src, u16::from_be(event.dst_port_be)), (std::net::IpAddr::from(CLIENT).into(), 4242));
    assert!(event.ifindex != 0);
}

#[test]
fn only_what_is_asked_for_is_told() {
    let drops = Monitor { kinds: 1 << Kind::Drop as u32, ..everything() };
    let mut listener = Listener::new(drops);
    listener.send(&udp(FROM, TO_REMOTE));
    listener.send(&refused());
    assert_eq!(listener.kinds(), [(Some(Kind::Drop), DropReason::UnknownPort as u8)]);
    let mut listener = Listener::new(Monitor { reasons: 1 << DropReason::NoRoute as u32, ..drops });
    listener.send(&refused());
    assert_eq!(listener.told(), []);
}

#[test]
fn a_flood_is_held_to_the_rate_and_what_is_left_out_is_counted() {
    let rate = Monitor { interval: 60 * SECOND, burst: 5 * 60 * SECOND, ..everything() };
    let mut listener = Listener::new(rate);
    // On whichever CPUs they run: each has its own share.
    for _ in 0..1000 {
        listener.send(&refused());
    }
    let (told, cpus) = (listener.told().len() as u64, aya::util::nr_cpus().unwrap() as u64);
    assert!((6..=6 * cpus).contains(&told), "{told} events of {cpus} CPUs");
    assert_eq!(told + listener.left_out(), 1000);
}
