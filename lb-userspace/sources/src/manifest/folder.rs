//! A folder, scan by scan: what each file holds, and what it held while it was last good.

use std::{
    cell::LazyCell,
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs, io, mem,
    ops::Range,
    path::{Path, PathBuf},
};

use lb_model::object::{ObjectKey, Refusal, Snapshot};

use tracing::info;

use super::document::{self, Class, Document, ObjectAt, Place};
use crate::{
    Consumer,
    translate::{self, Kind, Object, Outcome, Translation, reason},
};

/// A folder of manifests and what is known of its files.
#[derive(Debug)]
pub struct Folder {
    consumer: Consumer,
    path: PathBuf,
    files: BTreeMap<String, File>,
}

/// A file as it was read last.
#[derive(Debug, Default)]
struct File {
    bytes: Vec<u8>,
    contents: Contents,
    /// True where `contents` are those of a version that parsed from end to end.
    was_good: bool,
    /// What is wrong with the file as a whole.
    broken: Vec<Refusal>,
}

/// What a file says.
#[derive(Debug, Default)]
struct Contents {
    objects: Vec<Definition>,
    refused: Vec<Refusal>,
}

/// An object and where it is defined.
#[derive(Clone, Debug)]
struct Definition {
    kind: Kind,
    key: ObjectKey,
    object: Object,
    at: String,
}

impl Folder {
    /// A folder that was not read yet.
    pub fn new(consumer: Consumer, path: impl Into<PathBuf>) -> Self {
        Self { consumer, path: path.into(), files: BTreeMap::new() }
    }

    /// Where the folder is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads what changed and gives all that is served now.
    ///
    /// # Errors
    /// The folder itself cannot be read. What was known stays known.
    pub fn scan(&mut self) -> io::Result<Snapshot> {
        let names = names(&self.path)?;
        self.files.retain(|name, _| names.contains(name));
        for name in names {
            match fs::read(self.path.join(&name)) {
                // Removed since its name was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => drop(self.files.remove(&name)),
                Err(error) => {
                    let message = format!("{name} cannot be read ({error}); make it readable");
                    let file = self.files.entry(name.clone()).or_default();
                    file.broken = vec![file_refusal(&name, message)];
                    if file.was_good {
                        file.keep_last_good();
                    }
                }
                Ok(bytes) => self.files.entry(name.clone()).or_default().take(self.consumer, &name, bytes),
            }
        }
        Ok(self.snapshot())
    }

    fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        let mut refused = Vec::new();
        let mut defined: BTreeMap<(Kind, &ObjectKey), &str> = BTreeMap::new();
        for file in self.files.values() {
            for definition in &file.contents.objects {
                if let Some(first) = defined.get(&(definition.kind, &definition.key)) {
                    refused.push(Refusal {
                        kind: definition.kind.as_str().to_owned(),
                        object: definition.key.clone(),
                        reason: reason::DUPLICATE_OBJECT.to_owned(),
                        message: format!("{}: already defined at {first}; remove one", definition.at),
                    });
                } else {
                    defined.insert((definition.kind, &definition.key), &definition.at);
                    definition.object.clone().put(definition.key.clone(), &mut snapshot);
                }
            }
            refused.extend(file.contents.refused.iter().chain(&file.broken).cloned());
        }
        snapshot.refused = refused.into();
        snapshot
    }
}

impl File {
    /// Takes the file's present text, unless it is what was read last time.
    fn take(&mut self, consumer: Consumer, name: &str, bytes: Vec<u8>) {
        if self.was_good && self.broken.is_empty() && self.bytes == bytes {
            return;
        }
        let mut reader = Reader {
            consumer,
            name,
            before: &self.contents,
            contents: Contents::default(),
            unusable: Vec::new(),
            broken: Vec::new(),
        };
        reader.read(&bytes);
        reader.keep_last_good();
        let Reader { contents, broken, .. } = reader;
        self.bytes = bytes;
        self.broken = broken;
        if self.broken.is_empty() || !self.was_good {
            self.contents = contents;
            self.was_good = self.broken.is_empty();
        } else {
            self.keep_last_good();
        }
    }

    fn keep_last_good(&mut self) {
        for refusal in &mut self.broken {
            refusal.message.push_str("; the file's last good version stays served");
        }
    }
}

/// Reads one version of a file.
struct Reader<'a> {
    consumer: Consumer,
    name: &'a str,
    before: &'a Contents,
    contents: Contents,
    unusable: Vec<Unusable>,
    broken: Vec<Refusal>,
}

