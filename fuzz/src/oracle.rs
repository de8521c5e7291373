//! What must hold of any snapshot: decided without loss, and planned to where a fresh start arrives.

use std::net::IpAddr;

use lb_common::service::ServiceKey;
use lb_model::{
    desired::{Changes, Decisions, Desired, desired},
    object::{IpFamily, ObjectKey, Refusal, Service, ServicePort, ServiceType, Snapshot},
    op::Tables,
    plan::{Planner, plan},
    refusal::reason,
    soundness::{fault, meaning},
};

use crate::cluster::{CAPACITY, assert_good_is_desired, assert_good_is_programmed, config};

/// Plans with at most this many writes are looked at after each of them.
const STEPS: usize = 64;

/// Follows an agent through snapshots, each of which has the good Service in it.
pub(crate) fn check(walk: &[&Snapshot]) {
    let mut decisions = Decisions::default();
    let mut planner = Planner::new(Tables::default(), CAPACITY);
    for (position, snapshot) in walk.iter().enumerate() {
        let changes = decisions.update(snapshot, &config());
        let wanted = decisions.desired();
        assert_eq!(*wanted, desired(snapshot, &config()), "decided from changes, and from everything");
        assert_nothing_is_lost(snapshot, wanted);
        assert_good_is_desired(wanted);
        if position > 0 && changes == (Changes { refusals: changes.refusals, ..Changes::default() }) {
            // Most bytes ask for nothing: the maps stay as they were looked at before.
            assert_eq!(planner.plan(wanted, &changes).ops, [], "nothing changed");
            planner.finish(wanted);
            continue;
        }
        let planned = planner.plan(wanted, &changes);
        if !planned.refusals.is_empty() {
            // Tables that are too small are for the model's own tests.
            assert!(planned.refusals.iter().all(|refusal| refusal.reason == reason::MAP_FULL), "{planned:?}");
            return;
        }
        for op in &planned.ops {
            planner.applied(op);
            if planned.ops.len() <= STEPS {
                assert_eq!(fault(planner.tables()), None, "after {op:?}");
            }
        }
        planner.finish(wanted);
        assert_eq!(fault(planner.tables()), None);
        assert_good_is_programmed(planner.tables());
        assert_eq!(
            plan(wanted, planner.tables(), CAPACITY).ops,
            [],
            "a plan that was carried out leaves nothing"
        );
        assert_eq!(meaning(planner.tables()), meaning(&fresh_start(wanted)), "as after a fresh start");
    }
}

fn fresh_start(desired: &Desired) -> Tables {
    let mut tables = Tables::default();
    plan(desired, &tables, CAPACITY).ops.iter().for_each(|op| tables.apply(op));
    tables
}

/// Panics where an address, port and protocol that a Service asks for is neither served for it nor refused by its name.
fn assert_nothing_is_lost(snapshot: &Snapshot, desired: &Desired) {
    let node_addresses = config().node_port_addresses(snapshot);
    for (object, service) in &snapshot.services {
        let own = |port: &ServicePort| {
            let number = port.node_port.filter(|_| service.service_type != ServiceType::ClusterIp);
            let of_family = node_addresses.iter().filter(|address| service.is_of(IpFamily::of(**address)));
            number
                .into_iter()
                .flat_map(move |number| of_family.clone().map(move |address| (*address, number)))
        };
        for port in &service.ports {
            for (address, number) in vips(service).map(|vip| (vip, port.port)).chain(own(port)) {
                let key = ServiceKey::new(address.into(), number.to_be(), port.protocol.number());
                let served = desired.services.values().any(|served| {
                    served.object == *object && served.frontends.iter().any(|frontend| frontend.key == key)
                });
                assert!(
                    served || names(&desired.refusals, "Service", object),
                    "{address} {number}/{} of {object} is lost: {desired:#?}",
                    port.protocol
                );
            }
        }
    }
}

fn vips(service: &Service) -> impl Iterator<Item = IpAddr> {
    let is_load_balancer = service.service_type == ServiceType::LoadBalancer;
    let load_balancer = service.load_balancer_ips.iter().filter(move |_| is_load_balancer);
    service.external_ips.iter().chain(load_balancer).copied()
}

/// True where one of the refusals is of this object.
pub(crate) fn names(refusals: &[Refusal], kind: &str, object: &ObjectKey) -> bool {
    refusals.iter().any(|refusal| refusal.kind == kind && refusal.object == *object)
}
