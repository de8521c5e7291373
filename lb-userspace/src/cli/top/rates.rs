//! Rates from two readings, and their order.

use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

use lb_common::{drop_reason::DropReason, stat::ServiceStats};

use super::{args::Sort, reading::Reading};
use crate::cli::names::ServiceName;

/// What happened between two readings, per second.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rates {
    pub(super) services: Vec<ServiceRates>,
    /// Reasons that dropped something, the most first.
    pub(super) drops: Vec<(DropReason, f64)>,
    /// Flow table entries: used, and at most.
    pub(super) entries: [u64; 2],
}

/// One Service port.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ServiceRates {
    pub(super) name: ServiceName,
    pub(super) packets: f64,
    pub(super) bytes: f64,
    pub(super) reply_packets: f64,
    pub(super) reply_bytes: f64,
    pub(super) new_flows: f64,
    pub(super) drops: f64,
    pub(super) flows: u64,
    pub(super) endpoints: usize,
}

impl Rates {
    /// From one reading to the next.
    pub(super) fn between(before: &Reading, after: &Reading) -> Self {
        let seconds =
            after.at.saturating_duration_since(before.at).max(Duration::from_millis(1)).as_secs_f64();
        let mut services: BTreeMap<&ServiceName, ServiceRates> = after
            .services
            .iter()
            .map(|(name, totals)| {
                let row = ServiceRates {
                    name: name.clone(),
                    flows: totals.flows,
                    endpoints: totals.endpoints,
                    ..ServiceRates::default()
                };
                (name, row)
            })
            .collect();
        for (id, (name, now)) in &after.counters {
            // An id that had another name counts from zero: the agent zeroes the counters of a Service that goes.
            let same = before.counters.get(id).filter(|(before, _)| before == name);
            let Some(row) = services.get_mut(name) else { continue };
            row.add(same.map(|(_, stats)| stats).unwrap_or(&ServiceStats::default()), now, seconds);
        }
        let mut drops: Vec<_> = after
            .drops
            .iter()
            .map(|(reason, now)| {
                (*reason, gained(before.drops.get(reason).copied().unwrap_or(*now), *now) / seconds)
            })
            .filter(|(_, rate)| *rate > 0.0)
            .collect();
        drops.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        Self { services: services.into_values().collect(), drops, entries: after.entries }
    }

    /// Rows of a namespace (none for all), in order.
    pub(super) fn rows(&self, namespace: Option<&str>, sort: Sort) -> Vec<&ServiceRates> {
        let mut rows: Vec<_> = self
            .services
            .iter()
            .filter(|row| namespace.is_none_or(|namespace| row.name.namespace == namespace))
            .collect();
        // Stable: rows that are equal stay in the order of their names.
        rows.sort_by(|a, b| match sort {
            Sort::Packets => (b.packets + b.reply_packets).total_cmp(&(a.packets + a.reply_packets)),
            Sort::Bytes => (b.bytes + b.reply_bytes).total_cmp(&(a.bytes + a.reply_bytes)),
            Sort::Replies => b.reply_bytes.total_cmp(&a.reply_bytes),
            Sort::NewFlows => b.new_flows.total_cmp(&a.new_flows),
            Sort::Drops => b.drops.total_cmp(&a.drops),
            Sort::Flows => Reverse(a.flows).cmp(&Reverse(b.flows)),
            Sort::Endpoints => Reverse(a.endpoints).cmp(&Reverse(b.endpoints)),
            Sort::Name => a.name.cmp(&b.name),
        });
        rows
    }
}

impl ServiceRates {
    fn add(&mut self, before: &ServiceStats, now: &ServiceStats, seconds: f64) {
        self.packets += gained(before.packets, now.packets) / seconds;
        self.bytes += gained(before.bytes, now.bytes) / seconds;
        self.reply_packets += gained(before.reply_packets, now.reply_packets) / seconds;
        self.reply_bytes += gained(before.reply_bytes, now.reply_bytes) / seconds;
        self.new_flows += gained(before.new_flows, now.new_flows) / seconds;
        self.drops += gained(before.drops, now.drops) / seconds;
    }
}

/// What a counter gained; one that fell was zeroed in between.
fn gained(before: u64, now: u64) -> f64 {
    (if now < before { now } else { now - before }) as f64
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Instant;

    use super::{super::reading::Totals, *};

    fn name(text: &str) -> ServiceName {
        ServiceName::parse(text)
    }

    pub(crate) fn reading(at: Instant, counters: &[(u32, &str, u64)], dropped: u64) -> Reading {
        let stats = |packets| ServiceStats {
            packets,
            bytes: packets * 100,
            reply_packets: packets / 2,
            new_flows: packets / 10,
            drops: packets / 20,
            ..ServiceStats::default()
        };
        let counters: BTreeMap<_, _> =
            counters.iter().map(|(id, text, packets)| (*id, (name(text), stats(*packets)))).collect();
        let services = counters
            .values()
            .map(|(name, stats)| (name.clone(), Totals { flows: stats.packets, endpoints: name.name.len() }));
        Reading {
            at,
            services: services.collect(),
            counters,
            drops: [(DropReason::NoRoute, 5), (DropReason::UnknownPort, dropped)].into(),
            entries: [7, 100],
        }
    }

    fn packets(rates: &Rates, namespace: Option<&str>, sort: Sort) -> Vec<(String, f64)> {
        rates.rows(namespace, sort).iter().map(|row| (row.name.to_string(), row.packets)).collect()
    }

    pub(crate) fn rates() -> Rates {
        let start = Instant::now();
        let before =
            reading(start, &[(1, "default/web", 100), (2, "default/web IPv6", 10), (3, "shop/db", 7)], 10);
        let after = reading(
            start + Duration::from_secs(2),
            &[(1, "default/web", 120), (2, "default/web IPv6", 20), (3, "shop/db", 107)],
            14,
        );
        Rates::between(&before, &after)
    }

    #[test]
    fn both_families_of_a_service_port_are_one_row() {
        assert_eq!(packets(&rates(), Some("default"), Sort::Packets), [("default/web".into(), 15.0)]);
    }

    #[test]
    fn rows_are_sorted_by_the_column_asked_for() {
        let (web, db) = (("default/web".to_owned(), 15.0), ("shop/db".to_owned(), 50.0));
        assert_eq!(packets(&rates(), None, Sort::Packets), [db.clone(), web.clone()]);
        assert_eq!(packets(&rates(), None, Sort::Bytes), [db.clone(), web.clone()]);
        assert_eq!(packets(&rates(), None, Sort::Name), [web.clone(), db.clone()]);
        assert_eq!(packets(&rates(), None, Sort::Endpoints), [web, db]);
    }

    #[test]
    fn drops_are_those_of_the_interval() {
        assert_eq!(rates().drops, [(DropReason::UnknownPort, 2.0)]);
    }

    #[test]
    fn a_counter_that_fell_or_whose_id_has_another_name_counts_from_zero() {
        let start = Instant::now();
        let before = reading(start, &[(1, "default/web", 100), (2, "default/old", 1000)], 0);
        let after =
            reading(start + Duration::from_secs(1), &[(1, "default/web", 30), (2, "default/new", 4)], 0);
        let rates = Rates::between(&before, &after);
        let expected = [("default/new".to_owned(), 4.0), ("default/web".to_owned(), 30.0)];
        assert_eq!(packets(&rates, None, Sort::Name), expected);
    }
}
