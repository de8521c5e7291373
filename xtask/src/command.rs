//! Child processes. Every command that changes something is printed before it runs, ready to be repeated by hand.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// The cargo that runs this xtask, in the workspace and in a clean environment.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace::root());
    forget_cargo_run(&mut command);
    command
}

/// Removes what `cargo run` has set for xtask itself. Build scripts that watch one of these variables would
/// otherwise run again whenever `cargo build` and `cargo xtask build` alternate.
/// Source: <https://doc.rust-lang.org/cargo/reference/environment-variables.html>
pub(crate) fn forget_cargo_run(command: &mut Command) {
    const SET_BY_CARGO_RUN: [&str; 3] = ["CARGO_PKG_", "CARGO_MANIFEST_", "LD_LIBRARY_PATH"];
    for (name, _) in env::vars_os() {
        if SET_BY_CARGO_RUN.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
}

/// Prints the command, runs it and fails if it does.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = status(command)?;
    if !status.success() {
        bail!("`{}`: {status}", show(command));
    }
    Ok(())
}

/// Prints the command, runs it and tells how it ended.
pub(crate) fn status(command: &mut Command) -> Result<ExitStatus> {
    announce(command);
    command.status().with_context(|| format!("cannot start `{}`", show(command)))
}

/// Prints the command, runs it and shows every line of its standard output to `line` as well as to the user.
pub(crate) fn tee(command: &mut Command, mut line: impl FnMut(&str)) -> Result<ExitStatus> {
    announce(command);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{}`", show(command)))?;
    if let Some(stdout) = child.stdout.take() {
        for text in BufReader::new(stdout).split(b'\n') {
            let text = String::from_utf8_lossy(&text?).into_owned();
            println!("{text}");
            line(&text);
        }
    }
    Ok(child.wait()?)
}

/// Prints the command, runs it and returns its standard output; fails if it does.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    announce(command);
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot start `{}`", show(command)))?;
    if !output.status.success() {
        bail!("`{}`: {}", show(command), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The standard output of a command that only asks, without a word to the user; `None` if it is not there or fails.
pub(crate) fn ask(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The full path of a program in `PATH`.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn announce(command: &Command) {
    // Both streams often share one terminal or log: what was said before must come out before.
    let _ = std::io::stdout().flush();
    eprintln!("+ {}", show(command));
}

/// The command as a shell would take it, with the variables set for it.
pub(crate) fn show(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| {
        Some(format!("{}={}", name.to_string_lossy(), quote(&value?.to_string_lossy())))
    });
    // The cargo that runs us is the one that `cargo` means to the user.
    let program =
        Some(command.get_program()).filter(|program| env::var_os("CARGO").as_deref() != Some(*program));
    let words = std::iter::once(program.unwrap_or("cargo".as_ref())).chain(command.get_args());
    variables.chain(words.map(|word| quote(&word.to_string_lossy()))).collect::<Vec<_>>().join(" ")
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+./:,@^%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_command_can_be_pasted_into_a_shell() {
        let mut command = Command::new("cargo");
        command.args(["build", "it's", "--features", "a b"]).env("RUSTFLAGS", "-C debuginfo=2");
        assert_eq!(show(&command), r"RUSTFLAGS='-C debuginfo=2' cargo build 'it'\''s' --features 'a b'");
    }
}
