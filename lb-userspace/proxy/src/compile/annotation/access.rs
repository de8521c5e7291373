//! Who may ask.

use lb_model::cidr::Cidr;

use super::{
    reader::Reader,
    value::{self, ValueError},
};
use crate::config::AccessList;

pub(super) fn read(reader: &mut Reader<'_>) -> AccessList {
    // Each of the two names restricts: where an Ingress has both, the newer one holds, as in ingress-nginx.
    let older = reader.read("whitelist-source-range", ranges);
    let allow = reader.read("allowlist-source-range", ranges).or(older).unwrap_or_default();
    AccessList { allow, deny: reader.read("denylist-source-range", ranges).unwrap_or_default() }
}

/// All of them or none: a list without the one that was mistyped guards something else.
fn ranges(text: &str) -> Result<Vec<Cidr>, ValueError> {
    let ranges: Vec<_> = value::list(text).map(Cidr::parse_masked).collect::<Result<_, _>>()?;
    if ranges.is_empty() { Err(ValueError::NoRange) } else { Ok(ranges) }
}
