//! Flags of `sluice top`.

use std::time::Duration;

use clap::{Args, ValueEnum};

/// `sluice top`.
#[derive(Debug, Args)]
#[command(
    after_help = "On a terminal: q or Ctrl-C ends, p b r n d f e a sort by a column, arrows scroll. Without one, or with --plain, \
                  --once or --iterations: a table after each interval. Counters are the packet path's own. A Service's \
                  drops are packets to its frontends that were refused; the node's, above, are replies, later \
                  fragments and packets to no frontend too."
)]
pub(crate) struct TopArgs {
    /// Services of this namespace [default: default].
    #[arg(short, long, value_name = "NAMESPACE", conflicts_with = "all_namespaces")]
    pub(super) namespace: Option<String>,
    /// Services of every namespace.
    #[arg(short = 'A', long)]
    pub(super) all_namespaces: bool,
    /// Seconds between two readings.
    #[arg(short, long, value_name = "SECONDS", default_value = "2", value_parser = interval)]
    pub(super) interval: Duration,
    /// The column that comes first.
    #[arg(short, long, value_enum, value_name = "COLUMN", default_value_t)]
    pub(super) sort: Sort,
    /// End after this many tables.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    iterations: Option<u64>,
    /// One table, after one interval.
    #[arg(long, conflicts_with = "iterations")]
    once: bool,
    /// Tables one after the other on a terminal too.
    #[arg(long)]
    pub(super) plain: bool,
}

/// What rows are sorted by: the largest first, names from A to Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Sort {
    /// Packets from clients and to them.
    #[default]
    Packets,
    /// Bytes from clients and to them.
    Bytes,
    /// Bytes to clients.
    Replies,
    /// Flows opened.
    NewFlows,
    /// Packets from clients that were refused.
    Drops,
    /// Flows that are open.
    Flows,
    /// Endpoints.
    Endpoints,
    /// Namespace and name.
    Name,
}

impl Sort {
    /// The column behind a key of the keyboard.
    pub(super) const fn by_key(key: char) -> Option<Self> {
        match key {
            'p' => Some(Self::Packets),
            'b' => Some(Self::Bytes),
            'r' => Some(Self::Replies),
            'n' => Some(Self::NewFlows),
            'd' => Some(Self::Drops),
            'f' => Some(Self::Flows),
            'e' => Some(Self::Endpoints),
            'a' => Some(Self::Name),
            _ => None,
        }
    }
}

impl TopArgs {
    /// Tables to print; none for one after the other until the end.
    pub(super) fn iterations(&self) -> Option<u64> {
        if self.once { Some(1) } else { self.iterations }
    }

    /// The namespace whose Services are shown; none for all.
    pub(super) fn shown_namespace(&self) -> Option<&str> {
        (!self.all_namespaces).then(|| self.namespace.as_deref().unwrap_or("default"))
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.1..=3600.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "write seconds from 0.1 to 3600".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_seconds_and_may_be_fractions() {
        assert_eq!(interval("0.5"), Ok(Duration::from_millis(500)));
        for wrong in ["0", "0.01", "-1", "2s", "NaN", "9999"] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
    }
}
