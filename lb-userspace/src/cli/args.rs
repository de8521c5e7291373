//! Words and flags of the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::{
    agent_flags::SnatPortsFlag, bugreport::BugreportArgs, log_level::LogLevelArgs, monitor::MonitorArgs,
    output::Format, top::TopArgs, trace::TraceArgs,
};
use crate::{agent::Options, dataplane::pin::DEFAULT_DIR};

/// Sluice: a load balancer in XDP for Kubernetes' north-south traffic.
#[derive(Debug, Parser)]
#[command(
    name = "sluice",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = "Exit codes: 0 done, 1 failed (the reason stands on stderr), 2 wrong usage."
)]
pub(crate) struct Sluice {
    /// Directory on a bpffs under which this node's Sluice keeps its maps, links and programs.
    #[arg(
        long,
        global = true,
        env = "SLUICE_BPF_DIR",
        hide_env_values = true,
        value_name = "DIR",
        default_value = DEFAULT_DIR
    )]
    pub(crate) bpf_dir: PathBuf,
    /// The verb.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Keep this node's programs attached and its maps in step with the cluster.
    Agent(Box<Options>),
    /// Show what the data plane of this node holds.
    Get(GetArgs),
    /// Explain, step by step, what would happen to a packet.
    Trace(TraceArgs),
    /// Follow flows as they open and close, and packets as they are dropped.
    Monitor(MonitorArgs),
    /// Show what each Service is doing right now.
    Top(TopArgs),
    /// Show or change how much a running agent or proxy logs.
    LogLevel(LogLevelArgs),
    /// Look for everything on this node that keeps Sluice from working well.
    Doctor(DoctorArgs),
    /// Collect what a stranger needs to look into this node, without secrets, in one archive.
    Bugreport(BugreportArgs),
    /// Validate manifests without a cluster or a data plane.
    Check(CheckArgs),
    /// Take Sluice's programs and maps off this node, and nothing else.
    Cleanup(CleanupArgs),
    /// Print what completes this command line in a shell: `source <(sluice completion bash)`.
    Completion(CompletionArgs),
    /// Print the version.
    Version,
}

/// `sluice get`.
#[derive(Debug, Args)]
#[command(
    after_help = "Services are shown of namespace `default` unless -n or -A says otherwise. The others belong to \
                        the node: all are shown, and -n narrows backends, flows and affinity to a namespace's Services."
)]
pub(crate) struct GetArgs {
    /// What to show.
    #[arg(value_enum, ignore_case = true)]
    pub(crate) resource: Resource,
    /// Only this one: a Service's name (services, flows, affinity), an endpoint's address or address:port, a reason, a device.
    pub(crate) name: Option<String>,
    /// Output format.
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    pub(crate) output: Format,
    /// Services of this namespace.
    #[arg(short, long, value_name = "NAMESPACE", conflicts_with = "all_namespaces")]
    pub(crate) namespace: Option<String>,
    /// Services of every namespace.
    #[arg(short = 'A', long)]
    pub(crate) all_namespaces: bool,
    /// Leave out the line of headers.
    #[arg(long)]
    pub(crate) no_headers: bool,
}

/// Kinds of things that `get` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Resource {
    /// Frontends: every address and port that clients may use.
    #[value(aliases = ["service", "svc"])]
    Services,
    /// Endpoints that frontends lead to.
    #[value(aliases = ["backend", "be", "endpoints", "endpoint", "ep"])]
    Backends,
    /// Connections.
    #[value(alias = "flow")]
    Flows,
    /// Clients of Services with session affinity, and the endpoints that they are bound to.
    #[value(alias = "affinities")]
    Affinity,
    /// Counters of dropped packets by reason.
    #[value(alias = "drop")]
    Drops,
    /// Devices with programs on them.
    #[value(aliases = ["interface", "if"])]
    Interfaces,
}

/// How a report is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Report {
    /// Sentences for people.
    Text,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// `sluice doctor`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 nothing failed (warnings and notes leave it 0), 1 something is FAIL, 2 wrong usage."
)]
pub(crate) struct DoctorArgs {
    /// Source ports.
    #[command(flatten)]
    pub(crate) ports: SnatPortsFlag,
    /// Output format.
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Report::Text)]
    pub(crate) output: Report,
}

/// `sluice check`.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 no errors (warnings leave it 0), 1 errors, 2 wrong usage.")]
pub(crate) struct CheckArgs {
    /// A file or a folder of manifests, the file of --external-ip-policy, or - for standard input; may be repeated.
    #[arg(short, long, required = true, num_args = 1.., value_name = "FILE")]
    pub(crate) filename: Vec<PathBuf>,
}

/// `sluice completion`.
#[derive(Debug, Args)]
pub(crate) struct CompletionArgs {
    /// The shell.
    pub(crate) shell: clap_complete::Shell,
}

/// `sluice cleanup`.
#[derive(Debug, Args)]
pub(crate) struct CleanupArgs {
    /// Only say what would be removed.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Sluice::command().debug_assert();
    }

    fn get(line: &str) -> GetArgs {
        let words = ["sluice", "get"].into_iter().chain(line.split(' '));
        match Sluice::try_parse_from(words).unwrap().command {
            Command::Get(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn resources_have_the_short_names_that_kubectl_users_type() {
        assert_eq!(get("svc").resource, Resource::Services);
        assert_eq!(get("Service web").name.as_deref(), Some("web"));
        assert_eq!(get("be").resource, Resource::Backends);
        assert_eq!(get("flow -A").resource, Resource::Flows);
        assert_eq!(get("drop").resource, Resource::Drops);
        assert_eq!(get("if -o wide").resource, Resource::Interfaces);
    }

    #[test]
    fn a_mistyped_resource_is_met_with_a_hint() {
        let error = Sluice::try_parse_from(["sluice", "get", "servces"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("services"), "{error}");
    }

    #[test]
    fn the_bpf_directory_may_stand_before_or_after_the_verb() {
        for line in [["sluice", "--bpf-dir", "/x", "version"], ["sluice", "version", "--bpf-dir", "/x"]] {
            assert_eq!(Sluice::try_parse_from(line).unwrap().bpf_dir, PathBuf::from("/x"));
        }
    }
}
