//! Steps of a sequence, and the map writes that they are. One step is one line of JSON.

use std::net::IpAddr;

use lb_common::{
    backend::{BACKEND_LOCAL, Backend},
    filter::Bit,
    flow::FlowKey,
    host::ring_chunks,
    interface::{self, VlanTag},
    ring::{self, RingChunk},
    service::{SERVICE_CATCH_ALL, Service, ServiceKey},
    source_range::SourceRangeKey,
    time::Tick,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::lab::Devices;

/// What happens to a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Ticks pass.
    Wait(Tick),
    /// The agent raises the epoch.
    Epoch(u32),
    /// A frontend is written.
    Frontend(Frontend),
    /// A frontend is removed: address, port, protocol.
    NoFrontend(IpAddr, u16, u8),
    /// An endpoint is written.
    Endpoint(Endpoint),
    /// A service is limited to a range: service, address, bits.
    SourceRange(u32, IpAddr, u8),
    /// A node may send encapsulated packets.
    Peer(IpAddr),
    /// A device is declared.
    Interface(Interface),
    /// The flow table loses a half.
    Evict(Tuple),
    /// A token bucket of `lb_common::limit` has given so many tokens just now.
    Spent(u32, u32),
    /// A packet comes.
    Packet(Packet),
}

/// A frontend with its rings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frontend {
    /// Address.
    pub address: IpAddr,
    /// Port; 0 for the catch-all.
    pub port: u16,
    /// Protocol; 0 for the catch-all.
    pub protocol: u8,
    /// Service id, below 32.
    pub id: u32,
    /// `SERVICE_*` flags.
    pub flags: u32,
    /// Affinity timeout in seconds; 0 for none.
    pub affinity: u32,
    /// Endpoints of the ring.
    pub ring: Vec<u32>,
    /// Endpoints of the ring for packets that came encapsulated.
    pub local_ring: Vec<u32>,
}

/// An endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Index.
    pub index: u32,
    /// Address; none where it was deleted.
    pub address: Option<IpAddr>,
    /// Its node, for direct server return.
    pub node: Option<IpAddr>,
    /// Port.
    pub port: u16,
    /// Protocol.
    pub protocol: u8,
    /// `BACKEND_*` flags.
    pub flags: u8,
    /// Generation.
    pub generation: u32,
}

/// A device of the [lab](crate::lab), as the programs know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Which.
    pub device: Device,
    /// `INTERFACE_*` flags.
    pub flags: u32,
    /// Its address, of each family that it has one of.
    pub addresses: Vec<IpAddr>,
    /// Its MAC address; zeros where that is not known.
    pub mac: [u8; 6],
    /// Tags that frames leave with, outer first: EtherType and number. Such frames leave through the uplink.
    pub tags: Vec<(u16, u16)>,
}

/// Devices of the [lab](crate::lab).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Device {
    /// `lo`.
    Loopback,
    /// `up0`.
    Up,
    /// `down0`.
    Down,
    /// `vxlan0`.
    Overlay,
}

impl Device {
    /// Its index.
    pub const fn index(self, devices: &Devices) -> u32 {
        match self {
            Self::Loopback => 1,
            Self::Up => devices.up,
            Self::Down => devices.down,
            Self::Overlay => devices.overlay,
        }
    }
}

/// A 5-tuple of either family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tuple {
    /// Source address and port.
    pub src: (IpAddr, u16),
    /// Destination address and port.
    pub dst: (IpAddr, u16),
    /// Protocol.
    pub protocol: u8,
}

impl Tuple {
    /// As the flow table of family `A` has it.
    pub fn key<A: lb_common::address::IpAddress>(&self) -> FlowKey<A> {
        let address = |address: IpAddr| A::from_address(address.into());
        let (src, dst) = (address(self.src.0), address(self.dst.0));
        FlowKey::new(src, dst, self.src.1.to_be(), self.dst.1.to_be(), self.protocol)
    }

    /// The tuple of a key.
    pub fn of<A: lb_common::address::IpAddress>(key: &FlowKey<A>) -> Self {
        Self {
            src: (key.src_be.address().into(), u16::from_be(key.src_port_be)),
            dst: (key.dst_be.address().into(), u16::from_be(key.dst_port_be)),
            protocol: key.protocol as u8,
        }
    }

    /// That of packets the other way.
    pub const fn reversed(self) -> Self {
        Self { src: self.dst, dst: self.src, protocol: self.protocol }
    }
}

/// Programs that a packet can meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hook {
    /// XDP.
    Xdp,
    /// tcx ingress, on the loopback.
    Ingress,
    /// tcx egress, on the loopback.
    Egress,
}

