//! Routes of both families: requests, and what route messages say.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_model::cidr::Cidr;
use rtnetlink::{
    RouteMessageBuilder,
    packet_route::{
        AddressFamily,
        route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteType, RouteVia},
    },
};

use crate::dataplane::routes::Route;

/// A request for every route, for each family.
pub(super) fn all() -> [RouteMessage; 2] {
    [RouteMessageBuilder::<Ipv4Addr>::new().build(), RouteMessageBuilder::<Ipv6Addr>::new().build()]
}

/// What a route says of next hops.
pub(super) fn read(route: &RouteMessage) -> Option<Route> {
    let table = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Table(table) => Some(*table),
        _ => None,
    });
    let table = table.unwrap_or_else(|| route.header.table.into());
    let destination = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(address)) => Some(IpAddr::V4(*address)),
        RouteAttribute::Destination(RouteAddress::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    });
    let default = match route.header.address_family {
        AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    let paths = match route.header.kind {
        RouteType::Unicast => hops(&route.attributes),
        // This host's own addresses, broadcasts, and what is refused: they end the search where they match.
        _ => Vec::new(),
    };
    let prefix = Cidr::holding(destination.unwrap_or(default), route.header.destination_prefix_length);
    Some(Route { table, prefix, paths })
}

/// True for a default route of the main table.
pub(super) fn is_default(route: &RouteMessage) -> bool {
    route.header.destination_prefix_length == 0
        && route.header.table == RouteHeader::RT_TABLE_MAIN
        && route.header.kind == RouteType::Unicast
}

/// True for the routes to link-local and multicast addresses that every new IPv6 device brings with it: no flow takes
/// them, and a node where pods start sees many.
pub(super) fn stays_on_link(route: &RouteMessage) -> bool {
    route.attributes.iter().any(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet6(address)) => {
            address.is_unicast_link_local() || address.is_multicast()
        }
        _ => false,
    })
}

/// Device and gateway of a route, of each path of a multipath route.
pub(super) fn hops(attributes: &[RouteAttribute]) -> Vec<(u32, Option<IpAddr>)> {
    let mut found = Vec::new();
    for attribute in attributes {
        match attribute {
            RouteAttribute::Oif(index) => found.push((*index, gateway(attributes))),
            RouteAttribute::MultiPath(paths) => {
                found.extend(paths.iter().map(|path| (path.interface_index, gateway(&path.attributes))));
            }
            _ => {}
        }
    }
    found
}

fn gateway(attributes: &[RouteAttribute]) -> Option<IpAddr> {
    attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(RouteAddress::Inet(address)) => Some(IpAddr::V4(*address)),
        RouteAttribute::Gateway(RouteAddress::Inet6(address)) => Some(IpAddr::V6(*address)),
        // An IPv4 route may have an IPv6 next hop (RFC 8950).
        RouteAttribute::Via(RouteVia::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v6(destination: &str, bits: u8) -> RouteMessage {
        RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(destination.parse().unwrap(), bits).build()
    }

    #[test]
    fn a_new_devices_own_ipv6_routes_move_no_flow() {
        assert!(stays_on_link(&v6("fe80::", 64)));
        assert!(stays_on_link(&v6("ff00::", 8)));
        assert!(!stays_on_link(&v6("2001:db8::", 32)));
        assert!(!stays_on_link(&RouteMessageBuilder::<Ipv6Addr>::new().build()));
    }

    #[test]
    fn the_gateway_may_be_of_either_family() {
        let gateway: Ipv6Addr = "fe80::1".parse().unwrap();
        let v6 = RouteMessageBuilder::<Ipv6Addr>::new().gateway(gateway).output_interface(2).build();
        let v4 = RouteMessageBuilder::<Ipv4Addr>::new().via(gateway).output_interface(2).build();
        for route in [v4, v6] {
            assert_eq!(hops(&route.attributes), [(2, Some(gateway.into()))]);
            assert!(is_default(&route));
        }
    }
}
