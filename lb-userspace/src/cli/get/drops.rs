//! `sluice get drops`: packets dropped, by reason.

use lb_common::{drop_reason::DropReason, stat::Stat};
use serde::Serialize;

use super::{Pinned, Resourceful};
use crate::cli::{
    CliError,
    names::ServiceName,
    output::{Column, Row},
};

/// A counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DropRow {
    reason: &'static str,
    kind: Kind,
    packets: u64,
    description: &'static str,
}

/// What a counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum Kind {
    /// Packets dropped.
    Drop,
    /// Something that happened to a packet that was not dropped.
    Event,
}

impl Row for DropRow {
    const LIST: &'static str = "DropList";
    const COLUMNS: &'static [Column<Self>] = &[
        Column::new("REASON", |row| row.reason.to_owned()),
        Column::wide("KIND", |row| format!("{:?}", row.kind)),
        Column::new("PACKETS", |row| row.packets.to_string()),
        Column::new("DESCRIPTION", |row| row.description.to_owned()),
    ];

    fn only_wide(&self) -> bool {
        self.kind == Kind::Event
    }
}

impl Resourceful for DropRow {
    const KIND: &'static str = "drops";

    fn is_named(&self, name: &str) -> bool {
        self.reason == name
    }

    fn services(&self) -> Vec<&ServiceName> {
        Vec::new()
    }
}

/// Every reason and every event, in the order of the documentation.
pub(super) fn collect(pinned: &Pinned) -> Result<Vec<DropRow>, CliError> {
    Ok(rows(&pinned.drops()?, &pinned.stats()?))
}

fn rows(drops: &[(DropReason, u64)], stats: &[(Stat, u64)]) -> Vec<DropRow> {
    let drops = drops.iter().map(|(reason, packets)| DropRow {
        reason: reason.as_str(),
        kind: Kind::Drop,
        packets: *packets,
        description: reason.describe(),
    });
    let events = stats.iter().map(|(stat, packets)| DropRow {
        reason: stat.as_str(),
        kind: Kind::Event,
        packets: *packets,
        description: stat.describe(),
    });
    drops.chain(events).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::{self, Format, View};

    #[test]
    fn events_are_part_of_the_wide_table_only() {
        let rows = rows(&[(DropReason::NoRoute, 3)], &[(Stat::Answered, 12)]);
        let text = |format| {
            let mut out = Vec::new();
            output::print(&mut out, View { format, all_namespaces: false, no_headers: false }, &rows)
                .unwrap();
            String::from_utf8(out).unwrap()
        };
        insta::assert_snapshot!(text(Format::Table), @r"
        REASON    PACKETS  DESCRIPTION
        no-route  3        The kernel has no route to the endpoint or the client.
        ");
        insta::assert_snapshot!(text(Format::Wide), @r"
        REASON    KIND   PACKETS  DESCRIPTION
        no-route  Drop   3        The kernel has no route to the endpoint or the client.
        answered  Event  12       Resets and ICMP errors sent.
        ");
    }
}
