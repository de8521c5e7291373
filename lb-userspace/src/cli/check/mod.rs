//! `sluice check`: what an agent would make of manifests, without an agent.
//!
//! Errors are what would be refused, by the sources and by the model: the same code decides. Warnings are what would be
//! passed over in silence although somebody wrote it.

mod anchors;
mod omissions;
mod relations;
mod report;
mod routing;
#[cfg(test)]
mod tests;
mod unknown_field;

use std::{
    fs,
    io::{self, Read as _, Write},
    path::{Path, PathBuf},
};

use serde_json::Value;

use self::{
    anchors::Anchor,
    relations::Relations,
    report::{Report, Severity},
};
use lb_sources::{
    Consumer,
    manifest::{
        document::{self, Class, Document, ObjectAt, Places},
        folder,
    },
    policy,
    translate::{self, Kind, Outcome, Translation},
};

/// Checks files, folders of manifests, the file of `--external-ip-policy`, and `-` for standard input; writes what it found and a summary line. Returns the
/// number of errors.
///
/// # Errors
/// Nothing can be written to `out`. A file that cannot be read is an error of the report.
pub fn check(paths: &[PathBuf], out: &mut impl Write) -> io::Result<usize> {
    let mut checker = Checker::default();
    for path in paths {
        if let Err(error) = checker.check_path(path) {
            checker.report.file(path.display().to_string());
            checker.report.whole_file(format!("cannot be read: {error}"));
        }
    }
    checker.relations.check(&mut checker.report);
    checker.report.write(out)
}

#[derive(Default)]
struct Checker {
    report: Report,
    relations: Relations,
}

impl Checker {
    fn check_path(&mut self, path: &Path) -> io::Result<()> {
        if path == Path::new("-") {
            let mut bytes = Vec::new();
            io::stdin().lock().read_to_end(&mut bytes)?;
            self.check_file("standard input".to_owned(), &bytes);
        } else if path.is_dir() {
            for name in folder::names(path)? {
                let file = path.join(name);
                self.check_file(file.display().to_string(), &fs::read(&file)?);
            }
        } else {
            self.check_file(path.display().to_string(), &fs::read(path)?);
        }
        Ok(())
    }

    fn check_file(&mut self, name: String, bytes: &[u8]) {
        self.report.file(name);
        let text = match str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                return self.report.whole_file(format!("not UTF-8 text ({error}); save it as UTF-8"));
            }
        };
        let documents = document::parse(text);
        let alone = documents.len() == 1;
        for document in documents {
            match document {
                Ok(document) if policy::is_policy(document.value()) => self.check_policy(&document, alone),
                Ok(document) => self.check_document(&document),
                Err(broken) => {
                    self.report.add(broken.place, Severity::Error, broken.message);
                }
            }
        }
    }

    /// The file of `--external-ip-policy`; the Services of all files are judged by it.
    fn check_policy(&mut self, document: &Document<'_>, alone: bool) {
        let places = document.places();
        let mut error = |field: &str, message: String| {
            self.report.add(places.of(field), Severity::Error, format!("external-IP policy: {message}"));
        };
        if !alone {
            error("", "there are other documents in its file; it has to stand alone".to_owned());
        }
        match policy::from_value(document.value()) {
            Ok(policy) => {
                self.report.count_policy();
                if !self.relations.set_policy(policy) {
                    let message = "there is one already; an agent takes one file";
                    self.report.add(places.of(""), Severity::Error, format!("external-IP policy: {message}"));
                }
            }
            Err(wrong) => error(&wrong.field, wrong.to_string()),
        }
    }

    fn check_document(&mut self, document: &Document<'_>) {
        let places = document.places();
        for ObjectAt { path, value } in document.objects() {
            let place = places.of(&document::join(&path, "kind"));
            match document::classify(value) {
                Class::Followed(kind) => self.check_object(kind, &path, value, &places),
                Class::NoObject(why) => {
                    self.report.add(place, Severity::Error, format!("not a Kubernetes object: {why}"));
                }
                Class::Other(what) => {
                    self.report.skip();
                    if let Some(kind) = value["kind"].as_str().and_then(Kind::named) {
                        let version = kind.api_versions()[0];
                        let message = format!("{what} is not followed; use apiVersion {version}");
                        self.report.add(place, Severity::Warning, message);
                    }
                }
            }
        }
    }

    fn check_object(&mut self, kind: Kind, path: &str, value: &Value, places: &Places) {
        let place = |field: &str| places.of(&document::join(path, field));
        let seen_by = |consumer| translate::translate(consumer, kind, value);
        // The agent looks at more of what both follow; the proxy takes what the agent leaves to others.
        let for_agent = Consumer::Agent.follows(kind).then(|| seen_by(Consumer::Agent));
        let for_ingress = seen_by(Consumer::Ingress);
        let is_served = |translation: &&Translation| translation.outcome != Outcome::Skipped;
        let translation = for_agent.as_ref().filter(is_served).unwrap_or(&for_ingress);
        let what = format!("{} {}", kind.as_str(), translation.key);
        for finding in &translation.findings {
            self.report.add(place(&finding.field), Severity::Error, format!("{what}: {finding}"));
        }
        for unknown in unknown_field::find(kind, value) {
            let message = format!("{what}: {}: unknown field{}", unknown.field, unknown.hint);
            self.report.add(place(&unknown.field), Severity::Warning, message);
        }
        for (field, message) in omissions::find(translation, value) {
            self.report.add(place(&field), Severity::Warning, format!("{what}: {field}: {message}"));
        }
        self.report.count(translation);
        let at = self.report.at(place("metadata.name"));
        for Anchor { words, field } in anchors::of(&for_ingress, value) {
            self.relations.places.add(&for_ingress.key, words, self.report.at(place(&field)));
        }
        self.relations.add(at, for_agent, for_ingress);
    }
}
