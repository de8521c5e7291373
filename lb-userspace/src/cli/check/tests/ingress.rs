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
  tls: [{hosts: [a.example], secretName: cert}]
  rules:
  - host: a.example
    http:
      paths:
      - path: /
        pathType: Prefix
        backend:
          service:
            name: web
            port: {name: http}
";

const CERT: &str = "\
---
apiVersion: v1
kind: Secret
metadata: {name: cert}
type: kubernetes.io/tls
stringData: {tls.crt: a, tls.key: b}
";

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
    assert_eq!(
        lines,
        [
            "seed.yaml:13:9: warning: Ingress default/my-ingress: spec.rules[0].http.paths[0].backend: Service \
             default/my-service-1 is in none of the files",
            "seed.yaml:17:9: warning: Ingress default/my-ingress: spec.rules[0].http.paths[1].backend: Service \
             default/my-service-2 is in none of the files",
            "1 object in 1 file, 0 not Sluice's: 0 errors, 2 warnings",
        ]
    );
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
    assert_eq!(errors, 0);
    assert_eq!(
        lines[..2],
        [
            "web.yaml:5:30: warning: Ingress default/web: spec.tls[0].secretName: Secret default/cert with tls.crt and \
             tls.key is in none of the files",
            "web.yaml:12:9: warning: Ingress default/web: spec.rules[0].http.paths[0].backend: Service default/web is \
             in none of the files",
        ]
    );
    let port = [NEWEST, CERT, &service("web", 80).replace("http", "https")].concat();
    let (errors, lines) = checked(&[("web.yaml", &port)]);
    assert_eq!(errors, 0);
    assert!(
        lines[0].ends_with("backend: Service web has no port http; it has 80 (https)") && lines.len() == 2,
        "{lines:#?}"
    );
    let external = "---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {type: ExternalName, externalName: a.b}\n";
    let (_, lines) = checked(&[("web.yaml", &[NEWEST, CERT, external].concat())]);
    assert!(lines[0].contains("Service default/web is of type ExternalName"), "{lines:#?}");
    let headless = service("web", 80).replace("spec: {", "spec: {clusterIP: None, ");
    let (_, lines) = checked(&[("web.yaml", &[NEWEST, CERT, &headless].concat())]);
    assert_eq!(lines, ["3 objects in 1 file, 0 not Sluice's: 0 errors, 0 warnings"]);
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
    let untyped = [&NEWEST.replace("        pathType: Prefix\n", ""), CERT, &*service("web", 80)].concat();
    let (errors, lines) = checked(&[("web.yaml", &untyped)]);
    assert_eq!(errors, 0);
    assert!(lines[0].contains("http.paths[0]: no pathType; an API server refuses that"), "{lines:#?}");
}

#[test]
fn what_is_wrong_with_an_ingress_or_a_secret_is_an_error_and_no_secret_is_shown() {
    let ingress = NEWEST.replace("path: /", "path: cart");
    let secret = CERT.replace("stringData: {tls.crt: a", "data: {tls.crt: hidden!");
    let (errors, lines) = checked(&[("web.yaml", &[&ingress, &*secret].concat())]);
    assert_eq!(errors, 2, "{lines:#?}");
    assert_eq!(
        lines[0],
        "web.yaml:10:9: error: Ingress default/web: spec.rules[0].http.paths[0].path: \"cart\" is no path; begin it \
         with /"
    );
    assert_eq!(
        lines[1],
        "web.yaml:21:8: error: Secret default/cert: data.tls.crt: not base64; plain text belongs into stringData"
    );
}
