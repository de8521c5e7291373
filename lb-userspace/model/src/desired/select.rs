//! Which endpoints take new flows: kube-proxy's `CategorizeEndpoints` (`pkg/proxy/topology.go`).

use super::candidate::{Candidate, Fitness, Hint};
use crate::{backend_id::BackendId, object::TrafficPolicy};

/// The endpoints of a Service port by what becomes of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Selection {
    /// Those that new flows go to.
    pub(super) members: Vec<BackendId>,
    /// Those of this node that packets go to which another node has encapsulated.
    pub(super) local_members: Vec<BackendId>,
    /// The rest.
    pub(super) draining: Vec<BackendId>,
}

/// Selects; `with_local` where other nodes may send encapsulated packets.
pub(super) fn select(candidates: &[Candidate], policy: TrafficPolicy, with_local: bool) -> Selection {
    let local = || fittest(candidates.iter().filter(|candidate| candidate.local));
    let chosen = match policy {
        TrafficPolicy::Cluster => cluster(candidates),
        TrafficPolicy::Local => local(),
    };
    let members = ids(chosen);
    let local_members = if with_local { ids(local()) } else { Vec::new() };
    let is_used =
        |id: &BackendId| members.binary_search(id).is_ok() || local_members.binary_search(id).is_ok();
    let draining = candidates.iter().map(|candidate| candidate.id).filter(|id| !is_used(id)).collect();
    Selection { members, local_members, draining }
}

fn ids(candidates: Vec<&Candidate>) -> Vec<BackendId> {
    candidates.into_iter().map(|candidate| candidate.id).collect()
}

/// The ready endpoints that are meant for this node, or else those that serve while they terminate (KEP-1669).
fn cluster(candidates: &[Candidate]) -> Vec<&Candidate> {
    let fittest = fittest(candidates.iter());
    match fittest.first() {
        Some(Candidate { fitness: Fitness::Ready, .. }) => near(fittest),
        _ => fittest,
    }
}

/// The ready ones, or else those that serve while they terminate.
fn fittest<'a>(candidates: impl Iterator<Item = &'a Candidate> + Clone) -> Vec<&'a Candidate> {
    let best = candidates.clone().map(|candidate| candidate.fitness).max();
    let best = best.filter(|fitness| *fitness > Fitness::Unfit);
    candidates.filter(|candidate| Some(candidate.fitness) == best).collect()
}

/// Of ready endpoints those hinted for this node (`PreferSameNode`), else those hinted for its zone
/// (`PreferSameZone`): each only where every ready endpoint has a hint of that kind and one of them fits. Else all.
fn near(ready: Vec<&Candidate>) -> Vec<&Candidate> {
    let kinds: [fn(&Candidate) -> Hint; 2] =
        [|candidate| candidate.node_hint, |candidate| candidate.zone_hint];
    for hint in kinds {
        let all_have_one = ready.iter().all(|candidate| hint(candidate) > Hint::Missing);
        if all_have_one && ready.iter().any(|candidate| hint(candidate) == Hint::Here) {
            return ready.into_iter().filter(|candidate| hint(candidate) == Hint::Here).collect();
        }
    }
    ready
}
