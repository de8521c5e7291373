//! Which Ingresses are ours.

use crate::{
    annotation::CLASS,
    ingress::{Ingress, IngressClass},
    persistent_map::PersistentMap,
};

/// What `spec.controller` of an IngressClass of ours says.
pub const CONTROLLER: &str = "sluice.dev/ingress-controller";

/// What the command line decides about classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassSelector {
    /// `--ingress-class`: the class that needs no IngressClass.
    pub name: String,
    /// Whether Ingresses without a class are ours as long as there is no IngressClass at all. For folders of
    /// manifests, where nobody else could serve them; in a cluster another controller may.
    pub unclassed: bool,
}

impl Default for ClassSelector {
    fn default() -> Self {
        Self { name: "sluice".to_owned(), unclassed: false }
    }
}

impl ClassSelector {
    /// True where an Ingress is ours to serve.
    ///
    /// Its class is that of the annotation `kubernetes.io/ingress.class`, else `spec.ingressClassName`: the API gives
    /// precedence to the annotation. A class is ours if its IngressClass names [`CONTROLLER`], or, where there is no
    /// such IngressClass, if it is [`name`](Self::name). Without a class, the default classes decide: if one of them
    /// is ours. Without a class and without any IngressClass, [`unclassed`](Self::unclassed) decides.
    pub fn selects(&self, ingress: &Ingress, classes: &PersistentMap<String, IngressClass>) -> bool {
        match ingress.annotations.get(CLASS).or(ingress.class.as_ref()) {
            Some(name) => match classes.get(name) {
                Some(class) => class.controller == CONTROLLER,
                None => *name == self.name,
            },
            None if classes.is_empty() => self.unclassed,
            None => classes.values().any(|class| class.is_default && class.controller == CONTROLLER),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ingress(annotation: Option<&str>, field: Option<&str>) -> Ingress {
        let annotations = annotation.map(|class| (CLASS.to_owned(), class.to_owned())).into_iter().collect();
        Ingress { annotations, class: field.map(str::to_owned), ..Ingress::default() }
    }

    fn classes(classes: &[(&str, &str, bool)]) -> PersistentMap<String, IngressClass> {
        let class = |(name, controller, is_default): &(&str, &str, bool)| {
            (name.to_string(), IngressClass { controller: controller.to_string(), is_default: *is_default })
        };
        classes.iter().map(class).collect()
    }

    #[test]
    fn classes_decide_which_ingresses_are_ours() {
        let none = classes(&[]);
        let ours = classes(&[("edge", CONTROLLER, false)]);
        let default = classes(&[("edge", CONTROLLER, true), ("nginx", "k8s.io/ingress-nginx", true)]);
        let theirs = classes(&[("sluice", "example.org/other", true)]);
        for (annotation, field, classes, expected) in [
            (None, Some("edge"), &ours, true),
            (None, Some("sluice"), &ours, true),
            (None, Some("sluice"), &none, true),
            (None, Some("edge"), &none, false),
            (None, Some("nginx"), &default, false),
            (Some("sluice"), None, &none, true),
            (Some("edge"), None, &ours, true),
            (Some("nginx"), None, &ours, false),
            (Some("sluice"), None, &theirs, false),
            // The annotation has precedence.
            (Some("nginx"), Some("edge"), &ours, false),
            (Some("sluice"), Some("nginx"), &ours, true),
            (None, None, &ours, false),
            (None, None, &default, true),
            (None, None, &theirs, false),
            (None, None, &none, true),
        ] {
            let selector = ClassSelector { unclassed: true, ..ClassSelector::default() };
            assert_eq!(
                selector.selects(&ingress(annotation, field), classes),
                expected,
                "annotation {annotation:?}, field {field:?}, {classes:?}"
            );
        }
    }

    #[test]
    fn in_a_cluster_without_ingress_classes_an_ingress_without_class_is_left_to_others() {
        assert!(!ClassSelector::default().selects(&ingress(None, None), &classes(&[])));
    }
}
