//! Loads the embedded object, on the maps that are already pinned where there are any.

use std::{fs, io, ops::RangeInclusive};

use aya::{
    Ebpf, EbpfError, EbpfLoader, include_bytes_aligned,
    maps::MapError,
    programs::{ProgramError, SchedClassifier, Xdp},
    sys::SyscallError,
    util::KernelVersion,
};
use lb_common::{
    abi::{capacity, global, map, program},
    limit, snat,
};

use super::{
    pin::{PinDir, PinError},
    spec::{Mismatch, Sizes},
};

static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/sluice.o"));

/// Why the programs could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The program was built before the eBPF object was.
    #[error("built without eBPF: run `cargo xtask build`, which builds the object and then embeds it")]
    NoObject,
    /// A pinned map does not fit.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// The kernel refuses for lack of privilege.
    #[error(
        "the kernel does not let this process load BPF programs: it needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON"
    )]
    Denied,
    /// Maps or object.
    #[error("loading the eBPF object: {0}")]
    Object(#[source] EbpfError),
    /// The object lacks a program.
    #[error("the embedded object has no program {name}; run `cargo xtask build` again")]
    Missing {
        /// Name of the program.
        name: &'static str,
    },
    /// The verifier, or another reason of the kernel's.
    #[error("the kernel refused program {name}: {}", verdict(source))]
    Program {
        /// Name of the program.
        name: &'static str,
        /// What aya said.
        source: ProgramError,
    },
    /// Pinning a program.
    #[error(transparent)]
    Pin(#[from] PinError),
}

/// What is fixed at load time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Sizes of the maps.
    pub sizes: Sizes,
    /// Ports that SNAT may take.
    pub snat_ports: RangeInclusive<u16>,
    /// Flows that each CPU may open a second, 0 for any number.
    pub new_flows_per_second: u32,
    /// Load programs that write no map but `trace`.
    pub tracing: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sizes: Sizes::default(),
            snat_ports: snat::PORT_MIN..=snat::PORT_MAX,
            new_flows_per_second: 0,
            tracing: false,
        }
    }
}

/// Loads the object's maps (pinned under `dir`, or those found there) and all of its programs.
///
/// # Errors
/// Where the object is missing, a pinned map does not fit, or the kernel refuses.
pub fn load(dir: &PinDir, settings: &Settings) -> Result<Ebpf, LoadError> {
    if OBJECT.is_empty() {
        return Err(LoadError::NoObject);
    }
    let specs = settings.sizes.specs();
    for spec in &specs {
        spec.check(dir)?;
    }
    let fib_src = u8::from(fib_knows_source());
    let tracing = u8::from(settings.tracing);
    let new_flows_per_tick = limit::per_tick(settings.new_flows_per_second);
    let restore_mask = settings.sizes.restore_buckets() - 1;
    let restore6_mask = settings.sizes.restore6_buckets() - 1;
    let mut loader = EbpfLoader::new();
    loader
        .override_global(global::FIB_SRC, &fib_src, true)
        .override_global(global::TRACING, &tracing, true)
        .override_global(global::SNAT_PORT_MIN, settings.snat_ports.start(), true)
        .override_global(global::SNAT_PORT_MAX, settings.snat_ports.end(), true)
        .override_global(global::NEW_FLOWS_PER_TICK, &new_flows_per_tick, true)
        .override_global(global::RESTORE_MASK, &restore_mask, true)
        .override_global(global::RESTORE6_MASK, &restore6_mask, true)
        .map_max_entries(map::TRACE, capacity::TRACE);
    for spec in &specs {
        loader.map_max_entries(spec.name, spec.entries).map_pin_path(spec.name, dir.map(spec.name));
    }
    let mut ebpf = loader.load(OBJECT).map_err(object_error)?;
    for name in [program::XDP, program::PASS] {
        let program = xdp(&mut ebpf, name)?;
        uninterrupted(|| program.load()).map_err(|source| program_error(name, source))?;
    }
    for name in [program::TCX_INGRESS, program::TCX_INGRESS_L3, program::TCX_EGRESS] {
        let program = classifier(&mut ebpf, name)?;
        uninterrupted(|| program.load()).map_err(|source| program_error(name, source))?;
    }
    Ok(ebpf)
}

/// True where `bpf_fib_lookup` reports the source that the kernel would take (`BPF_FIB_LOOKUP_SRC`, 6.7).
pub fn fib_knows_source() -> bool {
    KernelVersion::current().is_ok_and(|version| version >= KernelVersion::new(6, 7, 0))
}

/// Pins the programs in place of those of an earlier agent.
///
/// # Errors
/// Where the directory cannot be written.
pub fn pin_programs(ebpf: &mut Ebpf, dir: &PinDir) -> Result<(), LoadError> {
    const NAMES: [&str; 5] =
        [program::XDP, program::PASS, program::TCX_INGRESS, program::TCX_INGRESS_L3, program::TCX_EGRESS];
    for name in NAMES {
        let path = dir.program(name);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(PinError::Io { path, source }.into());
            }
            _ => {}
        }
        let program = ebpf.program_mut(name).ok_or(LoadError::Missing { name })?;
        program.pin(&path).map_err(|error| PinError::Io { path, source: io::Error::other(error) })?;
    }
    Ok(())
}

/// An XDP program of the object.
///
/// # Errors
/// Where the object has none of this name.
pub fn xdp<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Xdp, LoadError> {
    ebpf.program_mut(name).and_then(|program| program.try_into().ok()).ok_or(LoadError::Missing { name })
}

/// A tcx program of the object.
///
/// # Errors
/// Where the object has none of this name.
pub fn classifier<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut SchedClassifier, LoadError> {
    ebpf.program_mut(name).and_then(|program| program.try_into().ok()).ok_or(LoadError::Missing { name })
}

fn object_error(error: EbpfError) -> LoadError {
    let cause = match &error {
        EbpfError::MapError(
            MapError::CreateError { io_error, .. } | MapError::SyscallError(SyscallError { io_error, .. }),
        ) => Some(io_error),
        _ => None,
    };
    if is_denied(cause) { LoadError::Denied } else { LoadError::Object(error) }
}

/// Loads a program again where a signal interrupted the verifier: it gives up with EAGAIN then
/// (`kernel/bpf/verifier.c`, `do_check`), and libbpf tries five times as well.
///
/// # Errors
/// What the last attempt answered.
pub fn uninterrupted(mut load: impl FnMut() -> Result<(), ProgramError>) -> Result<(), ProgramError> {
    const ATTEMPTS: usize = 5;
    for _ in 1..ATTEMPTS {
        match load() {
            Err(ProgramError::LoadError { io_error, .. })
                if io_error.raw_os_error() == Some(libc::EAGAIN) => {}
            done => return done,
        }
    }
    load()
}

fn program_error(name: &'static str, source: ProgramError) -> LoadError {
    let cause = match &source {
        ProgramError::LoadError { io_error, .. } => Some(io_error),
        _ => None,
    };
    if is_denied(cause) { LoadError::Denied } else { LoadError::Program { name, source } }
}

fn is_denied(cause: Option<&io::Error>) -> bool {
    cause.is_some_and(|error| error.raw_os_error() == Some(libc::EPERM))
}

/// The error without all but the end of the verifier's log, which says why.
fn verdict(error: &ProgramError) -> String {
    let ProgramError::LoadError { io_error, verifier_log } = error else { return error.to_string() };
    let log = verifier_log.to_string();
    let lines: Vec<_> = log.lines().rev().take(6).collect();
    format!(
        "{io_error}; the verifier's last words: {}",
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    )
}
