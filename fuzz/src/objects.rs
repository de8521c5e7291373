//! Made-up Services, EndpointSlices and Nodes: hostile values in well-formed objects, names and addresses that collide.

mod made_up;
mod values;

use arbitrary::{Arbitrary, Unstructured};
use lb_model::object::Snapshot;
use lb_sources::{Consumer, translate::Kind};
use serde_json::Value;

use self::made_up::Object;
use crate::{
    manifest::{FILE, assert_is_accounted_for, scan_beside_good},
    oracle,
};

/// Two states of a cluster.
#[derive(Debug, Arbitrary)]
struct Input {
    first: Vec<Object>,
    second: Vec<Object>,
}

/// Follows an agent from the good Service alone to the first state, the second, and back.
pub fn run(bytes: &[u8]) {
    let Ok(Input { first, second }) = Input::arbitrary_take_rest(Unstructured::new(bytes)) else { return };
    let (alone, first) = scan(&first);
    let (_, second) = scan(&second);
    oracle::check(&[&alone, &first, &second, &alone]);
}

/// The good Service alone, and with the objects in a file beside it.
fn scan(objects: &[Object]) -> (Snapshot, Snapshot) {
    let values: Vec<(Kind, Value)> = objects.iter().flat_map(Object::values).collect();
    let text: Vec<String> = values.iter().map(|(_, value)| value.to_string()).collect();
    let mut snapshots = None;
    scan_beside_good(Consumer::Agent, text.join("\n---\n").as_bytes(), |alone, beside| {
        for ((kind, value), line) in values.iter().zip((1..).step_by(2)) {
            if !is_broken(line, beside) {
                assert_is_accounted_for(Consumer::Agent, *kind, value, beside);
            }
        }
        snapshots = Some((alone.clone(), beside.clone()));
    });
    snapshots.expect("what is beside was looked at")
}

/// True where the document on a line is refused as a whole, by file and line: one that is nested too deep.
fn is_broken(line: usize, snapshot: &Snapshot) -> bool {
    let at = format!("{FILE}:{line}: ");
    snapshot.refused.iter().any(|refusal| refusal.kind == "File" && refusal.message.starts_with(&at))
}
