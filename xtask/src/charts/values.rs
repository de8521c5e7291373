//! `values.yaml`, its schema, and the table of the README.

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::settings::{Kind, Place, SETTINGS, Setting};

/// The default of a value: what the base says at its place, or nothing.
pub(super) fn default(setting: &Setting, objects: &[Value]) -> Result<Value> {
    let of = setting.places.iter().find_map(|place| match place {
        Place::Of(path) => Some(*path),
        _ => None,
    });
    let instead = setting.places.iter().find_map(|place| match place {
        Place::Instead(path, _) => Some(*path),
        _ => None,
    });
    let Some(path) = of.or(instead) else { return Ok(empty(setting.kind)) };
    let (kind, pointer) = path.split_once('/').context("a path without a kind")?;
    let object = objects.iter().find(|object| object["kind"] == kind);
    let value = object.and_then(|object| object.pointer(&format!("/{pointer}")));
    value.cloned().with_context(|| format!("{}: nothing in the base is at {path}", setting.name))
}

fn empty(kind: Kind) -> Value {
    match kind {
        Kind::Switch => json!(false),
        Kind::Name | Kind::Address | Kind::Text | Kind::Pattern(_) | Kind::OneOf(_) => json!(""),
        Kind::Count(_) => Value::Null,
        Kind::Texts | Kind::Prefixes | Kind::Addresses | Kind::Objects => json!([]),
        Kind::Object => json!({}),
    }
}

/// `values.yaml`, each value under its description.
pub(super) fn yaml(defaults: &[Value]) -> String {
    let mut text = String::new();
    let mut open: Vec<&str> = Vec::new();
    for (setting, default) in SETTINGS.iter().zip(defaults) {
        let mut parents: Vec<&str> = setting.name.split('.').collect();
        let key = parents.pop().unwrap_or_default();
        let common = open.iter().zip(&parents).take_while(|(left, right)| left == right).count();
        for (depth, parent) in parents.iter().enumerate().skip(common) {
            text += &format!("{:depth$}{parent}:\n", "", depth = depth * 2);
        }
        let indent = parents.len() * 2;
        text += &format!("{:indent$}# {}\n{:indent$}{key}: {default}\n", "", setting.description, "");
        open = parents;
    }
    text
}

/// `values.schema.json`: what is not in it is refused, a misspelt name above all.
pub(super) fn schema() -> Value {
    let mut root = node();
    for setting in SETTINGS {
        let mut parents: Vec<&str> = setting.name.split('.').collect();
        let key = parents.pop().unwrap_or_default();
        let mut at = &mut root;
        for parent in parents {
            at = &mut at["properties"][parent];
            if at.is_null() {
                *at = node();
            }
        }
        let mut schema = of_kind(setting.kind);
        schema.insert("description".to_owned(), setting.description.into());
        at["properties"][key] = Value::Object(schema);
    }
    root["$schema"] = "http://json-schema.org/draft-07/schema#".into();
    // Helm puts this beside the values where a chart is part of another.
    root["properties"]["global"] = json!({"type": "object"});
    root
}

fn node() -> Value {
    json!({"type": "object", "properties": {}, "additionalProperties": false})
}

fn of_kind(kind: Kind) -> Map<String, Value> {
    let texts = |pattern: &str| json!({"type": "array", "items": {"type": "string", "pattern": pattern}});
    let schema = match kind {
        Kind::Switch => json!({"type": "boolean"}),
        Kind::Name => json!({"type": "string", "minLength": 1}),
        Kind::Text => json!({"type": "string"}),
        Kind::Address => {
            json!({"type": "string", "pattern": "^([0-9]+(\\.[0-9]+){3}|[0-9A-Fa-f]*:[0-9A-Fa-f:.]+)$"})
        }
        Kind::Pattern(pattern) => json!({"anyOf": [{"const": ""}, {"type": "string", "pattern": pattern}]}),
        Kind::OneOf(texts) => json!({"enum": texts}),
        Kind::Count(most) => json!({"type": ["integer", "null"], "minimum": 1, "maximum": most}),
        Kind::Texts => texts("."),
        Kind::Prefixes => texts("^[0-9A-Fa-f.:]+/[0-9]{1,3}$"),
        Kind::Addresses => texts("^[0-9A-Fa-f.:]+$"),
        Kind::Objects => json!({"type": "array", "items": {"type": "object"}}),
        Kind::Object => json!({"type": "object"}),
    };
    schema.as_object().cloned().unwrap_or_default()
}

/// The table of the README.
pub(super) fn table(defaults: &[Value]) -> String {
    let rows = SETTINGS.iter().zip(defaults).map(|(setting, default)| {
        let Setting { name, description, .. } = setting;
        format!("| `{name}` | {description} | `{default}` |\n")
    });
    format!("| value | what it is | default |\n|---|---|---|\n{}", rows.collect::<String>())
}
