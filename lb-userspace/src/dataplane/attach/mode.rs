//! Where packets are met: what is asked for, and what came of it.

/// `--mode`: where packets are met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// Native XDP where the driver has it, tcx alone elsewhere.
    #[default]
    Auto,
    /// Native XDP, or an error.
    Native,
    /// tcx alone.
    Tc,
    /// XDP on socket buffers: for tests, slower than tcx alone.
    Generic,
}

/// Where packets of one uplink are met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attached {
    /// In the driver, and at tcx.
    Native,
    /// In generic XDP, and at tcx.
    Generic,
    /// At tcx alone.
    Tc,
}

impl Attached {
    /// The word that logs and metrics use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Tc => "tc",
        }
    }
}
