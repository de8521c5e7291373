//! `sluice get flows`: connections.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use lb_common::{
    address::IpAddress,
    flow::{FLOW_ENCAPSULATED, FLOW_HAIRPIN, FLOW_LOCAL, FLOW_REVERSE, FLOW_VIA_STACK, Flow, FlowKey},
    tcp,
};
use serde::Serialize;

use super::{Pinned, Resourceful};
use crate::cli::{
    CliError,
    clock::Clock,
    devices,
    names::{self, ServiceName, ServiceNames, Target},
    output::{self, Column, Row},
};

/// One half of a connection.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FlowRow {
    half: Half,
    protocol: String,
    client: SocketAddr,
    frontend: SocketAddr,
    /// What the endpoint sees as the client.
    source: SocketAddr,
    /// Absent where another node chooses it.
    endpoint: Option<SocketAddr>,
    forwarding: Forwarding,
    /// The node that packets are sent to in an outer header, which chooses the endpoint.
    node: Option<IpAddr>,
    state: &'static str,
    /// Idle for longer than its state allows: the next packet of the tuple opens a new flow.
    expired: bool,
    opened_at: String,
    last_seen_at: String,
    service: ServiceName,
    /// Absent where the stack delivers on this node.
    out_interface: Option<String>,
    /// XDP leaves its packets to tcx.
    via_stack: bool,
    backend: u32,
    #[serde(skip)]
    age: Duration,
    #[serde(skip)]
    idle: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
enum Half {
    Forward,
    Reverse,
}

/// How packets reach their endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Forwarding {
    /// Through this node's stack, the client's address kept.
    Local,
    /// To a pod of this node for a client on this node: with a source address whose replies pass tcx egress.
    Hairpin,
    /// Source and destination rewritten; replies return through this node.
    #[serde(rename = "SNAT")]
    Snat,
    /// Encapsulated to the endpoint's node, from where replies leave directly.
    #[serde(rename = "DSR")]
    Dsr,
}

impl Forwarding {
    /// The way behind `FLOW_*` bits.
    pub(crate) const fn of(flags: u8) -> Self {
        if flags & FLOW_ENCAPSULATED != 0 {
            Self::Dsr
        } else if flags & FLOW_HAIRPIN != 0 {
            Self::Hairpin
        } else if flags & FLOW_LOCAL != 0 {
            Self::Local
        } else {
            Self::Snat
        }
    }

    /// As tables spell it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "Local",
            Self::Hairpin => "Hairpin",
            Self::Snat => "SNAT",
            Self::Dsr => "DSR",
        }
    }
}

impl Row for FlowRow {
    const LIST: &'static str = "FlowList";
    const COLUMNS: &'static [Column<Self>] = &[
        Column::new("PROTOCOL", |row| row.protocol.clone()),
        Column::wide("HALF", |row| format!("{:?}", row.half)),
        Column::new("CLIENT", |row| row.client.to_string()),
        Column::new("FRONTEND", |row| row.frontend.to_string()),
        Column::new(
            "SOURCE",
            |row| if row.source == row.client { "-".to_owned() } else { row.source.to_string() },
        ),
        Column::new("ENDPOINT", |row| output::some_or_dash(row.endpoint)),
        Column::new("FORWARDING", |row| row.forwarding.as_str().to_owned()),
        Column::new("NODE", |row| output::some_or_dash(row.node)),
        Column::new("STATE", |row| if row.expired { "Expired" } else { row.state }.to_owned()),
        Column::new("AGE", |row| output::age(row.age)),
        Column::new("IDLE", |row| output::age(row.idle)),
        Column::new("SERVICE", |row| row.service.to_string()),
        Column::new("OUT", |row| output::some_or_dash(row.out_interface.as_deref())),
        Column::wide("VIA", |row| if row.via_stack { "stack" } else { "xdp" }.to_owned()),
        Column::wide("BACKEND", |row| row.backend.to_string()),
    ];

    fn only_wide(&self) -> bool {
        self.half == Half::Reverse
    }
}

impl Resourceful for FlowRow {
    const KIND: &'static str = "flows";

    fn is_named(&self, name: &str) -> bool {
        self.service.name == name
    }

    fn services(&self) -> Vec<&ServiceName> {
        vec![&self.service]
    }
}

