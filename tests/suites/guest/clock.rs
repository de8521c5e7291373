//! The clock of the day is set while flows go on.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lb_tests::{
    cluster::Cluster,
    load::{Kind, Load},
    skip,
    topo::{EXTERNAL_IP, Routing},
    traffic::{IpFamily, Target, requests},
};
use nix::{
    sys::time::TimeSpec,
    time::{ClockId, clock_settime},
};

const YEAR: Duration = Duration::from_hours(365 * 24);

fn set(time: SystemTime) {
    let since = time.duration_since(UNIX_EPOCH).unwrap();
    clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::from_duration(since)).unwrap();
}

#[test]
fn flows_go_on_and_new_ones_open_when_the_clock_jumps_a_year_ahead_and_back() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let target = Target::tcp(EXTERNAL_IP.of(IpFamily::Ipv4), 80);
    let cluster = Cluster::web(Routing::Native, 2).unwrap();
    let sessions = [(Kind::Connections, 2), (Kind::Exchange, 4), (Kind::Download, 2), (Kind::Upload, 2)];
    let load = Load::start(&cluster.topology.client, target, &sessions).unwrap();
    let jumps: [fn(SystemTime) -> SystemTime; 3] =
        [|now| now + YEAR, |now| now - YEAR - YEAR, |now| now + YEAR];
    for jump in jumps {
        load.advance(5).unwrap();
        set(jump(SystemTime::now()));
        load.advance(5).unwrap();
        let fresh = requests(&cluster.topology.client, target, 20, 4);
        assert_eq!(fresh.failures(), 0, "{fresh:?}");
        assert_eq!(cluster.agents[0].admin("/readyz").unwrap().0, 200);
    }
    load.finish().unwrap();
}
