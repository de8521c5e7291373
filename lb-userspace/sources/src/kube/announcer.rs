//! Kubernetes Events about what is not served, so that `kubectl describe` shows it beside the object.

use std::{fmt, time::Duration};

use k8s_openapi::api::{
    core::v1::{Node, ObjectReference, Service},
    discovery::v1::EndpointSlice,
    networking::v1::{Ingress, IngressClass},
};
use kube::{Api, Client, Resource};
use lb_model::object::{ObjectKey, Refusal};
use serde::de::DeserializeOwned;
use tokio::{sync::mpsc, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{event::Reporter, paced::Paced};

/// Events that wait; more are left to the log.
const PENDING: usize = 256;
/// Attempts while the API server does not answer, and the pause after each.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(5);

/// The cluster that a source follows, for those who have something to tell it.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").finish_non_exhaustive()
    }
}

impl Cluster {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// The client, for those who ask and write by themselves.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Starts a writer of Events on behalf of `controller` (a qualified name, as `sluice.dev/agent`) on `node`, until
    /// `stop` is cancelled.
    pub fn announcer(self, controller: &str, node: &str, stop: CancellationToken) -> Announcer {
        let (queue, announcements) = mpsc::channel(PENDING);
        let reporter = Reporter { controller: controller.to_owned(), instance: node.to_owned() };
        let writer = Writer { client: self.client, reporter };
        tokio::spawn(stop.run_until_cancelled_owned(writer.run(Paced::new(announcements))));
        Announcer { queue }
    }
}

/// Takes what is to be written, and never keeps anyone waiting.
#[derive(Clone, Debug)]
pub struct Announcer {
    queue: mpsc::Sender<Refusal>,
}

impl Announcer {
    /// Writes an Event of type Warning about each of `refusals`; several of one object and reason become one.
    pub fn announce<'a>(&self, refusals: impl IntoIterator<Item = &'a Refusal>) {
        for refusal in joined(refusals) {
            if self.queue.try_send(refusal).is_err() {
                return debug!("too many Events wait; the log has the rest");
            }
        }
    }
}

/// Refusals in order, with the messages of neighbours of one object and reason in one: a Service of many ports is worth
/// one Event.
fn joined<'a>(refusals: impl IntoIterator<Item = &'a Refusal>) -> Vec<Refusal> {
    let mut joined: Vec<Refusal> = Vec::new();
    for refusal in refusals {
        match joined.last_mut() {
            Some(last)
                if (&last.kind, &last.object, &last.reason)
                    == (&refusal.kind, &refusal.object, &refusal.reason) =>
            {
                last.message.push_str("; ");
                last.message.push_str(&refusal.message);
            }
            _ => joined.push(refusal.clone()),
        }
    }
    joined
}

struct Writer {
    client: Client,
    reporter: Reporter,
}

impl Writer {
    async fn run(self, mut announcements: Paced) {
        while let Some(refusal) = announcements.next().await {
            self.write(&refusal).await;
        }
    }

    async fn write(&self, refusal: &Refusal) {
        for _ in 0..ATTEMPTS {
            match self.try_write(refusal).await {
                Ok(()) => return,
                // The object is gone, or Events are forbidden.
                Err(kube::Error::Api(status)) if (400..429).contains(&status.code) => {
                    return warn!(object = %refusal.object, "cannot write an Event: {}", status.message);
                }
                Err(error) => debug!(object = %refusal.object, %error, "cannot write an Event yet"),
            }
            sleep(PAUSE).await;
        }
        warn!(object = %refusal.object, reason = refusal.reason, "gave up writing an Event: the API server does not answer");
    }

    async fn try_write(&self, refusal: &Refusal) -> Result<(), kube::Error> {
        self.reporter.report(&self.client, refusal, self.regarding(refusal).await?).await
    }

    /// The object, with its uid, by which `kubectl describe` looks for Events. What is no object of the cluster's, such
    /// as a file, is this node's matter.
    async fn regarding(&self, refusal: &Refusal) -> Result<ObjectReference, kube::Error> {
        let ObjectKey { namespace, name } = &refusal.object;
        let client = self.client.clone();
        match refusal.kind.as_str() {
            "Service" => reference::<Service>(Api::namespaced(client, namespace), name).await,
            "EndpointSlice" => reference::<EndpointSlice>(Api::namespaced(client, namespace), name).await,
            "Ingress" => reference::<Ingress>(Api::namespaced(client, namespace), name).await,
            "IngressClass" => reference::<IngressClass>(Api::all(client), name).await,
            "Secret" => Ok(of_secret(namespace, name)),
            "Node" => reference::<Node>(Api::all(client), name).await,
            _ => reference::<Node>(Api::all(client), &self.reporter.instance).await,
        }
    }
}

/// A Secret is not read for this: it may be the one that must not be. `kubectl describe secret` shows no Events anyway.
fn of_secret(namespace: &str, name: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Secret".to_owned()),
        namespace: Some(namespace.to_owned()),
        name: Some(name.to_owned()),
        ..ObjectReference::default()
    }
}

/// The metadata alone: the rest may be what is refused for being unreadable.
async fn reference<K>(api: Api<K>, name: &str) -> Result<ObjectReference, kube::Error>
where
    K: Resource<DynamicType = ()> + Clone + fmt::Debug + DeserializeOwned,
{
    Ok(api.get_metadata(name).await?.object_ref(&()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(name: &str, reason: &str, message: &str) -> Refusal {
        Refusal {
            kind: "Service".to_owned(),
            object: ObjectKey::new("default", name),
            reason: reason.to_owned(),
            message: message.to_owned(),
        }
    }

    #[test]
    fn neighbours_of_one_object_and_reason_become_one() {
        let refusals = [
            refusal("a", "NotAllowed", "one"),
            refusal("a", "NotAllowed", "two"),
            refusal("a", "Conflict", "three"),
            refusal("b", "Conflict", "four"),
        ];
        let messages: Vec<_> = joined(&refusals).into_iter().map(|refusal| refusal.message).collect();
        assert_eq!(messages, ["one; two", "three", "four"]);
    }

    #[tokio::test]
    async fn whoever_announces_never_waits() {
        let (queue, _announcements) = mpsc::channel(1);
        let announcer = Announcer { queue };
        let many: Vec<_> = (0..3).map(|n| refusal(&n.to_string(), "NotAllowed", "no")).collect();
        announcer.announce(&many);
        assert_eq!(announcer.queue.capacity(), 0);
    }
}
