//! What the proxy would make of the Ingresses of all files: the same code decides.

use std::collections::BTreeMap;

use lb_model::{
    ingress_class::{CONTROLLER, ClassSelector},
    object::{ObjectKey, Refusal, Snapshot},
};
use lb_proxy::compile::{self, Cache, Settings};

use super::report::{At, Report, Severity};

/// The words that findings are placed by, and where they stand, by Ingress.
#[derive(Default)]
pub(super) struct Places(BTreeMap<ObjectKey, Vec<(String, At)>>);

impl Places {
    /// Adds one.
    pub(super) fn add(&mut self, ingress: &ObjectKey, words: String, at: At) {
        self.0.entry(ingress.clone()).or_default().push((words, at));
    }

    /// The place of the longest words in a finding: the names of two Services may begin alike.
    fn of(&self, refusal: &Refusal) -> Option<At> {
        let anchors = self.0.get(&refusal.object).filter(|_| refusal.kind == "Ingress")?;
        let named = anchors.iter().rev().filter(|(words, _)| refusal.message.contains(words.as_str()));
        named.max_by_key(|(words, _)| words.len()).map(|(_, at)| *at)
    }
}

/// Reports what the proxy would refuse or pass over. `defined` tells where an object is.
pub(super) fn check(
    snapshot: &Snapshot,
    places: &Places,
    defined: impl Fn(&str, &ObjectKey) -> Option<At>,
    report: &mut Report,
) {
    // As for a folder of manifests, with which nobody but Sluice is concerned.
    let class = ClassSelector { unclassed: true, ..ClassSelector::default() };
    let settings = Settings { class, ..Settings::default() };
    for refusal in compile::compile(snapshot, &settings, &mut Cache::default()).refusals {
        let severity = severity(&refusal.reason);
        if let Some(at) = places.of(&refusal).or_else(|| defined(&refusal.kind, &refusal.object)) {
            let Refusal { kind, object, message, .. } = refusal;
            report.add_at(at, severity, format!("{kind} {object}: {message}"));
        }
    }
    let is_ours = |object| settings.class.selects(object, &snapshot.ingress_classes);
    let theirs = snapshot.ingresses.iter().filter(|(_, object)| !is_ours(object));
    for (key, _) in theirs {
        if let Some(at) = defined("Ingress", key) {
            let message = format!(
                "Ingress {key}: of a class of another controller, and not served; name the class {}, or one whose \
                 IngressClass names the controller {}",
                settings.class.name, CONTROLLER
            );
            report.add_at(at, Severity::Warning, message);
        }
    }
}

/// What may stand in other files or on the command line is no error, and neither is what is served all the same.
fn severity(reason: &str) -> Severity {
    use compile::reason::{
        CERTIFICATE_NAME_MISMATCH, NO_DEFAULT_CERTIFICATE, PORT_NOT_FOUND, SECRET_NOT_FOUND,
        SERVICE_NOT_FOUND,
    };
    match reason {
        SERVICE_NOT_FOUND | PORT_NOT_FOUND | SECRET_NOT_FOUND => Severity::Warning,
        NO_DEFAULT_CERTIFICATE | CERTIFICATE_NAME_MISMATCH => Severity::Warning,
        reason if compile::reason::is_advice(reason) => Severity::Warning,
        _ => Severity::Error,
    }
}
