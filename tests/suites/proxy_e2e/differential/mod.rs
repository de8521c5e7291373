//! sluice-ingress beside Debian's nginx and haproxy: each gets the same bytes, before an endpoint that records what it
//! is sent.
//!
//! Where two programs read one request differently, requests are smuggled. So what all three understand alike is not
//! explained; each row in which Sluice is stricter, laxer or just different says why, with the section that it follows.
//! What both others refuse, Sluice must refuse: no row can explain that away.

mod canonical;
mod exchange;
mod judge;
mod message;
mod proxies;
mod recorder;
mod row;
mod table;

use proxies::Proxies;
use row::Row;

/// Sends each row to all three, and tells every disagreement that nothing explains.
fn compare(rows: Vec<Row>) {
    if !proxies::possible() {
        return;
    }
    let proxies = Proxies::start();
    let mut complaints = Vec::new();
    for row in &rows {
        let outcomes = proxies.all().map(|proxy| exchange::exchange(&proxies.site, proxy, &row.bytes));
        let found = judge::judge(row, &outcomes);
        if !found.is_empty() {
            let told = proxies.all().into_iter().zip(&outcomes);
            let told: String =
                told.map(|(proxy, outcome)| format!("\n  {:14} {outcome}", proxy.name)).collect();
            let bytes = row.bytes.escape_ascii().to_string();
            complaints.push(format!(
                "{}: {}\n  sent           \"{bytes:.400}\"{told}",
                row.name,
                found.join("; ")
            ));
        }
    }
    assert!(
        complaints.is_empty(),
        "{} of {} rows:\n\n{}",
        complaints.len(),
        rows.len(),
        complaints.join("\n\n")
    );
}

#[test]
fn hosts_are_read_as_nginx_and_haproxy_read_them() {
    compare(table::hosts::rows());
}

#[test]
fn fields_are_read_as_nginx_and_haproxy_read_them() {
    compare(table::fields::rows());
}

#[test]
fn lengths_are_read_as_nginx_and_haproxy_read_them() {
    compare(table::lengths::rows());
}

#[test]
fn chunks_are_read_as_nginx_and_haproxy_read_them() {
    compare(table::chunks::rows());
}

#[test]
fn targets_are_read_as_nginx_and_haproxy_read_them() {
    compare(table::targets::rows());
}

#[test]
fn request_lines_are_read_as_nginx_and_haproxy_read_them() {
    compare(table::request_lines::rows());
}

#[test]
fn connections_are_kept_as_nginx_and_haproxy_keep_them() {
    compare(table::connections::rows());
}
