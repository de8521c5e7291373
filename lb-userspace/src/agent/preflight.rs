//! What must be there before anything is tried, so that the answer is one clear sentence.

use std::fs;

use aya::util::KernelVersion;
use nix::sys::utsname::uname;

use super::AgentError;

/// The oldest kernel that has everything on the mandatory path, as `--help` and errors spell it.
pub(super) const OLDEST: &str = "6.1";

// Numbers from the kernel's include/uapi/linux/capability.h.
const NET_ADMIN: (u32, &str) = (12, "CAP_NET_ADMIN");
const SYS_ADMIN: u32 = 21;
const PERFMON: (u32, &str) = (38, "CAP_PERFMON");
const BPF: (u32, &str) = (39, "CAP_BPF");

/// Checks kernel and capabilities.
///
/// # Errors
/// Where one is lacking.
pub(super) fn check() -> Result<(), AgentError> {
    if KernelVersion::current().is_ok_and(|version| version < KernelVersion::new(6, 1, 0)) {
        let found = uname().map(|name| name.release().to_string_lossy().into_owned()).unwrap_or_default();
        return Err(AgentError::Kernel { found });
    }
    // Without /proc the kernel's own refusals must do.
    let Some(effective) = effective_capabilities() else { return Ok(()) };
    let missing = missing(effective);
    if missing.is_empty() { Ok(()) } else { Err(AgentError::Capability { missing }) }
}

/// `CapEff` of this process; none without /proc.
pub(crate) fn effective_capabilities() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(set.trim(), 16).ok()
}

/// What an agent needs beyond `effective`. CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON (capabilities(7)).
pub(crate) fn missing(effective: u64) -> Vec<&'static str> {
    let has = |number: u32| effective & (1 << number) != 0;
    [NET_ADMIN, PERFMON, BPF]
        .into_iter()
        .filter(|(number, _)| !has(*number) && (*number == NET_ADMIN.0 || !has(SYS_ADMIN)))
        .map(|(_, name)| name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_capabilities_are_named() {
        assert_eq!(missing(0), ["CAP_NET_ADMIN", "CAP_PERFMON", "CAP_BPF"]);
        assert_eq!(missing(1 << SYS_ADMIN), ["CAP_NET_ADMIN"]);
        assert_eq!(missing(1 << BPF.0 | 1 << NET_ADMIN.0), ["CAP_PERFMON"]);
        assert!(missing(u64::MAX).is_empty());
    }
}
