//! `sluice cleanup`: takes Sluice off this node.

use std::{io, path::Path, process::ExitCode};

use super::{CliError, args::CleanupArgs};
use crate::dataplane::{
    attach::parse_link_name,
    cleanup::{self, Removed},
    pin::PinDir,
};

/// Runs the verb.
pub(crate) fn run(
    bpf_dir: &Path,
    args: &CleanupArgs,
    out: &mut impl io::Write,
) -> Result<ExitCode, CliError> {
    let dir = PinDir::new(bpf_dir);
    if args.dry_run {
        print(out, "would detach", "would remove", &found(&dir)?, bpf_dir)?;
    } else {
        print(out, "detached", "removed", &cleanup::cleanup(&dir)?, bpf_dir)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What cleaning up would take away. Neighbours are not looked for.
fn found(dir: &PinDir) -> Result<Removed, CliError> {
    let mut found = Removed::default();
    for layout in cleanup::layouts(dir)? {
        let links = PinDir::list(&layout.join("links"))?;
        found.links.extend(
            links
                .iter()
                .filter_map(|link| parse_link_name(link))
                .map(|(device, hook)| format!("{device} {hook}")),
        );
        found.pins +=
            PinDir::list(&layout.join("programs"))?.len() + PinDir::list(&layout.join("maps"))?.len();
    }
    Ok(found)
}

fn print(
    out: &mut impl io::Write,
    detached: &str,
    gone: &str,
    removed: &Removed,
    bpf_dir: &Path,
) -> Result<(), CliError> {
    if *removed == Removed::default() {
        writeln!(out, "nothing of Sluice's under {}", bpf_dir.display())?;
        return Ok(());
    }
    for link in &removed.links {
        writeln!(out, "{detached} {link}")?;
    }
    writeln!(out, "{gone} {} pinned maps and programs under {}", removed.pins, bpf_dir.display())?;
    if removed.neighbours > 0 {
        let entries = if removed.neighbours == 1 { "entry" } else { "entries" };
        writeln!(out, "{gone} {} neighbour {entries}", removed.neighbours)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn dry_run(base: &Path) -> String {
        let mut out = Vec::new();
        run(base, &CleanupArgs { dry_run: true }, &mut out).unwrap();
        String::from_utf8(out).unwrap().replace(&base.display().to_string(), "DIR")
    }

    #[test]
    fn a_dry_run_names_what_is_there_and_touches_nothing() {
        let base = tempfile::tempdir().unwrap();
        for file in
            ["v1/maps/flows", "v1/links/eth0-xdp", "v1/links/flannel:1-in", "v7/programs/x", "other/thing"]
        {
            let path = base.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let text = dry_run(base.path());
        assert_eq!(
            text,
            "would detach eth0 xdp\nwould detach flannel.1 in\nwould remove 2 pinned maps and programs under DIR\n"
        );
        assert!(base.path().join("v1/maps/flows").exists());
    }

    #[test]
    fn nothing_to_remove_is_no_error() {
        assert_eq!(dry_run(tempfile::tempdir().unwrap().path()), "nothing of Sluice's under DIR\n");
    }
}
