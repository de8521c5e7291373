//! Who answers in the stead of endpoints.

use std::collections::BTreeSet;

use super::{
    reader::Reader,
    value::{self, ValueError},
};

/// The Service of `default-backend`.
pub(super) fn service(reader: &mut Reader<'_>) -> Option<String> {
    reader.read("default-backend", name)
}

/// The statuses of `custom-http-errors`.
pub(super) fn statuses(reader: &mut Reader<'_>) -> BTreeSet<u16> {
    let statuses = reader.read("custom-http-errors", |text| {
        value::list(text).map(|status| value::number(status, 400, 599)).collect()
    });
    statuses.unwrap_or_default()
}

/// A name as RFC 1035 has labels.
fn name(text: &str) -> Result<String, ValueError> {
    let fits = (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if fits { Ok(text.to_owned()) } else { Err(ValueError::Service) }
}