/// A packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packet {
    /// The program that meets it.
    pub hook: Hook,
    /// The device that it comes in by; the loopback at tcx.
    pub by: Device,
    /// Its bytes, in hexadecimal.
    #[serde(serialize_with = "to_hex", deserialize_with = "from_hex")]
    pub frame: Vec<u8>,
}

fn to_hex<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

fn from_hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0);
    let digits = digits.ok_or_else(|| serde::de::Error::custom("a frame is pairs of hexadecimal digits"))?;
    Ok(digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect())
}

/// A write to a map, as both sides take it.
#[derive(Clone, Debug)]
pub(super) enum Write {
    Wait(Tick),
    Epoch(u32),
    Filter(Bit),
    Service(ServiceKey, Option<Service>),
    Ring(u32, Vec<RingChunk>),
    Backend(u32, Backend),
    SourceRange(SourceRangeKey),
    Peer(IpAddr),
    Interface(u32, interface::Interface),
    Evict(Tuple),
    Spent(u32, u32),
}

/// Ring chunks that each service id has for each of its two rings.
const CHUNKS: u32 = 32;

impl Step {
    /// The writes that this step is; none for a packet.
    pub(super) fn writes(&self, devices: &Devices) -> Vec<Write> {
        match self {
            Self::Wait(ticks) => vec![Write::Wait(*ticks)],
            Self::Epoch(epoch) => vec![Write::Epoch(*epoch)],
            Self::Frontend(frontend) => frontend.writes(),
            Self::NoFrontend(address, port, protocol) => {
                let key = ServiceKey::new((*address).into(), port.to_be(), *protocol);
                vec![Write::Service(key, None)]
            }
            Self::Endpoint(endpoint) => endpoint.writes(),
            Self::SourceRange(service, address, bits) => {
                vec![Write::SourceRange(SourceRangeKey::new(*service, (*address).into(), *bits))]
            }
            Self::Peer(address) => vec![Write::Peer(*address)],
            Self::Interface(interface) => vec![interface.write(devices)],
            Self::Evict(tuple) => vec![Write::Evict(*tuple)],
            Self::Spent(bucket, tokens) => vec![Write::Spent(*bucket, *tokens)],
            Self::Packet(_) => Vec::new(),
        }
    }
}

impl Frontend {
    fn writes(&self) -> Vec<Write> {
        let key = ServiceKey::new(self.address.into(), self.port.to_be(), self.protocol);
        let (ring, local_ring) = (self.id * 2 * CHUNKS, (self.id * 2 + 1) * CHUNKS);
        let service = Service {
            id: self.id,
            flags: self.flags,
            ring,
            ring_size: ring::size_for(self.ring.len()),
            local_ring,
            local_ring_size: ring::size_for(self.local_ring.len()),
            affinity: self.affinity,
            _pad: 0,
        };
        let bit = if self.flags & SERVICE_CATCH_ALL != 0 {
            Bit::vip_of(key.address)
        } else {
            Bit::frontend_port(key.port_be)
        };
        vec![
            Write::Filter(bit),
            Write::Ring(ring, ring_chunks(&self.ring)),
            Write::Ring(local_ring, ring_chunks(&self.local_ring)),
            Write::Service(key, Some(service)),
        ]
    }
}

impl Endpoint {
    fn writes(&self) -> Vec<Write> {
        let address = |address: Option<IpAddr>| address.map(Into::into).unwrap_or_default();
        let backend = Backend {
            address: address(self.address),
            node: address(self.node),
            port_be: self.port.to_be(),
            protocol: self.protocol,
            flags: self.flags,
            generation: self.generation,
        };
        let local = self.flags & BACKEND_LOCAL != 0;
        let bit = local.then(|| Write::Filter(Bit::endpoint_port(backend.port_be)));
        bit.into_iter().chain([Write::Backend(self.index, backend)]).collect()
    }
}

impl Interface {
    fn write(&self, devices: &Devices) -> Write {
        let mut tags = [VlanTag::default(); 2];
        for (tag, (protocol, id)) in tags.iter_mut().zip(&self.tags) {
            *tag = VlanTag { protocol_be: protocol.to_be(), id_be: id.to_be() };
        }
        let mut written = interface::Interface {
            flags: self.flags,
            parent: if self.tags.is_empty() { 0 } else { devices.up },
            tags,
            mac: self.mac,
            ..Default::default()
        };
        for address in &self.addresses {
            let words = lb_common::address::Address::from(*address).words_be;
            if address.is_ipv4() {
                written.address_be = words[3];
            } else {
                written.address6_be = words;
            }
        }
        Write::Interface(self.device.index(devices), written)
    }
}
