//! Runs the tracing build of the programs on a packet.

use std::fmt;

use aya::{
    Ebpf,
    maps::{Array, MapData, MapError},
    programs::{ProgramError, TestRun as _, TestRunOptions},
};
use lb_common::{
    abi::{capacity, map, program},
    trace::TraceStep,
};
use nix::ifaddrs::getifaddrs;
use serde::Serialize;

use crate::{
    agent::options::Ports,
    cli::CliError,
    dataplane::{
        loader::{self, LoadError, Settings},
        pin::PinDir,
        spec::Sizes,
    },
};

/// Where a packet meets Sluice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Hook {
    /// XDP.
    Xdp,
    /// tcx ingress.
    TcxIngress,
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Xdp => "XDP",
            Self::TcxIngress => "tcx ingress",
        })
    }
}

/// Why a trace could not be run.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// Loading the programs.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The kernel did not run a program.
    #[error(
        "the kernel did not run {program} on the packet: {source} (is the device of this network namespace?)"
    )]
    Run {
        /// Name of the program.
        program: &'static str,
        /// What aya said.
        source: ProgramError,
    },
    /// The list of steps.
    #[error("map {}: {source}", map::TRACE)]
    Steps {
        /// What aya said.
        source: MapError,
    },
    /// The object has no list of steps.
    #[error("the embedded object has no map {}; run `cargo xtask build` again", map::TRACE)]
    NoSteps,
}

/// Programs that write down what they would do and do nothing.
pub(crate) struct Tracer {
    ebpf: Ebpf,
}

impl Tracer {
    /// Loads them over the maps pinned in `dir`, all of which must be there: the loader makes and pins missing ones.
    pub(crate) fn load(dir: &PinDir, ports: &Ports) -> Result<Self, CliError> {
        let present = map::PINNED.iter().all(|name| dir.map(name).exists());
        let sizes = Sizes::of_pinned(dir).filter(|_| present);
        let sizes = sizes.ok_or_else(|| CliError::NoMaps { path: dir.root() })?;
        let settings = Settings { sizes, snat_ports: ports.0.clone(), tracing: true, ..Settings::default() };
        let ebpf = loader::load(dir, &settings).map_err(TraceError::from)?;
        Ok(Self { ebpf })
    }

    /// The steps that the program of `hook` takes for a frame that comes in by `ifindex`.
    pub(crate) fn run(
        &mut self,
        hook: Hook,
        frame: &[u8],
        ifindex: u32,
    ) -> Result<Vec<TraceStep>, TraceError> {
        self.steps()?.set(0, TraceStep::default(), 0).map_err(steps_error)?;
        match hook {
            Hook::Xdp => {
                let context = xdp_md(frame.len() as u32, ifindex);
                let options = TestRunOptions {
                    data_in: Some(frame),
                    ctx_in: Some(&context),
                    ..TestRunOptions::default()
                };
                let program = loader::xdp(&mut self.ebpf, program::XDP)?;
                program
                    .test_run(options)
                    .map_err(|source| TraceError::Run { program: program::XDP, source })?;
            }
            Hook::TcxIngress => {
                let context = sk_buff(ifindex);
                let options = TestRunOptions {
                    data_in: Some(frame),
                    ctx_in: Some(&context),
                    ..TestRunOptions::default()
                };
                let name = program::TCX_INGRESS;
                let program = loader::classifier(&mut self.ebpf, name)?;
                program.test_run(options).map_err(|source| TraceError::Run { program: name, source })?;
            }
        }
        self.read()
    }

    fn steps(&mut self) -> Result<Array<&mut MapData, TraceStep>, TraceError> {
        let map = self.ebpf.map_mut(map::TRACE).ok_or(TraceError::NoSteps)?;
        Array::try_from(map).map_err(steps_error)
    }

    /// The list as the program left it: element 0 counts, the steps follow.
    fn read(&mut self) -> Result<Vec<TraceStep>, TraceError> {
        let steps = self.steps()?;
        let count = steps.get(&0, 0).map_err(steps_error)?.a.min(capacity::TRACE - 1);
        (1..=count).map(|number| steps.get(&number, 0).map_err(steps_error)).collect()
    }
}

fn steps_error(source: MapError) -> TraceError {
    TraceError::Steps { source }
}

/// `struct xdp_md` (include/uapi/linux/bpf.h): `data`, `data_end`, `data_meta`, `ingress_ifindex`, `rx_queue_index`,
/// `egress_ifindex`. Data offsets are relative to the frame that is passed in.
fn xdp_md(length: u32, ifindex: u32) -> Vec<u8> {
    words(&[0, length, 0, ifindex, 0, 0])
}

/// `struct __sk_buff` (include/uapi/linux/bpf.h) up to `ifindex`, its eleventh word; the kernel takes the rest as zero.
fn sk_buff(ifindex: u32) -> Vec<u8> {
    words(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ifindex])
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// The link-layer address of a device; zeros where it has none.
pub(crate) fn mac(ifindex: u32) -> [u8; 6] {
    let Ok(addresses) = getifaddrs() else { return [0; 6] };
    addresses
        .filter_map(|address| address.address)
        .filter_map(|address| address.as_link_addr().copied())
        .find(|link| link.ifindex() == ifindex as usize)
        .and_then(|link| link.addr())
        .unwrap_or_default()
}
