//! The format of scenario files.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr},
};

use lb_model::{
    cidr::Cidr, config::NodeConfig, desired::health_check::HealthCheck, explain::Explanation,
    object::Refusal, policy::ExternalIpPolicy,
};
use lb_sources::policy;

/// A scenario.
#[derive(Clone)]
pub(crate) struct Script {
    /// Everything before the first section.
    pub(crate) title: String,
    /// The node that decides: n1 with the addresses 192.0.2.1 (its InternalIP) and 10.244.1.1 (its pod bridge),
    /// external IPs allowed in 203.0.113.0/24.
    pub(crate) node: NodeConfig,
    /// The sections.
    pub(crate) steps: Vec<Step>,
}

/// A section.
#[derive(Clone)]
pub(crate) enum Step {
    /// `-- agent --`, as written.
    Agent(String),
    /// `-- policy --`, as written.
    Policy(String),
    /// `-- apply NAME --`.
    Apply {
        /// File name.
        name: String,
        /// Contents.
        text: String,
    },
    /// `-- delete NAME --`.
    Delete {
        /// File name.
        name: String,
    },
    /// `-- maps --`.
    Maps(String),
}

impl Script {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut script = Self { title: String::new(), node: default_node(), steps: Vec::new() };
        for line in text.split_inclusive('\n') {
            match line.trim_end().strip_prefix("-- ").and_then(|line| line.strip_suffix(" --")) {
                Some(header) => script.steps.push(Step::begin(header)?),
                None => match script.steps.last_mut() {
                    None => script.title.push_str(line),
                    Some(
                        Step::Agent(text) | Step::Policy(text) | Step::Apply { text, .. } | Step::Maps(text),
                    ) => text.push_str(line),
                    Some(Step::Delete { .. }) if line.trim().is_empty() => {}
                    Some(Step::Delete { name }) => return Err(format!("text after `delete {name}`: {line}")),
                },
            }
        }
        for step in &script.steps {
            match step {
                Step::Agent(flags) => flags
                    .lines()
                    .filter(|line| !line.is_empty())
                    .try_for_each(|line| set_flag(&mut script.node, line))?,
                Step::Policy(text) => script.node.external_ips_allowed = policy::parse(text)?,
                Step::Apply { .. } | Step::Delete { .. } | Step::Maps(_) => {}
            }
        }
        Ok(script)
    }
}

impl Step {
    fn begin(header: &str) -> Result<Self, String> {
        match header.split_once(' ') {
            None if header == "agent" => Ok(Self::Agent(String::new())),
            None if header == "policy" => Ok(Self::Policy(String::new())),
            None if header == "maps" => Ok(Self::Maps(String::new())),
            Some(("apply", name)) => Ok(Self::Apply { name: name.to_owned(), text: String::new() }),
            Some(("delete", name)) => Ok(Self::Delete { name: name.to_owned() }),
            _ => Err(format!("`{header}` is no section; use agent, policy, apply NAME, delete NAME or maps")),
        }
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)?;
        self.steps.iter().try_for_each(|step| match step {
            Step::Agent(text) => write!(f, "-- agent --\n{text}"),
            Step::Policy(text) => write!(f, "-- policy --\n{text}"),
            Step::Apply { name, text } => write!(f, "-- apply {name} --\n{text}"),
            Step::Delete { name } => writeln!(f, "-- delete {name} --"),
            Step::Maps(text) => write!(f, "-- maps --\n{text}"),
        })
    }
}

fn default_node() -> NodeConfig {
    let own = IpAddr::from([192, 0, 2, 1]);
    NodeConfig {
        node_name: "n1".to_owned(),
        addresses: vec![own, Ipv4Addr::new(10, 244, 1, 1).into()],
        primary_addresses: vec![own],
        external_ips_allowed: ExternalIpPolicy::everywhere(vec![Cidr::holding(
            Ipv4Addr::new(203, 0, 113, 0).into(),
            24,
        )]),
        node_port_addresses: Vec::new(),
    }
}

/// Flags of `sluice agent`, and `address` for one more address of the host. A list given replaces the default.
fn set_flag(node: &mut NodeConfig, line: &str) -> Result<(), String> {
    let (flag, value) = line.split_once(' ').ok_or_else(|| format!("`{line}` has no value"))?;
    let ranges = || {
        value
            .split(',')
            .map(|range| range.parse::<Cidr>().map_err(|error| error.to_string()))
            .collect::<Result<Vec<_>, _>>()
    };
    match flag {
        "--node-name" => value.clone_into(&mut node.node_name),
        "--external-ips-allowed" => node.external_ips_allowed.everywhere = ranges()?,
        "--node-port-addresses" => node.node_port_addresses = ranges()?,
        "address" => node.addresses.push(value.parse().map_err(|_| format!("`{value}` is no address"))?),
        _ => return Err(format!("`{flag}` is no flag of a scenario")),
    }
    Ok(())
}

/// A `maps` section.
pub(crate) fn maps(
    maps: &Explanation,
    health_checks: &BTreeMap<u16, HealthCheck>,
    refusals: &[Refusal],
) -> String {
    let mut text = maps.to_string();
    for (port, HealthCheck { service, local_endpoints }) in health_checks {
        let healthy = if *local_endpoints > 0 { "healthy" } else { "unhealthy" };
        text.push_str(&format!(
            "healthCheckNodePort {port}: {service} is {healthy}, {local_endpoints} here\n"
        ));
    }
    if !refusals.is_empty() {
        text.push_str("Refused\n");
    }
    refusals.iter().for_each(|refusal| text.push_str(&format!("  {refusal}\n")));
    text
}

/// The lines in which two texts differ, with their numbers, from the first to the last.
pub(crate) fn difference(expected: &str, actual: &str) -> String {
    let (expected, actual): (Vec<_>, Vec<_>) = (expected.lines().collect(), actual.lines().collect());
    let common = expected.iter().zip(&actual).take_while(|(one, other)| one == other).count();
    let rest = (expected.len() - common).min(actual.len() - common);
    let tail =
        (0..rest).take_while(|n| expected[expected.len() - 1 - n] == actual[actual.len() - 1 - n]).count();
    let lines = |sign: char, lines: &[&str]| {
        let lines = lines[common..lines.len() - tail].iter().enumerate();
        lines.map(|(n, line)| format!("{:>4} {sign}{line}\n", common + n + 1)).collect::<String>()
    };
    lines('-', &expected) + &lines('+', &actual)
}
