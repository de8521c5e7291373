//! The pages that are made from the command lines: every flag, and the manual pages. After a change, run these tests
//! with `SLUICE_WRITE_DOCS=1`.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};

use clap::{Arg, ArgAction, Command, CommandFactory as _};

use super::args::Sluice;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

/// Both programs.
fn programs() -> [Command; 2] {
    [Sluice::command(), lb_proxy::Options::command()]
}

/// Compares what should be in a file with what is, or writes it.
fn hold(name: &str, wanted: &[u8]) {
    let path = docs().join(name);
    if env::var_os("SLUICE_WRITE_DOCS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, wanted).unwrap();
    }
    let written = fs::read(&path).unwrap_or_default();
    assert!(written == wanted, "docs/{name} is not what the code says: run this with SLUICE_WRITE_DOCS=1");
}

#[test]
fn the_page_of_flags_has_every_flag_of_both_programs() {
    let mut page = String::from(
        "# Every flag\n\
         Made by the tests `cli::pages` of `lb-userspace` from the command lines: after a change, run them with `SLUICE_WRITE_DOCS=1`.\n\
         A flag counts before its environment variable. `--help` says the same.\n\n\
         Two variables have no flag, and both programs read them: `SLUICE_LOG` is what is logged (`info` unless it says otherwise; `debug`, or\n\
         `warn,lb_sources=debug`; `sluice log-level` changes it later), `SLUICE_LOG_FORMAT` is `text` or `json` (text on a terminal, else JSON).\n",
    );
    for mut program in programs() {
        program.build();
        add(&mut page, &program);
    }
    hold("flags.md", page.as_bytes());
}

/// A section for the command, and for each of its subcommands.
fn add(page: &mut String, command: &Command) {
    if command.is_hide_set() || command.get_name() == "help" {
        return;
    }
    let name = command.get_bin_name().unwrap_or(command.get_name());
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    page.push_str(&format!("\n## {name}\n{about}\n"));
    let elsewhere =
        |arg: &Arg| is_everywhere(arg) || arg.is_hide_set() || arg.is_global_set() && name.contains(' ');
    let rows: Vec<_> = command.get_arguments().filter(|arg| !elsewhere(arg)).map(row).collect();
    if !rows.is_empty() {
        page.push_str("\n| flag | variable | default | meaning |\n|---|---|---|---|\n");
        page.push_str(&rows.concat());
    }
    command.get_subcommands().for_each(|command| add(page, command));
}

fn is_everywhere(arg: &Arg) -> bool {
    matches!(
        arg.get_action(),
        ArgAction::Help | ArgAction::HelpLong | ArgAction::HelpShort | ArgAction::Version
    )
}

fn row(arg: &Arg) -> String {
    let values = || {
        arg.get_value_names().unwrap_or_default().iter().map(|name| format!(" {name}")).collect::<String>()
    };
    let value = if arg.get_action().takes_values() { values() } else { String::new() };
    let flag = match (arg.get_short(), arg.get_long()) {
        (Some(short), Some(long)) => format!("-{short}, --{long}{value}"),
        (None, Some(long)) => format!("--{long}{value}"),
        (Some(short), None) => format!("-{short}{value}"),
        (None, None) => value.trim().to_owned(),
    };
    let code = |text: &str| if text.is_empty() { String::new() } else { format!("`{text}`") };
    let variable = arg.get_env().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let takes_no_value = !arg.get_action().takes_values();
    let defaults = arg.get_default_values().iter().map(|value| value.to_string_lossy());
    let default = if takes_no_value { String::new() } else { defaults.collect::<Vec<_>>().join(",") };
    let help =
        arg.get_help().map(ToString::to_string).unwrap_or_default().replace('|', "\\|").replace('\n', " ");
    format!("| `{flag}` | {} | {} | {help} |\n", code(&variable), code(&default))
}

#[test]
fn every_command_has_its_manual_page() {
    let mut pages = BTreeMap::new();
    for program in programs() {
        // A page that names a version would change with every release.
        collect(program.version(None::<&str>), &mut pages);
    }
    pages.iter().for_each(|(name, page)| hold(&format!("man/{name}.1"), page));
    let known = fs::read_dir(docs().join("man")).unwrap().map(|entry| entry.unwrap().file_name());
    for file in known.map(|name| name.into_string().unwrap()) {
        assert!(
            pages.contains_key(file.trim_end_matches(".1")),
            "docs/man/{file} is of no command: remove it"
        );
    }
}

/// The pages of a command and of its subcommands, by their names.
fn collect(mut command: Command, pages: &mut BTreeMap<String, Vec<u8>>) {
    command.build();
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).date("").render(&mut page).unwrap();
    pages.insert(name, page);
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        collect(sub.clone(), pages);
    }
}
