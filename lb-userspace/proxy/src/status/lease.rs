//! Leader election by a `coordination.k8s.io/v1` Lease, as client-go does it (`tools/leaderelection/leaderelection.go`).
//!
//! Clocks of different machines are never compared: a lease has run out when it did not change for as long as it says,
//! by this machine's own clock. Of two that write at once the API server refuses one by `resourceVersion`.

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{Api, Client, api::PostParams};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::Settings;

/// Pauses are longer by up to this share of themselves, so that candidates do not ask all at once.
const JITTER: f64 = 0.2;
/// How long giving the lease up may take: whoever ends does not wait for a server that is gone.
const RELEASE: Duration = Duration::from_secs(2);
/// What a lease that was given up lasts, in seconds; zero is no valid duration.
const RELEASED_SECONDS: i32 = 1;

/// One that wants to lead.
pub(super) struct Candidate {
    leases: Api<Lease>,
    settings: Settings,
    /// The lease as it was read or written last, and when it became so.
    observed: Option<(Lease, Instant)>,
    /// What failed last, which was logged.
    failure: Option<String>,
}

impl Candidate {
    pub(super) fn new(client: Client, settings: Settings) -> Self {
        let leases = Api::namespaced(client, &settings.lease.namespace);
        Self { leases, settings, observed: None, failure: None }
    }

    /// Leads whenever it can, and says so in `leads`, until `stop`; gives the lease up then.
    pub(super) async fn run(mut self, leads: watch::Sender<bool>, stop: CancellationToken) {
        while let Some(renewed) = stop.run_until_cancelled(self.acquire()).await {
            info!(lease = %self.settings.lease, "leading: this proxy publishes the status of Ingresses");
            leads.send_replace(true);
            let end = stop.run_until_cancelled(self.hold(renewed)).await;
            leads.send_replace(false);
            if end.is_none() {
                return self.release().await;
            }
            warn!(lease = %self.settings.lease, "no longer leading; what was published stays");
        }
    }

    /// Waits for the lease; gives the time when it was asked for.
    async fn acquire(&mut self) -> Instant {
        loop {
            let asked = Instant::now();
            let attempt = timeout(self.settings.timing.renew_deadline, self.try_hold()).await;
            if self.succeeded(attempt) {
                return asked;
            }
            sleep(self.settings.timing.retry.mul_f64(1.0 + fastrand::f64() * JITTER)).await;
        }
    }

    /// Renews the lease until somebody else has it or it could not be renewed for too long.
    async fn hold(&mut self, mut renewed: Instant) {
        loop {
            sleep(self.settings.timing.retry).await;
            let asked = Instant::now();
            let deadline = renewed + self.settings.timing.renew_deadline;
            let attempt = timeout_at(deadline, self.try_hold()).await;
            let is_taken = matches!(attempt, Ok(Ok(false)));
            if self.succeeded(attempt) {
                renewed = asked;
            } else if is_taken || Instant::now() >= deadline {
                return;
            }
        }
    }

