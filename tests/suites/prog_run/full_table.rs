//! A flow table whose entries are all in use.

use lb_common::{abi::program, tcp::UDP};
use lb_tests::{
    lab::{CLIENT, LOCAL_POD, Lab},
    packet::{read, udp},
    prog::Sizes,
};
use nix::{
    sched::{CpuSet, sched_getcpu, sched_setaffinity},
    unistd::Pid,
};

use crate::setup::{LOCAL, POD_PORT, TO_LOCAL, key, lab, tcx};

/// Flows that open at once. Many more, and a table as small as this has come round before they are answered.
const AT_ONCE: usize = 8;

fn ask(lab: &Lab, port: u16) {
    tcx(lab, program::TCX_INGRESS, &udp((CLIENT, port), TO_LOCAL));
}

/// True where the endpoint's answer leaves as the VIP's.
fn is_answered(lab: &Lab, port: u16) -> bool {
    let answer = tcx(lab, program::TCX_EGRESS, &udp((LOCAL_POD, POD_PORT), (CLIENT, port)));
    read(&answer.packet).src == (TO_LOCAL.0, LOCAL)
}

fn has_both_halves(lab: &mut Lab, port: u16) -> bool {
    let halves = [key((CLIENT, port), TO_LOCAL, UDP), key((LOCAL_POD, POD_PORT), (CLIENT, port), UDP)];
    halves.iter().all(|key| lab.programs.flow(key).unwrap().is_some())
}

#[test]
fn flows_that_open_are_answered_though_every_entry_of_the_table_is_in_use() {
    // An LRU keeps up to 128 free entries for each processor.
    let mut processor = CpuSet::new();
    processor.set(sched_getcpu().unwrap()).unwrap();
    sched_setaffinity(Pid::from_raw(0), &processor).unwrap();
    let mut lab = lab();
    let full = Sizes::default().flows as u16 / 2;
    let mut living: Vec<u16> = (0..full).map(|number| 20_000 + number).collect();
    for port in &living {
        ask(&lab, *port);
        assert!(is_answered(&lab, *port));
    }
    let newcomers: Vec<u16> = (0..72).map(|number| 40_000 + number).collect();
    let mut unanswered: Vec<u16> = Vec::new();
    for newcomers in newcomers.chunks(AT_ONCE) {
        living.retain(|port| has_both_halves(&mut lab, *port));
        for port in &living {
            ask(&lab, *port);
            is_answered(&lab, *port);
        }
        newcomers.iter().for_each(|port| ask(&lab, *port));
        unanswered.extend(newcomers.iter().copied().filter(|port| !is_answered(&lab, *port)));
        living.extend(newcomers);
    }
    assert!(unanswered.is_empty(), "{} of {} were not", unanswered.len(), newcomers.len());
}
