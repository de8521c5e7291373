//! One Event for one thing that is to be said. Whoever says it again, this program or the one on another node, counts it
//! up: a name that follows from what is said leads all of them to the same Event.

use k8s_openapi::{
    api::{
        core::v1::ObjectReference,
        events::v1::{Event, EventSeries},
    },
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use lb_model::object::Refusal;
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// What was being done.
const ACTION: &str = "Serve";
/// Bytes of a note at most (`NoteLengthLimit`, kubernetes/pkg/apis/core/validation/events.go).
const LONGEST_NOTE: usize = 1024;
/// Bytes of a name at most: a DNS subdomain (RFC 1123), as Kubernetes has it.
const LONGEST_NAME: usize = 253;
/// HTTP 409: there is an object of this name.
const CONFLICT: u16 = 409;

/// Who writes.
pub(super) struct Reporter {
    /// A qualified name.
    pub(super) controller: String,
    /// The node.
    pub(super) instance: String,
}

impl Reporter {
    /// Writes a Warning about a refusal of the object `regarding`, or counts the one that is there.
    pub(super) async fn report(
        &self,
        client: &Client,
        refusal: &Refusal,
        regarding: ObjectReference,
    ) -> Result<(), kube::Error> {
        let namespace = regarding.namespace.as_deref().unwrap_or("default");
        let events = Api::namespaced(client.clone(), namespace);
        let event = self.event(refusal, regarding, Timestamp::now());
        match events.create(&PostParams::default(), &event).await {
            Err(kube::Error::Api(status)) if status.code == CONFLICT => count(&events, &event).await,
            result => result.map(drop),
        }
    }

    fn event(&self, refusal: &Refusal, regarding: ObjectReference, now: Timestamp) -> Event {
        let note = cut(&refusal.message, LONGEST_NOTE);
        let object = regarding.name.as_deref().unwrap_or_default();
        let said = [
            &self.controller,
            refusal.kind.as_str(),
            regarding.uid.as_deref().unwrap_or_default(),
            &refusal.reason,
            note,
        ];
        Event {
            metadata: ObjectMeta {
                name: Some(name(object, &said)),
                namespace: regarding.namespace.clone(),
                ..ObjectMeta::default()
            },
            type_: Some("Warning".to_owned()),
            action: Some(ACTION.to_owned()),
            reason: Some(refusal.reason.clone()),
            note: Some(note.to_owned()),
            event_time: Some(MicroTime(now)),
            reporting_controller: Some(self.controller.clone()),
            reporting_instance: Some(self.instance.clone()),
            regarding: Some(regarding),
            ..Event::default()
        }
    }
}

/// The series is all that may change in an Event (`ValidateEventUpdate`, same file as above). Of observations that two
/// nodes count in the same moment, one may be lost.
async fn count(events: &Api<Event>, event: &Event) -> Result<(), kube::Error> {
    let name = event.metadata.name.as_deref().unwrap_or_default();
    let patch = async |change| events.patch(name, &PatchParams::default(), &Patch::Merge(change)).await;
    // Changes nothing and tells what is there: who may patch need not be allowed to read besides.
    let known = patch(json!({})).await?;
    let series = EventSeries {
        count: known.series.map_or(1, |series| series.count).saturating_add(1),
        last_observed_time: event.event_time.clone().unwrap_or(MicroTime(Timestamp::now())),
    };
    patch(json!({"series": series})).await.map(drop)
}

/// The object's name, for people, and a digest of what is said.
fn name(object: &str, said: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in said {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let digest: String = digest.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let object = cut(object, LONGEST_NAME - 1 - digest.len()).trim_end_matches(['-', '.']);
    format!("{object}.{digest}")
}

/// At most so many bytes, at a character's boundary.
fn cut(text: &str, longest: usize) -> &str {
    &text[..text.floor_char_boundary(longest)]
}

#[cfg(test)]
mod tests {
    use lb_model::object::ObjectKey;

    use super::*;

    fn event(instance: &str, uid: &str, message: &str) -> Event {
        let reporter = Reporter { controller: "sluice.dev/agent".to_owned(), instance: instance.to_owned() };
        let refusal = Refusal {
            kind: "Service".to_owned(),
            object: ObjectKey::new("default", "web"),
            reason: "Conflict".to_owned(),
            message: message.to_owned(),
        };
        let regarding = ObjectReference {
            name: Some("web".to_owned()),
            uid: Some(uid.to_owned()),
            ..ObjectReference::default()
        };
        reporter.event(&refusal, regarding, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn what_is_said_of_an_object_has_one_name_whoever_says_it() {
        let name = |instance, uid, message| event(instance, uid, message).metadata.name.unwrap_or_default();
        let first = name("node-a", "1", "no");
        assert!(first.starts_with("web."), "{first}");
        assert_eq!(first, name("node-b", "1", "no"));
        assert_ne!(first, name("node-a", "2", "no"), "another object that has the name now");
        assert_ne!(first, name("node-a", "1", "never"));
    }

    #[test]
    fn a_name_is_no_longer_than_names_may_be_and_its_parts_end_as_they_may() {
        let long = name(&format!("{}-{}", "a".repeat(235), "b".repeat(17)), &[]);
        assert_eq!(long.len(), 235 + 17);
        assert!(long.starts_with(&format!("{}.", "a".repeat(235))), "{long}");
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(name("web", &["ab", "c"]), name("web", &["a", "bc"]));
    }

    #[test]
    fn a_note_is_cut_between_characters() {
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 3), "aé");
        assert_eq!(cut("a", 1024), "a");
    }
}
