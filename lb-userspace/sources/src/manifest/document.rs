//! Manifest text → objects, each with the lines that its fields stand on.

use std::{collections::BTreeMap, fmt, iter};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;
use serde_saphyr::{Spanned, budget, options};

use super::mend;
use crate::{printable::printable, translate::Kind};

/// Levels that a document may nest: those of other kinds (schemas of custom resources) nest deep.
const DEEPEST: usize = 64;
/// Levels down to which places are known. Each takes up to 32 KiB of a stack that has 2 MiB, and no kind of ours has half
/// as many.
const DEEPEST_PLACE: usize = 32;
/// `kind` of a list of objects of any kinds.
const LIST: &str = "List";

/// A place in a file, both numbers counted from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: u64,
    /// Column.
    pub column: u64,
}

/// Text that is not YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Where the parser gave up.
    pub place: Place,
    /// What it met, and what to do.
    pub message: String,
}

/// One document of a file.
#[derive(Clone, Debug)]
pub struct Document<'a> {
    text: &'a str,
    first_line: u64,
    value: Value,
}

/// An object in a document.
#[derive(Clone, Debug)]
pub struct ObjectAt<'a> {
    /// Path in the document: empty, or `items[n]` in a list.
    pub path: String,
    /// The object.
    pub value: &'a Value,
}

/// What an object is to Sluice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Class {
    /// Of a kind that Sluice follows.
    Followed(Kind),
    /// Of another kind: `apiVersion kind`.
    Other(String),
    /// Not a Kubernetes object: why.
    NoObject(&'static str),
}

/// Splits a file into its documents. A broken document is an error of its own; the others are not touched by it.
pub fn parse(text: &str) -> Vec<Result<Document<'_>, Broken>> {
    chunks(text).into_iter().filter_map(|(first_line, text)| document(first_line, text).transpose()).collect()
}

impl Document<'_> {
    /// The document's objects: itself, or the items of a list and of the lists in it.
    pub fn objects(&self) -> Vec<ObjectAt<'_>> {
        let mut objects = Vec::new();
        collect(String::new(), &self.value, &mut objects);
        objects
    }

    /// The document as a whole.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Where the document's own text begins.
    pub fn start(&self) -> Place {
        let before = lines(self.text).take_while(|line| line.starts_with("---") || !is_content(line)).count();
        Place { line: self.first_line + before as u64, column: 1 }
    }

    /// Where every field of the document stands. Reads the text again: only findings ask for it.
    pub fn places(&self) -> Places {
        let mut places = BTreeMap::new();
        // The text was parsed before; where the second reading fails, everything stands on the first line.
        if let Ok(Some(root)) = read::<Spanned<Tree>>(self.text, DEEPEST_PLACE) {
            places.insert(String::new(), place(&root.referenced, self.first_line));
            root.value.note("", self.first_line, &mut places);
        }
        Places { first_line: self.first_line, places }
    }
}

/// Where fields stand.
#[derive(Clone, Debug)]
pub struct Places {
    first_line: u64,
    places: BTreeMap<String, Place>,
}

impl Places {
    /// Place of a field such as `spec.ports[0].port`; where the field is missing, of what should hold it.
    pub fn of(&self, path: &str) -> Place {
        let mut path = path;
        loop {
            if let Some(place) = self.places.get(path) {
                return *place;
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None if path.is_empty() => return Place { line: self.first_line, column: 1 },
                None => path = "",
            }
        }
    }
}

/// A field of an object that stands at `path` itself.
pub fn join(path: &str, field: &str) -> String {
    match (path, field) {
        ("", _) => field.to_owned(),
        (_, "") => path.to_owned(),
        _ if field.starts_with('[') => format!("{path}{field}"),
        _ => format!("{path}.{field}"),
    }
}

/// The objects at a path. Calls itself for lists within lists, which nest no deeper than [`DEEPEST`].
fn collect<'a>(path: String, value: &'a Value, objects: &mut Vec<ObjectAt<'a>>) {
    match value.get("items") {
        Some(Value::Array(items)) if is_list(value) => {
            for (i, item) in items.iter().enumerate() {
                collect(join(&path, &format!("items[{i}]")), item, objects);
            }
        }
        // Go writes an empty list as null.
        Some(Value::Null) if is_list(value) => {}
        _ => objects.push(ObjectAt { path, value }),
    }
}

fn is_list(value: &Value) -> bool {
    value["kind"].as_str().is_some_and(|kind| kind.ends_with(LIST))
}

/// True for the lists that may hold what Sluice follows; others are of no concern.
fn is_list_of_ours(kind: &str) -> bool {
    kind.strip_suffix(LIST)
        .is_some_and(|of| of.is_empty() || Kind::ALL.iter().any(|kind| kind.as_str() == of))
}

/// What an object is to Sluice.
pub fn classify(object: &Value) -> Class {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    match (text("apiVersion"), text("kind")) {
        _ if !object.is_object() => Class::NoObject("it is not a mapping"),
        (_, "") => Class::NoObject("it has no kind"),
        ("", _) => Class::NoObject("it has no apiVersion"),
        (_, kind) if is_list_of_ours(kind) => Class::NoObject("it is a list without a sequence of items"),
        (api_version, kind) => Kind::of(api_version, kind)
            .map_or_else(|| Class::Other(format!("{api_version} {kind}")), Class::Followed),
    }
}

