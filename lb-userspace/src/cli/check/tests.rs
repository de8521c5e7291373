mod ingress;

use super::*;

/// Checks files of these names and texts and returns the number of errors and the output.
fn checked(files: &[(&str, &str)]) -> (usize, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        paths.push(path);
    }
    let mut out = Vec::new();
    let errors = check(&paths, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap().replace(&format!("{}/", folder.path().display()), "");
    (errors, text.lines().map(str::to_owned).collect())
}

const GOOD: &str = "\
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  externalIPs: [203.0.113.10]
  ports:
  - {name: http, port: 80, nodePort: 30080}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: web-1
  labels: {kubernetes.io/service-name: web}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints: [{addresses: [10.0.0.1]}]
---
apiVersion: apps/v1
kind: Deployment
";

#[test]
fn good_manifests_have_nothing_but_a_summary() {
    let (errors, lines) = checked(&[("web.yaml", GOOD)]);
    assert_eq!(
        (errors, lines),
        (0, vec!["2 objects in 1 file, 1 not Sluice's: 0 errors, 0 warnings".to_owned()])
    );
}

#[test]
fn errors_stand_with_file_line_column_and_remedy() {
    let text = GOOD.replace("port: 80,", "port: 0,").replace("10.0.0.1]", "10.0.0]");
    let (errors, lines) = checked(&[("web.yaml", &text), ("broken.yaml", "a: 1\nb: [\n")]);
    assert_eq!(errors, 3);
    assert_eq!(
        lines[0],
        "web.yaml:8:18: error: Service default/web: spec.ports[0].port: 0 is not a port; use 1 to 65535"
    );
    assert!(
        lines[1].starts_with(
            "web.yaml:17:26: error: EndpointSlice default/web-1: endpoints[0].addresses[0]: \"10.0.0\""
        ),
        "{lines:#?}"
    );
    assert!(lines[2].starts_with("broken.yaml:") && lines[2].ends_with("; correct the YAML"), "{lines:#?}");
    assert_eq!(lines[3], "2 objects in 2 files, 1 not Sluice's: 3 errors, 0 warnings");
}

#[test]
fn a_slice_whose_ports_match_none_of_its_service_is_a_warning() {
    let (errors, lines) =
        checked(&[("web.yaml", &GOOD.replace("name: http, port: 8080", "name: htttp, port: 8080"))]);
    assert_eq!(errors, 0);
    assert_eq!(
        lines[0],
        "web.yaml:13:3: warning: EndpointSlice default/web-1: port \"htttp\" (TCP) matches no port of Service web, \
         which has \"http\" (TCP); ports are matched by name"
    );
}

#[test]
fn unknown_fields_are_warnings_with_a_hint() {
    let text = "\
apiVersion: v1
kind: Service
metadata: {name: web, label: {}}
externalIPs: []
spec:
  externalIps: [203.0.113.10]
  ports:
  - port: 80
    nodeport: 30080
    zzz: 1
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1}
adressType: IPv4
addressType: IPv4
endpoints: [{addresses: [10.0.0.1], conditions: {redy: true}}]
";
    let (errors, lines) = checked(&[("web.yaml", text)]);
    assert_eq!(errors, 0, "{lines:#?}");
    assert_eq!(
        lines,
        [
            "web.yaml:3:23: warning: Service default/web: metadata.label: unknown field; did you mean labels?",
            "web.yaml:4:1: warning: Service default/web: externalIPs: unknown field; externalIPs belongs into spec",
            "web.yaml:6:3: warning: Service default/web: spec.externalIps: unknown field; did you mean externalIPs?",
            "web.yaml:9:5: warning: Service default/web: spec.ports[0].nodeport: unknown field; did you mean nodePort?",
            "web.yaml:10:5: warning: Service default/web: spec.ports[0].zzz: unknown field",
            "web.yaml:14:1: warning: EndpointSlice default/web-1: metadata.labels: no kubernetes.io/service-name; name the \
         Service that the slice belongs to",
            "web.yaml:15:1: warning: EndpointSlice default/web-1: adressType: unknown field; did you mean addressType?",
            "web.yaml:17:50: warning: EndpointSlice default/web-1: endpoints[0].conditions.redy: unknown field; did you \
         mean ready?",
            "1 object in 1 file, 1 not Sluice's: 0 errors, 8 warnings",
        ]
    );
}

