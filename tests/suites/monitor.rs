//! `sluice monitor` over a live data plane, its agent dead.
#![expect(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::{
    io::{BufRead as _, BufReader},
    process::Child,
    thread,
    time::{Duration, Instant},
};

use lb_common::monitor::Kind;
use lb_tests::{agent::Agent, skip, unattended::Unattended, wait};
use lb_userspace::dataplane::monitor::{Tap, Wanted};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

/// Makes the same traffic again and again until the monitor has ended: it may attach at any time.
fn seen(agent: &Agent, arguments: &[&str], mut traffic: impl FnMut()) -> String {
    thread::scope(|scope| {
        let monitor = scope.spawn(|| agent.sluice(arguments).unwrap());
        let begun = Instant::now();
        while !monitor.is_finished() {
            assert!(begun.elapsed() < Duration::from_secs(20), "{arguments:?} shows nothing");
            traffic();
        }
        monitor.join().unwrap()
    })
}

fn of_type<'a>(lines: &'a [Value], r#type: &'a str) -> impl Iterator<Item = &'a Value> {
    lines.iter().filter(move |line| line["type"] == r#type)
}

#[test]
fn flows_and_drops_are_followed_with_the_agent_dead() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let unattended = Unattended::start().unwrap();
    let agent = unattended.agent();
    let traffic = || unattended.traffic().unwrap();

    let text = seen(agent, &["monitor", "--count", "12", "-o", "json"], traffic);
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let open = of_type(&lines, "open").next().unwrap();
    assert_eq!((&open["service"]["name"], &open["protocol"]), (&"web".into(), &"TCP".into()), "{text}");
    assert_eq!(open["frontend"], "203.0.113.10:80", "{text}");
    assert!(open["client"].as_str().unwrap().starts_with("198.51.100.7:"), "{text}");
    assert!(open["endpoint"].as_str().unwrap().starts_with("10.244."), "{text}");
    assert!(
        of_type(&lines, "close").all(|line| line["reason"] == "fin" || line["reason"] == "reset"),
        "{text}"
    );
    assert!(of_type(&lines, "close").count() > 0, "{text}");
    let drop = of_type(&lines, "drop").next().unwrap();
    assert_eq!((&drop["reason"], &drop["interface"]), (&"unknown-port".into(), &"eth0".into()), "{text}");

    let text = seen(agent, &["monitor", "--count", "2", "-t", "drop", "--vip", "203.0.113.10"], traffic);
    assert_eq!(text.lines().filter(|line| line.ends_with("(unknown-port) from eth0")).count(), 2, "{text}");
    let slow = ["monitor", "--count", "3", "--rate", "1", "-s", "web"];
    let text = seen(agent, &slow, traffic);
    assert!(text.lines().any(|line| line.contains(" events left out (")), "{text}");

    one_monitor_is_there_at_a_time(agent);
    a_signal_ends_it_and_events_stop(agent, traffic);
}

fn one_monitor_is_there_at_a_time(agent: &Agent) {
    let wanted = Wanted { kinds: 1 << Kind::Drop as u32, reasons: u32::MAX, rate: 1 };
    let first = Tap::open(&agent.pins(), wanted).unwrap();
    let refusal = agent.sluice(&["monitor", "--count", "1"]).unwrap_err().to_string();
    assert!(refusal.contains("another `sluice monitor` is attached"), "{refusal}");
    drop(first);
}

fn a_signal_ends_it_and_events_stop(agent: &Agent, traffic: impl Fn()) {
    let mut monitor = agent.start_sluice(&["monitor"]).unwrap();
    let mut said = String::new();
    BufReader::new(monitor.stderr.as_mut().unwrap()).read_line(&mut said).unwrap();
    assert!(said.starts_with("Listening"), "{said}");
    assert_eq!(end(&mut monitor, Signal::SIGINT), Some(0));

    // Killed without a chance to say so: the next one begins with nothing of what it left behind.
    let mut monitor = agent.start_sluice(&["monitor"]).unwrap();
    BufReader::new(monitor.stderr.as_mut().unwrap()).read_line(&mut said).unwrap();
    traffic();
    assert_eq!(end(&mut monitor, Signal::SIGKILL), None);
    let nothing = Wanted { kinds: 0, reasons: 0, rate: 1 };
    assert_eq!(Tap::open(&agent.pins(), nothing).unwrap().take(), None);
}

fn end(process: &mut Child, signal: Signal) -> Option<i32> {
    kill(Pid::from_raw(process.id().cast_signed()), signal).unwrap();
    wait::until("the monitor ends", || process.try_wait().unwrap()).unwrap().code()
}
