//! Golden scenarios: manifests in, readable dump of the maps out. `tests/scenarios/*.scn` are the specification.
//!
//! A file starts with a sentence on what it shows. Its sections are
//! - `-- agent --`: flags of the node that decides, one a line; without it the defaults of [`script::Script`];
//! - `-- policy --`: the file of `--external-ip-policy`, in place of the default's ranges;
//! - `-- apply NAME --`: writes the manifest NAME (`kubectl apply -f NAME`);
//! - `-- delete NAME --`: removes it again;
//! - `-- maps --`: what the maps hold now.
//!
//! `SLUICE_BLESS=1` rewrites the `maps` sections: read the difference before it is committed.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed assumption is a failed test")]

mod script;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use lb_model::{
    desired::{Changes, Decisions, health_check::health_checks},
    explain::explain,
    faulty::{Faults, Faulty},
    memory::Memory,
    op::{Capacity, DataPlane, Tables},
    plan::{Plan, Planner, plan},
};
use lb_sources::{Consumer, manifest::Folder};
use script::{Script, Step};

const CAPACITY: Capacity =
    Capacity { services: 64, chunks: 2048, backends: 256, source_ranges: 64, peers: 16 };

type Plane = Faulty<Memory>;

fn scenarios() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "scn"));
    files.sort();
    assert!(!files.is_empty(), "no scenarios");
    files
}

/// Brings the maps to what `decisions` say as an agent does: it stops at a write that fails, reads the maps and tries
/// again.
fn reconcile(plane: &mut Plane, planner: &mut Planner, decisions: &Decisions, changes: &Changes) -> Plan {
    let desired = decisions.desired();
    for _ in 0..2 {
        let plan = planner.plan(desired, changes);
        let written = plan.ops.iter().try_for_each(|op| plane.apply(op).map(|()| planner.applied(op)));
        if written.is_ok() {
            planner.finish(desired);
            return plan;
        }
        *planner = planner_of(plane);
    }
    panic!("one write fails once, yet two attempts did not do");
}

fn planner_of(plane: &mut Plane) -> Planner {
    Planner::new(plane.dump().unwrap(), CAPACITY)
}

/// The script with its `maps` sections as they come out.
fn run(script: &Script, plane: &mut Plane) -> Script {
    let folder = tempfile::tempdir().unwrap();
    let mut source = Folder::new(Consumer::Agent, folder.path());
    let mut planner = planner_of(plane);
    let mut decisions = Decisions::default();
    let mut refusals = Vec::new();
    let mut checks = BTreeMap::new();
    let step = |step: &Step| {
        match step {
            Step::Agent(_) | Step::Policy(_) => return step.clone(),
            Step::Maps(_) => {
                let maps = explain(&plane.dump().unwrap());
                return Step::Maps(script::maps(&maps, &checks, &refusals));
            }
            Step::Apply { name, text } => fs::write(folder.path().join(name), text).unwrap(),
            Step::Delete { name } => fs::remove_file(folder.path().join(name)).unwrap(),
        }
        let snapshot = source.scan().unwrap();
        let changes = decisions.update(&snapshot, &script.node);
        let desired = decisions.desired();
        let mut refused = Vec::new();
        checks = health_checks(&snapshot, &script.node, &mut refused);
        let done = reconcile(plane, &mut planner, &decisions, &changes);
        assert_eq!(
            plan(desired, &plane.dump().unwrap(), CAPACITY).ops,
            [],
            "a second plan finds nothing to do"
        );
        refusals = desired.refusals.iter().cloned().chain(done.refusals).chain(refused).collect();
        step.clone()
    };
    let steps = script.steps.iter().map(step).collect();
    Script { steps, ..script.clone() }
}

fn plane(faults: Faults) -> Plane {
    Faulty::new(Memory::new(Tables::default(), CAPACITY), faults)
}

#[test]
fn manifests_lead_to_the_maps_that_each_scenario_shows() {
    let bless = std::env::var_os("SLUICE_BLESS").is_some();
    let mut differing = Vec::new();
    for path in scenarios() {
        let text = fs::read_to_string(&path).unwrap();
        let script = Script::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let outcome = run(&script, &mut plane(Faults::None)).to_string();
        if bless {
            fs::write(&path, &outcome).unwrap();
        } else if outcome != text {
            differing.push(format!("{}:\n{}", path.display(), script::difference(&text, &outcome)));
        }
    }
    assert!(differing.is_empty(), "SLUICE_BLESS=1 accepts these changes:\n{}", differing.join("\n"));
}

#[test]
fn any_write_of_a_scenario_may_fail_once_and_the_maps_end_up_the_same() {
    for path in scenarios() {
        let script = Script::parse(&fs::read_to_string(&path).unwrap()).unwrap();
        let expected = run(&script, &mut plane(Faults::None));
        for failing in 0.. {
            let mut plane = plane(Faults::Nth(failing));
            let outcome = run(&script, &mut plane);
            assert_eq!(
                outcome.to_string(),
                expected.to_string(),
                "{}: write {failing} fails",
                path.display()
            );
            if !matches!(plane.faults, Faults::None) {
                break;
            }
        }
    }
}

#[test]
fn every_scenario_leaves_nothing_behind_once_its_manifests_are_gone() {
    for path in scenarios() {
        let script = Script::parse(&fs::read_to_string(&path).unwrap()).unwrap();
        let mut plane = plane(Faults::None);
        run(&script, &mut plane);
        let mut planner = planner_of(&mut plane);
        reconcile(&mut plane, &mut planner, &Decisions::default(), &Changes::default());
        assert_eq!(explain(&plane.dump().unwrap()).to_string(), "", "{}", path.display());
    }
}
