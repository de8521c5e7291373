//! `sluice get`: what the pinned maps hold.

mod affinity;
mod backends;
mod drops;
pub(super) mod flows;
mod interfaces;
mod services;

use std::{io, path::Path, process::ExitCode};

use super::{
    CliError,
    args::{GetArgs, Resource},
    clock::Clock,
    names::ServiceName,
    output::{self, Format, Row, View},
    pins,
};
use crate::dataplane::{pin::PinDir, pinned::Pinned};

/// Namespace of a Service where the user names none, as kubectl has it.
const DEFAULT_NAMESPACE: &str = "default";

/// Runs the verb.
pub(crate) fn run(bpf_dir: &Path, args: &GetArgs, out: &mut impl io::Write) -> Result<ExitCode, CliError> {
    let dir = PinDir::new(bpf_dir);
    let pinned = pins::open(&dir)?;
    match args.resource {
        Resource::Services => show(out, args, services::collect(&pinned)?),
        Resource::Backends => show(out, args, backends::collect(&pinned)?),
        Resource::Flows => show(out, args, flows::collect(&pinned, Clock::read())?),
        Resource::Affinity => show(out, args, affinity::collect(&pinned, Clock::read())?),
        Resource::Drops => show(out, args, drops::collect(&pinned)?),
        Resource::Interfaces => show(out, args, interfaces::collect(&pinned, &dir)?),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// What a row answers to.
trait Resourceful: Row {
    /// Kind in messages, plural, as the command line spells it.
    const KIND: &'static str;
    /// True where the resource lives in namespaces, so that one is assumed where none is named.
    const NAMESPACED: bool = false;

    /// True where `name` means this row.
    fn is_named(&self, name: &str) -> bool;

    /// What a table leaves out and its reader should know of.
    fn note(_rows: &[Self]) -> Option<String> {
        None
    }

    /// The Services it is about; none where namespaces mean nothing to it.
    fn services(&self) -> Vec<&ServiceName>;
}

/// Picks the rows that were asked for and prints them; says on stderr why there are none.
fn show<R: Resourceful>(out: &mut impl io::Write, args: &GetArgs, rows: Vec<R>) -> Result<(), CliError> {
    let namespace = match (&args.namespace, args.all_namespaces) {
        (Some(namespace), _) => Some(namespace.as_str()),
        (None, false) if R::NAMESPACED => Some(DEFAULT_NAMESPACE),
        _ => None,
    };
    let rows = select(rows, namespace, args.name.as_deref());
    if rows.is_empty()
        && let Some(name) = &args.name
    {
        let place = namespace.map(|namespace| format!(" in namespace {namespace}")).unwrap_or_default();
        let all = if R::NAMESPACED { " -A" } else { "" };
        return Err(CliError::NotFound { kind: R::KIND, name: name.clone(), place, all });
    }
    let view = View { format: args.output, all_namespaces: args.all_namespaces, no_headers: args.no_headers };
    let any = output::print(out, view, &rows)?;
    match R::note(&rows).filter(|_| args.output == Format::Table) {
        Some(note) => eprintln!("{note}"),
        None if !any && matches!(args.output, Format::Table | Format::Wide) => {
            eprintln!("{}", nothing::<R>(namespace));
        }
        None => {}
    }
    Ok(())
}

fn select<R: Resourceful>(mut rows: Vec<R>, namespace: Option<&str>, name: Option<&str>) -> Vec<R> {
    rows.retain(|row| {
        let inside = namespace.is_none_or(|namespace| {
            let services = row.services();
            services.iter().any(|service| service.namespace == namespace)
        });
        inside && name.is_none_or(|name| row.is_named(name))
    });
    rows
}

/// Why a table is empty.
fn nothing<R: Resourceful>(namespace: Option<&str>) -> String {
    match namespace {
        Some(namespace) => format!("no {} in namespace {namespace}; use -A for all namespaces", R::KIND),
        None => format!("no {}", R::KIND),
    }
}
