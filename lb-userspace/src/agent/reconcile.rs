//! Brings the maps to what the newest snapshot asks for.

use std::{
    collections::BTreeSet,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use lb_common::backend::BACKEND_LOCAL;
use lb_model::{
    config::NodeConfig,
    desired::desired,
    object::{Refusal, Snapshot},
    op::{DataPlane, Op, Tables},
    plan::Planner,
};

/// Longest pause between attempts while writes fail.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What one attempt did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    /// Writes that were carried out.
    pub(super) ops: usize,
    /// What is asked for and not served.
    pub(super) refused: usize,
}

/// The reconciler: compares with what the maps hold, never with what it believes to have written, on first start,
/// after every failure and from time to time. In between it follows its own writes in a mirror.
pub(super) struct Reconciler<D> {
    plane: D,
    planner: Planner,
    /// What the maps hold; none where that has to be read.
    mirror: Option<Tables>,
    /// A plan that ended in raising the epoch broke off before it did.
    epoch_due: bool,
    failures: u32,
    refused: BTreeSet<Refusal>,
}

impl<D: DataPlane> Reconciler<D> {
    /// A reconciler of `plane`.
    pub(super) fn new(plane: D) -> Self {
        Self {
            plane,
            planner: Planner::default(),
            mirror: None,
            epoch_due: false,
            failures: 0,
            refused: BTreeSet::new(),
        }
    }

    /// The data plane.
    pub(super) fn plane(&mut self) -> &mut D {
        &mut self.plane
    }

    /// What the maps hold, as far as is known.
    pub(super) fn tables(&self) -> Option<&Tables> {
        self.mirror.as_ref()
    }

    /// Forgets the mirror, so that the next attempt reads the maps: foreign changes are repaired then.
    pub(super) fn distrust(&mut self) {
        self.mirror = None;
    }

    /// One attempt.
    ///
    /// # Errors
    /// At the first write or read that fails; what was written stays, and the next attempt goes on from there.
    pub(super) fn sync(&mut self, snapshot: &Snapshot, config: &NodeConfig) -> Result<Report, D::Error> {
        let result = self.attempt(snapshot, config);
        match &result {
            Ok(_) => self.failures = 0,
            Err(_) => {
                self.failures = self.failures.saturating_add(1);
                self.mirror = None;
            }
        }
        result
    }

    /// How long to wait after a failure before the next attempt: 0.5 s, doubling.
    pub(super) fn pause(&self) -> Duration {
        let factor = 1u32 << self.failures.saturating_sub(1).min(8);
        (Duration::from_millis(500) * factor).min(LONGEST_PAUSE)
    }

    fn attempt(&mut self, snapshot: &Snapshot, config: &NodeConfig) -> Result<Report, D::Error> {
        let started = Instant::now();
        let tables = match &mut self.mirror {
            Some(tables) => tables,
            none => none.insert(self.plane.dump()?),
        };
        let desired = desired(snapshot, config);
        let plan = self.planner.plan(&desired, tables, self.plane.capacity());
        let raises = plan.ops.last() == Some(&Op::RaiseEpoch);
        self.epoch_due |= raises;
        for op in &plan.ops {
            self.plane.apply(op)?;
            tables.apply(op);
        }
        if self.epoch_due && !raises {
            self.plane.apply(&Op::RaiseEpoch)?;
        }
        self.epoch_due = false;
        let refused = desired.refusals.iter().chain(&plan.refusals).cloned().collect();
        log_refusals(&refused, &self.refused, snapshot);
        if !plan.ops.is_empty() {
            tracing::info!(
                ops = plan.ops.len(),
                frontends = tables.services.len(),
                refused = refused.len(),
                elapsed_ms = started.elapsed().as_millis() as u64,
                "maps brought up to date"
            );
        }
        self.refused = refused;
        Ok(Report { ops: plan.ops.len(), refused: self.refused.len() })
    }
}

/// Says each refusal once, when it appears; the source has said its own.
fn log_refusals(refused: &BTreeSet<Refusal>, said: &BTreeSet<Refusal>, snapshot: &Snapshot) {
    for Refusal { kind, object, reason, message } in
        refused.difference(said).filter(|fresh| !snapshot.refused.contains(fresh))
    {
        tracing::warn!(kind, %object, reason, "refused: {message}");
    }
}

/// Addresses of the endpoints on other nodes, in order.
pub(super) fn remote_endpoints(tables: &Tables) -> BTreeSet<Ipv4Addr> {
    tables
        .backends
        .values()
        .filter(|backend| backend.address_be != 0 && backend.flags & BACKEND_LOCAL == 0)
        .map(|backend| Ipv4Addr::from(backend.address_be.to_ne_bytes()))
        .collect()
}