/// Every half, by client.
pub(super) fn collect(pinned: &Pinned, clock: Clock) -> Result<Vec<FlowRow>, CliError> {
    let services = names::service_names(&pinned.names()?);
    let device_names = devices::names();
    let v4 =
        pinned.flows().map(|half| half.map(|(key, flow)| row(&key, &flow, clock, &services, &device_names)));
    let v6 =
        pinned.flows6().map(|half| half.map(|(key, flow)| row(&key, &flow, clock, &services, &device_names)));
    let mut rows = v4.chain(v6).collect::<Result<Vec<_>, _>>()?;
    rows.sort_by(|a, b| {
        (a.client, a.frontend, &a.protocol, a.half).cmp(&(b.client, b.frontend, &b.protocol, b.half))
    });
    Ok(rows)
}

fn row<A: IpAddress>(
    key: &FlowKey<A>,
    flow: &Flow<A>,
    clock: Clock,
    services: &ServiceNames,
    device_names: &BTreeMap<u32, String>,
) -> FlowRow {
    let reverse = flow.flags & FLOW_REVERSE != 0;
    // A reverse half is endpoint → source becoming frontend → client: turn it round and it reads like a forward half.
    let (from, to) = if reverse {
        (flow.translated(key.protocol).reversed(), key.reversed())
    } else {
        (*key, flow.translated(key.protocol))
    };
    let forwarding = Forwarding::of(flow.flags);
    // The addresses of such a flow are those of the outer header.
    let encapsulated = forwarding == Forwarding::Dsr;
    let seen = if encapsulated { from } else { to };
    let number = key.protocol as u8;
    FlowRow {
        half: if reverse { Half::Reverse } else { Half::Forward },
        protocol: names::protocol(number),
        client: names::socket(from.src_be.address(), from.src_port_be),
        frontend: Target::destination(&from).socket,
        source: names::socket(seen.src_be.address(), seen.src_port_be),
        endpoint: (!encapsulated).then(|| Target::destination(&to).socket),
        forwarding,
        node: encapsulated.then(|| names::address(flow.dst_be)),
        state: tcp::state_name(number, flow.state),
        expired: flow.is_over(number, clock.now),
        opened_at: clock.rfc3339(flow.opened),
        last_seen_at: clock.rfc3339(flow.last_seen),
        service: services.get(&flow.service).cloned().unwrap_or_default(),
        out_interface: (flow.flags & FLOW_LOCAL == 0 && flow.ifindex != 0)
            .then(|| devices::name(device_names, flow.ifindex)),
        via_stack: flow.flags & (FLOW_VIA_STACK | FLOW_LOCAL) != 0,
        backend: flow.backend,
        age: clock.since(flow.opened),
        idle: clock.since(flow.last_seen),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use lb_common::{address::Address, time::seconds};

    use super::*;
    use crate::cli::output::{Format, View};

    fn sample() -> Vec<FlowRow> {
        let clock = Clock {
            now: seconds(100_000),
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        };
        let services = names::service_names(&BTreeMap::from([(1, "default/web:http".to_owned())]));
        let devices = BTreeMap::from([(2, "eth0".to_owned())]);
        let client = FlowKey::new(
            u32::from_ne_bytes([198, 51, 100, 7]),
            u32::from_ne_bytes([203, 0, 113, 10]),
            40_000u16.to_be(),
            80u16.to_be(),
            tcp::TCP,
        );
        let endpoint = FlowKey::new(
            u32::from_ne_bytes([172, 18, 0, 2]),
            u32::from_ne_bytes([10, 244, 1, 5]),
            51_234u16.to_be(),
            8080u16.to_be(),
            tcp::TCP,
        );
        let forward = Flow {
            service: 1,
            backend: 3,
            ifindex: 2,
            state: tcp::REPLIED | tcp::CONFIRMED,
            opened: clock.now - seconds(300),
            last_seen: clock.now - seconds(3),
            ..Flow::translating(&client, &endpoint)
        };
        let reverse = forward.other(&client);
        let local = FlowKey { protocol: u32::from(tcp::UDP), ..client };
        let kept = FlowKey { src_be: local.src_be, src_port_be: local.src_port_be, ..endpoint };
        let expired = Flow {
            service: 1,
            flags: FLOW_LOCAL,
            opened: clock.now - seconds(9000),
            last_seen: clock.now - seconds(7200),
            ..Flow::translating(&local, &kept)
        };
        let row4 = |key: &FlowKey, flow: &Flow| row(key, flow, clock, &services, &devices);
        let v6 = |text: &str| Address::from(text.parse::<IpAddr>().unwrap()).words_be;
        let client6 = FlowKey::new(
            v6("2001:db8::7"),
            v6("2001:db8:ffff::10"),
            40_000u16.to_be(),
            80u16.to_be(),
            tcp::TCP,
        );
        let encapsulated = Flow {
            src_be: v6("fd00::2"),
            dst_be: v6("fd00::3"),
            ifindex: 2,
            flags: FLOW_ENCAPSULATED,
            state: tcp::REPLIED | tcp::CONFIRMED,
            ..timed(&forward, Flow::default())
        };
        let pod = FlowKey { src_be: v6("fd00:244::5"), src_port_be: 40_001u16.to_be(), ..client6 };
        let hairpin = FlowKey { src_be: v6("fd00::2"), dst_be: pod.src_be, ..client6 };
        let hairpin = Flow {
            flags: FLOW_HAIRPIN | FLOW_VIA_STACK,
            ifindex: 2,
            ..timed(&forward, Flow::translating(&pod, &hairpin))
        };
        vec![
            row4(&client, &forward),
            row4(&forward.other_key(&client), &reverse),
            row4(&local, &expired),
            row(&client6, &encapsulated, clock, &services, &devices),
            row(&pod, &hairpin, clock, &services, &devices),
        ]
    }

    fn timed<A, B>(like: &Flow<A>, flow: Flow<B>) -> Flow<B> {
        Flow { service: like.service, opened: like.opened, last_seen: like.last_seen, ..flow }
    }

    fn text(format: Format) -> String {
        let mut out = Vec::new();
        output::print(&mut out, View { format, all_namespaces: false, no_headers: false }, &sample())
            .unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_table_shows_a_connection_once() {
        insta::assert_snapshot!(text(Format::Table), @r"
        PROTOCOL  CLIENT               FRONTEND                SOURCE            ENDPOINT          FORWARDING  NODE     STATE        AGE   IDLE  SERVICE           OUT
        TCP       198.51.100.7:40000   203.0.113.10:80         172.18.0.2:51234  10.244.1.5:8080   SNAT        -        Established  5m    3s    default/web:http  eth0
        UDP       198.51.100.7:40000   203.0.113.10:80         -                 10.244.1.5:8080   Local       -        Expired      150m  120m  default/web:http  -
        TCP       [2001:db8::7]:40000  [2001:db8:ffff::10]:80  -                 -                 DSR         fd00::3  Established  5m    3s    default/web:http  eth0
        TCP       [fd00:244::5]:40001  [2001:db8:ffff::10]:80  [fd00::2]:40000   [fd00:244::5]:80  Hairpin     -        Opening      5m    3s    default/web:http  eth0
        ");
    }

    #[test]
    fn the_wide_table_shows_both_halves() {
        insta::assert_snapshot!(text(Format::Wide), @r"
        PROTOCOL  HALF     CLIENT               FRONTEND                SOURCE            ENDPOINT          FORWARDING  NODE     STATE        AGE   IDLE  SERVICE           OUT   VIA    BACKEND
        TCP       Forward  198.51.100.7:40000   203.0.113.10:80         172.18.0.2:51234  10.244.1.5:8080   SNAT        -        Established  5m    3s    default/web:http  eth0  xdp    3
        TCP       Reverse  198.51.100.7:40000   203.0.113.10:80         172.18.0.2:51234  10.244.1.5:8080   SNAT        -        Established  5m    3s    default/web:http  -     xdp    3
        UDP       Forward  198.51.100.7:40000   203.0.113.10:80         -                 10.244.1.5:8080   Local       -        Expired      150m  120m  default/web:http  -     stack  0
        TCP       Forward  [2001:db8::7]:40000  [2001:db8:ffff::10]:80  -                 -                 DSR         fd00::3  Established  5m    3s    default/web:http  eth0  xdp    0
        TCP       Forward  [fd00:244::5]:40001  [2001:db8:ffff::10]:80  [fd00::2]:40000   [fd00:244::5]:80  Hairpin     -        Opening      5m    3s    default/web:http  eth0  stack  0
        ");
    }

    #[test]
    fn json_field_names_do_not_change_and_times_are_rfc_3339() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&sample()[0]).unwrap(), @r#"
        {
          "half": "Forward",
          "protocol": "TCP",
          "client": "198.51.100.7:40000",
          "frontend": "203.0.113.10:80",
          "source": "172.18.0.2:51234",
          "endpoint": "10.244.1.5:8080",
          "forwarding": "SNAT",
          "node": null,
          "state": "Established",
          "expired": false,
          "openedAt": "2023-11-14T22:08:19Z",
          "lastSeenAt": "2023-11-14T22:13:16Z",
          "service": {
            "namespace": "default",
            "name": "web",
            "portName": "http"
          },
          "outInterface": "eth0",
          "viaStack": false,
          "backend": 3
        }
        "#);
    }
}
