//! Brings the maps to what the newest snapshot asks for.

use std::{
    collections::BTreeSet,
    mem,
    net::IpAddr,
    time::{Duration, Instant},
};

use lb_common::backend::{BACKEND_LOCAL, Backend};
use lb_model::{
    config::NodeConfig,
    desired::{Changes, Decisions},
    object::{Refusal, Snapshot},
    op::{DataPlane, Op},
    plan::{Plan, Planner},
};

/// Longest pause between attempts while writes fail.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What one attempt did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    /// Writes that were carried out.
    pub(super) ops: usize,
    /// Addresses of endpoints on other nodes that came or are different, and of these nodes.
    pub(super) remote_endpoints: BTreeSet<IpAddr>,
    /// What is asked for and not served is something else.
    pub(super) refusals_changed: bool,
}

/// The reconciler: compares with what the maps hold, never with what it believes to have written, on first start,
/// after every failure and from time to time. In between, the planner follows the writes.
pub(super) struct Reconciler<D> {
    plane: D,
    decisions: Decisions,
    /// None where the maps have to be read.
    planner: Option<Planner>,
    /// What changed since the maps were last brought up to date.
    changes: Changes,
    /// The maps are to be compared with what was written.
    distrusted: bool,
    /// A plan that ended in raising the epoch broke off before it did.
    epoch_due: bool,
    failures: u32,
    /// Of the last plan.
    unplaced: Vec<Refusal>,
    refused: BTreeSet<Refusal>,
}

impl<D: DataPlane> Reconciler<D> {
    /// A reconciler of `plane`.
    pub(super) fn new(plane: D) -> Self {
        Self {
            plane,
            decisions: Decisions::default(),
            planner: None,
            changes: Changes::default(),
            distrusted: false,
            epoch_due: false,
            failures: 0,
            unplaced: Vec::new(),
            refused: BTreeSet::new(),
        }
    }

    /// The data plane.
    pub(super) fn plane(&mut self) -> &mut D {
        &mut self.plane
    }

    /// The planner, which knows what the maps hold; none where they have to be read.
    pub(super) fn planner(&self) -> Option<&Planner> {
        self.planner.as_ref()
    }

    /// What the last attempt that went through found asked for and not served.
    pub(super) fn refused(&self) -> &BTreeSet<Refusal> {
        &self.refused
    }

    /// Has the next attempt read the maps: foreign changes are repaired then.
    pub(super) fn distrust(&mut self) {
        self.distrusted = true;
    }

    /// One attempt.
    ///
    /// # Errors
    /// At the first write or read that fails; what was written stays, and the next attempt goes on from there.
    pub(super) fn sync(&mut self, snapshot: &Snapshot, config: &NodeConfig) -> Result<Report, D::Error> {
        let started = Instant::now();
        let changes = self.decisions.update(snapshot, config);
        self.changes.extend(changes);
        let Plan { ops, refusals } = match self.bring_up_to_date() {
            Ok(plan) => plan,
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                self.planner = None;
                return Err(error);
            }
        };
        self.failures = 0;
        let changes = mem::take(&mut self.changes);
        let report = Report {
            ops: ops.len(),
            remote_endpoints: remote_endpoints(ops.iter().filter_map(written_endpoint)),
            refusals_changed: changes.refusals || refusals != self.unplaced,
        };
        self.unplaced = refusals;
        if report.refusals_changed {
            let refused = self.decisions.desired().refusals.iter().chain(&self.unplaced).cloned().collect();
            log_refusals(&refused, &self.refused, snapshot);
            self.refused = refused;
        }
        if report.ops > 0 {
            tracing::info!(
                ops = report.ops,
                frontends = self.decisions.desired().services.len(),
                refused = self.refused.len(),
                elapsed_us = started.elapsed().as_micros() as u64,
                "maps brought up to date"
            );
        }
        Ok(report)
    }

    /// How long to wait after a failure before the next attempt: 0.5 s, doubling.
    pub(super) fn pause(&self) -> Duration {
        let factor = 1u32 << self.failures.saturating_sub(1).min(8);
        (Duration::from_millis(500) * factor).min(LONGEST_PAUSE)
    }

    /// Plans, and carries the plan out.
    fn bring_up_to_date(&mut self) -> Result<Plan, D::Error> {
        if self.distrusted
            && let Some(planner) = &self.planner
            && !self.plane.holds(planner.tables())?
        {
            tracing::warn!("the maps hold something else than was written; they are read and repaired");
            self.planner = None;
        }
        let planner = match &mut self.planner {
            Some(planner) => planner,
            none => none.insert(Planner::new(self.plane.dump()?, self.plane.capacity())),
        };
        self.distrusted = false;
        let desired = self.decisions.desired();
        let plan = planner.plan(desired, &self.changes);
        let raises = plan.ops.last() == Some(&Op::RaiseEpoch);
        self.epoch_due |= raises;
        for op in &plan.ops {
            self.plane.apply(op)?;
            planner.applied(op);
        }
        if self.epoch_due && !raises {
            self.plane.apply(&Op::RaiseEpoch)?;
        }
        self.epoch_due = false;
        planner.finish(desired);
        Ok(plan)
    }
}

