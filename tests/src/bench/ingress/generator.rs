//! The load: wrk and h2load, and what they say.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use super::{
    case::{Case, Clients, STREAMS},
    site::{PLAIN_HOST, SECURE_HOST, Site},
};
use crate::bench::report::Quantiles;

/// Connections of one run of h2load that measures handshakes; it opens all at once.
const HANDSHAKES: u32 = 400;

/// What a generator reports.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Load {
    /// Requests that were answered 200 in full.
    pub(super) requests: u64,
    /// What TLS agreed on.
    pub(super) tls: Option<String>,
}

/// Sends as many requests to an address as it answers, for so long.
///
/// # Errors
/// Where a request fails.
pub(super) fn saturate(site: &Site, case: Case, target: SocketAddr, time: Duration) -> Result<Load> {
    let seconds = time.as_secs().max(1).to_string();
    let connections = case.clients.connections().to_string();
    match case.clients {
        Clients::KeepAlive | Clients::NewConnections => {
            let mut wrk = site.load("wrk")?;
            wrk.args(["--threads", "1", "--connections", &connections, "--duration", &seconds]);
            wrk.args(["--header", &format!("Host: {PLAIN_HOST}")]);
            if case.clients == Clients::NewConnections {
                wrk.args(["--header", "Connection: close"]);
            }
            wrk_load(&output(wrk.arg(format!("http://{target}/{}", case.body)))?)
        }
        Clients::TlsKeepAlive | Clients::Http2 => {
            let mut h2load = h2load(site, case, target)?;
            h2load.args(["--clients", &connections, "--duration", &seconds]);
            h2load_load(&output(h2load.arg(uri(case)))?)
        }
        Clients::TlsHandshakes => {
            let (start, mut all) = (Instant::now(), Load::default());
            while start.elapsed() < time {
                let mut h2load = h2load(site, case, target)?;
                let count = HANDSHAKES.to_string();
                h2load.args(["--clients", &count, "--requests", &count]);
                let load = h2load_load(&output(h2load.arg(uri(case)))?)?;
                all = Load { requests: all.requests + load.requests, ..load };
            }
            Ok(all)
        }
    }
}

/// Sends requests at a fixed rate; milliseconds that responses took. h2load starts the requests that are due on a
/// connection every 10 ms, so they come in bursts.
///
/// # Errors
/// Where a request fails.
pub(super) fn at_rate(
    site: &Site,
    case: Case,
    target: SocketAddr,
    time: Duration,
    rate: f64,
) -> Result<Quantiles> {
    let log = site.files().join("requests.log");
    if log.exists() {
        fs::remove_file(&log)?;
    }
    let connections = case.clients.connections();
    let mut h2load = h2load(site, case, target)?;
    h2load.args(["--clients", &connections.to_string()]).arg("--log-file").arg(&log);
    h2load.args(["--duration", &time.as_secs().max(1).to_string()]);
    h2load.args(["--rps", &format!("{:.1}", rate / f64::from(connections))]);
    h2load_load(&output(h2load.arg(uri(case)))?)?;
    latencies(&log)
}

fn h2load(site: &Site, case: Case, target: SocketAddr) -> Result<Command> {
    let mut h2load = site.load("h2load")?;
    h2load.args(["--threads", "1", "--connect-to", &target.to_string()]);
    // One, because proxies prefer different ones.
    h2load.args(["--tls13-ciphers", "TLS_AES_128_GCM_SHA256"]);
    match case.clients {
        Clients::Http2 => h2load.args(["--max-concurrent-streams", &STREAMS.to_string()]),
        _ => h2load.arg("--h1"),
    };
    Ok(h2load)
}

