//! `sluice trace`: what would happen to a packet, as the real programs tell it.
//!
//! The programs are loaded once more with their `TRACING` global set, over the pinned maps: such a program writes no
//! map but its own list of steps. Each hook that the packet would meet runs it once, on a made packet.

mod args;
mod explain;
mod packet;
mod run;
mod segment;
mod verdict;
mod way;

use std::{io, path::Path, process::ExitCode};

use lb_common::trace::{Step, TraceStep};
use serde::Serialize;

pub(crate) use self::args::TraceArgs;
pub use self::run::TraceError;
use self::{
    explain::{Names, explain},
    packet::Packet,
    run::{Hook, Tracer},
    verdict::Verdict,
    way::Way,
};
use super::{
    CliError,
    args::Report,
    devices, names,
    output::{self, API_VERSION},
    pins,
};
use crate::dataplane::{pin::PinDir, pinned::Pinned};

/// A trace, as JSON and YAML have it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Trace {
    api_version: &'static str,
    kind: &'static str,
    packet: PacketView,
    interface: String,
    stages: Vec<Stage>,
    verdict: Verdict,
    summary: String,
}

#[derive(Debug, Serialize)]
struct PacketView {
    protocol: &'static str,
    source: String,
    destination: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    flags: Vec<String>,
    /// Identifiers of its VLAN tags, the outer first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vlan: Vec<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fragment: Option<String>,
}

#[derive(Debug, Serialize)]
struct Stage {
    hook: Hook,
    steps: Vec<StepView>,
}

/// A step: its kind, its numbers as `lb_common::trace::Step` documents them, and what they mean here.
#[derive(Debug, Serialize)]
struct StepView {
    step: String,
    a: u32,
    b: u32,
    c: u32,
    text: String,
}

