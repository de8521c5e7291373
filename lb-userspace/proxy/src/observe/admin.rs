//! What the admin server tells of the proxy.

use std::{fmt, sync::Arc};

use lb_admin::Program;

use super::{Metrics, Readiness};

/// The proxy as its operator sees it.
pub(crate) struct Observed {
    /// For /readyz.
    pub(crate) readiness: Arc<Readiness>,
    /// For /metrics.
    pub(crate) metrics: Arc<Metrics>,
}

impl Program for Observed {
    fn missing(&self) -> Vec<&'static str> {
        self.readiness.missing().into_iter().collect()
    }

    fn metrics(&self) -> Result<String, fmt::Error> {
        self.metrics.text()
    }
}
