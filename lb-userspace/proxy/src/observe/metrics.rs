//! What /metrics tells: threads count, a scrape adds up.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, ThreadId},
    time::Duration,
};

use lb_model::object::ObjectKey;
use lb_sources::Status;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text::encode},
    metrics::{
        counter::ConstCounter,
        gauge::{ConstGauge, Gauge},
        histogram::Histogram,
        info::Info,
    },
    registry::{Registry, Unit},
};
use tokio::sync::watch;

use super::{
    LogWriter,
    counters::{BUCKETS, ConnectionCounters, Count, ERRORS, IngressCounters},
    source::SourceStatus,
};
use crate::{
    compile::reason,
    config::{Config, Validity},
};

/// Upper bounds of the buckets of a reload, in seconds.
const RELOADS: [f64; 7] = [0.000_3, 0.001, 0.003, 0.01, 0.03, 0.1, 1.0];

/// The metrics of the proxy.
pub(crate) struct Metrics {
    shared: Arc<Shared>,
    registry: Registry,
    generation: Gauge,
    reload: Histogram,
    source: SourceStatus,
}

/// Counters of one Ingress, by the thread that writes them. Those of a thread that has ended stay.
type Threads = HashMap<ThreadId, Arc<IngressCounters>>;

#[derive(Debug, Default)]
struct Shared {
    /// Counters of every thread, by Ingress; those of requests that none asked for under an empty name.
    ingresses: Mutex<BTreeMap<ObjectKey, Threads>>,
    connections: Mutex<Vec<Arc<ConnectionCounters>>>,
    config: Mutex<Arc<Config>>,
    log: Option<LogWriter>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where requests are counted that no Ingress asks for.
fn none() -> ObjectKey {
    ObjectKey::new("", "")
}

impl Metrics {
    /// Nothing counted yet.
    pub(crate) fn new(log: Option<LogWriter>) -> Self {
        let shared = Arc::new(Shared { log, ..Shared::default() });
        let mut registry = Registry::with_prefix("sluice_ingress");
        let build = vec![("version", env!("CARGO_PKG_VERSION"))];
        registry.register("build", "Which release this is", Info::new(build));
        let generation = Gauge::default();
        registry.register("generation", "Configurations served since the start", generation.clone());
        let reload = Histogram::new(RELOADS);
        let help = "Time to compile and swap a configuration";
        registry.register_with_unit("reload_duration", help, Unit::Seconds, reload.clone());
        registry.register_collector(Box::new(Scrape(shared.clone())));
        let source = SourceStatus::default();
        registry.register_collector(Box::new(source.clone()));
        Self { shared, registry, generation, reload, source }
    }

    /// Tells how the source is doing from now on.
    pub(crate) fn follow(&self, source: watch::Receiver<Status>) {
        self.source.follow(source);
    }

    /// Counters of one Ingress for the thread that asks, the same in every configuration; none for requests that belong
    /// to no Ingress.
    pub(crate) fn ingress(&self, ingress: Option<&ObjectKey>) -> Arc<IngressCounters> {
        let key = ingress.cloned().unwrap_or_else(none);
        let mut ingresses = lock(&self.shared.ingresses);
        ingresses.entry(key).or_default().entry(thread::current().id()).or_default().clone()
    }

    /// Counters of the connections of one thread.
    pub(crate) fn connections(&self) -> Arc<ConnectionCounters> {
        let counters = Arc::<ConnectionCounters>::default();
        lock(&self.shared.connections).push(counters.clone());
        counters
    }

    /// Connections and tunnels that are open now.
    pub(crate) fn open_connections(&self) -> u64 {
        sum(lock(&self.shared.connections).iter().map(|thread| &thread.open))
    }

    /// A configuration is being served.
    pub(crate) fn reloaded(&self, config: Arc<Config>, took: Duration) {
        self.generation.set(config.generation as i64);
        self.reload.observe(took.as_secs_f64());
        *lock(&self.shared.config) = config;
    }

    /// Forgets Ingresses that are gone: label values stay bounded by what is served.
    pub(crate) fn retain(&self, is_served: impl Fn(&ObjectKey) -> bool) {
        lock(&self.shared.ingresses).retain(|ingress, _| *ingress == none() || is_served(ingress));
    }

    /// Everything, as OpenMetrics text.
    ///
    /// # Errors
    /// Never, as long as writing to a string does not fail.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// Adds up the threads' counters when it is asked to.
#[derive(Debug)]
struct Scrape(Arc<Shared>);

type Labels<'a> = [(&'static str, &'a str)];

/// One metric, written series by series.
struct Writer<'a, 'e> {
    encoder: &'a mut DescriptorEncoder<'e>,
}

impl Writer<'_, '_> {
    /// A metric without labels.
    fn single<M: EncodeMetric>(&mut self, (name, help): (&str, &str), value: &M) -> fmt::Result {
        value.encode(self.encoder.encode_descriptor(name, help, None, value.metric_type())?)
    }

