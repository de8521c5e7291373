//! `sluice get services`: every frontend and what it leads to, and what is refused.

use lb_common::{
    backend::{self, Backend},
    refusal::Refusal,
    service::{Service, ServiceKey},
    stat::ServiceStats,
};
use serde::Serialize;

use super::{Pinned, Resourceful};
use crate::cli::{
    CliError,
    names::{self, FrontendType, ServiceName, ServiceNames, Target},
    output::{self, Column, Row, Shown},
};

/// A frontend, or something that is refused.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServiceRow {
    #[serde(flatten)]
    name: ServiceName,
    r#type: FrontendType,
    /// None where something is refused: its message says what.
    frontend: Option<Target>,
    endpoints: Endpoints,
    traffic_policy: &'static str,
    id: u32,
    ring_size: u32,
    packets: u64,
    bytes: u64,
    reply_packets: u64,
    reply_bytes: u64,
    new_flows: u64,
    drops: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<Refused>,
}

/// Why something is not served.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Refused {
    /// Kind of the object that the row is named after.
    kind: String,
    reason: String,
    message: String,
}

/// Endpoints in a ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Endpoints {
    local: usize,
    total: usize,
}

impl Row for ServiceRow {
    const LIST: &'static str = "ServiceList";
    const COLUMNS: &'static [Column<Self>] = &[
        Column {
            header: "NAMESPACE",
            shown: Shown::AllNamespaces,
            cell: |row| output::or_dash(&row.name.namespace),
        },
        Column::new("NAME", ServiceRow::shown_name),
        Column::new("PORT", |row| output::or_dash(&row.name.port)),
        Column::new("TYPE", |row| row.r#type.to_string()),
        Column::new("FRONTEND", |row| row.frontend.map_or_else(|| "-".to_owned(), |it| it.to_string())),
        Column::new("ENDPOINTS", |row| format!("{}/{}", row.endpoints.local, row.endpoints.total)),
        Column::wide("POLICY", |row| output::or_dash(row.traffic_policy)),
        Column::wide("ID", |row| row.id.to_string()),
        Column::wide("RING", |row| row.ring_size.to_string()),
        Column::wide("PACKETS", |row| row.packets.to_string()),
        Column::wide("BYTES", |row| output::bytes(row.bytes)),
        Column::wide("REPLIES", |row| row.reply_packets.to_string()),
        Column::wide("REPLY-BYTES", |row| output::bytes(row.reply_bytes)),
        Column::wide("NEW-FLOWS", |row| row.new_flows.to_string()),
        Column::wide("DROPS", |row| row.drops.to_string()),
        Column::wide("REFUSED", ServiceRow::shown_refusal),
    ];

    fn only_wide(&self) -> bool {
        matches!(self.r#type, FrontendType::CatchAll | FrontendType::Refused)
    }
}

impl Resourceful for ServiceRow {
    const KIND: &'static str = "services";
    const NAMESPACED: bool = true;

    fn is_named(&self, name: &str) -> bool {
        self.name.name == name
    }

    fn services(&self) -> Vec<&ServiceName> {
        vec![&self.name]
    }

    fn note(rows: &[Self]) -> Option<String> {
        let refused = rows.iter().filter(|row| row.refused.is_some()).count();
        (refused > 0).then(|| format!("refused: {refused}; -o wide says what and why"))
    }
}

impl ServiceRow {
    /// Something that is refused. What is no Service is shown as kubectl names it, `kind/name`.
    fn refused(record: &Refusal) -> Self {
        let refused = Refused {
            kind: record.kind().to_owned(),
            reason: record.reason().to_owned(),
            message: record.message().to_owned(),
        };
        let (namespace, name) = record.object().split_once('/').unwrap_or(("", record.object()));
        Self {
            name: ServiceName { namespace: namespace.to_owned(), name: name.to_owned(), port: String::new() },
            r#type: FrontendType::Refused,
            frontend: None,
            endpoints: Endpoints::default(),
            traffic_policy: "",
            id: 0,
            ring_size: 0,
            packets: 0,
            bytes: 0,
            reply_packets: 0,
            reply_bytes: 0,
            new_flows: 0,
            drops: 0,
            refused: Some(refused),
        }
    }

