//! Every program loads on the running kernel, within a written budget of verified instructions.

use aya::{programs::Program, util::KernelVersion};
use lb_common::abi::program;
use lb_tests::prog::{Programs, Sizes};

/// Instructions that the verifier may walk through for each program, on Linux 6.18 and later and before: older ones prune
/// less. The kernel gives up at one million; the budget is far lower, because load time and what is left for the next
/// feature both depend on it. Growth past it needs a reason.
const BUDGET: [(&str, u32, u32); 5] = [
    (program::XDP, 280_000, 480_000),
    (program::TCX_INGRESS, 280_000, 580_000),
    (program::TCX_INGRESS_L3, 280_000, 560_000),
    (program::TCX_EGRESS, 200_000, 550_000),
    (program::PASS, 10, 10),
];

fn budget([new, old]: [u32; 2]) -> u32 {
    let is_new = KernelVersion::current().unwrap() >= KernelVersion::new(6, 18, 0);
    if is_new { new } else { old }
}

#[test]
fn every_program_loads_within_its_instruction_budget() {
    let programs = Programs::load(Sizes::default()).unwrap();
    let mut over = Vec::new();
    for (name, new, old) in BUDGET {
        let budget = budget([new, old]);
        let program: &Program = programs.ebpf.program(name).unwrap();
        let info = program.info().unwrap();
        let verified = info.verified_instruction_count().unwrap();
        println!(
            "{name}: {verified} of {budget} verified instructions, {} bytes",
            info.size_translated().unwrap()
        );
        if verified > budget {
            over.push(format!("{name}: {verified} > {budget}"));
        }
    }
    assert!(over.is_empty(), "{over:?}");
}
