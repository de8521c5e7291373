//! The payloads.

pub(super) mod chunks;
pub(super) mod connections;
pub(super) mod fields;
pub(super) mod hosts;
pub(super) mod lengths;
pub(super) mod request_lines;
pub(super) mod targets;
