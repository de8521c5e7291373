//! Keeps the node's own sockets off the ports that SNAT takes.

use std::{fs, io, ops::RangeInclusive, time::Duration};

use tokio::time::interval;

const RESERVED: &str = "/proc/sys/net/ipv4/ip_local_reserved_ports";

/// How often the list is looked at.
const PERIOD: Duration = Duration::from_secs(10);

/// Why the ports could not be reserved.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot reserve the SNAT ports {first}-{last}: {RESERVED}: {source}; the node's own connections may collide with \
     forwarded ones: run `sysctl -w net.ipv4.ip_local_reserved_ports={list}` on the node"
)]
pub struct ReserveError {
    first: u16,
    last: u16,
    list: String,
    source: io::Error,
}

/// Keeps `ports` reserved, for `sysctl --system` and its like write the list anew; what is in the way is logged once.
pub async fn keep_reserved(ports: RangeInclusive<u16>) {
    let mut ticks = interval(PERIOD);
    let mut said = None;
    loop {
        ticks.tick().await;
        let error = reserve(&ports).err().map(|error| error.to_string());
        if let Some(error) = error.as_ref().filter(|error| said.as_ref() != Some(*error)) {
            tracing::warn!("{error}");
        }
        said = error;
    }
}

/// Adds `ports` to `net.ipv4.ip_local_reserved_ports`, keeping what is reserved already.
///
/// # Errors
/// Where the file cannot be read or written, as in a container with a read-only /proc/sys.
pub fn reserve(ports: &RangeInclusive<u16>) -> Result<(), ReserveError> {
    let failed = |list: &str, source| ReserveError {
        first: *ports.start(),
        last: *ports.end(),
        list: list.to_owned(),
        source,
    };
    let current = fs::read_to_string(RESERVED).map_err(|source| failed("", source))?;
    match with(current.trim(), ports) {
        None => Ok(()),
        Some(list) => fs::write(RESERVED, &list).map_err(|source| failed(&list, source)),
    }
}

/// The list with `ports` added; none where they are in it already.
fn with(list: &str, ports: &RangeInclusive<u16>) -> Option<String> {
    let covers = |entry: &str| {
        let (first, last) = entry.split_once('-').unwrap_or((entry, entry));
        matches!((first.parse(), last.parse()), (Ok(first), Ok(last))
            if (first..=last).contains(ports.start()) && (first..=last).contains(ports.end()))
    };
    if list.split(',').any(|entry| covers(entry.trim())) {
        return None;
    }
    let own = format!("{}-{}", ports.start(), ports.end());
    Some(if list.is_empty() { own } else { format!("{list},{own}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reserved_already_stays() {
        assert_eq!(with("", &(50_000..=60_000)).unwrap(), "50000-60000");
        assert_eq!(with("8080,9000-9100", &(50_000..=60_000)).unwrap(), "8080,9000-9100,50000-60000");
    }

    #[test]
    fn ports_that_are_reserved_are_not_added_again() {
        assert_eq!(with("80,49152-65535", &(49_152..=65_535)), None);
        assert_eq!(with("40000-65535", &(49_152..=65_535)), None);
        assert!(with("49152-60000", &(49_152..=65_535)).is_some());
    }
}
