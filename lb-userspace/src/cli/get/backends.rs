//! `sluice get backends`: every endpoint, and who uses it.

use std::{collections::BTreeMap, net::IpAddr};

use lb_common::backend::{BACKEND_LOCAL, BACKEND_TERMINATING, Backend};
use serde::Serialize;

use super::{Pinned, Resourceful};
use crate::cli::{
    CliError,
    names::{self, ServiceName, ServiceNames, Target},
    output::{self, Column, Row},
};

/// An endpoint.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BackendRow {
    endpoint: Target,
    location: Location,
    /// Address of its node, where that is known.
    node: Option<IpAddr>,
    state: State,
    services: Vec<Use>,
    index: u32,
    generation: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum Location {
    Local,
    Remote,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum State {
    Active,
    Terminating,
}

/// A Service port whose ring holds an endpoint.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Use {
    #[serde(flatten)]
    service: ServiceName,
    /// Slots of the ring that lead here.
    slots: u32,
    ring_size: u32,
}

impl Use {
    /// Share of new flows in tenths of a per cent.
    fn share(&self) -> String {
        let tenths = u64::from(self.slots) * 1000 / u64::from(self.ring_size.max(1));
        format!("{}.{}%", tenths / 10, tenths % 10)
    }
}

fn join(uses: &[Use], text: fn(&Use) -> String) -> String {
    output::or_dash(&uses.iter().map(text).collect::<Vec<_>>().join(","))
}

impl Row for BackendRow {
    const LIST: &'static str = "BackendList";
    const COLUMNS: &'static [Column<Self>] = &[
        Column::new("ENDPOINT", |row| row.endpoint.to_string()),
        Column::new("LOCATION", |row| format!("{:?}", row.location)),
        Column::new("NODE", |row| output::some_or_dash(row.node)),
        Column::new("STATE", |row| format!("{:?}", row.state)),
        Column::new("SERVICES", |row| join(&row.services, |used| used.service.to_string())),
        Column::new("SHARE", |row| join(&row.services, Use::share)),
        Column::wide("INDEX", |row| row.index.to_string()),
        Column::wide("GENERATION", |row| row.generation.to_string()),
    ];
}

impl Resourceful for BackendRow {
    const KIND: &'static str = "backends";

    fn is_named(&self, name: &str) -> bool {
        self.endpoint.socket.to_string() == name || self.endpoint.socket.ip().to_string() == name
    }

    fn services(&self) -> Vec<&ServiceName> {
        self.services.iter().map(|used| &used.service).collect()
    }
}

/// Backend index → Service id → (slots, ring size).
type Shares = BTreeMap<u32, BTreeMap<u32, (u32, u32)>>;

/// Every endpoint, by address.
pub(super) fn collect(pinned: &Pinned) -> Result<Vec<BackendRow>, CliError> {
    let names = names::service_names(&pinned.names()?);
    let mut shares = Shares::new();
    for service in pinned.services()?.values() {
        count(&mut shares, service.id, &pinned.ring(service)?);
    }
    Ok(rows(&pinned.backends()?, &shares, &names))
}

/// Counts the slots of a ring. Frontends of one Service port have the same ring, which counts once.
fn count(shares: &mut Shares, id: u32, ring: &[u32]) {
    let mut slots = BTreeMap::<u32, u32>::new();
    for backend in ring {
        *slots.entry(*backend).or_default() += 1;
    }
    let size = u32::try_from(ring.len()).unwrap_or(u32::MAX);
    for (backend, slots) in slots {
        shares.entry(backend).or_default().insert(id, (slots, size));
    }
}

