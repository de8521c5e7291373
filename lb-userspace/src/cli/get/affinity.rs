//! `sluice get affinity`: which endpoint a client of a Service with session affinity is bound to, and for how long.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use lb_common::{
    affinity::{Affinity, AffinityKey},
    backend::Backend,
    time,
};
use serde::Serialize;

use super::{Pinned, Resourceful};
use crate::cli::{
    CliError,
    clock::Clock,
    names::{self, ServiceName, ServiceNames},
    output::{self, Column, Row},
};

/// A client of a Service.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AffinityRow {
    client: IpAddr,
    service: ServiceName,
    /// Absent where it is gone.
    endpoint: Option<SocketAddr>,
    state: State,
    /// How long a new flow still goes to the endpoint; each one starts the time anew.
    seconds_left: u64,
    last_used_at: String,
    backend: u32,
}

/// Whether the client's next flow goes to the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
enum State {
    /// It does.
    Bound,
    /// Too long ago.
    Expired,
    /// The endpoint was deleted.
    Gone,
}

impl Row for AffinityRow {
    const LIST: &'static str = "AffinityList";
    const COLUMNS: &'static [Column<Self>] = &[
        Column::new("CLIENT", |row| row.client.to_string()),
        Column::new("SERVICE", |row| row.service.to_string()),
        Column::new("ENDPOINT", |row| output::some_or_dash(row.endpoint)),
        Column::new("LEFT", |row| output::age(Duration::from_secs(row.seconds_left))),
        Column::wide("STATE", |row| format!("{:?}", row.state)),
        Column::wide("BACKEND", |row| row.backend.to_string()),
    ];

    fn only_wide(&self) -> bool {
        self.state != State::Bound
    }
}

impl Resourceful for AffinityRow {
    const KIND: &'static str = "affinity";

    fn is_named(&self, name: &str) -> bool {
        self.service.name == name
    }

    fn services(&self) -> Vec<&ServiceName> {
        vec![&self.service]
    }
}

/// What a row is read against.
struct Present {
    clock: Clock,
    names: ServiceNames,
    /// Seconds of affinity by service id.
    timeouts: BTreeMap<u32, u32>,
    backends: BTreeMap<u32, Backend>,
}

/// Every client, by Service.
pub(super) fn collect(pinned: &Pinned, clock: Clock) -> Result<Vec<AffinityRow>, CliError> {
    let services = pinned.services()?;
    let present = Present {
        clock,
        names: names::service_names(&pinned.names()?),
        timeouts: services.values().map(|service| (service.id, service.affinity)).collect(),
        backends: pinned.backends()?,
    };
    let rows = pinned.affinity().map(|entry| entry.map(|(key, affinity)| present.row(&key, &affinity)));
    let mut rows = rows.collect::<Result<Vec<_>, _>>()?;
    rows.sort_by(|a, b| (&a.service, a.client).cmp(&(&b.service, b.client)));
    Ok(rows)
}

impl Present {
    fn row(&self, key: &AffinityKey, affinity: &Affinity) -> AffinityRow {
        let timeout = self.timeouts.get(&key.service).copied().unwrap_or_default();
        let idle = time::since(self.clock.now, affinity.last_used);
        let endpoint = self
            .backends
            .get(&affinity.backend)
            .filter(|backend| !backend.address.is_none() && backend.generation == affinity.generation);
        let (state, left) = match endpoint {
            None => (State::Gone, 0),
            Some(_) if idle > time::seconds(timeout) => (State::Expired, 0),
            Some(_) => (State::Bound, time::nanos(time::seconds(timeout) - idle) / 1_000_000_000),
        };
        AffinityRow {
            client: key.client.into(),
            service: self.names.get(&key.service).cloned().unwrap_or_default(),
            endpoint: endpoint.map(|backend| names::socket(backend.address, backend.port_be)),
            state,
            seconds_left: left,
            last_used_at: self.clock.rfc3339(affinity.last_used),
            backend: affinity.backend,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use lb_common::time::seconds;

    use super::*;
    use crate::cli::output::{Format, View};

    fn rows() -> Vec<AffinityRow> {
        let backend = Backend {
            address: IpAddr::from([10, 244, 1, 5]).into(),
            port_be: 8080u16.to_be(),
            generation: 2,
            ..Backend::default()
        };
        let present = Present {
            clock: Clock {
                now: seconds(100_000),
                wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
            },
            names: names::service_names(&BTreeMap::from([(1, "default/web:http".to_owned())])),
            timeouts: BTreeMap::from([(1, 10_800)]),
            backends: BTreeMap::from([(3, backend)]),
        };
        let entry = |client: &str, generation: u32, ago: u32| {
            let key = AffinityKey { client: client.parse::<IpAddr>().unwrap().into(), service: 1 };
            let last_used = present.clock.now - seconds(ago);
            present.row(&key, &Affinity { backend: 3, generation, last_used })
        };
        vec![
            entry("198.51.100.7", 2, 60),
            entry("2001:db8::7", 2, 10_700),
            entry("198.51.100.8", 2, 10_900),
            entry("198.51.100.9", 1, 60),
        ]
    }

    fn text(format: Format) -> String {
        let mut out = Vec::new();
        output::print(&mut out, View { format, all_namespaces: false, no_headers: false }, &rows()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_table_shows_who_is_bound_and_for_how_long() {
        insta::assert_snapshot!(text(Format::Table), @r"
        CLIENT        SERVICE           ENDPOINT         LEFT
        198.51.100.7  default/web:http  10.244.1.5:8080  179m
        2001:db8::7   default/web:http  10.244.1.5:8080  100s
        ");
    }

    #[test]
    fn the_wide_table_shows_what_no_longer_binds() {
        insta::assert_snapshot!(text(Format::Wide), @r"
        CLIENT        SERVICE           ENDPOINT         LEFT  STATE    BACKEND
        198.51.100.7  default/web:http  10.244.1.5:8080  179m  Bound    3
        2001:db8::7   default/web:http  10.244.1.5:8080  100s  Bound    3
        198.51.100.8  default/web:http  10.244.1.5:8080  0s    Expired  3
        198.51.100.9  default/web:http  -                0s    Gone     3
        ");
    }

    #[test]
    fn json_field_names_do_not_change() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&rows()[0]).unwrap(), @r#"
        {
          "client": "198.51.100.7",
          "service": {
            "namespace": "default",
            "name": "web",
            "portName": "http"
          },
          "endpoint": "10.244.1.5:8080",
          "state": "Bound",
          "secondsLeft": 10740,
          "lastUsedAt": "2023-11-14T22:12:19Z",
          "backend": 3
        }
        "#);
    }
}
