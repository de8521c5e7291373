//! Tests that need privileges say loudly when they cannot run, and fail where that must not happen.

use std::{fmt, io};

/// Something that a test cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// User id 0.
    Root,
    /// Network namespaces may be made (CAP_SYS_ADMIN).
    Namespaces,
    /// Programs may be loaded (CAP_BPF, CAP_NET_ADMIN).
    Bpf,
    /// A command in the search path.
    Tool(&'static str),
}

/// What tests that send traffic through namespaces need.
pub const NETWORK: &[Need] =
    &[Need::Root, Need::Namespaces, Need::Bpf, Need::Tool("ip"), Need::Tool("bridge"), Need::Tool("ethtool")];

impl Need {
    fn missing(self) -> Option<String> {
        match self {
            Self::Root if !nix::unistd::geteuid().is_root() => Some("not root".into()),
            Self::Namespaces => failed("network namespaces", on_thread_unshare()),
            Self::Bpf => failed("bpf(2)", crate::xdp_pass::load().map(drop).map_err(io::Error::other)),
            Self::Tool(name) if !in_path(name) => Some(format!("no command {name}")),
            Self::Root | Self::Tool(_) => None,
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("root"),
            Self::Namespaces => f.write_str("network namespaces"),
            Self::Bpf => f.write_str("bpf(2)"),
            Self::Tool(name) => f.write_str(name),
        }
    }
}

/// True where the running test has all it needs. Otherwise prints `SKIP <test>: <reason>`.
///
/// # Panics
/// Instead of skipping, where `CI` or `SLUICE_STRICT` is set: there a skipped test is a failed one.
pub fn need(needs: &[Need]) -> bool {
    let missing: Vec<_> =
        needs.iter().filter_map(|need| Some(format!("needs {need}: {}", need.missing()?))).collect();
    if missing.is_empty() {
        return true;
    }
    let thread = std::thread::current();
    let line = format!("SKIP {}: {}", thread.name().unwrap_or("test"), missing.join("; "));
    // Straight to the file descriptor: the test runner swallows what tests that pass print.
    let _ = io::Write::write_all(&mut io::stderr(), format!("{line}\n").as_bytes());
    assert!(!strict(), "{line} (a skip is a failure here: CI or SLUICE_STRICT is set)");
    false
}

fn strict() -> bool {
    ["CI", "SLUICE_STRICT"]
        .iter()
        .any(|name| std::env::var(name).is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false")))
}

fn failed(what: &str, outcome: io::Result<()>) -> Option<String> {
    outcome.err().map(|error| format!("{what}: {error}"))
}

fn on_thread_unshare() -> io::Result<()> {
    let unshare = || nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET);
    std::thread::spawn(unshare).join().map_err(|_| io::Error::other("thread died"))?.map_err(io::Error::from)
}

fn in_path(name: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|directory| directory.join(name).is_file()))
}
