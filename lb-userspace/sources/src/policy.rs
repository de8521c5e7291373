//! The file of `--external-ip-policy`: which namespace may claim which external IP.
//!
//! ```yaml
//! externalIPs:
//! - cidrs: [203.0.113.0/24]         # every namespace
//! - cidrs: [198.51.100.0/24]
//!   namespaces: [shop, bank]        # these alone
//! ```

use std::fmt;

use lb_model::{cidr::Cidr, policy::ExternalIpPolicy};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    manifest::document::{self, Place},
    printable::printable,
    translate::is_label,
};

/// The field by which a policy is told from a manifest.
const ROOT: &str = "externalIPs";

/// What is wrong with a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// The field, as `externalIPs[0].cidrs[1]`; empty for the whole text.
    pub field: String,
    /// What is wrong there, and what to do.
    pub message: String,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, message } = self;
        let (field, message) = (printable(field), printable(message));
        if field.is_empty() { f.write_str(&message) } else { write!(f, "{field}: {message}") }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    #[serde(rename = "externalIPs")]
    external_ips: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    cidrs: Vec<Cidr>,
    /// Every namespace where absent.
    namespaces: Option<Vec<String>>,
}

/// True where a document is a policy, good or bad, and no Kubernetes object.
pub fn is_policy(value: &Value) -> bool {
    value.get(ROOT).is_some() && value.get("kind").is_none()
}

/// Reads the text of a policy file. An error begins with the line and column it is at.
///
/// # Errors
/// Where the text is not one policy and nothing else.
pub fn parse(text: &str) -> Result<ExternalIpPolicy, String> {
    let mut documents = document::parse(text);
    let at = |place: Place| format!("line {}, column {}", place.line, place.column);
    match (documents.pop(), documents.is_empty()) {
        (None, _) => {
            Err(format!("it is empty; write `{ROOT}: []` to allow no more than --external-ips-allowed does"))
        }
        (Some(_), false) => Err("it holds several documents; put all rules into one".to_owned()),
        (Some(Err(broken)), true) => Err(format!("{}: {}", at(broken.place), broken.message)),
        (Some(Ok(document)), true) => from_value(document.value())
            .map_err(|error| format!("{}: {error}", at(document.places().of(&error.field)))),
    }
}

/// Reads a document that was parsed before.
///
/// # Errors
/// At the first field that is wrong.
pub fn from_value(value: &Value) -> Result<ExternalIpPolicy, PolicyError> {
    let file: File = serde_path_to_error::deserialize(value).map_err(|error| {
        let field = error.path().to_string();
        PolicyError {
            field: if field == "." { String::new() } else { field },
            message: error.inner().to_string(),
        }
    })?;
    let mut policy = ExternalIpPolicy::default();
    for (i, rule) in file.external_ips.into_iter().enumerate() {
        let wrong = |field: &str, message: String| {
            Err(PolicyError { field: format!("{ROOT}[{i}].{field}"), message })
        };
        if rule.cidrs.is_empty() {
            return wrong("cidrs", "allows nothing; name a range, or remove the rule".to_owned());
        }
        let Some(namespaces) = rule.namespaces else {
            policy.everywhere.extend(rule.cidrs);
            continue;
        };
        if namespaces.is_empty() {
            let message = "allows nobody; name a namespace, or leave the field out for every namespace";
            return wrong("namespaces", message.to_owned());
        }
        for (n, namespace) in namespaces.into_iter().enumerate() {
            if !is_label(&namespace) {
                let message = format!(
                    "{namespace:?} is no name of a namespace; leave the field out for every namespace"
                );
                return wrong(&format!("namespaces[{n}]"), message);
            }
            policy.namespaces.entry(namespace).or_default().extend_from_slice(&rule.cidrs);
        }
    }
    Ok(policy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_add_up_and_one_without_namespaces_is_for_all() {
        let text = "
# Who may have what
externalIPs:
- cidrs: [203.0.113.0/24, \"2001:db8::/64\"]
- {cidrs: [198.51.100.0/24], namespaces: [shop, bank]}
- {cidrs: [192.0.2.7], namespaces: [shop]}
";
        let policy = parse(text).unwrap();
        for (namespace, address, allowed) in [
            ("shop", "203.0.113.9", true),
            ("other", "2001:db8::9", true),
            ("shop", "198.51.100.9", true),
            ("shop", "192.0.2.7", true),
            ("bank", "192.0.2.7", false),
            ("other", "198.51.100.9", false),
        ] {
            assert_eq!(policy.allows(namespace, address.parse().unwrap()), allowed, "{namespace} {address}");
        }
        assert_eq!(parse("externalIPs: []").unwrap(), ExternalIpPolicy::default());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (text, expected) in [
            ("", "it is empty; write `externalIPs: []`"),
            ("externalIPs: []\n---\nexternalIPs: []\n", "it holds several documents"),
            ("externalIPs: [\n", "line 1, column 14: unclosed bracket"),
            ("externalIPS: []\n", "line 1, column 1: "),
            (
                "externalIPs:\n- cidrs: [203.0.113.1/24]\n",
                "line 2, column 11: externalIPs[0].cidrs[0]: 203.0.113.1/24 has bits set",
            ),
            (
                "externalIPs:\n- cidr: [203.0.113.0/24]\n",
                "line 2, column 3: externalIPs[0].cidr: unknown field",
            ),
            ("externalIPs:\n- cidrs: []\n", "line 2, column 3: externalIPs[0].cidrs: allows nothing"),
            (
                "externalIPs:\n- cidrs: [10.0.0.0/8]\n  namespaces: []\n",
                "line 3, column 3: externalIPs[0].namespaces: allows nobody",
            ),
            (
                "externalIPs:\n- cidrs: [10.0.0.0/8]\n  namespaces: [\"*\"]\n",
                "line 3, column 16: externalIPs[0].namespaces[0]: \"*\" is no name of a namespace",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(expected), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_policy_is_told_from_a_manifest() {
        let value = |text: &str| document::parse(text).remove(0).unwrap().value().clone();
        assert!(is_policy(&value("externalIPs: 3")));
        assert!(!is_policy(&value("kind: Service\nexternalIPs: []")));
        assert!(!is_policy(&value("a: 1")));
    }
}
