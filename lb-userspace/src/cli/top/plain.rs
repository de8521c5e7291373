//! Tables one after the other, and what both forms have in common.

use std::{
    io, thread,
    time::{Duration, Instant},
};

use super::{
    Stop,
    args::TopArgs,
    rates::{Rates, ServiceRates},
    reading::Reading,
};
use crate::{
    cli::{CliError, output},
    dataplane::pinned::Pinned,
};

/// How often a wait looks whether it is to end.
const LOOK: Duration = Duration::from_millis(100);

/// Header and cell of a column.
type Column = (&'static str, fn(&ServiceRates) -> String);

/// The first is the namespace's.
pub(super) const COLUMNS: [Column; 11] = [
    ("NAMESPACE", |row| output::or_dash(&row.name.namespace)),
    ("NAME", |row| output::or_dash(&row.name.name)),
    ("PORT", |row| output::or_dash(&row.name.port)),
    ("PACKETS/S", |row| number(row.packets)),
    ("BYTES/S", |row| bytes(row.bytes)),
    ("REPLIES/S", |row| number(row.reply_packets)),
    ("REPLY-BYTES/S", |row| bytes(row.reply_bytes)),
    ("NEW-FLOWS/S", |row| number(row.new_flows)),
    ("DROPS/S", |row| number(row.drops)),
    ("FLOWS", |row| row.flows.to_string()),
    ("ENDPOINTS", |row| row.endpoints.to_string()),
];

/// Prints a table an interval.
pub(super) fn run(
    pinned: &Pinned,
    args: &TopArgs,
    mut before: Reading,
    stop: &Stop,
    out: &mut impl io::Write,
) -> Result<(), CliError> {
    let mut left = args.iterations().unwrap_or(u64::MAX);
    while left > 0 && wait(args.interval, stop) {
        let after = Reading::take(pinned)?;
        print(&Rates::between(&before, &after), args, out)?;
        out.flush()?;
        before = after;
        left -= 1;
        if left > 0 {
            writeln!(out)?;
        }
    }
    Ok(())
}

/// True after the pause; false as soon as the process is to end.
fn wait(pause: Duration, stop: &Stop) -> bool {
    let end = Instant::now() + pause;
    while !stop.is_asked_for() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        thread::park_timeout(left.min(LOOK));
    }
    false
}

fn print(rates: &Rates, args: &TopArgs, out: &mut impl io::Write) -> Result<(), CliError> {
    writeln!(out, "{}", summary(rates))?;
    let columns = &COLUMNS[usize::from(!args.all_namespaces)..];
    let rows = rates.rows(args.shown_namespace(), args.sort);
    let mut lines = vec![columns.iter().map(|(header, _)| (*header).to_owned()).collect::<Vec<_>>()];
    lines.extend(rows.iter().map(|row| columns.iter().map(|(_, cell)| cell(row)).collect()));
    output::print_lines(out, lines)
}

/// What is the node's and no Service's.
pub(super) fn summary(rates: &Rates) -> String {
    let [used, most] = rates.entries;
    let new: f64 = rates.services.iter().map(|row| row.new_flows).sum();
    let mut text = format!(
        "services {}, new flows {}/s, flow table {used} of {most} entries ({} %), drops {}/s",
        rates.services.len(),
        number(new),
        used * 100 / most.max(1),
        number(rates.drops.iter().map(|(_, rate)| rate).sum()),
    );
    for (index, (reason, rate)) in rates.drops.iter().take(3).enumerate() {
        text += &format!("{}{} {}/s", if index == 0 { ": " } else { ", " }, reason.as_str(), number(*rate));
    }
    text
}

/// A rate: with a decimal only where that says more.
pub(super) fn number(rate: f64) -> String {
    // Of nothing at all the sum is -0.0, which would be printed with its sign.
    let rate = rate + 0.0;
    if rate > 0.0 && rate < 10.0 { format!("{rate:.1}") } else { format!("{rate:.0}") }
}

fn bytes(rate: f64) -> String {
    output::bytes(rate.round() as u64)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{super::rates::tests::rates, *};

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: TopArgs,
    }

    fn text(words: &[&str]) -> String {
        let args = Command::try_parse_from([&["top"], words].concat()).unwrap().args;
        let mut out = Vec::new();
        print(&rates(), &args, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_table_says_what_the_node_and_each_service_does() {
        insta::assert_snapshot!(text(&["-A"]), @r"
        services 2, new flows 6.5/s, flow table 7 of 100 entries (7 %), drops 2.0/s: unknown-port 2.0/s
        NAMESPACE  NAME  PORT  PACKETS/S  BYTES/S  REPLIES/S  REPLY-BYTES/S  NEW-FLOWS/S  DROPS/S  FLOWS  ENDPOINTS
        shop       db    -     50         4.8KiB   25         0B             5.0          2.5      107    2
        default    web   -     15         1.4KiB   7.5        0B             1.5          1.0      20     3
        ");
    }

    #[test]
    fn a_node_without_traffic_has_rates_of_zero() {
        let text = summary(&Rates { entries: [0, 100], ..Rates::default() });
        assert_eq!(text, "services 0, new flows 0/s, flow table 0 of 100 entries (0 %), drops 0/s");
    }

    #[test]
    fn one_namespace_needs_no_column_for_it() {
        insta::assert_snapshot!(text(&[]), @r"
        services 2, new flows 6.5/s, flow table 7 of 100 entries (7 %), drops 2.0/s: unknown-port 2.0/s
        NAME  PORT  PACKETS/S  BYTES/S  REPLIES/S  REPLY-BYTES/S  NEW-FLOWS/S  DROPS/S  FLOWS  ENDPOINTS
        web   -     15         1.4KiB   7.5        0B             1.5          1.0      20     3
        ");
    }

    #[test]
    fn small_rates_have_a_decimal() {
        assert_eq!([0.0, 0.26, 9.94, 10.4, 1e6].map(number), ["0", "0.3", "9.9", "10", "1000000"]);
    }
}
