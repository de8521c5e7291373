//! Addresses, endpoints and frontends of the benchmark's cases, for both families.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context, Result};
use lb_common::{
    abi::map,
    address::Address,
    backend::{BACKEND_LOCAL, Backend},
    interface::{INTERFACE_XDP, Interface},
    service::{SERVICE_EXTERNAL_IP, Service, ServiceKey},
    tcp::TCP,
};

use crate::{
    lab::{LOCAL_POD, Lab, NODE, REMOTE_POD, VIP, be, ip},
    prog::Programs,
};

/// Port of the endpoints.
pub(super) const POD_PORT: u16 = 8080;
/// Remote endpoints: enough that their SNAT ports (16,384 towards each) are never the limit.
pub(super) const ENDPOINTS: u32 = 64;
/// Index of the endpoint on this node.
pub(super) const LOCAL_ENDPOINT: u32 = ENDPOINTS + 1;

/// What the lab has in IPv4, in IPv6; whatever is there already is set again.
const IPV6_NETWORK: &str = "\
address replace 2001:db8:2::1/64 dev up0 nodad
address replace fd10::1/64 dev down0 nodad
route replace default via 2001:db8:2::fe
route replace fd10:244:2::/64 via fd10::2
neighbour replace 2001:db8:2::fe lladdr 02:00:00:00:01:fe nud permanent dev up0
neighbour replace fd10::2 lladdr 02:00:00:00:02:02 nud permanent dev down0
";

/// Who is who, in one family.
pub(super) struct Network {
    /// Before the name of a case.
    pub(super) title: &'static str,
    clients: IpAddr,
    pub(super) vip: IpAddr,
    other_vips: IpAddr,
    /// Of this node, towards the others.
    pub(super) node: IpAddr,
    /// Of the node that remote endpoints are on.
    pub(super) other_node: IpAddr,
    local_pod: IpAddr,
    remote_pods: IpAddr,
}

pub(super) const IPV4: Network = Network {
    title: "",
    clients: IpAddr::V4(Ipv4Addr::new(198, 18, 0, 0)),
    vip: IpAddr::V4(VIP),
    other_vips: IpAddr::V4(Ipv4Addr::new(203, 0, 120, 0)),
    node: IpAddr::V4(NODE),
    other_node: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)),
    local_pod: IpAddr::V4(LOCAL_POD),
    remote_pods: IpAddr::V4(REMOTE_POD),
};

pub(super) const IPV6: Network = Network {
    title: "IPv6, ",
    clients: IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 0)),
    vip: IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 0x10)),
    other_vips: IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 1, 0, 0, 0, 0)),
    node: IpAddr::V6(Ipv6Addr::new(0xfd10, 0, 0, 0, 0, 0, 0, 1)),
    other_node: IpAddr::V6(Ipv6Addr::new(0xfd10, 0, 0, 0, 0, 0, 0, 2)),
    local_pod: IpAddr::V6(Ipv6Addr::new(0xfd10, 0x244, 1, 0, 0, 0, 0, 5)),
    remote_pods: IpAddr::V6(Ipv6Addr::new(0xfd10, 0x244, 2, 0, 0, 0, 0, 5)),
};

impl Network {
    /// A client of many; 60,000 share an address.
    pub(super) fn client(&self, number: u32) -> SocketAddr {
        SocketAddr::new(nth(self.clients, number / 60_000), 1024 + (number % 60_000) as u16)
    }

    /// One of `clients` clients with an address each; the numbers from there on are their next connections.
    pub(super) fn returning_client(&self, number: u32, clients: u32) -> SocketAddr {
        SocketAddr::new(nth(self.clients, number % clients), 40_000 + (number / clients) as u16)
    }

    /// Writes endpoints; those on the other node may be reached through it.
    pub(super) fn set_endpoints(&self, lab: &mut Lab) -> Result<()> {
        if self.vip.is_ipv6() {
            ip(IPV6_NETWORK)?;
            std::fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1")
                .context("switching forwarding on")?;
            let v6 = |address: &str| address.parse::<IpAddr>().map(|address| Address::from(address).words_be);
            let known = [
                (lab.devices.up, Ipv4Addr::new(192, 0, 2, 1), v6("2001:db8:2::1")?),
                (lab.devices.down, NODE, v6("fd10::1")?),
            ];
            for (ifindex, address, address6_be) in known {
                let flags = INTERFACE_XDP;
                let interface =
                    Interface { address_be: be(address), address6_be, flags, ..Interface::default() };
                lab.programs.set_interface(ifindex, interface)?;
            }
        }
        let endpoint = |address: IpAddr, flags| Backend {
            address: address.into(),
            node: self.other_node.into(),
            port_be: POD_PORT.to_be(),
            protocol: TCP,
            flags,
            generation: 1,
        };
        for number in 1..=ENDPOINTS {
            lab.programs.set_backend(number, endpoint(nth(self.remote_pods, number), 0))?;
        }
        lab.programs.set_backend(LOCAL_ENDPOINT, endpoint(self.local_pod, BACKEND_LOCAL))
    }

    /// Writes a frontend of the VIP; `change` may ask for more.
    pub(super) fn set_frontend(
        &self,
        programs: &mut Programs,
        (id, port): (u32, u16),
        endpoints: &[u32],
        change: impl FnOnce(&mut Service),
    ) -> Result<()> {
        let key = ServiceKey::new(self.vip.into(), port.to_be(), TCP);
        programs.set_service(key, id, SERVICE_EXTERNAL_IP, endpoints)?;
        let mut services = programs.hash::<ServiceKey, Service>(map::SERVICES)?;
        let mut service = services.get(&key, 0)?;
        change(&mut service);
        Ok(services.insert(key, service, 0)?)
    }

    /// Writes frontends of other VIPs under the ids `from..=to`.
    pub(super) fn crowd(&self, programs: &mut Programs, from: u32, to: u32) -> Result<()> {
        for id in from..=to {
            let key = ServiceKey::new(nth(self.other_vips, id).into(), 80u16.to_be(), TCP);
            programs.set_service(key, id, SERVICE_EXTERNAL_IP, &[1])?;
        }
        Ok(())
    }
}

fn nth(first: IpAddr, number: u32) -> IpAddr {
    match first {
        IpAddr::V4(first) => Ipv4Addr::from(u32::from(first) + number).into(),
        IpAddr::V6(first) => Ipv6Addr::from(u128::from(first) + u128::from(number)).into(),
    }
}