fn written_endpoint(op: &Op) -> Option<&Backend> {
    if let Op::SetBackend { backend, .. } = op { Some(backend) } else { None }
}

/// Says each refusal once, when it appears; the source has said its own.
fn log_refusals(refused: &BTreeSet<Refusal>, said: &BTreeSet<Refusal>, snapshot: &Snapshot) {
    for Refusal { kind, object, reason, message } in
        refused.difference(said).filter(|fresh| !snapshot.refused.contains(fresh))
    {
        tracing::warn!(kind, %object, reason, "refused: {message}");
    }
}

/// Addresses of the endpoints on other nodes and of these nodes, in order: packets are sent to either.
pub(super) fn remote_endpoints<'a>(backends: impl Iterator<Item = &'a Backend>) -> BTreeSet<IpAddr> {
    let remote = backends.filter(|backend| backend.flags & BACKEND_LOCAL == 0);
    let addresses = remote.flat_map(|backend| [backend.address, backend.node]);
    addresses.filter(|address| !address.is_none()).map(IpAddr::from).collect()
}

#[cfg(test)]
mod tests {
    use std::io;

    use lb_model::{
        object::{
            Endpoint, EndpointPort, EndpointSlice, ObjectKey, Protocol, Service, ServicePort, ServiceType,
        },
        op::{Capacity, Tables},
    };

    use super::*;

    /// Maps in memory that count reads, and fail at a write of choice.
    #[derive(Default)]
    struct Fake {
        tables: Tables,
        dumps: usize,
        epochs: usize,
        fail_at: Option<usize>,
    }

    impl DataPlane for Fake {
        type Error = io::Error;

        fn dump(&mut self) -> Result<Tables, io::Error> {
            self.dumps += 1;
            Ok(self.tables.clone())
        }

        fn apply(&mut self, op: &Op) -> Result<(), io::Error> {
            match &mut self.fail_at {
                Some(0) => return Err(io::Error::other("no")),
                Some(left) => *left -= 1,
                None => {}
            }
            self.epochs += usize::from(*op == Op::RaiseEpoch);
            self.tables.apply(op);
            Ok(())
        }

        fn capacity(&self) -> Capacity {
            Capacity { services: 64, chunks: 1024, backends: 64, source_ranges: 64, peers: 16 }
        }
    }

    fn config() -> NodeConfig {
        let own = vec![IpAddr::from([192, 0, 2, 1])];
        NodeConfig { addresses: own.clone(), primary_addresses: own, ..NodeConfig::default() }
    }