    fn family<M: EncodeMetric>(
        &mut self,
        (name, help): (&str, &str),
        unit: Option<&Unit>,
        kind: &M,
        mut series: impl FnMut(&mut dyn FnMut(&Labels<'_>, &M) -> fmt::Result) -> fmt::Result,
    ) -> fmt::Result {
        let mut metric = self.encoder.encode_descriptor(name, help, unit, kind.metric_type())?;
        series(&mut |labels, value| value.encode(metric.encode_family(&labels)?))
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer { encoder: &mut encoder };
        self.requests(&mut writer)?;
        self.connections(&mut writer)?;
        self.configuration(&mut writer)
    }
}

fn sum<'a>(counts: impl Iterator<Item = &'a Count>) -> u64 {
    counts.map(Count::get).sum()
}

impl Scrape {
    fn requests(&self, writer: &mut Writer<'_, '_>) -> fmt::Result {
        let ingresses = lock(&self.0.ingresses);
        let names: Vec<_> = ingresses.iter().map(|(key, threads)| (key.to_string(), threads)).collect();
        let zero = ConstCounter::new(0u64);
        let about = ("requests", "Requests, by Ingress and class of status");
        writer.family(about, None, &zero, |write| {
            for (name, threads) in &names {
                for (class, label) in
                    ["0xx", "1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().enumerate().skip(1)
                {
                    let count = sum(threads.values().map(|counters| &counters.classes[class]));
                    if count > 0 {
                        write(&[("ingress", name), ("class", label)], &ConstCounter::new(count))?;
                    }
                }
            }
            Ok(())
        })?;
        let about = ("upstream_errors", "Attempts at endpoints that failed, by kind of failure");
        writer.family(about, None, &zero, |write| {
            for (name, threads) in &names {
                for (kind, label) in ERRORS.into_iter().enumerate() {
                    let count = sum(threads.values().map(|counters| &counters.errors[kind]));
                    if count > 0 {
                        write(&[("ingress", name), ("error", label)], &ConstCounter::new(count))?;
                    }
                }
            }
            Ok(())
        })?;
        type Plain = (&'static str, &'static str, fn(&IngressCounters) -> &Count);
        let plain: [Plain; 3] = [
            ("upstream_retries", "Attempts after the first", |counters| &counters.retries),
            ("sent_bytes", "Bytes of response bodies", |counters| &counters.sent),
            ("limited_requests", "Requests that limits of the Ingress answered 503", |counters| {
                &counters.limited
            }),
        ];
        for (name, help, count) in plain {
            writer.family((name, help), None, &zero, |write| {
                for (ingress, threads) in &names {
                    let total = sum(threads.values().map(|counters| count(counters)));
                    write(&[("ingress", ingress)], &ConstCounter::new(total))?;
                }
                Ok(())
            })?;
        }
        self.durations(writer, &names)
    }

    fn durations(&self, writer: &mut Writer<'_, '_>, names: &[(String, &Threads)]) -> fmt::Result {
        let about = ("request_duration", "From the head of a request to the end of its response");
        let bounds = BUCKETS.into_iter().chain([f64::INFINITY]);
        writer.family(about, Some(&Unit::Seconds), &ConstHistogram::default(), |write| {
            for (name, threads) in names {
                let buckets = bounds.clone().enumerate().map(|(bucket, bound)| {
                    (bound, sum(threads.values().map(|counters| &counters.durations[bucket])))
                });
                let nanoseconds = sum(threads.values().map(|counters| &counters.nanoseconds));
                let seconds = Duration::from_nanos(nanoseconds).as_secs_f64();
                write(&[("ingress", name)], &ConstHistogram { seconds, buckets: buckets.collect() })?;
            }
            Ok(())
        })
    }

    fn connections(&self, writer: &mut Writer<'_, '_>) -> fmt::Result {
        let threads = lock(&self.0.connections);
        let total =
            |count: fn(&ConnectionCounters) -> &Count| sum(threads.iter().map(|thread| count(thread)));
        let zero = ConstCounter::new(0u64);
        let about = ("connections", "Connections that were accepted, by listener");
        writer.family(about, None, &zero, |write| {
            write(&[("listener", "http")], &ConstCounter::new(total(|thread| &thread.http)))?;
            write(&[("listener", "https")], &ConstCounter::new(total(|thread| &thread.https)))
        })?;
        let about = ("tls_failed_handshakes", "TLS handshakes that came to nothing");
        writer.single(about, &ConstCounter::new(total(|thread| &thread.failed_handshakes)))?;
        let about = ("open_connections", "Connections that are open");
        writer.single(about, &ConstGauge::new(total(|thread| &thread.open) as i64))?;
        let about = ("open_tunnels", "WebSocket connections that are open");
        writer.single(about, &ConstGauge::new(total(|thread| &thread.tunnels) as i64))
    }

    fn configuration(&self, writer: &mut Writer<'_, '_>) -> fmt::Result {
        let config = lock(&self.0.config).clone();
        let zero = ConstGauge::new(0i64);
        type Time = (&'static str, &'static str, fn(&Validity) -> i64);
        let times: [Time; 2] = [
            ("certificate_start_timestamp", "When a certificate begins, since the epoch", |validity| {
                validity.not_before
            }),
            ("certificate_expiry_timestamp", "When a certificate ends, since the epoch", |validity| {
                validity.not_after
            }),
        ];
        for (name, help, time) in times {
            writer.family((name, help), Some(&Unit::Seconds), &zero, |write| {
                for (secret, validity) in &config.validities {
                    write(&[("secret", secret)], &ConstGauge::new(time(validity)))?;
                }
                Ok(())
            })?;
        }
        let (advice, refused): (Vec<_>, Vec<_>) =
            config.refusals.iter().partition(|refusal| reason::is_advice(&refusal.reason));
        for (name, help, refusals) in [
            ("refused", "What was asked for and is not served, by reason", refused),
            ("advice", "Annotations that do not do what they ask for, on Ingresses that are served", advice),
        ] {
            let mut counts = BTreeMap::<_, i64>::new();
            for refusal in refusals {
                *counts.entry((refusal.kind.as_str(), refusal.reason.as_str())).or_default() += 1;
            }
            writer.family((name, help), None, &zero, |write| {
                for ((kind, reason), count) in &counts {
                    write(&[("kind", kind), ("reason", reason)], &ConstGauge::new(*count))?;
                }
                Ok(())
            })?;
        }
        let dropped = self.0.log.as_ref().map_or(0, LogWriter::dropped);
        let about = ("access_log_dropped_buffers", "Buffers of the access log that could not be written");
        writer.single(about, &ConstCounter::new(dropped))
    }
}

/// A histogram that was counted elsewhere.
#[derive(Debug, Default)]
struct ConstHistogram {
    seconds: f64,
    /// Upper bound and count, not cumulated.
    buckets: Vec<(f64, u64)>,
}

impl EncodeMetric for ConstHistogram {
    fn encode(&self, mut encoder: prometheus_client::encoding::MetricEncoder<'_>) -> fmt::Result {
        let count = self.buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<prometheus_client::encoding::NoLabelSet>(
            self.seconds,
            count,
            &self.buckets,
            None,
        )
    }

