//! One request, from its head to the last byte of its response.

use std::{rc::Rc, sync::Arc, time::Instant};

use super::{AccessLog, Entry, IngressCounters};

/// Counts its request and writes the access log when it is dropped.
#[derive(Debug)]
pub(crate) struct Record {
    counters: Arc<IngressCounters>,
    started: Instant,
    status: u16,
    sent: u64,
    is_broken: bool,
    log: Option<(Rc<AccessLog>, Box<Entry>)>,
}

impl Record {
    /// Begins a record of a request that is answered with `status`.
    pub(crate) const fn new(
        counters: Arc<IngressCounters>,
        started: Instant,
        status: u16,
        log: Option<(Rc<AccessLog>, Box<Entry>)>,
    ) -> Self {
        Self { counters, started, status, sent: 0, is_broken: false, log }
    }

    /// So many bytes of the body went out.
    pub(crate) const fn sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    /// The response ended early.
    pub(crate) const fn broken(&mut self) {
        self.is_broken = true;
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let took = self.started.elapsed();
        self.counters.request(self.status, took, self.sent);
        if let Some((log, entry)) = &self.log {
            log.write(entry, self.status, self.sent, took, self.is_broken);
        }
    }
}
