//! Ingress, IngressClass and Secret.

use super::checked;

/// The manifests that this project began with, as they were printed.
const DEFAULT_BACKEND: &str = include_str!("../../../../../tests/seeds/ingress-default-backend.yaml");
const HOST_AND_PATHS: &str = include_str!("../../../../../tests/seeds/ingress-host-and-paths.yaml");
const HELLO: &str = include_str!("../../../../../tests/seeds/ingress-hello-cisco.yaml");

fn service(name: &str, port: u16) -> String {
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{name: http, port: {port}}}]}}\n"
    )
}

const NEWEST: &str = "\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  tls: [{hosts: [a.example.org], secretName: cert}]
  rules:
  - host: a.example.org
    http:
      paths:
      - path: /
        pathType: Prefix
        backend:
          service:
            name: web
            port: {name: http}
";

/// A Secret with a certificate for `example.org` and every host below it.
fn cert() -> String {
    let block = |text: &str| text.replace('\n', "\n    ");
    let certificate = block(include_str!("../../../../proxy/testdata/ec.crt"));
    let key = block(include_str!("../../../../proxy/testdata/ec-pkcs8.key"));
    format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: cert}}\ntype: kubernetes.io/tls\nstringData:\n  \
         tls.crt: |\n    {certificate}\n  tls.key: |\n    {key}\n"
    )
}

#[test]
fn the_seeds_that_are_yaml_are_served_in_the_company_of_their_services() {
    let files = [DEFAULT_BACKEND, &service("my-service", 80)].concat();
    let summary =
        |objects| vec![format!("{objects} objects in 1 file, 0 not Sluice's: 0 errors, 0 warnings")];
    assert_eq!(checked(&[("seed.yaml", &files)]), (0, summary(2)));
    let files = [HOST_AND_PATHS, &service("my-service-1", 80), &service("my-service-2", 80)].concat();
    assert_eq!(checked(&[("seed.yaml", &files)]), (0, summary(3)));
}

#[test]
fn a_seed_alone_has_a_warning_for_each_service_that_is_not_there() {
    let (errors, lines) = checked(&[("seed.yaml", HOST_AND_PATHS)]);
    assert_eq!(errors, 0);
    assert_eq!(lines.len(), 3, "{lines:#?}");
    for (line, expected) in lines.iter().zip([
        "seed.yaml:13:9: warning: Ingress default/my-ingress: Service default/my-service-1 is not there",
        "seed.yaml:17:9: warning: Ingress default/my-ingress: Service default/my-service-2 is not there",
        "1 object in 1 file, 0 not Sluice's: 0 errors, 2 warnings",
    ]) {
        assert!(line.starts_with(expected), "{line}");
    }
}

#[test]
fn the_seed_that_is_not_yaml_has_its_line_and_the_mend_and_works_mended() {
    let (errors, lines) = checked(&[("hello.yaml", HELLO)]);
    assert_eq!(errors, 1);
    assert_eq!(
        lines[0],
        "hello.yaml:12:11: error: backend: is indented below path, which has a value already; align it with path"
    );
    let mended = HELLO.replace("          backend:", "         backend:");
    let files = [&mended, &*service("svc-hello-cisco", 5000)].concat();
    let (errors, lines) = checked(&[("hello.yaml", &files)]);
    assert_eq!((errors, &*lines[0]), (0, "2 objects in 1 file, 0 not Sluice's: 0 errors, 0 warnings"));
}

#[test]
fn what_an_ingress_needs_and_is_not_there_is_a_warning() {
    let (errors, lines) = checked(&[("web.yaml", NEWEST)]);
    assert_eq!((errors, lines.len()), (0, 3), "{lines:#?}");
    assert!(
        lines[0].starts_with("web.yaml:5:34: warning: Ingress default/web: Secret default/cert of "),
        "{lines:#?}"
    );
    assert!(
        lines[1].starts_with("web.yaml:12:9: warning: Ingress default/web: Service default/web is not there")
    );
    let port = [NEWEST, &cert(), &service("web", 80).replace("http", "https")].concat();
    let (errors, lines) = checked(&[("web.yaml", &port)]);
    assert_eq!((errors, lines.len()), (0, 2), "{lines:#?}");
    assert!(lines[0].ends_with("Service default/web has no TCP port http; it has 80 (https)"), "{lines:#?}");
    let headless = service("web", 80).replace("spec: {", "spec: {clusterIP: None, ");
    let (_, lines) = checked(&[("web.yaml", &[NEWEST, &cert(), &headless].concat())]);
    assert_eq!(lines, ["3 objects in 1 file, 0 not Sluice's: 0 errors, 0 warnings"]);
}

#[test]
fn annotations_that_do_nothing_are_warnings_and_those_that_stop_an_ingress_errors() {
    let annotated = NEWEST.replace(
        "metadata: {name: web}",
        "metadata:\n  name: web\n  annotations:\n    nginx.ingress.kubernetes.io/proxy-buffering: \"on\"\n    \
         nginx.ingress.kubernetes.io/no-such-thing: \"1\"\n    nginx.ingress.kubernetes.io/proxy-body-size: much\n    \
         nginx.ingress.kubernetes.io/auth-url: http://a.example",
    );
    let files = [&*annotated, &cert(), &service("web", 80)].concat();
    let (errors, lines) = checked(&[("web.yaml", &files)]);
    let starts = [
        "web.yaml:6:5: warning: Ingress default/web: annotation nginx.ingress.kubernetes.io/proxy-buffering does nothing",
        "web.yaml:7:5: warning: Ingress default/web: annotation nginx.ingress.kubernetes.io/no-such-thing is not known",
        "web.yaml:8:5: ",
        "web.yaml:9:5: error: Ingress default/web: annotation nginx.ingress.kubernetes.io/auth-url guards access",
    ];
    for (line, expected) in lines.iter().zip(starts) {
        assert!(line.starts_with(expected), "{lines:#?}");
    }
    assert_eq!(lines.len(), 5, "{lines:#?}");
    assert!(errors >= 1, "{lines:#?}");
}

