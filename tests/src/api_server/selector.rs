//! Label and field selectors.

use serde_json::Value;

/// True where `object` fits both selectors of a request.
pub(super) fn matches(object: &Value, labels: Option<&String>, fields: Option<&String>) -> bool {
    let label = |key: &str| object["metadata"]["labels"].get(key).and_then(Value::as_str);
    let field =
        |path: &str| path.split('.').try_fold(object, |value, name| value.get(name)).and_then(Value::as_str);
    terms(labels).all(|term| holds(term, label)) && terms(fields).all(|term| holds(term, field))
}

fn terms(selector: Option<&String>) -> impl Iterator<Item = &str> {
    selector.into_iter().flat_map(|text| text.split(',')).filter(|term| !term.is_empty())
}

fn holds<'a>(term: &str, value: impl Fn(&str) -> Option<&'a str>) -> bool {
    if let Some((key, wanted)) = term.split_once("!=") {
        return value(key) != Some(wanted);
    }
    if let Some((key, wanted)) = term.split_once('=') {
        return value(key.trim_end_matches('=')) == Some(wanted.trim_start_matches('='));
    }
    match term.strip_prefix('!') {
        Some(key) => value(key).is_none(),
        None => value(term).is_some(),
    }
}
