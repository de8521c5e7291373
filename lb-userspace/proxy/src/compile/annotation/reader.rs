//! Annotations by name, and what is wrong with them.

use std::collections::BTreeMap;

use lb_model::annotation::{self, ALLOW_HTTP, PREFIXES, Status};

use super::value::{self, ValueError};

/// The annotations of one Ingress, by what follows their prefix.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    values: BTreeMap<&'a str, Value<'a>>,
    /// What is done otherwise than they ask.
    pub(super) findings: Vec<Finding>,
}

#[derive(Debug)]
struct Value<'a> {
    key: &'a str,
    text: &'a str,
}

/// Something about an annotation that its author should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// A reason in CamelCase.
    pub(crate) reason: &'static str,
    /// What, where, and what to do.
    pub(crate) message: String,
}

/// No annotation of this name is known.
const UNKNOWN: &str = "AnnotationUnknown";
/// It is known, and nothing is done.
const IGNORED: &str = "AnnotationIgnored";
/// Its value cannot be read, and what holds without it is in force.
const INVALID: &str = "AnnotationInvalid";
/// It guards something and cannot be heeded: all paths answer 503.
const REFUSED: &str = "AnnotationRefused";
/// It takes the Ingress out.
const LEFT_OUT: &str = "IngressLeftOut";
/// It is done, and probably not what was meant.
const DOUBTFUL: &str = "AnnotationDoubtful";

/// Reasons with which an Ingress is served all the same.
pub(crate) const ADVICE: [&str; 4] = [UNKNOWN, IGNORED, INVALID, DOUBTFUL];

impl Finding {
    /// True where all paths of the Ingress answer 503 for it.
    pub(crate) fn makes_unavailable(&self) -> bool {
        self.reason == REFUSED
    }

    /// True where the Ingress is left out for it.
    pub(crate) fn leaves_out(&self) -> bool {
        self.reason == LEFT_OUT
    }
}

impl<'a> Reader<'a> {
    /// Sorts out those that are for an Ingress proxy, and judges those that need no reading.
    pub(super) fn new(annotations: &'a BTreeMap<String, String>) -> Self {
        let mut values = BTreeMap::new();
        // The first prefix comes last, and wins.
        for prefix in PREFIXES.into_iter().rev() {
            for (key, text) in annotations.range(prefix.to_owned()..) {
                let Some(name) = key.strip_prefix(prefix) else { break };
                values.insert(name, Value { key, text });
            }
        }
        if let Some((key, text)) = annotations.get_key_value(ALLOW_HTTP) {
            values.insert(ALLOW_HTTP, Value { key, text });
        }
        let findings = values.iter().filter_map(|(name, value)| judge(name, value)).collect();
        Self { values, findings }
    }

    /// True without annotations for an Ingress proxy.
    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The value of an annotation, if it is there and can be read.
    pub(super) fn read<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&'a str) -> Result<T, ValueError>,
    ) -> Option<T> {
        let value = self.values.get(name)?;
        match parse(value.text.trim()) {
            Ok(read) => Some(read),
            Err(error) => {
                let guards = annotation::find(name).is_some_and(|known| known.status == Status::Guarding);
                let (reason, consequence) = if guards {
                    (REFUSED, "all paths of this Ingress answer 503 until it is mended")
                } else {
                    (INVALID, "it is ignored")
                };
                let Value { key, text } = value;
                let message = format!("annotation {key}: `{}` {error}; {consequence}", shortened(text));
                self.findings.push(Finding { reason, message });
                None
            }
        }
    }

    /// True where the annotation is there and true.
    pub(super) fn is_set(&mut self, name: &str) -> bool {
        self.read(name, value::boolean).unwrap_or(false)
    }

    /// The whole key of an annotation that is there.
    pub(super) fn key(&self, name: &str) -> Option<&'a str> {
        self.values.get(name).map(|value| value.key)
    }

    /// Notes that an annotation is heeded, and what its author may not have expected of it.
    pub(super) fn doubt(&mut self, name: &str, what: &str) {
        let key = self.key(name).unwrap_or(name);
        self.findings.push(Finding { reason: DOUBTFUL, message: format!("annotation {key}: {what}") });
    }
}

/// What its place in the table says about an annotation.
fn judge(name: &str, value: &Value<'_>) -> Option<Finding> {
    let Value { key, text } = value;
    let is_off = matches!(text.trim(), "false" | "False" | "FALSE" | "off");
    let known = annotation::find(name);
    let (reason, message) = match known.map(|known| (known.status, known.meaning)) {
        None => (UNKNOWN, format!("annotation {key} is not known and does nothing; see docs/annotations.md")),
        Some((Status::Supported | Status::Guarding, _)) => return None,
        Some((Status::Ignored, meaning)) => {
            (IGNORED, format!("annotation {key} does nothing here: {meaning}"))
        }
        Some((Status::Refused | Status::LeftOut, _)) if is_off => return None,
        Some((Status::Refused, _)) => (
            REFUSED,
            format!(
                "annotation {key} guards access and is not supported; all paths of this Ingress answer 503 until it is removed"
            ),
        ),
        Some((Status::LeftOut, _)) => (
            LEFT_OUT,
            format!(
                "annotation {key} is not supported; nothing of this Ingress is served until it is removed"
            ),
        ),
    };
    Some(Finding { reason, message })
}

/// A value as far as a message needs it.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 100;
    let mut characters = text.trim().chars();
    let mut short: String = characters.by_ref().take(LONGEST).flat_map(char::escape_debug).collect();
    if characters.next().is_some() {
        short.push('…');
    }
    short
}