/// An object that is refused whole, and where its refusals are.
struct Unusable {
    kind: Kind,
    key: ObjectKey,
    refusals: Range<usize>,
}

impl Reader<'_> {
    fn read(&mut self, bytes: &[u8]) {
        let text = match str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let message = format!("{} is not UTF-8 text ({error}); save it as UTF-8", self.name);
                return self.broken.push(file_refusal(self.name, message));
            }
        };
        for document in document::parse(text) {
            match document {
                Ok(document) => self.read_document(&document),
                Err(broken) => {
                    let message = format!("{}: {}", self.at(broken.place), broken.message);
                    self.broken.push(file_refusal(self.name, message));
                }
            }
        }
    }

    fn read_document(&mut self, document: &Document<'_>) {
        // Only findings need exact places, and few objects have any.
        let places = LazyCell::new(|| document.places());
        for ObjectAt { path, value } in document.objects() {
            match document::classify(value) {
                Class::Followed(kind) if self.consumer.follows(kind) => {
                    let translation = translate::translate(self.consumer, kind, value);
                    let start = if path.is_empty() { document.start() } else { places.of(&path) };
                    self.take(translation, start, |field| places.of(&document::join(&path, field)));
                }
                Class::Followed(kind) => self.skip(kind.as_str()),
                Class::Other(what) => self.skip(&what),
                Class::NoObject(why) => {
                    let message = format!("{}: not a Kubernetes object: {why}", self.at(places.of(&path)));
                    self.contents.refused.push(file_refusal(self.name, message));
                }
            }
        }
    }

    fn take(&mut self, translation: Translation, start: Place, place: impl Fn(&str) -> Place) {
        let first = self.contents.refused.len();
        for (mut refusal, finding) in translation.refusals().zip(&translation.findings) {
            refusal.message = format!("{}: {}", self.at(place(&finding.field)), refusal.message);
            self.contents.refused.push(refusal);
        }
        let Translation { kind, key, outcome, .. } = translation;
        match outcome {
            Outcome::Served(object) => {
                self.contents.objects.push(Definition { kind, key, object, at: self.at(start) });
            }
            Outcome::Refused => {
                self.unusable.push(Unusable { kind, key, refusals: first..self.contents.refused.len() });
            }
            Outcome::Skipped => {}
        }
    }

    fn skip(&self, what: &str) {
        let kinds: Vec<_> = self.consumer.kinds().iter().map(|kind| kind.as_str()).collect();
        info!(file = self.name, "skipping {what}: only {} count", kinds.join(", "));
    }

    /// Has an object that can be used no more, and that the file does not define a second time, served as it was.
    fn keep_last_good(&mut self) {
        let before: BTreeMap<_, _> =
            self.before.objects.iter().map(|before| ((before.kind, &before.key), before)).collect();
        let defined: BTreeSet<_> =
            self.contents.objects.iter().map(|object| (object.kind, object.key.clone())).collect();
        let mut kept = BTreeMap::new();
        for Unusable { kind, key, refusals } in mem::take(&mut self.unusable) {
            let Some(last_good) =
                before.get(&(kind, &key)).filter(|_| !defined.contains(&(kind, key.clone())))
            else {
                continue;
            };
            kept.insert((kind, &last_good.key), *last_good);
            for refusal in &mut self.contents.refused[refusals] {
                refusal.message.push_str("; the object's last good version stays served");
            }
        }
        self.contents.objects.extend(kept.into_values().cloned());
    }

    fn at(&self, place: Place) -> String {
        format!("{}:{}", self.name, place.line)
    }
}

/// Names of the folder's manifests, in order. Hidden files are editors' and the kubelet's own.
///
/// # Errors
/// The folder cannot be read.
pub fn names(folder: &Path) -> io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let is_manifest =
            matches!(Path::new(&name).extension().and_then(OsStr::to_str), Some("yaml" | "yml" | "json"));
        // Follows links: the files of a mounted ConfigMap are links. Nothing else can be read to an end.
        if is_manifest
            && !name.starts_with('.')
            && fs::metadata(entry.path()).is_ok_and(|file| file.is_file())
        {
            names.insert(name);
        }
    }
    Ok(names)
}

fn file_refusal(name: &str, message: String) -> Refusal {
    Refusal {
        kind: "File".to_owned(),
        object: ObjectKey::new("", name),
        reason: reason::BROKEN_MANIFEST.to_owned(),
        message,
    }
}

#[cfg(test)]
mod tests;