fn rows(backends: &BTreeMap<u32, Backend>, shares: &Shares, names: &ServiceNames) -> Vec<BackendRow> {
    let mut rows: Vec<_> = backends
        .iter()
        // A free index has address 0.
        .filter(|(_, backend)| !backend.address.is_none())
        .map(|(index, backend)| BackendRow {
            endpoint: Target::new(backend.address, backend.port_be, backend.protocol),
            location: if backend.flags & BACKEND_LOCAL != 0 { Location::Local } else { Location::Remote },
            node: (!backend.node.is_none()).then(|| backend.node.into()),
            state: if backend.flags & BACKEND_TERMINATING != 0 { State::Terminating } else { State::Active },
            services: uses(shares.get(index), names),
            index: *index,
            generation: backend.generation,
        })
        .collect();
    rows.sort_by_key(|row| row.endpoint);
    rows
}

fn uses(shares: Option<&BTreeMap<u32, (u32, u32)>>, names: &ServiceNames) -> Vec<Use> {
    let shares = shares.into_iter().flatten();
    let mut uses: Vec<_> = shares
        .map(|(id, (slots, ring_size))| Use {
            service: names.get(id).cloned().unwrap_or_default(),
            slots: *slots,
            ring_size: *ring_size,
        })
        .collect();
    uses.sort_by(|a, b| a.service.cmp(&b.service));
    uses
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::{Format, View};

    fn sample() -> Vec<BackendRow> {
        let names = names::service_names(&BTreeMap::from([
            (1, "default/web:http".to_owned()),
            (2, "default/web-canary:http".to_owned()),
        ]));
        let endpoint = |last: u8, flags: u8| Backend {
            address: IpAddr::from([10, 244, 1, last]).into(),
            port_be: 8080u16.to_be(),
            protocol: 6,
            flags,
            generation: 1,
            ..Backend::default()
        };
        let v6 = Backend {
            address: "fd00:244::5".parse::<IpAddr>().unwrap().into(),
            node: "fd00::3".parse::<IpAddr>().unwrap().into(),
            ..endpoint(0, 0)
        };
        let backends = BTreeMap::from([
            (1, endpoint(9, 0)),
            (2, endpoint(5, BACKEND_LOCAL)),
            (3, endpoint(7, BACKEND_TERMINATING)),
            (4, Backend { generation: 8, ..Backend::default() }),
            (5, v6),
        ]);
        let mut shares = Shares::new();
        count(&mut shares, 1, &[1, 2, 1]);
        count(&mut shares, 1, &[1, 2, 1]);
        count(&mut shares, 2, &[2]);
        rows(&backends, &shares, &names)
    }

    #[test]
    fn the_table_shows_who_uses_an_endpoint_and_how_much() {
        let mut out = Vec::new();
        let view = View { format: Format::Wide, all_namespaces: false, no_headers: false };
        output::print(&mut out, view, &sample()).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        ENDPOINT                LOCATION  NODE     STATE        SERVICES                                  SHARE         INDEX  GENERATION
        10.244.1.5:8080/TCP     Local     -        Active       default/web:http,default/web-canary:http  33.3%,100.0%  2      1
        10.244.1.7:8080/TCP     Remote    -        Terminating  -                                         -             3      1
        10.244.1.9:8080/TCP     Remote    -        Active       default/web:http                          66.6%         1      1
        [fd00:244::5]:8080/TCP  Remote    fd00::3  Active       -                                         -             5      1
        ");
    }

    #[test]
    fn json_field_names_do_not_change() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&sample()[0]).unwrap(), @r#"
        {
          "endpoint": {
            "address": "10.244.1.5",
            "port": 8080,
            "protocol": "TCP"
          },
          "location": "Local",
          "node": null,
          "state": "Active",
          "services": [
            {
              "namespace": "default",
              "name": "web",
              "portName": "http",
              "slots": 1,
              "ringSize": 3
            },
            {
              "namespace": "default",
              "name": "web-canary",
              "portName": "http",
              "slots": 1,
              "ringSize": 1
            }
          ],
          "index": 2,
          "generation": 1
        }
        "#);
    }

    #[test]
    fn an_endpoint_goes_by_its_address_with_or_without_the_port() {
        let rows = sample();
        assert!(rows[0].is_named("10.244.1.5") && rows[0].is_named("10.244.1.5:8080"));
        assert!(!rows[0].is_named("10.244.1.7"));
    }
}
