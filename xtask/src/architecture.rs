//! The processors that Sluice is built for.

use clap::ValueEnum;

/// A processor, by the name that the OCI image specification has from Go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Architecture {
    /// 64-bit x86.
    Amd64,
    /// 64-bit Arm.
    Arm64,
}

impl Architecture {
    /// This machine's.
    #[cfg(target_arch = "x86_64")]
    pub(crate) const HOST: Self = Self::Amd64;
    /// This machine's.
    #[cfg(target_arch = "aarch64")]
    pub(crate) const HOST: Self = Self::Arm64;

    /// Its name in images and files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// What Rust calls it.
    ///
    /// Of the GNU C library, because the allocator of musl would cost the proxy its speed; since 2.34 that needs no other
    /// library to resolve names when linked statically.
    pub(crate) fn target(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// What the names of its compiler and its binutils start with on another processor, and Debian's packages of these and
    /// of the C library.
    pub(crate) fn cross_tools(self) -> Option<(&'static str, [&'static str; 2])> {
        match self {
            _ if self == Self::HOST => None,
            Self::Amd64 => Some(("x86_64-linux-gnu-", ["gcc-x86-64-linux-gnu", "libc6-dev-amd64-cross"])),
            Self::Arm64 => Some(("aarch64-linux-gnu-", ["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"])),
        }
    }
}
