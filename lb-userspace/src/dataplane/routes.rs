//! Where packets go next, by a copy of the kernel's routes: asking the kernel for each of a hundred thousand endpoints
//! takes seconds.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use lb_model::{cidr::Cidr, object::IpFamily};

/// Where a packet to some address goes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NextHop {
    /// Index of the device.
    pub ifindex: u32,
    /// The gateway, or the address itself where it is on the link.
    pub address: IpAddr,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The table that it stands in.
    pub table: u32,
    /// The addresses that it is for.
    pub prefix: Cidr,
    /// Devices and gateways; none where packets are refused or stay on this host.
    pub paths: Vec<(u32, Option<IpAddr>)>,
}

/// Routes of both families, by table.
#[derive(Debug, Default)]
pub struct Routes {
    tables: BTreeMap<u32, Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// Lengths of its prefixes.
    lengths: BTreeMap<IpFamily, BTreeSet<u8>>,
    paths: BTreeMap<Cidr, Vec<(u32, Option<IpAddr>)>>,
}

impl Table {
    fn paths_to(&self, address: IpAddr) -> Option<&Vec<(u32, Option<IpAddr>)>> {
        let mut lengths = self.lengths.get(&IpFamily::of(address))?.iter().rev();
        lengths.find_map(|length| self.paths.get(&Cidr::holding(address, *length)))
    }
}

impl FromIterator<Route> for Routes {
    fn from_iter<I: IntoIterator<Item = Route>>(routes: I) -> Self {
        let mut tables: BTreeMap<u32, Table> = BTreeMap::new();
        for Route { table, prefix, paths } in routes {
            let table = tables.entry(table).or_default();
            table.lengths.entry(prefix.family()).or_default().insert(prefix.length());
            table.paths.entry(prefix).or_default().extend(paths);
        }
        Self { tables }
    }
}

impl Routes {
    /// The gateways of default routes in the main table.
    pub fn gateways(&self) -> impl Iterator<Item = NextHop> {
        let main = self.tables.get(&libc::RT_TABLE_MAIN.into());
        let default =
            main.into_iter().flat_map(|table| &table.paths).filter(|(prefix, _)| prefix.length() == 0);
        default
            .flat_map(|(_, paths)| paths)
            .filter_map(|(ifindex, gateway)| Some(NextHop { ifindex: *ifindex, address: (*gateway)? }))
    }

    /// Where packets to `address` may go next: by the longest prefix of each table, because rules that choose the table
    /// ask for more than the address.
    pub fn next_hops(&self, address: IpAddr) -> impl Iterator<Item = NextHop> {
        // The kernel asks this table before all others.
        let local = self.tables.get(&libc::RT_TABLE_LOCAL.into());
        let is_own = local.is_some_and(|local| local.paths_to(address).is_some());
        let tables = self.tables.values().filter(move |_| !is_own);
        let paths = tables.filter_map(move |table| table.paths_to(address)).flatten();
        paths
            .map(move |(ifindex, gateway)| NextHop { ifindex: *ifindex, address: gateway.unwrap_or(address) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIN: u32 = libc::RT_TABLE_MAIN as u32;

    fn route(table: u32, prefix: &str, paths: &[(u32, &str)]) -> Route {
        let path = |(ifindex, gateway): &(u32, &str)| (*ifindex, gateway.parse().ok());
        Route { table, prefix: prefix.parse().unwrap(), paths: paths.iter().map(path).collect() }
    }

    fn hops(routes: &Routes, address: &str) -> Vec<String> {
        let hops = routes.next_hops(address.parse().unwrap());
        hops.map(|hop| format!("{} dev {}", hop.address, hop.ifindex)).collect()
    }

    #[test]
    fn the_longest_prefix_leads_to_its_gateway_or_to_the_address_itself() {
        let routes: Routes = [
            route(MAIN, "0.0.0.0/0", &[(2, "192.0.2.1")]),
            route(MAIN, "192.0.2.0/24", &[(2, "on link")]),
            route(MAIN, "10.244.0.0/16", &[(2, "192.0.2.9")]),
            route(MAIN, "10.244.7.0/24", &[(2, "192.0.2.7"), (3, "198.51.100.7")]),
            route(MAIN, "10.244.7.8/32", &[]),
            route(MAIN, "2001:db8::/64", &[(2, "on link")]),
            route(libc::RT_TABLE_LOCAL.into(), "192.0.2.2/32", &[]),
        ]
        .into_iter()
        .collect();
        assert_eq!(hops(&routes, "192.0.2.44"), ["192.0.2.44 dev 2"]);
        assert_eq!(hops(&routes, "10.244.1.1"), ["192.0.2.9 dev 2"]);
        assert_eq!(hops(&routes, "10.244.7.1"), ["192.0.2.7 dev 2", "198.51.100.7 dev 3"]);
        assert!(hops(&routes, "10.244.7.8").is_empty(), "refused, whatever the shorter prefixes say");
        assert!(hops(&routes, "192.0.2.2").is_empty(), "this host");
        assert_eq!(hops(&routes, "8.8.8.8"), ["192.0.2.1 dev 2"]);
        assert_eq!(hops(&routes, "2001:db8::5"), ["2001:db8::5 dev 2"]);
        assert!(hops(&routes, "2001:db8:1::5").is_empty());
        assert_eq!(routes.gateways().map(|hop| hop.address.to_string()).collect::<Vec<_>>(), ["192.0.2.1"]);
    }

    #[test]
    fn every_table_has_a_say() {
        let routes: Routes =
            [route(MAIN, "0.0.0.0/0", &[(2, "192.0.2.1")]), route(100, "10.0.0.0/8", &[(3, "198.51.100.1")])]
                .into_iter()
                .collect();
        assert_eq!(hops(&routes, "10.1.1.1"), ["198.51.100.1 dev 3", "192.0.2.1 dev 2"]);
    }
}
