//! `sluice trace`: what would happen to a packet, as the real programs tell it.
//!
//! The programs are loaded once more with their `TRACING` global set, over the pinned maps: such a program writes no
//! map but its own list of steps. Each hook that the packet would meet runs it once, on a made packet.

mod explain;
mod packet;
mod run;
mod verdict;

use std::{io, path::Path, process::ExitCode};

use lb_common::{
    interface::{INTERFACE_OVERLAY, INTERFACE_XDP, Interface},
    trace::{Step, TraceStep},
};
use lb_model::object::Protocol;
use serde::Serialize;

pub use self::run::TraceError;
use self::{
    explain::{Names, explain},
    packet::Packet,
    run::{Hook, Tracer},
    verdict::Verdict,
};
use super::{
    CliError,
    args::{Report, TraceArgs},
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
    protocol: String,
    source: String,
    destination: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    flags: Vec<String>,
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
pub(crate) fn run(bpf_dir: &Path, args: &TraceArgs, out: &mut impl io::Write) -> Result<ExitCode, CliError> {
    let dir = PinDir::new(bpf_dir);
    let pinned = pins::open(&dir)?;
    let protocol = Protocol::from(args.protocol);
    let tcp_flags = match protocol {
        Protocol::Tcp => args.flags.iter().fold(0, |flags, flag| flags | flag.bit()),
        Protocol::Udp | Protocol::Sctp => 0,
    };
    let packet = Packet { protocol, source: args.source, destination: args.destination, tcp_flags };
    let mut names = Names {
        services: names::service_names(&pinned.names()?),
        devices: devices::names(),
        ..Names::default()
    };
    let (ifindex, interface) = incoming(&pinned, args.interface.as_deref(), &names)?;
    let mut tracer = Tracer::load(&dir, &args.snat_ports)?;
    let stages = run_hooks(&mut tracer, &packet, ifindex, interface)?;
    for step in stages.iter().flat_map(|(_, steps)| steps) {
        name_endpoint(&pinned, step, &mut names)?;
    }
    let trace = report(args, &packet, devices::name(&names.devices, ifindex), &stages, &names);
    match args.output {
        Report::Text => print(out, &trace)?,
        Report::Json => output::print_json(out, &trace)?,
        Report::Yaml => output::print_yaml(out, &trace)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The device that the packet comes in by: the one asked for, else the first uplink.
fn incoming(pinned: &Pinned, wanted: Option<&str>, names: &Names) -> Result<(u32, Interface), CliError> {
    let interfaces = pinned.interfaces()?;
    let found = interfaces.iter().find(|(ifindex, interface)| match wanted {
        Some(name) => devices::name(&names.devices, **ifindex) == name,
        None => interface.flags & INTERFACE_OVERLAY == 0,
    });
    match (found, wanted) {
        (Some((ifindex, interface)), _) => Ok((*ifindex, *interface)),
        (None, Some(name)) => Err(CliError::NotFound {
            kind: "interfaces",
            name: name.to_owned(),
            place: " among the devices that Sluice has a program on".to_owned(),
            all: "",
        }),
        (None, None) => Err(CliError::NoUplink),
    }
}

/// Runs the programs that the packet would meet, one after the other while each leaves it to the next.
fn run_hooks(
    tracer: &mut Tracer,
    packet: &Packet,
    ifindex: u32,
    interface: Interface,
) -> Result<Vec<(Hook, Vec<TraceStep>)>, CliError> {
    let frame = packet.frame(run::mac(ifindex));
    let mut stages = Vec::new();
    if interface.flags & INTERFACE_XDP != 0 {
        let steps = tracer.run(Hook::Xdp, &frame, ifindex)?;
        let left = steps.last().is_some_and(|step| step.kind == Step::LeftToStack as u32);
        stages.push((Hook::Xdp, steps));
        if !left {
            return Ok(stages);
        }
    }
    stages.push((Hook::TcxIngress, tracer.run(Hook::TcxIngress, &frame, ifindex)?));
    Ok(stages)
}

/// Remembers the address of the endpoint that a step names by index.
fn name_endpoint(pinned: &Pinned, step: &TraceStep, names: &mut Names) -> Result<(), CliError> {
    let named = matches!(Step::from_u32(step.kind), Some(Step::FlowHit | Step::FlowRestored));
    if named {
        let backend = pinned.backend(step.b)?;
        if !backend.address.is_none() {
            names.endpoints.insert(step.b, names::socket(backend.address, backend.port_be));
        }
    }
    Ok(())
}

fn report(
    args: &TraceArgs,
    packet: &Packet,
    interface: String,
    stages: &[(Hook, Vec<TraceStep>)],
    names: &Names,
) -> Trace {
    let verdict = stages.last().map_or(Verdict::LeftToStack, |(_, steps)| Verdict::of(steps, names));
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
    let flags = match packet.protocol {
        Protocol::Tcp => args.flags.iter().map(|flag| format!("{flag:?}").to_lowercase()).collect(),
        Protocol::Udp | Protocol::Sctp => Vec::new(),
    };
    Trace {
        api_version: API_VERSION,
        kind: "Trace",
        packet: PacketView {
            protocol: packet.protocol.to_string(),
            source: packet.source.to_string(),
            destination: packet.destination.to_string(),
            flags,
        },
        interface,
        stages,
        summary: verdict.to_string(),
        verdict,
    }
}

fn print(out: &mut impl io::Write, trace: &Trace) -> Result<(), CliError> {
    let PacketView { protocol, source, destination, flags } = &trace.packet;
    let flags = if flags.is_empty() { String::new() } else { format!(" ({})", flags.join(",")) };
    writeln!(out, "{protocol} {source} -> {destination}{flags}, in by {}", trace.interface)?;
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
    use lb_common::{drop_reason::DropReason, tcp};

    use super::*;
    use crate::{
        agent::options::default_ports,
        cli::args::{TcpFlag, Transport},
    };

    fn sample(protocol: Transport) -> Trace {
        let args = TraceArgs {
            protocol,
            source: "198.51.100.7:40000".parse().unwrap(),
            destination: "203.0.113.10:81".parse().unwrap(),
            interface: None,
            snat_ports: default_ports(),
            flags: vec![TcpFlag::Syn, TcpFlag::Ack],
            output: Report::Text,
        };
        let packet = Packet {
            protocol: protocol.into(),
            source: args.source,
            destination: args.destination,
            tcp_flags: tcp::flag::SYN,
        };
        let step = |kind: Step, a: u32| TraceStep { kind: kind as u32, a, ..TraceStep::default() };
        let stages = [
            (Hook::Xdp, vec![step(Step::FlowMiss, 0), step(Step::LeftToStack, 0)]),
            (Hook::TcxIngress, vec![step(Step::Drop, DropReason::NoRoute as u32)]),
        ];
        report(&args, &packet, "eth0".to_owned(), &stages, &Names::default())
    }

    #[test]
    fn the_text_goes_hook_by_hook_and_ends_with_the_verdict() {
        let mut out = Vec::new();
        print(&mut out, &sample(Transport::Tcp)).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        TCP 198.51.100.7:40000 -> 203.0.113.10:81 (syn,ack), in by eth0

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
            "destination": "203.0.113.10:81"
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
