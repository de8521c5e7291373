//! The host's side.

use lb_common::{
    address::{V4, V6},
    host::{Outcome, Tables, tcx_egress, tcx_ingress, xdp},
    limit::{self, Bucket},
};

use super::{Hook, Packet, Step, routes::routes, step::Write};
use crate::lab::Devices;

/// A node, by its tables.
#[derive(Debug)]
pub struct Reference {
    /// What it knows.
    pub tables: Tables,
    devices: Devices,
}

impl Reference {
    /// The [lab](crate::lab) as it is at the start: routes, and nothing to serve.
    pub fn new(devices: Devices, restore_buckets: u32) -> Self {
        let mut tables = Tables {
            restore_mask: restore_buckets - 1,
            new_flows_per_tick: limit::ANSWERS_PER_TICK,
            ..Tables::default()
        };
        for (prefix, bits, route) in routes(&devices) {
            tables.set_route(prefix, bits, route);
        }
        Self { tables, devices }
    }

    /// Takes a step; what became of the packet if it is one.
    pub fn take(&mut self, step: &Step) -> Option<Outcome> {
        if let Step::Packet(packet) = step {
            return Some(self.run(packet));
        }
        step.writes(&self.devices).into_iter().for_each(|write| self.write(write));
        None
    }

    fn run(&self, packet: &Packet) -> Outcome {
        let (ifindex, frame) = (packet.by.index(&self.devices), packet.frame.clone());
        match packet.hook {
            Hook::Xdp => xdp(&self.tables, ifindex, frame),
            Hook::Ingress => tcx_ingress(&self.tables, ifindex, frame),
            Hook::Egress => tcx_egress(&self.tables, ifindex, frame),
        }
    }

    fn write(&mut self, write: Write) {
        let tables = &mut self.tables;
        match write {
            Write::Wait(ticks) => tables.now = tables.now.wrapping_add(ticks),
            Write::Epoch(epoch) => tables.epoch = epoch,
            Write::Filter(bit) => tables.set_filter(bit),
            Write::Service(key, Some(service)) => drop(tables.services.insert(key, service)),
            Write::Service(key, None) => drop(tables.services.remove(&key)),
            Write::Ring(first, chunks) => tables.rings.extend((first..).zip(chunks)),
            Write::Backend(index, backend) => drop(tables.backends.insert(index, backend)),
            Write::SourceRange(range) => drop(tables.source_ranges.insert(range)),
            Write::Peer(address) => drop(tables.peers.insert(address.into())),
            Write::Interface(ifindex, interface) => drop(tables.interfaces.insert(ifindex, interface)),
            Write::Spent(bucket, spent) => {
                tables.limits.get_mut()[bucket as usize] = Bucket { spent, filled: tables.now };
            }
            Write::Evict(tuple) if tuple.src.0.is_ipv4() => {
                tables.ipv4.flows.get_mut().remove(&tuple.key::<V4>());
            }
            Write::Evict(tuple) => drop(tables.ipv6.flows.get_mut().remove(&tuple.key::<V6>())),
        }
    }
}