    /// True where an attempt brought the lease; logs a failure that is new.
    fn succeeded(&mut self, attempt: Result<kube::Result<bool>, tokio::time::error::Elapsed>) -> bool {
        let failure = match attempt {
            Ok(Ok(holds)) => {
                self.failure = None;
                return holds;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        if self.failure.as_ref() != Some(&failure) {
            let lease = &self.settings.lease;
            warn!(%lease, "cannot take or renew the lease: {failure}; allow get, create and update in the role");
            self.failure = Some(failure);
        }
        false
    }

    /// Takes or renews the lease; false where another has it.
    async fn try_hold(&mut self) -> kube::Result<bool> {
        // One that leads knows the newest version, as nobody else should write.
        if let Some((lease, _)) = self.observed.take_if(|(lease, _)| holder(lease) == self.settings.identity)
        {
            if self.write(lease).await? {
                return Ok(true);
            }
            debug!("the lease was changed by another");
        }
        let Some(lease) = self.leases.get_opt(&self.settings.lease.name).await? else {
            return self.create().await;
        };
        self.observe(&lease);
        Ok(self.is_free(&lease) && self.write(lease).await?)
    }

    /// Notes the lease, and that now is when it became so, if it is another than before.
    fn observe(&mut self, lease: &Lease) {
        let is_same = self.observed.as_ref().is_some_and(|(known, _)| known.spec == lease.spec);
        if !is_same {
            self.observed = Some((lease.clone(), Instant::now()));
        }
    }

    /// True where nobody holds the lease, or the holder is this one, or has been silent for too long.
    fn is_free(&self, lease: &Lease) -> bool {
        let holder = holder(lease);
        if holder.is_empty() || holder == self.settings.identity {
            return true;
        }
        let seconds = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
        let duration = seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map_or(self.settings.timing.duration, Duration::from_secs);
        self.observed.as_ref().is_none_or(|(_, since)| since.elapsed() >= duration)
    }

    async fn create(&mut self) -> kube::Result<bool> {
        let metadata = ObjectMeta { name: Some(self.settings.lease.name.clone()), ..ObjectMeta::default() };
        let lease = Lease { metadata, spec: Some(self.held(&LeaseSpec::default())) };
        let written = self.leases.create(&PostParams::default(), &lease).await;
        self.take(written)
    }

    /// Writes this one into the lease; false where the lease is another by now.
    async fn write(&mut self, mut lease: Lease) -> kube::Result<bool> {
        lease.spec = Some(self.held(&lease.spec.unwrap_or_default()));
        let written = self.leases.replace(&self.settings.lease.name, &PostParams::default(), &lease).await;
        self.take(written)
    }

    /// Notes what was written. Whoever was faster has the lease.
    fn take(&mut self, written: kube::Result<Lease>) -> kube::Result<bool> {
        match written {
            Ok(lease) => {
                self.observed = Some((lease, Instant::now()));
                Ok(true)
            }
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The lease in the hands of this one.
    fn held(&self, before: &LeaseSpec) -> LeaseSpec {
        let now = Some(MicroTime(Timestamp::now()));
        let identity = Some(self.settings.identity.clone());
        let is_ours = before.holder_identity == identity;
        let transitions = before.lease_transitions.unwrap_or_default();
        // A lease that never had a holder is not handed over.
        let is_handed_over = !is_ours && before.acquire_time.is_some();
        LeaseSpec {
            holder_identity: identity,
            lease_duration_seconds: i32::try_from(self.settings.timing.duration.as_secs()).ok(),
            acquire_time: if is_ours { before.acquire_time.clone() } else { now.clone() },
            renew_time: now,
            lease_transitions: Some(transitions + i32::from(is_handed_over)),
            ..before.clone()
        }
    }

    /// Lets go, so that another need not wait until the lease has run out.
    async fn release(&mut self) {
        match timeout(RELEASE, self.try_release()).await {
            Ok(Ok(())) => info!(lease = %self.settings.lease, "gave the lease up"),
            Ok(Err(error)) => {
                warn!("cannot give the lease up: {error}; another takes it when it has run out")
            }
            Err(_) => warn!("cannot give the lease up: no answer; another takes it when it has run out"),
        }
    }

    async fn try_release(&self) -> kube::Result<()> {
        // A renewal may have been cut off: what was observed last need not be the newest version.
        let Some(mut lease) = self.leases.get_opt(&self.settings.lease.name).await? else { return Ok(()) };
        if holder(&lease) != self.settings.identity {
            return Ok(());
        }
        let now = Some(MicroTime(Timestamp::now()));
        let held = lease.spec.take().unwrap_or_default();
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(String::new()),
            lease_duration_seconds: Some(RELEASED_SECONDS),
            acquire_time: now.clone(),
            renew_time: now,
            ..held
        });
        self.leases.replace(&self.settings.lease.name, &PostParams::default(), &lease).await.map(drop)
    }
}

fn holder(lease: &Lease) -> &str {
    lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default()
}
