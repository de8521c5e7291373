//! Tables as kubectl prints them, and lists in JSON and YAML.

use std::{io, time::Duration};

use clap::ValueEnum;
use comfy_table::{Table, presets};
use serde::Serialize;

use super::CliError;

/// Version of the field names in JSON and YAML.
pub(crate) const API_VERSION: &str = "sluice/v1";

/// How rows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table.
    Table,
    /// A table with more columns.
    Wide,
    /// JSON, for programs: field names do not change.
    Json,
    /// YAML, the same fields.
    Yaml,
}

/// When a column is part of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// In every table.
    Always,
    /// With `-o wide`.
    Wide,
    /// With `-A`.
    AllNamespaces,
}

/// A column of a table of `R`.
pub(crate) struct Column<R> {
    /// Header, upper case.
    pub(crate) header: &'static str,
    /// When it is shown.
    pub(crate) shown: Shown,
    /// The cell's text.
    pub(crate) cell: fn(&R) -> String,
}

impl<R> Column<R> {
    /// A column of every table.
    pub(crate) const fn new(header: &'static str, cell: fn(&R) -> String) -> Self {
        Self { header, shown: Shown::Always, cell }
    }

    /// A column of wide tables.
    pub(crate) const fn wide(header: &'static str, cell: fn(&R) -> String) -> Self {
        Self { header, shown: Shown::Wide, cell }
    }
}

/// A line of a table and an item of a list.
pub(crate) trait Row: Serialize + Sized + 'static {
    /// `kind` of the list.
    const LIST: &'static str;
    /// The table's columns.
    const COLUMNS: &'static [Column<Self>];

    /// True where the row is only part of wide tables (and of every list).
    fn only_wide(&self) -> bool {
        false
    }
}

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    /// Format.
    pub(crate) format: Format,
    /// A column for the namespace.
    pub(crate) all_namespaces: bool,
    /// No header line.
    pub(crate) no_headers: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'a, R> {
    api_version: &'static str,
    kind: &'static str,
    items: &'a [R],
}

/// Prints rows; true where there was something to print.
pub(crate) fn print<R: Row>(out: &mut impl io::Write, view: View, rows: &[R]) -> Result<bool, CliError> {
    let list = List { api_version: API_VERSION, kind: R::LIST, items: rows };
    match view.format {
        Format::Json => print_json(out, &list)?,
        Format::Yaml => print_yaml(out, &list)?,
        Format::Table | Format::Wide => return print_table(out, view, rows),
    }
    Ok(!rows.is_empty())
}

/// Prints a value as indented JSON.
pub(crate) fn print_json(out: &mut impl io::Write, value: &impl Serialize) -> Result<(), CliError> {
    serde_json::to_writer_pretty(&mut *out, value).map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(())
}

/// Prints a value as one line of JSON.
pub(crate) fn print_json_line(out: &mut impl io::Write, value: &impl Serialize) -> Result<(), CliError> {
    serde_json::to_writer(&mut *out, value).map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(())
}

/// Prints a value as YAML.
pub(crate) fn print_yaml(out: &mut impl io::Write, value: &impl Serialize) -> Result<(), CliError> {
    let text = serde_saphyr::to_string(value).map_err(io::Error::other)?;
    out.write_all(text.as_bytes())?;
    Ok(())
}

fn print_table<R: Row>(out: &mut impl io::Write, view: View, rows: &[R]) -> Result<bool, CliError> {
    let wide = view.format == Format::Wide;
    let columns: Vec<_> = R::COLUMNS
        .iter()
        .filter(|column| match column.shown {
            Shown::Always => true,
            Shown::Wide => wide,
            Shown::AllNamespaces => view.all_namespaces,
        })
        .collect();
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if !view.no_headers {
        table.add_row(columns.iter().map(|column| column.header.to_owned()));
    }
    let mut any = false;
    for row in rows.iter().filter(|row| wide || !row.only_wide()) {
        table.add_row(columns.iter().map(|column| (column.cell)(row)));
        any = true;
    }
    if any {
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        writeln!(out, "{}", table.trim_fmt())?;
    }
    Ok(any)
}

