//! The kernel's programs against the reference model, see `lb_tests::model`.
//!
//! `SLUICE_MODEL_PACKETS` says how many packets (a million where it is not set; 0: until the two differ),
//! `SLUICE_MODEL_SEED` with which sequence to begin. `cargo xtask test --model PACKETS` sets the first.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed assumption is a failed test")]

use std::{collections::BTreeMap, path::PathBuf, time::Instant};

use lb_common::{drop_reason::DropReason, host::Tables, stat::Stat};
use lb_tests::model::{Disagreement, Kernel, Pair, Step, generate::Generator, parse, replay, shrink, text};

/// Steps of a sequence: enough for flows to meet, few enough to be shrunk at once.
const STEPS: usize = 600;

/// Failures of the past: sequences that parted the two sides, a file each, by name.
fn cases() -> BTreeMap<String, Vec<Step>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/suites/model/cases");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let read = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let steps = parse(&std::fs::read_to_string(path).unwrap());
        (name.clone(), steps.unwrap_or_else(|error| panic!("{name}: {error:#}")))
    };
    files.map(read).collect()
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}: no number")))
}

#[test]
fn past_failures_stay_mended() {
    let mut kernel = Kernel::new().unwrap();
    let cases = cases();
    assert!(!cases.is_empty());
    for (name, steps) in cases {
        if let Some(disagreement) = replay(&mut kernel, &steps).unwrap() {
            panic!("{name}: {disagreement}");
        }
    }
}

#[test]
fn kernel_and_model_agree_on_random_sequences() {
    let mut kernel = Kernel::new().unwrap();
    let wanted = number("SLUICE_MODEL_PACKETS", 1_000_000);
    let mut seed = number("SLUICE_MODEL_SEED", 1);
    let begun = Instant::now();
    let mut packets = 0;
    let mut met = Met::default();
    while packets < wanted || wanted == 0 {
        let (steps, disagreement) = sequence(&mut kernel, seed, &mut met);
        packets += steps.iter().filter(|step| matches!(step, Step::Packet(_))).count() as u64;
        if let Some(disagreement) = disagreement {
            report(&mut kernel, seed, steps, &disagreement);
        }
        seed += 1;
    }
    println!("{packets} packets, {:.1?}\n{met:?}", begun.elapsed());
    let missing = met.missing();
    assert!(packets < ENOUGH || missing.is_empty(), "the sequences never met {missing:?}");
}

fn sequence(kernel: &mut Kernel, seed: u64, met: &mut Met) -> (Vec<Step>, Option<Disagreement>) {
    let mut generator = Generator::new(seed);
    let mut pair = Pair::new(kernel).unwrap();
    let mut steps = Vec::new();
    while steps.len() < STEPS {
        let step = generator.step(&pair.reference.tables);
        let taken = pair.take(&step);
        steps.push(step);
        let (outcome, disagreement) = taken.unwrap();
        if disagreement.is_some() {
            return (steps, disagreement);
        }
        generator.heed(&steps[steps.len() - 1], outcome.as_ref(), &pair.reference.tables);
    }
    met.add(&pair.reference.tables);
    let disagreement = pair.compare().unwrap();
    (steps, disagreement)
}

/// Packets that meet everything that can be met.
const ENOUGH: u64 = 200_000;

/// How often sequences met what the pipeline counts: one that no longer reaches something must not look green.
#[derive(Debug, Default)]
struct Met {
    stats: BTreeMap<Stat, u64>,
    drops: BTreeMap<DropReason, u64>,
}

impl Met {
    fn add(&mut self, tables: &Tables) {
        for stat in Stat::ALL {
            *self.stats.entry(stat).or_default() += tables.events(stat);
        }
        for reason in DropReason::ALL {
            *self.drops.entry(reason).or_default() += tables.drops(reason);
        }
    }

    fn missing(&self) -> Vec<&'static str> {
        // No table is ever full, no frame shrinks under the programs' hands, and every device has an address.
        let never = [
            DropReason::FlowTableFull,
            DropReason::SnatPortsExhausted,
            DropReason::Truncated,
            DropReason::NoSourceAddress,
        ];
        let stats = self.stats.iter().filter(|(_, count)| **count == 0).map(|(stat, _)| stat.as_str());
        let drops = self.drops.iter().filter(|(reason, count)| **count == 0 && !never.contains(reason));
        stats.chain(drops.map(|(reason, _)| reason.as_str())).collect()
    }
}

fn report(kernel: &mut Kernel, seed: u64, steps: Vec<Step>, disagreement: &Disagreement) -> ! {
    println!("SLUICE_MODEL_SEED={seed}: {disagreement}");
    let steps = shrink(kernel, steps).unwrap();
    let after = replay(kernel, &steps).unwrap();
    println!("shrunk to {} steps, to be kept as a case:\n{}", steps.len(), text(&steps).unwrap());
    match after {
        Some(disagreement) => panic!("SLUICE_MODEL_SEED={seed}: kernel and model part: {disagreement}"),
        None => {
            panic!("SLUICE_MODEL_SEED={seed}: kernel and model part, but not when replayed: {disagreement}")
        }
    }
}
