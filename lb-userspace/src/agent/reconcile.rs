//! Brings the maps to what the newest snapshot asks for.

use std::{
    collections::BTreeSet,
    net::IpAddr,
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

    /// What the last attempt that went through found asked for and not served.
    pub(super) fn refused(&self) -> &BTreeSet<Refusal> {
        &self.refused
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

/// Addresses of the endpoints on other nodes and of these nodes, in order: packets are sent to either.
pub(super) fn remote_endpoints(tables: &Tables) -> BTreeSet<IpAddr> {
    let remote = tables.backends.values().filter(|backend| backend.flags & BACKEND_LOCAL == 0);
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
        op::Capacity,
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
        let port =
            ServicePort { name: String::new(), protocol: Protocol::Tcp, port: 80, node_port: Some(30_080) };
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
        let tables = reconciler.tables().unwrap();
        assert_eq!(remote_endpoints(tables), [IpAddr::from([10, 0, 0, 1])].into());
    }
}