    fn shown_name(&self) -> String {
        let name = output::or_dash(&self.name.name);
        match &self.refused {
            Some(refused) if refused.kind != "Service" => format!("{}/{name}", refused.kind.to_lowercase()),
            _ => name,
        }
    }

    fn shown_refusal(&self) -> String {
        let refused = self.refused.as_ref();
        refused.map_or_else(|| "-".to_owned(), |refused| format!("{}: {}", refused.reason, refused.message))
    }
}

/// Every frontend and every refusal, by name.
pub(super) fn collect(pinned: &Pinned) -> Result<Vec<ServiceRow>, CliError> {
    let names = names::service_names(&pinned.names()?);
    let mut rows = Vec::new();
    for (key, service) in pinned.services()? {
        let mut members = pinned.ring(&service)?;
        members.sort_unstable();
        members.dedup();
        let members =
            members.into_iter().map(|index| pinned.backend(index)).collect::<Result<Vec<_>, _>>()?;
        rows.push(row(&key, &service, &names, &members, pinned.service_stats(service.id)?));
    }
    rows.extend(pinned.refusals()?.values().map(ServiceRow::refused));
    rows.sort_by(|a, b| (&a.name, a.r#type, a.frontend).cmp(&(&b.name, b.r#type, b.frontend)));
    Ok(rows)
}

fn row(
    key: &ServiceKey,
    service: &Service,
    names: &ServiceNames,
    members: &[Backend],
    stats: ServiceStats,
) -> ServiceRow {
    let r#type = FrontendType::of(service.flags);
    let local = members.iter().filter(|member| member.flags & backend::BACKEND_LOCAL != 0).count();
    // A catch-all belongs to an address, not to a Service port; its id is no one's.
    let (name, stats) = if r#type == FrontendType::CatchAll {
        (ServiceName::default(), ServiceStats::default())
    } else {
        (names.get(&service.id).cloned().unwrap_or_default(), stats)
    };
    ServiceRow {
        name,
        r#type,
        frontend: Some(Target::frontend(key)),
        endpoints: Endpoints { local, total: members.len() },
        traffic_policy: names::traffic_policy(service.flags),
        id: service.id,
        ring_size: service.ring_size,
        packets: stats.packets,
        bytes: stats.bytes,
        reply_packets: stats.reply_packets,
        reply_bytes: stats.reply_bytes,
        new_flows: stats.new_flows,
        drops: stats.drops,
        refused: None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use lb_common::{service, tcp};

    use super::*;
    use crate::cli::{
        get::select,
        output::{Format, View},
    };

    fn rows() -> Vec<ServiceRow> {
        let names = names::service_names(&BTreeMap::from([
            (1, "default/web:http".to_owned()),
            (2, "kube-system/dns".to_owned()),
        ]));
        let web = Service {
            id: 1,
            ring: 16,
            ring_size: 251,
            flags: service::SERVICE_EXTERNAL_IP,
            ..Service::default()
        };
        let dns = Service {
            id: 2,
            flags: service::SERVICE_NODE_PORT | service::SERVICE_LOCAL | service::SERVICE_SILENT,
            ..Service::default()
        };
        let catch_all = Service { flags: service::SERVICE_CATCH_ALL, ..Service::default() };
        let vip = std::net::IpAddr::from([203, 0, 113, 10]).into();
        let node = std::net::IpAddr::from([172, 18, 0, 2]).into();
        let local = Backend { flags: backend::BACKEND_LOCAL, ..Backend::default() };
        let stats = ServiceStats {
            packets: 7,
            bytes: 2048,
            reply_packets: 5,
            reply_bytes: 640,
            new_flows: 1,
            drops: 2,
        };
        vec![
            row(&ServiceKey::catch_all(vip), &catch_all, &names, &[], stats),
            row(
                &ServiceKey::new(vip, 80u16.to_be(), tcp::TCP),
                &web,
                &names,
                &[local, Backend::default()],
                stats,
            ),
            row(&ServiceKey::new(node, 30053u16.to_be(), tcp::UDP), &dns, &names, &[], stats),
            ServiceRow::refused(&Refusal::new("Service", "default/web", "ExternalIpNotAllowed", "no")),
            ServiceRow::refused(&Refusal::new("EndpointSlice", "default/web-1", "InvalidAddress", "bad")),
        ]
    }

    fn text(format: Format, all_namespaces: bool) -> String {
        let mut out = Vec::new();
        output::print(&mut out, View { format, all_namespaces, no_headers: false }, &rows()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_table_shows_a_line_for_each_frontend() {
        insta::assert_snapshot!(text(Format::Table, true), @r"
        NAMESPACE    NAME  PORT  TYPE        FRONTEND              ENDPOINTS
        default      web   http  ExternalIP  203.0.113.10:80/TCP   1/2
        kube-system  dns   -     NodePort    172.18.0.2:30053/UDP  0/0
        ");
    }

    #[test]
    fn the_wide_table_adds_counters_catch_alls_and_refusals() {
        insta::assert_snapshot!(text(Format::Wide, false), @r"
        NAME                 PORT  TYPE        FRONTEND              ENDPOINTS  POLICY   ID  RING  PACKETS  BYTES   REPLIES  REPLY-BYTES  NEW-FLOWS  DROPS  REFUSED
        -                    -     CatchAll    203.0.113.10:*        0/0        Cluster  0   0     0        0B      0        0B           0          0      -
        web                  http  ExternalIP  203.0.113.10:80/TCP   1/2        Cluster  1   251   7        2.0KiB  5        640B         1          2      -
        dns                  -     NodePort    172.18.0.2:30053/UDP  0/0        Local    2   0     7        2.0KiB  5        640B         1          2      -
        web                  -     Refused     -                     0/0        -        0   0     0        0B      0        0B           0          0      ExternalIpNotAllowed: no
        endpointslice/web-1  -     Refused     -                     0/0        -        0   0     0        0B      0        0B           0          0      InvalidAddress: bad
        ");
    }

    #[test]
    fn json_field_names_do_not_change() {
        let json = serde_json::to_string_pretty(&rows()[1]).unwrap();
        insta::assert_snapshot!(json, @r#"
        {
          "namespace": "default",
          "name": "web",
          "portName": "http",
          "type": "ExternalIP",
          "frontend": {
            "address": "203.0.113.10",
            "port": 80,
            "protocol": "TCP"
          },
          "endpoints": {
            "local": 1,
            "total": 2
          },
          "trafficPolicy": "Cluster",
          "id": 1,
          "ringSize": 251,
          "packets": 7,
          "bytes": 2048,
          "replyPackets": 5,
          "replyBytes": 640,
          "newFlows": 1,
          "drops": 2
        }
        "#);
    }

    #[test]
    fn a_refusal_is_an_item_without_a_frontend_and_a_note_below_the_table() {
        let json = serde_json::to_value(&rows()[3]).unwrap();
        assert_eq!(json["type"], "Refused");
        assert_eq!(json["frontend"], serde_json::Value::Null);
        let refused =
            serde_json::json!({"kind": "Service", "reason": "ExternalIpNotAllowed", "message": "no"});
        assert_eq!(json["refused"], refused);
        assert_eq!(ServiceRow::note(&rows()).unwrap(), "refused: 2; -o wide says what and why");
        assert_eq!(ServiceRow::note(&rows()[..3]), None);
    }

    #[test]
    fn namespace_and_name_pick_rows() {
        assert_eq!(select(rows(), Some("kube-system"), None).len(), 1);
        assert_eq!(select(rows(), None, Some("web")).len(), 2);
        assert_eq!(select(rows(), Some("default"), Some("dns")).len(), 0);
    }
}
