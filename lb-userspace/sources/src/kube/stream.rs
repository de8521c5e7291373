//! One kind's changes: a list, then watches from its version on, then a list again when the version has expired.

use std::time::{Duration, Instant as Clock};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use futures::{AsyncBufReadExt, pin_mut};
use kube::{
    Client,
    api::{ListParams, Request, WatchParams},
    core::Status,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tracing::{debug, warn};

use super::{
    change::{self, Change},
    wire::{Event, Page, Undecodable},
};
use crate::{
    Consumer,
    publish::Reporter,
    translate::{self, Kind, Translation},
};

/// Objects a page, as client-go's pager has it.
const PAGE: u32 = 500;
/// The server ends a watch after this many seconds, so that clients spread over its replicas again.
const WATCH_SECONDS: u32 = 290;
/// A watch that ended sooner without a word counts as failed (client-go `reflector.go`, "very short watch").
const SHORT_WATCH: Duration = Duration::from_secs(1);
/// After this many refusals in a row the version itself is in doubt.
const REFUSALS_BEFORE_LIST: u32 = 3;
/// The longest wait that a server may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Why the stream has to pause or start over.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{} ({})", .0.message, .0.code)]
    Status(Box<Status>),
    #[error("{0}")]
    Request(#[source] kube::Error),
    #[error("the connection broke: {0}")]
    Broken(#[from] std::io::Error),
    #[error("an answer that is not a list: {0}")]
    Page(#[from] serde_json::Error),
    #[error("a list without metadata.resourceVersion")]
    NoVersion,
    #[error("an event was lost: {0}")]
    Lost(#[from] Undecodable),
    #[error("the server ends every watch at once")]
    ShortWatch,
    #[error("the source has ended")]
    Ended,
}

impl Failure {
    fn status(&self) -> Option<&Status> {
        match self {
            Self::Status(status) => Some(status),
            _ => None,
        }
    }

    /// The version is too old for the server (410, `Expired` or `Gone`), or an event between it and now is lost.
    fn needs_list(&self) -> bool {
        self.status().is_some_and(|status| status.code == 410) || matches!(self, Self::Lost(_))
    }

    /// The server answered, and its answer may be about the version. One that is down or busy (429, 503) says nothing
    /// about it, and should not have to answer lists of all nodes as soon as it is back.
    fn is_refusal(&self) -> bool {
        self.status().is_some_and(|status| !matches!(status.code, 429 | 503))
    }

    /// `Retry-After`, which the API repeats in the body.
    fn retry_after(&self) -> Option<Duration> {
        let seconds = self.status()?.details.as_ref()?.retry_after_seconds;
        (seconds > 0).then(|| Duration::from_secs(seconds.into()).min(LONGEST_WAIT))
    }
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Status(status),
            other => Self::Request(other),
        }
    }
}

/// Where all objects of a kind are. Secrets are not to be read all: each is asked for by its name.
pub(super) const fn collection(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Service => Some("/api/v1/services"),
        Kind::EndpointSlice => Some("/apis/discovery.k8s.io/v1/endpointslices"),
        Kind::Node => Some("/api/v1/nodes"),
        Kind::Ingress => Some("/apis/networking.k8s.io/v1/ingresses"),
        Kind::IngressClass => Some("/apis/networking.k8s.io/v1/ingressclasses"),
        Kind::Secret => None,
    }
}

/// Follows one kind.
pub(super) struct KindStream {
    consumer: Consumer,
    kind: Kind,
    client: Client,
    request: Request,
    reporter: Reporter,
    changes: mpsc::Sender<Change>,
    backoff: ExponentialBackoff,
}

impl KindStream {
    /// A follower of the kind whose objects are at `collection`.
    pub(super) fn new(
        consumer: Consumer,
        kind: Kind,
        collection: &'static str,
        client: Client,
        reporter: Reporter,
        changes: mpsc::Sender<Change>,
    ) -> Self {
        let request = Request::new(collection);
        Self { consumer, kind, client, request, reporter, changes, backoff: backoff() }
    }

    /// Runs until the sets are gone.
    pub(super) async fn run(mut self) {
        while !self.changes.is_closed() {
            match self.list().await {
                Ok(version) => self.follow(version).await,
                Err(failure) => self.pause("list", &failure).await,
            }
        }
    }

    /// All objects, page by page. Nothing of it counts before the last page has arrived.
    async fn list(&mut self) -> Result<String, Failure> {
        let mut listed: Vec<Translation> = Vec::new();
        let mut params =
            ListParams { label_selector: self.consumer.label_selector(self.kind), ..ListParams::default() }
                .limit(PAGE);
        loop {
            let request = self.request.list(&params).map_err(kube::Error::BuildRequest)?;
            let text = self.client.request_text(request).await?;
            let page: Page<'_> = serde_json::from_str(&text)?;
            for object in page.items.iter().flatten() {
                let object = serde_json::from_str(object.get())?;
                listed.push(translate::translate(self.consumer, self.kind, &object));
            }
            if page.metadata.continue_token.is_empty() {
                let version = Some(page.metadata.resource_version).filter(|version| !version.is_empty());
                let version = version.ok_or(Failure::NoVersion)?;
                debug!(kind = self.kind.as_str(), objects = listed.len(), version, "listed");
                self.send(Change::Listed(self.kind, listed)).await?;
                return Ok(version);
            }
            params.continue_token = Some(page.metadata.continue_token);
        }
    }

    /// Watches from `version` on, for as long as the server knows the way from there.
    async fn follow(&mut self, mut version: String) {
        let mut refusals = 0;
        loop {
            let (started, before) = (Instant::now(), version.clone());
            let result = self.watch(&mut version).await;
            if version != before {
                refusals = 0;
            }
            let failure = match result {
                Err(failure) => failure,
                Ok(()) if version == before && started.elapsed() < SHORT_WATCH => Failure::ShortWatch,
                Ok(()) => continue,
            };
            refusals += u32::from(failure.is_refusal());
            self.pause("watch", &failure).await;
            if failure.needs_list() || refusals >= REFUSALS_BEFORE_LIST || self.changes.is_closed() {
                return;
            }
        }
    }

    /// One watch, until the server ends it. `version` is where the next one starts.
    async fn watch(&mut self, version: &mut String) -> Result<(), Failure> {
        let params = WatchParams {
            label_selector: self.consumer.label_selector(self.kind),
            timeout: Some(WATCH_SECONDS),
            bookmarks: true,
            ..WatchParams::default()
        };
        let request = self.request.watch(&params, version).map_err(kube::Error::BuildRequest)?;
        let stream = self.client.request_stream(request).await?;
        self.reporter.connected();
        pin_mut!(stream);
        let mut line = Vec::new();
        loop {
            line.clear();
            stream.read_until(b'\n', &mut line).await?;
            // No end of line: the connection has ended, perhaps within an event. The next watch brings it again.
            if !line.ends_with(b"\n") {
                return Ok(());
            }
            let arrived = Clock::now();
            let event = Event::decode(&line)?;
            let change = match event {
                Event::Error(status) => return Err(Failure::Status(status)),
                Event::Bookmark { version: reached } => {
                    *version = reached;
                    None
                }
                Event::Applied { object, version: reached } => {
                    *version = reached;
                    let arrival = change::applied(&object, arrived);
                    let translation = translate::translate(self.consumer, self.kind, &object);
                    Some(Change::Applied(Box::new(translation), arrival))
                }
                Event::Deleted { object, version: reached } => {
                    *version = reached;
                    let key = translate::key_of(self.kind, &object);
                    Some(Change::Deleted(self.kind, key, change::deleted(arrived)))
                }
            };
            self.backoff = backoff();
            match change {
                Some(change) => self.send(change).await?,
                None => self.reporter.event(),
            }
        }
    }

    async fn send(&mut self, change: Change) -> Result<(), Failure> {
        self.reporter.event();
        self.changes.send(change).await.map_err(|_| Failure::Ended)
    }

    /// Reports a failure and waits. What the sets hold stays served.
    async fn pause(&mut self, what: &str, failure: &Failure) {
        let message = format!("{what} of {}s failed: {failure}", self.kind.as_str());
        warn!("{message}; what is known stays served");
        self.reporter.error(message);
        let wait = self.backoff.next().unwrap_or(LONGEST_WAIT);
        sleep(failure.retry_after().map_or(wait, |asked| asked.max(wait))).await;
    }
}

/// Pauses that double from failure to failure, spread so that the nodes of a cluster do not come back as one.
pub(super) fn backoff() -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(Duration::from_secs(30))
        .with_jitter()
        .without_max_times()
        .build()
}