/// Runs the verb.
pub(crate) fn run(
    bpf_dir: &Path,
    args: &TraceArgs,
    packet: &Packet,
    out: &mut impl io::Write,
) -> Result<ExitCode, CliError> {
    let dir = PinDir::new(bpf_dir);
    let pinned = pins::open(&dir)?;
    let mut names = Names {
        services: names::service_names(&pinned.names()?),
        devices: devices::names(),
        ..Names::default()
    };
    let way = way::of_packet(&pinned.interfaces()?, args.interface.as_deref(), &args.vlan, &names)?;
    let mut tracer = Tracer::load(&dir, &args.ports.snat_ports)?;
    let stages = run_hooks(&mut tracer, packet, &way)?;
    for step in stages.iter().flat_map(|(_, steps)| steps) {
        name_endpoint(&pinned, step, &mut names)?;
    }
    let trace = report(args, packet, &way, &stages, &names);
    match args.output {
        Report::Text => print(out, &trace)?,
        Report::Json => output::print_json(out, &trace)?,
        Report::Yaml => output::print_yaml(out, &trace)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs the programs that the packet would meet, one after the other while each leaves it to the next.
fn run_hooks(
    tracer: &mut Tracer,
    packet: &Packet,
    way: &Way,
) -> Result<Vec<(Hook, Vec<TraceStep>)>, CliError> {
    let mac = run::mac(way.stack.unwrap_or(way.ifindex));
    let mut stages = Vec::new();
    if way.xdp {
        let steps = tracer.run(Hook::Xdp, &packet.frame(mac, &way.tags), way.ifindex)?;
        let left = steps.last().is_some_and(|step| step.kind == Step::LeftToStack as u32);
        stages.push((Hook::Xdp, steps));
        if !left {
            return Ok(stages);
        }
    }
    // The stack has taken tags off before tcx (`__netif_receive_skb_core`, `skb_vlan_untag`).
    if let Some(ifindex) = way.stack {
        stages.push((Hook::TcxIngress, tracer.run(Hook::TcxIngress, &packet.frame(mac, &[]), ifindex)?));
    }
    Ok(stages)
}

/// Remembers the address of the endpoint that a step names by index.
fn name_endpoint(pinned: &Pinned, step: &TraceStep, names: &mut Names) -> Result<(), CliError> {
    let index = match Step::from_u32(step.kind) {
        Some(Step::FlowHit | Step::FlowRestored) => step.b,
        Some(Step::AffinityHit) => step.a,
        _ => return Ok(()),
    };
    let backend = pinned.backend(index)?;
    if !backend.address.is_none() {
        names.endpoints.insert(index, names::socket(backend.address, backend.port_be));
    }
    Ok(())
}

fn report(
    args: &TraceArgs,
    packet: &Packet,
    way: &Way,
    stages: &[(Hook, Vec<TraceStep>)],
    names: &Names,
) -> Trace {
    let verdict = stages.last().map_or(Verdict::LeftToStack, |(_, steps)| Verdict::of(packet, steps, names));
    let view = |step: &TraceStep, text: String| StepView {
        step: Step::from_u32(step.kind).map_or_else(|| step.kind.to_string(), |kind| format!("{kind:?}")),
        a: step.a,
        b: step.b,
        c: step.c,
        text,
    };
    let stages = stages
        .iter()
        .map(|(hook, steps)| {
            let texts = explain(packet, steps, names);
            Stage {
                hook: *hook,
                steps: steps.iter().zip(texts).map(|(step, text)| view(step, text)).collect(),
            }
        })
        .collect();
    let flags: Vec<_> = args.flags.iter().map(|flag| format!("{flag:?}").to_lowercase()).collect();
    Trace {
        api_version: API_VERSION,
        kind: "Trace",
        packet: PacketView {
            protocol: packet.protocol_name(),
            source: packet.end(packet.source),
            destination: packet.end(packet.destination),
            flags: if packet.tcp_flags == 0 { Vec::new() } else { flags },
            vlan: way.tags.iter().map(|tag| u16::from_be(tag.id_be)).collect(),
            fragment: packet.fragment.map(|fragment| fragment.to_string()),
        },
        interface: devices::name(&names.devices, way.ifindex),
        stages,
        summary: verdict.to_string(),
        verdict,
    }
}

fn print(out: &mut impl io::Write, trace: &Trace) -> Result<(), CliError> {
    let PacketView { protocol, source, destination, flags, vlan, fragment } = &trace.packet;
    let flags = if flags.is_empty() { String::new() } else { format!(" ({})", flags.join(",")) };
    let fragment = fragment.as_ref().map(|fragment| format!(", {fragment}")).unwrap_or_default();
    let vlan = vlan.iter().map(|id| format!(" VLAN {id}")).collect::<String>();
    let way = format!("in by {}{vlan}", trace.interface);
    writeln!(out, "{protocol} {source} -> {destination}{flags}{fragment}, {way}")?;
    for stage in &trace.stages {
        writeln!(out, "\n{}:", stage.hook)?;
        for (number, step) in stage.steps.iter().enumerate() {
            writeln!(out, "  {}. {}", number + 1, step.text)?;
        }
        if stage.steps.is_empty() {
            writeln!(out, "  nothing to do here")?;
        }
    }
    writeln!(out, "\nverdict: {}", trace.summary)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use lb_common::{drop_reason::DropReason, interface::VlanTag};

    use super::*;
    use crate::{
        agent::options::default_ports,
        cli::{
            agent_flags::SnatPortsFlag,
            trace::args::{TcpFlag, Transport},
        },
    };

    fn sample(protocol: Transport) -> Trace {
        let args = TraceArgs {
            protocol,
            source: "198.51.100.7:40000".parse().unwrap(),
            destination: "203.0.113.10:81".parse().unwrap(),
            interface: None,
            vlan: vec![100],
            fragment: None,
            ports: SnatPortsFlag { snat_ports: default_ports() },
            flags: vec![TcpFlag::Syn, TcpFlag::Ack],
            output: Report::Text,
        };
        let packet = args.packet().unwrap();
        let step = |kind: Step, a: u32| TraceStep { kind: kind as u32, a, ..TraceStep::default() };
        let stages = [
            (Hook::Xdp, vec![step(Step::FlowMiss, 0), step(Step::LeftToStack, 0)]),
            (Hook::TcxIngress, vec![step(Step::Drop, DropReason::NoRoute as u32)]),
        ];
        let names = Names { devices: [(2, "eth0".to_owned())].into(), ..Names::default() };
        let tags = vec![VlanTag { protocol_be: 0x8100u16.to_be(), id_be: 100u16.to_be() }];
        report(&args, &packet, &Way { ifindex: 2, xdp: true, tags, stack: None }, &stages, &names)
    }

    #[test]
    fn the_text_goes_hook_by_hook_and_ends_with_the_verdict() {
        let mut out = Vec::new();
        print(&mut out, &sample(Transport::Tcp)).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        TCP 198.51.100.7:40000 -> 203.0.113.10:81 (syn,ack), in by eth0 VLAN 100

        XDP:
          1. No flow knows this tuple.
          2. XDP cannot send it there: it leaves the packet untouched to tcx.

        tcx ingress:
          1. It is refused (no-route): The kernel has no route to the endpoint or the client.

        verdict: dropped (no-route)
        ");
    }

    #[test]
    fn json_field_names_do_not_change() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&sample(Transport::Udp)).unwrap(), @r#"
        {
          "apiVersion": "sluice/v1",
          "kind": "Trace",
          "packet": {
            "protocol": "UDP",
            "source": "198.51.100.7:40000",
            "destination": "203.0.113.10:81",
            "vlan": [
              100
            ]
          },
          "interface": "eth0",
          "stages": [
            {
              "hook": "xdp",
              "steps": [
                {
                  "step": "FlowMiss",
                  "a": 0,
                  "b": 0,
                  "c": 0,
                  "text": "No flow knows this tuple."
                },
                {
                  "step": "LeftToStack",
                  "a": 0,
                  "b": 0,
                  "c": 0,
                  "text": "XDP cannot send it there: it leaves the packet untouched to tcx."
                }
              ]
            },
            {
              "hook": "tcx-ingress",
              "steps": [
                {
                  "step": "Drop",
                  "a": 7,
                  "b": 0,
                  "c": 0,
                  "text": "It is refused (no-route): The kernel has no route to the endpoint or the client."
                }
              ]
            }
          ],
          "verdict": {
            "action": "drop",
            "reason": "no-route"
          },
          "summary": "dropped (no-route)"
        }
        "#);
    }
}
