//! The rules that a row is judged by.

use super::{
    canonical,
    exchange::Outcome,
    message::Message,
    row::{Expected, How, Row},
};

/// What is wrong with the outcomes of a row: those of sluice-ingress, nginx and haproxy.
pub(super) fn judge(row: &Row, [sluice, nginx, haproxy]: &[Outcome; 3]) -> Vec<String> {
    let mut complaints = Vec::new();
    let found = found(row.expected, sluice);
    if !found.is_empty() {
        complaints.push(format!("expected {:?}, but {}", row.expected, found.join(", ")));
    }
    complaints.extend(sluice.whole().flat_map(canonical::faults).map(str::to_owned));
    if !sluice.is_next_served {
        complaints.push("the next client did not get what it asked for".to_owned());
    }
    if sluice.is_passed() && !nginx.is_passed() && !haproxy.is_passed() {
        complaints.push("sent on what both others refuse".to_owned());
    }
    let most = nginx.whole().count().max(haproxy.whole().count());
    if sluice.whole().count() > most {
        complaints.push(format!("made {} requests of {most} at most", sluice.whole().count()));
    }
    for (name, peer) in [("nginx", nginx), ("haproxy", haproxy)] {
        let Some((how, what)) = difference(sluice, peer) else { continue };
        let is_explained = row.differs.is_some_and(|differs| {
            differs.how == how || (differs.how == How::Laxer && how == How::Otherwise)
        });
        if !is_explained {
            let said = row.differs.map_or("nothing", |differs| differs.why);
            complaints.push(format!("{how:?} than {name}, which {what}; the row says: {said}"));
        }
    }
    complaints
}

/// How an outcome is not what was expected.
fn found(expected: Expected, outcome: &Outcome) -> Vec<String> {
    let (status, lines, is_kept): (_, &[&str], _) = match expected {
        Expected::Refused(status) => (Some(status), &[], false),
        Expected::Dropped => (None, &[], false),
        Expected::Passed(lines) => (Some(200), lines, true),
        Expected::PassedAsTheLast(lines) => (Some(200), lines, false),
    };
    let mut found = Vec::new();
    if outcome.status != status {
        found.push(format!("the status is {:?}", outcome.status));
    }
    let seen: Vec<_> = outcome.whole().map(|message| message.line()).collect();
    if seen != lines {
        found.push(format!("the endpoint saw {seen:?}"));
    }
    if outcome.is_kept != is_kept {
        found.push(format!("the connection was {}", if outcome.is_kept { "kept" } else { "closed" }));
    }
    found
}

/// How Sluice differs from another proxy, and what that does. Where both refuse, it does not matter with which words.
fn difference(sluice: &Outcome, peer: &Outcome) -> Option<(How, &'static str)> {
    match (sluice.is_passed(), peer.is_passed()) {
        (true, false) => Some((How::Laxer, "refuses it")),
        (false, true) => Some((How::Stricter, "passes it")),
        (false, false) => None,
        (true, true) if !sluice.whole().map(meaning).eq(peer.whole().map(meaning)) => {
            Some((How::Otherwise, "sends on something else"))
        }
        (true, true) if sluice.is_kept && !peer.is_kept => Some((How::Otherwise, "closes")),
        (true, true) if !sluice.is_kept && peer.is_kept => Some((How::Otherwise, "keeps the connection")),
        (true, true) => None,
    }
}

/// What a message asks whom for: method, host, path and query, body. A proxy may write the host in its own way, take an
/// absolute target apart or leave it (RFC 9112 §3.2.2), speak HTTP/1.0, and send a buffered body in another framing.
fn meaning(message: &Message) -> (String, String, String, &[u8]) {
    let line = message.line();
    let mut words = line.split(' ').map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let field = message.fields("host").concat();
    let (host, target) = match target.split_once("://") {
        Some((_, rest)) if !target.starts_with('/') => {
            let path = rest.find(['/', '?']).unwrap_or(rest.len());
            (rest[..path].to_owned(), rest[path..].to_owned())
        }
        _ => (field, target),
    };
    let target = if target.starts_with('/') { target } else { format!("/{target}") };
    (method, host_name(&host), target, &message.body)
}

/// A host without port and final dot.
fn host_name(host: &str) -> String {
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let name = name.map_or(host, |(name, _)| name);
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}