/// Documents and the line that each starts on. `---` and `...` at the start of a line end a document wherever they
/// stand (YAML 1.2.2 §6.8 c-forbidden, §9.1.2), so a broken document cannot swallow the next.
fn chunks(text: &str) -> Vec<(u64, &str)> {
    let mut chunks = Vec::new();
    let (mut start, mut first_line, mut offset) = (0, 1, 0);
    for (line, number) in lines(text).zip(1..) {
        if is_marker(line, "---") && offset > start {
            chunks.push((first_line, &text[start..offset]));
            (start, first_line) = (offset, number);
        }
        offset += line.len();
        // A document may follow without a marker of its own.
        if is_marker(line, "...") {
            chunks.push((first_line, &text[start..offset]));
            (start, first_line) = (offset, number + 1);
        }
    }
    chunks.push((first_line, &text[start..]));
    chunks
}

/// Lines with their ends: line feeds, carriage returns or both (YAML 1.2.2 §5.4).
fn lines(mut text: &str) -> impl Iterator<Item = &str> {
    iter::from_fn(move || {
        let end = text
            .find(['\n', '\r'])
            .map_or(text.len(), |end| end + if text[end..].starts_with("\r\n") { 2 } else { 1 });
        let (line, rest) = text.split_at(end);
        text = rest;
        (!line.is_empty()).then_some(line)
    })
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\n', '\r']))
}

fn is_content(line: &str) -> bool {
    !line.trim().is_empty() && !line.starts_with(['#', '%'])
}

fn document(first_line: u64, text: &str) -> Result<Option<Document<'_>>, Broken> {
    // Comments and directives (`%YAML 1.2`) before the first marker are no document.
    if !lines(text).any(is_content) {
        return Ok(None);
    }
    match read::<Value>(text, DEEPEST) {
        Ok(value) => Ok(value.map(|value| Document { text, first_line, value })),
        Err(error) => {
            let failed = error.location();
            let below = |place: Place| Place { line: first_line + place.line.saturating_sub(1), ..place };
            let place =
                failed.map_or(Place { line: first_line, column: 1 }, |location| place(&location, first_line));
            Err(match failed.and_then(|location| mend::find(text, location.line())) {
                Some((place, message)) => {
                    Broken { place: below(place), message: printable(&message).into_owned() }
                }
                None => Broken { place, message: format!("{}; correct the YAML", one_line(&error)) },
            })
        }
    }
}

/// The first document of `text`, nested no deeper than `max_depth`; nothing where it is null.
fn read<T: for<'de> Deserialize<'de>>(
    text: &str,
    max_depth: usize,
) -> Result<Option<T>, serde_saphyr::Error> {
    // The default budget has no room for a list of 10,000 Services; aliases stay limited as they are, against documents
    // that expand without end.
    let options = options! {
        with_snippet: false,
        budget: budget! { max_depth: max_depth, max_nodes: 4_000_000, max_events: 16_000_000 },
    };
    Ok(serde_saphyr::from_multiple_with_options::<T>(text, options)?.into_iter().next())
}

fn place(location: &serde_saphyr::Location, first_line: u64) -> Place {
    Place { line: first_line + location.line().saturating_sub(1), column: location.column().max(1) }
}

/// The parser's message without its own idea of lines, which start at the document and not at the file.
fn one_line(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().render();
    let text = text.lines().next().unwrap_or_default();
    printable(text.split(" at line ").next().unwrap_or(text)).into_owned()
}

/// YAML with the place of every node.
enum Tree {
    Leaf,
    List(Vec<Spanned<Tree>>),
    Map(Vec<(Spanned<String>, Spanned<Tree>)>),
}

impl Tree {
    /// Notes the place of everything below `path`: a field stands where its key does, an item where it begins.
    fn note(&self, path: &str, first_line: u64, places: &mut BTreeMap<String, Place>) {
        let mut note = |path: String, location, tree: &Self| {
            tree.note(&path, first_line, places);
            places.insert(path, place(location, first_line));
        };
        match self {
            Self::Leaf => {}
            Self::List(items) => {
                for (i, item) in items.iter().enumerate() {
                    note(format!("{path}[{i}]"), &item.referenced, &item.value);
                }
            }
            Self::Map(entries) => {
                for (key, value) in entries {
                    note(join(path, &key.value), &key.referenced, &value.value);
                }
            }
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TreeVisitor;

        impl<'de> Visitor<'de> for TreeVisitor {
            type Value = Tree;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any YAML value")
            }

            fn visit_bool<E>(self, _: bool) -> Result<Tree, E> {
                Ok(Tree::Leaf)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Tree, E> {
                Ok(Tree::Leaf)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Tree, E> {
                Ok(Tree::Leaf)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Tree, E> {
                Ok(Tree::Leaf)
            }

            fn visit_str<E>(self, _: &str) -> Result<Tree, E> {
                Ok(Tree::Leaf)
            }

            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree::Leaf)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Tree::List(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Tree::Map(entries))
            }
        }

        deserializer.deserialize_any(TreeVisitor)
    }
}

#[cfg(test)]
mod tests;
