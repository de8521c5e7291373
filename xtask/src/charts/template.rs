//! From an object of the kustomize base to a template that renders to it, unless a user sets something.

use std::{collections::BTreeSet, fmt::Write as _};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value};

use super::settings::{Kind, Place, Setting};

/// Writes templates, and keeps account of which places the objects had.
pub(super) struct Writer<'a> {
    settings: Vec<&'a Setting>,
    found: BTreeSet<String>,
    text: String,
}

/// What stands at a path instead of what the base says.
enum Instead {
    /// After the key, on its line.
    Scalar(String),
    /// Below the key.
    Block(String),
}

impl<'a> Writer<'a> {
    /// For objects that these values are about.
    pub(super) fn new(settings: Vec<&'a Setting>) -> Self {
        Self { settings, found: BTreeSet::new(), text: String::new() }
    }

    /// The template of one object.
    pub(super) fn object(&mut self, object: &Value) -> Result<String> {
        ensure!(!object.to_string().contains("{{"), "an object of the base would be taken for a template");
        let kind = object["kind"].as_str().context("an object of the base has no kind")?;
        self.text.clear();
        self.mapping(object.as_object().context("no object")?, kind, 0);
        Ok(std::mem::take(&mut self.text))
    }

    /// Fails where a value is for a place that no object has had.
    pub(super) fn finish(self) -> Result<()> {
        for setting in self.settings {
            for path in setting.places.iter().map(|place| path(*place)) {
                ensure!(self.found.contains(path), "{}: nothing in the base is at {path}", setting.name);
            }
        }
        Ok(())
    }

    fn mapping(&mut self, mapping: &Map<String, Value>, path: &str, indent: usize) {
        for (key, value) in mapping {
            let at = format!("{path}/{key}");
            self.line(indent, &format!("{key}:"));
            self.value(value, &at, indent + 2, key);
        }
        self.insertions(path, indent);
    }

    fn list(&mut self, list: &[Value], path: &str, indent: usize) {
        for (index, item) in list.iter().enumerate() {
            let at = format!("{path}/{index}");
            let start = self.text.len();
            match item {
                Value::Object(mapping) if !mapping.is_empty() => {
                    self.mapping(mapping, &at, indent + 2);
                    self.text.replace_range(start + indent..=start + indent, "-");
                }
                _ => {
                    self.line(indent, "-");
                    self.value(item, &at, indent + 2, "");
                }
            }
        }
        self.insertions(path, indent);
    }

    /// What follows a key or a dash, whose line is open at the end of the text.
    fn value(&mut self, value: &Value, path: &str, indent: usize, key: &str) {
        self.found.insert(path.to_owned());
        match (self.instead(path, indent, key, value), value) {
            (Some(Instead::Scalar(template)), _) => self.end_line(&template),
            (Some(Instead::Block(template)), _) => self.line(indent, &template),
            (None, Value::Object(mapping)) if !mapping.is_empty() => self.mapping(mapping, path, indent),
            (None, Value::Array(list)) if !list.is_empty() => self.list(list, path, indent),
            // JSON is YAML.
            (None, scalar) => self.end_line(&scalar.to_string()),
        }
    }

    fn instead(&self, path: &str, indent: usize, key: &str, value: &Value) -> Option<Instead> {
        for setting in &self.settings {
            for place in setting.places {
                match *place {
                    Place::Instead(at, template) if at == path => {
                        return Some(Instead::Scalar(template.to_owned()));
                    }
                    Place::Of(at) if at == path && value.is_string() => {
                        return Some(Instead::Scalar(format!("{{{{ .Values.{} | quote }}}}", setting.name)));
                    }
                    Place::Of(at) if at == path => {
                        let name = setting.name;
                        let template = format!("{{{{- toYaml .Values.{name} | nindent {indent} }}}}");
                        return Some(Instead::Block(template));
                    }
                    _ => {}
                }
            }
        }
        let namespaced =
            key == "namespace" && (path.ends_with("metadata/namespace") || path.contains("/subjects/"));
        namespaced.then(|| Instead::Scalar("{{ .Release.Namespace | quote }}".to_owned()))
    }

    /// What goes into a mapping or list beside what the base has in it.
    fn insertions(&mut self, path: &str, indent: usize) {
        self.found.insert(path.to_owned());
        for setting in self.settings.clone() {
            let name = setting.name;
            for place in setting.places {
                match *place {
                    Place::In(at, template) if at == path => self.lines(indent, template),
                    Place::Key(at, key) if at == path => {
                        self.line(indent, &format!("{{{{- with .Values.{name} }}}}"));
                        self.line(indent, &format!("{key}:"));
                        self.line(indent + 2, &format!("{{{{- toYaml . | nindent {} }}}}", indent + 2));
                        self.line(indent, "{{- end }}");
                    }
                    Place::Items(at) if at == path => {
                        self.line(indent, &format!("{{{{- with .Values.{name} }}}}"));
                        self.line(indent, &format!("{{{{- toYaml . | nindent {indent} }}}}"));
                        self.line(indent, "{{- end }}");
                    }
                    Place::Variable(variable) if path == super::settings::ENV => {
                        self.line(indent, &format!("{{{{- with .Values.{name} }}}}"));
                        self.line(indent, &format!("- name: {variable}"));
                        self.line(indent, &format!("  value: {}", text_of(setting.kind)));
                        self.line(indent, "{{- end }}");
                    }
                    _ => {}
                }
            }
        }
    }

    fn lines(&mut self, indent: usize, lines: &str) {
        lines.lines().for_each(|line| self.line(indent, line));
    }

    fn line(&mut self, indent: usize, line: &str) {
        let _ = writeln!(self.text, "{:indent$}{line}", "");
    }

    fn end_line(&mut self, rest: &str) {
        self.text.pop();
        let _ = writeln!(self.text, " {rest}");
    }
}

/// A value as an environment variable has it.
fn text_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Texts | Kind::Prefixes | Kind::Addresses => r#"{{ join "," . | quote }}"#,
        // Helm reads numbers as floating point, which print with an exponent.
        Kind::Count(_) => "{{ int64 . | quote }}",
        _ => "{{ . | quote }}",
    }
}

fn path(place: Place) -> &'static str {
    match place {
        Place::Of(path)
        | Place::Instead(path, _)
        | Place::Key(path, _)
        | Place::Items(path)
        | Place::In(path, _) => path,
        Place::Variable(_) => super::settings::ENV,
    }
}
