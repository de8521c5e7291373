//! Which Ingresses are ours.

use lb_model::{annotation::CLASS, ingress::Ingress, object::Snapshot};

use super::Settings;

/// What `spec.controller` of an IngressClass of ours says.
pub const CONTROLLER: &str = "sluice.dev/ingress-controller";

/// True where an Ingress is ours to serve.
///
/// Its class is that of the annotation `kubernetes.io/ingress.class`, else `spec.ingressClassName`: the API gives
/// precedence to the annotation. A class is ours if its IngressClass names [`CONTROLLER`], or, where there is no such
/// IngressClass, if it is [`Settings::ingress_class`]. Without a class, the default classes decide: if one of them is
/// ours. Without a class and without any IngressClass, [`Settings::serve_unclassed`] decides.
pub fn is_ours(ingress: &Ingress, snapshot: &Snapshot, settings: &Settings) -> bool {
    let classes = &snapshot.ingress_classes;
    match ingress.annotations.get(CLASS).or(ingress.class.as_ref()) {
        Some(name) => match classes.get(name) {
            Some(class) => class.controller == CONTROLLER,
            None => *name == settings.ingress_class,
        },
        None if classes.is_empty() => settings.serve_unclassed,
        None => classes.values().any(|class| class.is_default && class.controller == CONTROLLER),
    }
}

#[cfg(test)]
mod tests {
    use lb_model::ingress::IngressClass;

    use super::*;

    fn ingress(annotation: Option<&str>, field: Option<&str>) -> Ingress {
        let annotations = annotation.map(|class| (CLASS.to_owned(), class.to_owned())).into_iter().collect();
        Ingress { annotations, class: field.map(str::to_owned), ..Ingress::default() }
    }

    fn snapshot(classes: &[(&str, &str, bool)]) -> Snapshot {
        let class = |(name, controller, is_default): &(&str, &str, bool)| {
            (name.to_string(), IngressClass { controller: controller.to_string(), is_default: *is_default })
        };
        Snapshot { ingress_classes: classes.iter().map(class).collect(), ..Snapshot::default() }
    }

    #[test]
    fn classes_decide_which_ingresses_are_ours() {
        let none = snapshot(&[]);
        let ours = snapshot(&[("edge", CONTROLLER, false)]);
        let default = snapshot(&[("edge", CONTROLLER, true), ("nginx", "k8s.io/ingress-nginx", true)]);
        let theirs = snapshot(&[("sluice", "example.org/other", true)]);
        for (annotation, field, snapshot, expected) in [
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
            let settings = Settings { serve_unclassed: true, ..Settings::default() };
            assert_eq!(
                is_ours(&ingress(annotation, field), snapshot, &settings),
                expected,
                "annotation {annotation:?}, field {field:?}, {:?}",
                snapshot.ingress_classes
            );
        }
    }

    #[test]
    fn in_a_cluster_without_ingress_classes_an_ingress_without_class_is_left_to_others() {
        assert!(!is_ours(&ingress(None, None), &snapshot(&[]), &Settings::default()));
    }
}
