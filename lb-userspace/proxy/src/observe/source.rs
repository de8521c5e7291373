//! How the source of the configuration is doing, as metrics.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use lb_sources::Status;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};
use tokio::sync::watch;

/// The source's own account of itself, once there is a source: a scrape reads it.
#[derive(Clone, Debug, Default)]
pub(super) struct SourceStatus(Arc<OnceLock<watch::Receiver<Status>>>);

impl SourceStatus {
    /// Reads this one from now on; there is one source for as long as the proxy runs.
    pub(super) fn follow(&self, status: watch::Receiver<Status>) {
        self.0.get_or_init(|| status);
    }
}

impl Collector for SourceStatus {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(status) = self.0.get().map(|status| status.borrow().clone()) else { return Ok(()) };
        let help = "1 where changes arrive as they happen; what was known before stays served";
        let mut connected = encoder.encode_descriptor("source_connected", help, None, MetricType::Gauge)?;
        for (name, stream) in &status.streams {
            let value = ConstGauge::new(i64::from(stream.connected));
            value.encode(connected.encode_family(&[("stream", *name)])?)?;
        }
        let help = "Failures of a source's stream";
        let mut errors = encoder.encode_descriptor("source_errors", help, None, MetricType::Counter)?;
        for (name, stream) in &status.streams {
            ConstCounter::new(stream.errors).encode(errors.encode_family(&[("stream", *name)])?)?;
        }
        Ok(())
    }
}
