//! What was found, in the order of the files.

use std::{
    fmt,
    io::{self, Write},
};

use lb_sources::{
    manifest::document::Place,
    translate::{Outcome, Translation},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    Error,
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// A place in a file of the report; `None` for the file as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    file: usize,
    place: Option<Place>,
}

#[derive(Debug, Default)]
pub(super) struct Report {
    files: Vec<String>,
    lines: Vec<(At, Severity, String)>,
    objects: usize,
    skipped: usize,
}

impl Report {
    /// Begins a file: what is added next is about it.
    pub(super) fn file(&mut self, name: String) {
        self.files.push(name);
    }

    /// A place in the present file.
    pub(super) fn at(&self, place: Place) -> At {
        At { file: self.files.len().saturating_sub(1), place: Some(place) }
    }

    /// Adds to the present file.
    pub(super) fn add(&mut self, place: Place, severity: Severity, message: String) {
        self.add_at(self.at(place), severity, message);
    }

    /// Adds an error about the present file as a whole.
    pub(super) fn whole_file(&mut self, message: String) {
        let at = At { file: self.files.len().saturating_sub(1), place: None };
        self.add_at(at, Severity::Error, message);
    }

    /// Adds to any file.
    pub(super) fn add_at(&mut self, at: At, severity: Severity, message: String) {
        self.lines.push((at, severity, message));
    }

    /// Where `at` is, as the report writes it.
    pub(super) fn show(&self, at: At) -> String {
        let file = &self.files[at.file];
        at.place.map_or_else(|| file.clone(), |place| format!("{file}:{}:{}", place.line, place.column))
    }

    /// Counts an object.
    pub(super) fn count(&mut self, translation: &Translation) {
        if translation.outcome == Outcome::Skipped {
            self.skip();
        } else {
            self.objects += 1;
        }
    }

    /// Counts an external-IP policy.
    pub(super) fn count_policy(&mut self) {
        self.objects += 1;
    }

    /// Counts an object that is not Sluice's.
    pub(super) fn skip(&mut self) {
        self.skipped += 1;
    }

    /// Writes everything and returns the number of errors.
    pub(super) fn write(mut self, out: &mut impl Write) -> io::Result<usize> {
        self.lines.sort_by_key(|(at, severity, _)| (*at, *severity));
        for (at, severity, message) in &self.lines {
            writeln!(out, "{}: {severity}: {message}", self.show(*at))?;
        }
        let errors = self.lines.iter().filter(|(_, severity, _)| *severity == Severity::Error).count();
        let warnings = self.lines.len() - errors;
        writeln!(
            out,
            "{} in {}, {} not Sluice's: {}, {}",
            counted(self.objects, "object"),
            counted(self.files.len(), "file"),
            self.skipped,
            counted(errors, "error"),
            counted(warnings, "warning"),
        )?;
        Ok(errors)
    }
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
