//! `sluice check`: what an agent would make of manifests, without an agent.
//!
//! Errors are what would be refused, by the sources and by the model: the same code decides. Warnings are what would be
//! passed over in silence although somebody wrote it.

mod relations;
mod report;
#[cfg(test)]
mod tests;
mod unknown_field;

use std::{
    fs,
    io::{self, Read as _, Write},
    path::{Path, PathBuf},
};

use lb_model::object::ServiceType;
use serde_json::Value;

use self::{
    relations::Relations,
    report::{Report, Severity},
};
use lb_sources::{
    manifest::{
        document::{self, Class, Document, ObjectAt, Places},
        folder,
    },
    policy,
    translate::{self, Kind, Object, Outcome, Translation, has_service_name},
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
                    let message = format!("{}; correct the YAML", broken.message);
                    self.report.add(broken.place, Severity::Error, message);
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
                    if let Some(kind) = Kind::ALL.into_iter().find(|kind| value["kind"] == kind.as_str()) {
                        let message =
                            format!("{what} is not followed; use apiVersion {}", kind.api_version());
                        self.report.add(place, Severity::Warning, message);
                    }
                }
            }
        }
    }

    fn check_object(&mut self, kind: Kind, path: &str, value: &Value, places: &Places) {
        let place = |field: &str| places.of(&document::join(path, field));
        let translation = translate::translate(kind, value);
        let what = format!("{} {}", kind.as_str(), translation.key);
        for finding in &translation.findings {
            self.report.add(place(&finding.field), Severity::Error, format!("{what}: {finding}"));
        }
        for unknown in unknown_field::find(kind, value) {
            let message = format!("{what}: {}: unknown field{}", unknown.field, unknown.hint);
            self.report.add(place(&unknown.field), Severity::Warning, message);
        }
        for (field, message) in omissions(&translation, value) {
            self.report.add(place(&field), Severity::Warning, format!("{what}: {message}"));
        }
        self.report.count(&translation);
        self.relations.add(self.report.at(place("metadata.name")), translation);
    }
}

/// What is legal, and does not do what its author hoped for.
fn omissions(translation: &Translation, value: &Value) -> Vec<(String, String)> {
    let mut omissions = Vec::new();
    match &translation.outcome {
        Outcome::Served(Object::Service(service)) if service.service_type == ServiceType::NodePort => {
            for (i, port) in value["spec"]["ports"].as_array().into_iter().flatten().enumerate() {
                if port["nodePort"].as_u64().unwrap_or_default() == 0 {
                    let message = "no nodePort; an API server allocates one, a folder of manifests does not";
                    omissions.push((format!("spec.ports[{i}]"), format!("spec.ports[{i}]: {message}")));
                }
            }
        }
        Outcome::Skipped if translation.kind == Kind::EndpointSlice && !has_service_name(value) => {
            let message =
                "metadata.labels: no kubernetes.io/service-name; name the Service that the slice belongs to";
            omissions.push(("metadata.labels".to_owned(), message.to_owned()));
        }
        _ => {}
    }
    omissions
}
