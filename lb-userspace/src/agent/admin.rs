//! What the admin server tells of the agent.

use std::{fmt, sync::Arc};

use lb_admin::Program;

use super::{metrics::Metrics, readiness::Readiness};

/// The agent as its operator sees it.
pub(super) struct Observed {
    /// For /readyz.
    pub(super) readiness: Arc<Readiness>,
    /// For /metrics.
    pub(super) metrics: Arc<Metrics>,
}

impl Program for Observed {
    fn missing(&self) -> Vec<&'static str> {
        self.readiness.missing()
    }

    fn metrics(&self) -> Result<String, fmt::Error> {
        self.metrics.text()
    }
}
