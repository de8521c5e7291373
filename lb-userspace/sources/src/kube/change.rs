//! What streams tell the sets.

use std::time::{Instant, SystemTime};

use k8s_openapi::jiff::Timestamp;
use lb_model::object::ObjectKey;
use serde_json::Value;

use crate::{
    Arrival,
    translate::{Kind, Translation},
};

/// When the pod or Service changed that made the slice change (`core/v1` `EndpointsLastChangeTriggerTime`), for
/// kube-proxy's `network_programming_duration_seconds` and ours.
const LAST_CHANGE: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// A change of one kind's objects.
#[derive(Debug)]
pub enum Change {
    /// A list that is complete: these are all objects of the kind.
    Listed(Kind, Vec<Translation>),
    /// An object is new or different.
    Applied(Box<Translation>, Arrival),
    /// An object is gone.
    Deleted(Kind, ObjectKey, Arrival),
    /// A Secret could not be asked for, for the time being; what is known of it stays.
    Unanswered(ObjectKey),
}

impl Change {
    /// Of which kind.
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Listed(kind, _) | Self::Deleted(kind, ..) => *kind,
            Self::Applied(translation, _) => translation.kind,
            Self::Unanswered(_) => Kind::Secret,
        }
    }
}

/// The arrival of a new version of `object`. A time that cannot be read is as good as none.
pub fn applied(object: &Value, at: Instant) -> Arrival {
    let text = object["metadata"]["annotations"][LAST_CHANGE].as_str();
    let time = text.and_then(|text| text.parse::<Timestamp>().ok());
    Arrival { at, triggered: time.map(SystemTime::from) }
}

/// The arrival of a deletion: the slice says nothing of when that was decided (kube-proxy
/// `endpointschangetracker.go` takes no time from a deleted slice either).
pub fn deleted(at: Instant) -> Arrival {
    Arrival { at, triggered: None }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    #[test]
    fn the_trigger_time_is_read_from_the_annotation_where_there_is_a_good_one() {
        let triggered = |annotation: Value| {
            applied(&json!({"metadata": {"annotations": annotation}}), Instant::now()).triggered
        };
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_790_000_000_250);
        assert_eq!(triggered(json!({LAST_CHANGE: "2026-09-21T14:13:20.25Z"})), Some(time));
        assert_eq!(triggered(json!({LAST_CHANGE: "yesterday"})), None);
        assert_eq!(triggered(json!({LAST_CHANGE: 7})), None);
        assert_eq!(triggered(Value::Null), None);
    }
}