    fn snapshot(endpoints: u8) -> Snapshot {
        let key = ObjectKey::new("default", "web");
        let port = ServicePort {
            name: String::new(),
            protocol: Protocol::Tcp,
            port: 80,
            node_port: Some(30_080),
            app_protocol: None,
        };
        let service =
            Service { service_type: ServiceType::NodePort, ports: vec![port], ..Service::default() };
        let endpoint = |number| Endpoint {
            address: IpAddr::from([10, 0, 0, number]),
            node: None,
            ready: true,
            serving: true,
            terminating: false,
            for_nodes: Vec::new(),
            for_zones: Vec::new(),
        };
        let slice = EndpointSlice {
            service: "web".to_owned(),
            ports: vec![EndpointPort { name: String::new(), protocol: Protocol::Tcp, port: 8080 }],
            endpoints: (1..=endpoints).map(endpoint).collect(),
            ..EndpointSlice::default()
        };
        Snapshot {
            services: [(key.clone(), service)].into(),
            slices: [(key, slice)].into(),
            ..Snapshot::default()
        }
    }

    #[test]
    fn the_maps_are_read_at_first_and_again_only_when_distrusted_or_after_a_failure() {
        let mut reconciler = Reconciler::new(Fake::default());
        let first = reconciler.sync(&snapshot(2), &config()).unwrap();
        assert!(first.ops > 0);
        assert_eq!(reconciler.sync(&snapshot(2), &config()).unwrap().ops, 0);
        assert_eq!(reconciler.plane().dumps, 1);
        reconciler.distrust();
        assert_eq!(reconciler.sync(&snapshot(2), &config()).unwrap().ops, 0);
        assert_eq!(reconciler.plane().dumps, 2);
        reconciler.plane().fail_at = Some(0);
        reconciler.sync(&snapshot(1), &config()).unwrap_err();
        reconciler.plane().fail_at = None;
        reconciler.sync(&snapshot(1), &config()).unwrap();
        assert_eq!(reconciler.plane().dumps, 3);
    }

    #[test]
    fn a_foreign_change_is_repaired() {
        let mut reconciler = Reconciler::new(Fake::default());
        reconciler.sync(&snapshot(2), &config()).unwrap();
        let right = reconciler.plane().tables.clone();
        reconciler.plane().tables.services.clear();
        reconciler.distrust();
        reconciler.sync(&snapshot(2), &config()).unwrap();
        assert_eq!(reconciler.plane().tables, right);
    }

    #[test]
    fn wherever_a_plan_breaks_off_the_next_attempt_arrives_and_the_epoch_is_raised() {
        let ops = {
            let mut reconciler = Reconciler::new(Fake::default());
            reconciler.sync(&snapshot(3), &config()).unwrap();
            reconciler.sync(&snapshot(1), &config()).unwrap().ops
        };
        for fail_at in 0..ops {
            let mut reconciler = Reconciler::new(Fake::default());
            reconciler.sync(&snapshot(3), &config()).unwrap();
            let epochs = reconciler.plane().epochs;
            reconciler.plane().fail_at = Some(fail_at);
            reconciler.sync(&snapshot(1), &config()).unwrap_err();
            reconciler.plane().fail_at = None;
            reconciler.sync(&snapshot(1), &config()).unwrap();
            assert!(reconciler.plane().epochs > epochs, "broke off at {fail_at}");
            reconciler.distrust();
            assert_eq!(reconciler.sync(&snapshot(1), &config()).unwrap().ops, 0);
            let live = reconciler
                .plane()
                .tables
                .backends
                .values()
                .filter(|backend| !backend.address.is_none())
                .count();
            assert_eq!(live, 1);
        }
    }

    #[test]
    fn pauses_between_failing_attempts_grow_to_a_minute() {
        let mut reconciler = Reconciler::new(Fake { fail_at: Some(0), ..Fake::default() });
        let pauses: Vec<_> = (0..20)
            .map(|_| {
                reconciler.sync(&snapshot(1), &config()).unwrap_err();
                reconciler.pause()
            })
            .collect();
        assert!(pauses.is_sorted());
        assert_eq!((pauses[0], pauses[19]), (Duration::from_millis(500), LONGEST_PAUSE));
    }

    #[test]
    fn only_endpoints_of_other_nodes_are_remote() {
        let mut reconciler = Reconciler::new(Fake::default());
        reconciler.sync(&snapshot(1), &config()).unwrap();
        let tables = reconciler.planner().unwrap().tables();
        assert_eq!(remote_endpoints(tables.backends.values()), [IpAddr::from([10, 0, 0, 1])].into());
    }
}
