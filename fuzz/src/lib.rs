//! What the fuzz targets do with an input, and what must hold whatever it is.
//!
//! Each target is a function of bytes that panics where something does not hold. `cargo xtask fuzz` has libFuzzer make
//! up the bytes; the tests of this package replay `fuzz/corpus`, where past findings stay.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "nothing but tests is built from this: a failed assumption is a finding"
)]

mod cluster;
pub mod manifest;
pub mod objects;
mod oracle;
pub mod packet;
pub mod policy;
#[cfg(test)]
mod replay;
pub mod watch;

/// The program of a target: under libFuzzer where it is built for fuzzing; else it runs the files that it is given.
#[macro_export]
macro_rules! fuzz_target {
    ($run:path) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|data: &[u8]| $run(data));

        #[cfg(not(fuzzing))]
        fn main() -> std::io::Result<()> {
            std::env::args_os().skip(1).try_for_each(|path| std::fs::read(path).map(|data| $run(&data)))
        }
    };
}
