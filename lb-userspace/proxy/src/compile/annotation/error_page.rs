//! Who answers in the stead of endpoints.

use std::collections::BTreeSet;

use super::{
    reader::Reader,
    value::{self, ValueError},
};

/// The Service of `default-backend`, and the statuses of `custom-http-errors`.
pub(super) fn read(reader: &mut Reader<'_>) -> (Option<String>, BTreeSet<u16>) {
    let service = reader.read("default-backend", service);
    let statuses = reader.read("custom-http-errors", |text| {
        value::list(text).map(|status| value::number(status, 400, 599)).collect()
    });
    (service, statuses.unwrap_or_default())
}

/// A name as RFC 1035 has labels.
fn service(text: &str) -> Result<String, ValueError> {
    let fits = (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if fits { Ok(text.to_owned()) } else { Err(ValueError::Service) }
}