fn uri(case: Case) -> String {
    let (scheme, host) = if case.clients.tls() { ("https", SECURE_HOST) } else { ("http", PLAIN_HOST) };
    format!("{scheme}://{host}/{}", case.body)
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("{command:?}: {}\n{text}{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(text)
}

/// Reads `3043 requests in 1.02s, 1.1MB read`; lines about errors are there only where some happened.
fn wrk_load(text: &str) -> Result<Load> {
    let faults = ["Socket errors", "Non-2xx"];
    ensure!(!faults.iter().any(|fault| text.contains(fault)), "requests failed:\n{text}");
    let line = text.lines().find_map(|line| line.split_once(" requests in "));
    let (requests, _) =
        line.with_context(|| format!("wrk does not say how many requests it made:\n{text}"))?;
    Ok(Load { requests: requests.trim().parse()?, tls: None })
}

/// Reads `requests: 10 total, 10 started, 10 done, 10 succeeded, 0 failed, 0 errored, 0 timeout`,
/// `status codes: 10 2xx, ...` and what TLS agreed on. Requests under way when the time is over are not done.
fn h2load_load(text: &str) -> Result<Load> {
    let line = |start: &str| text.lines().find_map(|line| line.strip_prefix(start)).map(str::trim);
    let count = |line: Option<&str>, what: &str| {
        let found =
            line.into_iter().flat_map(|line| line.split(", ")).find_map(|part| part.strip_suffix(what));
        found.and_then(|number| number.trim().parse::<u64>().ok())
    };
    let requests = line("requests:");
    let [done, succeeded, failed] = [" done", " succeeded", " failed"].map(|what| count(requests, what));
    let answered = count(line("status codes:"), " 2xx");
    let good = done.is_some_and(|done| done > 0) && done == succeeded && done == answered;
    ensure!(good && failed == Some(0), "requests failed:\n{text}");
    let names = ["TLS Protocol:", "Cipher:", "Server Temp Key:", "Application protocol:"];
    let agreed: Vec<_> = names.into_iter().filter_map(line).collect();
    Ok(Load { requests: done.unwrap_or_default(), tls: (!agreed.is_empty()).then(|| agreed.join(", ")) })
}

/// Quantiles of the log of h2load, which has start, status and microseconds of each request.
fn latencies(log: &Path) -> Result<Quantiles> {
    let text = fs::read_to_string(log).with_context(|| log.display().to_string())?;
    let mut millis = Vec::new();
    for line in text.lines() {
        let mut fields = line.split('\t').skip(1);
        let (status, micros) = (fields.next(), fields.next().context("a short line in the log of h2load")?);
        ensure!(status == Some("200"), "a request failed: {line}");
        millis.push(micros.parse::<f64>()? / 1e3);
    }
    ensure!(!millis.is_empty(), "h2load logged no request");
    Ok(Quantiles::of(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrk_is_understood_and_its_errors_are_not_passed_over() {
        let good = "Running 1s test @ http://10.1.0.1:8000/\n  3043 requests in 1.02s, 1.10MB read\n\
                    Requests/sec:   2983.33\n";
        assert_eq!(wrk_load(good).unwrap(), Load { requests: 3043, tls: None });
        assert!(wrk_load(&format!("{good}  Non-2xx or 3xx responses: 1\n")).is_err());
        assert!(
            wrk_load(&format!("{good}  Socket errors: connect 0, read 1, write 0, timeout 0\n")).is_err()
        );
        assert!(wrk_load("").is_err());
    }

    #[test]
    fn h2load_is_understood_and_its_errors_are_not_passed_over() {
        let good = "TLS Protocol: TLSv1.3\nCipher: TLS_AES_128_GCM_SHA256\n\
                    requests: 12 total, 12 started, 10 done, 10 succeeded, 0 failed, 0 errored, 0 timeout\n\
                    status codes: 10 2xx, 0 3xx, 0 4xx, 0 5xx\n";
        let tls = Some("TLSv1.3, TLS_AES_128_GCM_SHA256".to_owned());
        assert_eq!(h2load_load(good).unwrap(), Load { requests: 10, tls });
        for (was, is) in [("0 failed", "1 failed"), ("10 2xx, 0 3xx", "9 2xx, 1 3xx"), ("10 done", "0 done")]
        {
            assert!(h2load_load(&good.replace(was, is)).is_err(), "{is}");
        }
        assert!(h2load_load("").is_err());
    }
}
