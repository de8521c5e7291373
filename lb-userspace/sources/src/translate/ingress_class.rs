//! networking.k8s.io/v1 IngressClass; v1beta1 is no different.

use k8s_openapi::{api::networking::v1 as networking, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use lb_model::ingress::IngressClass;
use serde::Deserialize;

use super::field::{self, Finding, reason};

/// Marks the class of Ingresses that name none (`networking/v1` `AnnotationIsDefaultIngressClass`).
const IS_DEFAULT: &str = "ingressclass.kubernetes.io/is-default-class";

/// Either version; the API's own type insists on its `apiVersion`.
#[derive(Deserialize)]
pub(super) struct Class {
    #[serde(default)]
    metadata: ObjectMeta,
    spec: Option<networking::IngressClassSpec>,
}

/// The class.
pub(super) fn translate(object: &Class) -> Result<IngressClass, Finding> {
    field::check_name(&object.metadata)?;
    let controller = object.spec.as_ref().and_then(|spec| spec.controller.clone()).unwrap_or_default();
    if controller.is_empty() {
        let message = "missing; name the controller that serves the class, as sluice.dev/ingress-controller";
        return Err(Finding::new("spec.controller", reason::MISSING_VALUE, message));
    }
    let annotations = object.metadata.annotations.as_ref();
    let is_default = annotations.and_then(|annotations| annotations.get(IS_DEFAULT));
    Ok(IngressClass { controller, is_default: is_default.is_some_and(|text| text == "true") })
}
