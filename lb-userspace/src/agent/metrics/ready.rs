//! Whether the agent may be relied on.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, gauge::ConstGauge},
};

use crate::agent::readiness::Readiness;

/// What /readyz says, as a metric.
#[derive(Debug)]
pub(super) struct Ready(pub(super) Arc<Readiness>);

impl Collector for Ready {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help =
            "1 once programs were on every uplink and a full snapshot was in the maps, until the agent ends";
        let ready = ConstGauge::new(i64::from(self.0.missing().is_empty()));
        ready.encode(encoder.encode_descriptor("ready", help, None, MetricType::Gauge)?)
    }
}
