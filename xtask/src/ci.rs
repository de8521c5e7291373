//! `cargo xtask ci`: lint and test, both to the end, so that one run shows everything there is to mend.

use std::process::ExitCode;

use anyhow::Result;

use crate::test::Group;
use crate::{lint, test};

/// Fails if either does. The last line is that of the tests.
pub(crate) fn run() -> Result<ExitCode> {
    let lint = lint::run()?;
    let test = test::run(Group::All, None, &[])?;
    Ok(if lint == ExitCode::SUCCESS { test } else { lint })
}