/// Prints lines of cells as a table, numbers and all to the left.
pub(crate) fn print_lines(out: &mut impl io::Write, lines: Vec<Vec<String>>) -> Result<(), CliError> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.add_rows(lines);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    writeln!(out, "{}", table.trim_fmt())?;
    Ok(())
}

/// A duration as kubectl shows ages: the two largest units while small, then one.
pub(crate) fn age(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let pair = |large: u64, unit: char, rest: u64, small: char| {
        if rest == 0 { format!("{large}{unit}") } else { format!("{large}{unit}{rest}{small}") }
    };
    // Thresholds of k8s.io/apimachinery/pkg/util/duration.HumanDuration.
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => pair(minutes, 'm', seconds % 60, 's'),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => pair(hours, 'h', minutes % 60, 'm'),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => pair(days, 'd', hours % 24, 'h'),
        _ => format!("{days}d"),
    }
}

/// A number of bytes in binary units, one decimal.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let class = (bytes.ilog2() / 10) as usize;
    // Whole units and tenths, in integers: 2^63 has no exact float.
    let unit = 1u128 << (10 * class);
    let tenths = u128::from(bytes) * 10 / unit;
    format!("{}.{}{}", tenths / 10, tenths % 10, UNITS[class - 1])
}

/// Text for a cell that has none.
pub(crate) fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

/// Text for a cell that may have none.
pub(crate) fn some_or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Pipe {
        name: &'static str,
        ring_size: u32,
    }

    impl Row for Pipe {
        const LIST: &'static str = "PipeList";
        const COLUMNS: &'static [Column<Self>] = &[
            Column { header: "NAMESPACE", shown: Shown::AllNamespaces, cell: |_| "water".into() },
            Column::new("NAME", |row| row.name.into()),
            Column::wide("RING", |row| row.ring_size.to_string()),
        ];

        fn only_wide(&self) -> bool {
            self.name == "hidden"
        }
    }

    const PIPES: [Pipe; 2] =
        [Pipe { name: "a-long-name", ring_size: 251 }, Pipe { name: "hidden", ring_size: 0 }];

    fn text(format: Format, all_namespaces: bool, no_headers: bool, rows: &[Pipe]) -> String {
        let mut out = Vec::new();
        print(&mut out, View { format, all_namespaces, no_headers }, rows).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_table_has_upper_case_headers_two_space_gaps_and_no_borders() {
        assert_eq!(text(Format::Table, false, false, &PIPES), "NAME\na-long-name\n");
        assert_eq!(
            text(Format::Wide, true, false, &PIPES),
            "NAMESPACE  NAME         RING\nwater      a-long-name  251\nwater      hidden       0\n"
        );
        assert_eq!(text(Format::Wide, false, true, &PIPES), "a-long-name  251\nhidden       0\n");
    }

    #[test]
    fn an_empty_table_prints_nothing_and_an_empty_list_a_list() {
        assert_eq!(text(Format::Table, false, false, &[]), "");
        assert_eq!(
            text(Format::Json, false, false, &[]),
            "{\n  \"apiVersion\": \"sluice/v1\",\n  \"kind\": \"PipeList\",\n  \"items\": []\n}\n"
        );
    }

    #[test]
    fn json_and_yaml_carry_every_row_under_camel_case_names() {
        let json: serde_json::Value =
            serde_json::from_str(&text(Format::Json, false, false, &PIPES)).unwrap();
        assert_eq!(json["items"][1]["ringSize"], 0);
        assert_eq!(
            text(Format::Yaml, false, false, &PIPES[..1]),
            "apiVersion: sluice/v1\nkind: PipeList\nitems:\n- name: a-long-name\n  ringSize: 251\n"
        );
    }

    #[test]
    fn ages_read_as_kubectl_writes_them() {
        let cases = [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (3_599, "59m"),
            (10_860, "3h1m"),
            (100_000, "27h"),
            (180_000, "2d2h"),
            (700_000, "8d"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(age(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn bytes_are_shown_in_binary_units() {
        assert_eq!(bytes(1023), "1023B");
        assert_eq!(bytes(1536), "1.5KiB");
        assert_eq!(bytes(u64::MAX), "15.9EiB");
    }
}