#[test]
fn objects_that_clash_are_errors_across_files() {
    let other = GOOD.replace("name: web}", "name: api}").replace("name: web-1", "name: api-1");
    let node = "apiVersion: v1\nkind: Node\nmetadata: {name: a}\nstatus:\n  addresses: [{type: InternalIP, address: \
                198.51.100.1}]\n";
    let on_node = GOOD.replace("name: web}", "name: node}").replace("203.0.113.10", "198.51.100.1");
    let on_node = on_node.split("---").next().unwrap().replace("30080", "30081");
    let (errors, lines) = checked(&[
        ("a.yaml", GOOD),
        ("b.yaml", &other),
        ("c.yaml", node),
        ("d.yaml", &on_node),
        ("e.yaml", GOOD),
    ]);
    let errors_of =
        |file: &str| lines.iter().filter(|line| line.starts_with(file) && line.contains("error")).count();
    assert_eq!((errors_of("d.yaml"), errors_of("e.yaml")), (1, 2), "{lines:#?}");
    // The younger, or the later by name, is refused: both its external IP and its NodePort.
    assert_eq!(errors_of("a.yaml"), 2, "{lines:#?}");
    assert!(
        lines[0].starts_with("a.yaml:3:12: error: ") && lines[0].contains("belongs to Service default/api")
    );
    assert!(
        lines
            .iter()
            .any(|line| line.contains("e.yaml:3:12") && line.contains("already defined at a.yaml:3:12"))
    );
    assert_eq!(errors, 5);
}

#[test]
fn what_would_be_passed_over_is_a_warning() {
    let text =
        GOOD.replace(", nodePort: 30080", "").replace("discovery.k8s.io/v1", "discovery.k8s.io/v1beta1");
    let (errors, lines) = checked(&[("web.yaml", &text)]);
    assert_eq!(errors, 0);
    assert!(lines[0].contains("no nodePort"), "{lines:#?}");
    assert_eq!(
        lines[1],
        "web.yaml:11:1: warning: discovery.k8s.io/v1beta1 EndpointSlice is not followed; use apiVersion \
         discovery.k8s.io/v1"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_and_others_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("web.yaml"), GOOD).unwrap();
    let mut out = Vec::new();
    let errors = check(&[folder.path().join("none.yaml"), folder.path().to_owned()], &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert_eq!(errors, 1);
    assert!(text.contains("none.yaml: error: cannot be read: "), "{text}");
    assert!(text.ends_with("2 objects in 2 files, 1 not Sluice's: 1 error, 0 warnings\n"), "{text}");
}

#[test]
fn external_ips_are_judged_by_the_policy_among_the_files() {
    let policy = "externalIPs:\n- cidrs: [203.0.113.0/24]\n  namespaces: [shop]\n";
    let (errors, lines) = checked(&[("policy.yaml", policy), ("web.yaml", GOOD)]);
    assert_eq!(errors, 1);
    assert_eq!(
        lines,
        [
            "web.yaml:3:12: error: external IP 203.0.113.10 of Service default/web is not served: the policy allows \
             namespace default no external IP",
            "3 objects in 2 files, 1 not Sluice's: 1 error, 0 warnings",
        ]
    );
    let (errors, lines) = checked(&[("policy.yaml", &policy.replace("shop", "default")), ("web.yaml", GOOD)]);
    assert_eq!(errors, 0, "{lines:#?}");
}

#[test]
fn a_policy_is_checked_and_stands_alone_and_once() {
    let good = "externalIPs: []\n";
    let (_, lines) = checked(&[
        ("a.yaml", "externalIPs:\n- cidrs: [203.0.113.1/24]\n"),
        ("b.yaml", good),
        ("c.yaml", good),
        ("d.yaml", &format!("---\n{good}---\napiVersion: v1\nkind: ConfigMap\n")),
    ]);
    assert_eq!(
        lines,
        [
            "a.yaml:2:11: error: external-IP policy: externalIPs[0].cidrs[0]: 203.0.113.1/24 has bits set beyond its \
             prefix; did you mean 203.0.113.0/24?",
            "c.yaml:1:1: error: external-IP policy: there is one already; an agent takes one file",
            "d.yaml:2:1: error: external-IP policy: there are other documents in its file; it has to stand alone",
            "d.yaml:2:1: error: external-IP policy: there is one already; an agent takes one file",
            "3 objects in 4 files, 1 not Sluice's: 4 errors, 0 warnings",
        ]
    );
}
