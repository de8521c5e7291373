//! More hosts.

use super::{reader::Reader, value};

pub(super) fn aliases(reader: &mut Reader<'_>) -> Vec<String> {
    let hosts = reader.read("server-alias", |text| value::list(text).map(value::host).collect());
    hosts.unwrap_or_default()
}