#[test]
fn an_ingress_of_another_controllers_class_is_a_warning() {
    let theirs = NEWEST.replace("spec:\n", "spec:\n  ingressClassName: nginx\n");
    let (errors, lines) = checked(&[("web.yaml", &theirs)]);
    assert_eq!((errors, lines.len()), (0, 2), "{lines:#?}");
    assert!(
        lines[0].starts_with("web.yaml:3:12: warning: Ingress default/web: of a class of another"),
        "{lines:#?}"
    );
}

#[test]
fn a_secret_without_a_usable_certificate_is_an_error_at_who_names_it() {
    let broken =
        "---\napiVersion: v1\nkind: Secret\nmetadata: {name: cert}\nstringData: {tls.crt: a, tls.key: b}\n";
    let (errors, lines) = checked(&[("web.yaml", &[NEWEST, broken, &service("web", 80)].concat())]);
    assert_eq!(errors, 1, "{lines:#?}");
    assert!(
        lines[0].starts_with("web.yaml:5:34: error: Ingress default/web: Secret default/cert of "),
        "{lines:#?}"
    );
}

#[test]
fn fields_of_another_version_are_named_with_what_they_are_called_here() {
    let text = "\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: new}
spec:
  backend: {serviceName: a, servicePort: 80}
  rules:
  - hosts: a.example
    http: {paths: [{path: /, pathtype: Prefix, backend: {service: {name: a, port: {numbr: 80, number: 80}}}}]}
---
apiVersion: extensions/v1beta1
kind: Ingress
metadata: {name: old}
spec:
  defaultBackend: {service: {name: a, port: {number: 80}}}
  rules:
  - http: {paths: [{path: /, backend: {service: {}, serviceName: a, serviceport: 80, servicePort: 80}}]}
---
apiVersion: networking.k8s.io/v1beta1
kind: IngressClass
metadata: {name: sluice}
spec: {controler: a, controller: sluice.dev/ingress}
---
apiVersion: v1
kind: Secret
metadata: {name: cert}
stringDate: {tls.crt: a}
data: {anything: YQ==}
";
    let (errors, lines) = checked(&[("web.yaml", &[text, &service("a", 80)].concat())]);
    assert_eq!(errors, 0, "{lines:#?}");
    let unknown: Vec<_> = lines
        .iter()
        .filter_map(|line| {
            Some(line.split_once(": warning: ")?.1).filter(|line| line.contains("unknown field"))
        })
        .collect();
    let path = "spec.rules[0].http.paths[0]";
    assert_eq!(
        unknown,
        [
            "Ingress default/new: spec.backend: unknown field; networking.k8s.io/v1 calls it defaultBackend",
            "Ingress default/new: spec.rules[0].hosts: unknown field; did you mean host?",
            &format!("Ingress default/new: {path}.pathtype: unknown field; did you mean pathType?"),
            &format!(
                "Ingress default/new: {path}.backend.service.port.numbr: unknown field; did you mean number?"
            ),
            "Ingress default/old: spec.defaultBackend: unknown field; only networking.k8s.io/v1 calls it that, here \
             it is backend",
            &format!(
                "Ingress default/old: {path}.backend.service: unknown field; only networking.k8s.io/v1 calls it \
                 that, here it is serviceName and servicePort"
            ),
            &format!(
                "Ingress default/old: {path}.backend.serviceport: unknown field; did you mean servicePort?"
            ),
            "IngressClass sluice: spec.controler: unknown field; did you mean controller?",
            "Secret default/cert: stringDate: unknown field; did you mean stringData?",
        ],
        "{lines:#?}"
    );
}

#[test]
fn a_path_without_a_type_is_a_warning_in_the_version_that_wants_one() {
    let untyped =
        [NEWEST.replace("        pathType: Prefix\n", "").as_str(), &*cert(), &*service("web", 80)].concat();
    let (errors, lines) = checked(&[("web.yaml", &untyped)]);
    assert_eq!(errors, 0);
    assert!(lines[0].contains("http.paths[0]: no pathType; an API server refuses that"), "{lines:#?}");
}

#[test]
fn what_is_wrong_with_an_ingress_or_a_secret_is_an_error_and_no_secret_is_shown() {
    let ingress = NEWEST.replace("path: /", "path: cart");
    let secret = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: cert}\ndata: {tls.crt: hidden!}\n";
    let (errors, lines) = checked(&[("web.yaml", &[&ingress, secret].concat())]);
    assert_eq!(errors, 2, "{lines:#?}");
    assert_eq!(
        lines[0],
        "web.yaml:10:9: error: Ingress default/web: spec.rules[0].http.paths[0].path: \"cart\" is no path; begin it \
         with /"
    );
    assert_eq!(
        lines[1],
        "web.yaml:20:8: error: Secret default/cert: data.tls.crt: not base64; plain text belongs into stringData"
    );
}
