//! How much clients may ask.

use super::{reader::Reader, value};
use crate::config::{Limits, Policy};

/// The limits for each client.
pub(super) fn clients(reader: &mut Reader<'_>) -> Limits {
    Limits {
        requests_per_second: reader.read("limit-rps", value::limit).flatten(),
        requests_per_minute: reader.read("limit-rpm", value::limit).flatten(),
        burst_multiplier: reader
            .read("limit-burst-multiplier", |text| value::number(text, 1, u32::MAX))
            .unwrap_or(Limits::default().burst_multiplier),
        connections: reader.read("limit-connections", value::limit).flatten(),
    }
}

/// The limit of bodies.
pub(super) fn body(reader: &mut Reader<'_>) -> Option<u64> {
    reader.read("proxy-body-size", value::size).unwrap_or_else(|| Policy::default().body_limit)
}
