//! What paths mean, and what endpoints see of them.

use std::sync::Arc;

use lb_model::{annotation::PREFIXES, ingress::IngressVersion};

use super::{
    reader::Reader,
    value::{self, ValueError},
};
use crate::config::Rewrite;

pub(super) struct Paths {
    pub(super) use_regex: bool,
    pub(super) rewrite: Option<Arc<Rewrite>>,
}

pub(super) fn read(reader: &mut Reader<'_>, version: IngressVersion) -> Paths {
    let use_regex = reader.is_set("use-regex");
    let is_old = version == IngressVersion::ExtensionsV1beta1
        || reader.key("rewrite-target").is_some_and(|key| key.starts_with(PREFIXES[1]));
    let rewrite = reader.read("rewrite-target", |text| rewrite(text, is_old));
    if let Some(Rewrite::Template(_)) = &rewrite
        && !rewrite.as_ref().is_some_and(Rewrite::has_groups)
    {
        reader.doubt(
            "rewrite-target",
            "endpoints see this very path for all requests, as it names no group such as $1; see docs/annotations.md",
        );
    }
    Paths { use_regex, rewrite: rewrite.map(Arc::new) }
}

/// Until ingress-nginx 0.21, which `extensions/v1beta1` and the shorter key are from, the matched prefix was replaced;
/// since 0.22 it is the whole path, and groups can be named. A target that names one is of the newer kind wherever it
/// stands.
fn rewrite(text: &str, is_old: bool) -> Result<Rewrite, ValueError> {
    let template = Rewrite::template(text)?;
    if is_old && !template.has_groups() {
        return Ok(Rewrite::Prefix(value::path(text)?));
    }
    if text.bytes().all(|byte| byte.is_ascii_graphic()) { Ok(template) } else { Err(ValueError::Path) }
}
