//! Writes addresses into the status of Ingresses.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use k8s_openapi::api::networking::v1::Ingress;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use lb_model::object::ObjectKey;
use serde_json::json;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tracing::{debug, info, warn};

use super::Wanted;

/// After a round in which something failed, the next begins after this.
const RETRY: Duration = Duration::from_secs(5);
/// A round begins after this even where nothing changed.
const RESYNC: Duration = Duration::from_secs(60);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Attempts against an Ingress that changes while it is written.
const ATTEMPTS: u32 = 3;

/// Writes what is wanted while it leads.
pub(super) struct Publisher {
    client: Client,
    leads: watch::Receiver<bool>,
    wanted: watch::Receiver<Wanted>,
    /// Ingresses whose status could not be written, which was logged.
    failed: BTreeSet<ObjectKey>,
}

impl Publisher {
    pub(super) fn new(client: Client, leads: watch::Receiver<bool>, wanted: watch::Receiver<Wanted>) -> Self {
        Self { client, leads, wanted, failed: BTreeSet::new() }
    }

    /// Runs until nobody wants anything any more.
    pub(super) async fn run(mut self) {
        while self.leads.wait_for(|leads| *leads).await.is_ok() {
            let wanted = self.wanted.borrow_and_update().clone();
            let pause = if self.round(&wanted).await { RESYNC } else { RETRY };
            tokio::select! {
                changed = self.leads.changed() => if changed.is_err() { return },
                changed = self.wanted.changed() => if changed.is_err() { return },
                () = sleep(pause) => {}
            }
        }
    }

    /// Writes every status that says something else; false where one could not be written.
    async fn round(&mut self, wanted: &Wanted) -> bool {
        if wanted.addresses.is_empty() {
            return true;
        }
        let expected: Vec<_> = wanted.addresses.iter().map(ToString::to_string).collect();
        let others = wanted.ingresses.iter().filter(|(_, published)| **published != expected);
        let mut is_complete = true;
        for (key, _) in others {
            if !*self.leads.borrow() {
                return true;
            }
            let written = timeout(PATIENCE, self.write(key, &wanted.addresses)).await;
            let failure = match written {
                Ok(Ok(())) => {
                    self.failed.remove(key);
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer".to_owned(),
            };
            is_complete = false;
            if self.failed.insert(key.clone()) {
                warn!(ingress = %key, "cannot publish addresses: {failure}; allow patch on ingresses/status");
            }
        }
        is_complete
    }

    /// Writes one status, if the Ingress as it is now says something else. One that is gone needs none.
    async fn write(&self, key: &ObjectKey, addresses: &[IpAddr]) -> kube::Result<()> {
        let ingresses: Api<Ingress> = Api::namespaced(self.client.clone(), &key.namespace);
        let mut attempts = 0;
        loop {
            let Some(live) = ingresses.get_opt(&key.name).await? else { return Ok(()) };
            if says(&live, addresses) {
                return Ok(());
            }
            attempts += 1;
            match self.patch(&ingresses, &live, key, addresses).await {
                Err(kube::Error::Api(status)) if status.code == 409 && attempts < ATTEMPTS => {
                    debug!(ingress = %key, "changed while its status was written");
                }
                Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
                other => return other,
            }
        }
    }

    async fn patch(
        &self,
        ingresses: &Api<Ingress>,
        live: &Ingress,
        key: &ObjectKey,
        addresses: &[IpAddr],
    ) -> kube::Result<()> {
        let entries: Vec<_> = addresses.iter().map(|address| json!({"ip": address})).collect();
        let patch = json!({
            "metadata": {"resourceVersion": live.metadata.resource_version},
            "status": {"loadBalancer": {"ingress": entries}},
        });
        ingresses.patch_status(&key.name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        info!(ingress = %key, ?addresses, "published");
        Ok(())
    }
}

/// True where the status names these addresses, and nothing else.
fn says(live: &Ingress, addresses: &[IpAddr]) -> bool {
    let balancer = live.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let entries = balancer.and_then(|balancer| balancer.ingress.as_deref()).unwrap_or_default();
    let expected = addresses.iter().map(ToString::to_string);
    entries.len() == addresses.len()
        && entries.iter().zip(expected).all(|(entry, address)| entry.ip.as_ref() == Some(&address))
}