    fn metric_type(&self) -> prometheus_client::metrics::MetricType {
        prometheus_client::metrics::MetricType::Histogram
    }
}

#[cfg(test)]
mod tests {
    use lb_model::object::Refusal;

    use super::*;

    #[test]
    fn generations_add_no_counters() {
        let metrics = Metrics::new(None);
        let site = ObjectKey::new("shop", "site");
        let count = || metrics.ingress(Some(&site)).request(200, Duration::from_millis(1), 10);
        for _ in 0..1000 {
            count();
        }
        assert_eq!(lock(&metrics.shared.ingresses)[&site].len(), 1);
        // What a thread counted stays when it is gone.
        thread::scope(|scope| _ = scope.spawn(count));
        assert_eq!(lock(&metrics.shared.ingresses)[&site].len(), 2);
        let text = metrics.text().unwrap();
        assert!(text.contains(r#"requests_total{ingress="shop/site",class="2xx"} 1001"#), "{text}");
        assert!(text.contains(r#"sent_bytes_total{ingress="shop/site"} 10010"#), "{text}");
    }

    #[test]
    fn advice_does_not_count_as_refused() {
        let refusal = |reason: &str| Refusal {
            kind: "Ingress".to_owned(),
            object: ObjectKey::new("shop", "site"),
            reason: reason.to_owned(),
            message: String::new(),
        };
        let refusals = ["AnnotationIgnored", "AnnotationUnknown", "AnnotationRefused"].map(refusal).into();
        let metrics = Metrics::new(None);
        metrics.reloaded(Arc::new(Config { refusals, ..Config::default() }), Duration::ZERO);
        let text = metrics.text().unwrap();
        let lines = |name: &str| -> Vec<String> {
            text.lines().filter_map(|line| line.strip_prefix(name)).map(str::to_owned).collect()
        };
        let labels = |reason: &str| format!("{{kind=\"Ingress\",reason=\"{reason}\"}} 1");
        assert_eq!(lines("sluice_ingress_refused"), [labels("AnnotationRefused")]);
        let advice = [labels("AnnotationIgnored"), labels("AnnotationUnknown")];
        assert_eq!(lines("sluice_ingress_advice"), advice);
    }
}
