//! A proxy in a namespace of its own, where every address of 10.1.0.0/16 is local.

use std::{
    fs,
    net::TcpStream,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use lb_tests::{
    agent,
    netns::{self, Namespace},
    skip::{self, Need},
    traffic::request,
    wait,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use super::{
    client::{Client, Response},
    endpoint::Endpoint,
};

pub(crate) const HTTP: &str = "127.0.0.1:8080";
pub(crate) const HTTPS: &str = "127.0.0.1:8443";
pub(crate) const ADMIN: &str = "127.0.0.1:9480";

/// What these tests need.
const NEEDS: [Need; 5] =
    [Need::Root, Need::Namespaces, Need::Tool("ip"), Need::Tool("curl"), Need::Tool("openssl")];

/// A proxy with its manifests; it ends when the site is dropped.
pub(crate) struct Site {
    pub(crate) namespace: Namespace,
    pub(crate) manifests: TempDir,
    process: Child,
}

/// True where the tests can run.
pub(crate) fn possible() -> bool {
    skip::need(&NEEDS)
}

/// An Ingress `name` with annotations, whose `paths` of `host` lead to port 80 of the Service of the same name.
pub(crate) fn ingress(name: &str, host: &str, annotations: &[(&str, &str)]) -> String {
    let annotations: String = annotations
        .iter()
        .map(|(key, value)| format!("\n    nginx.ingress.kubernetes.io/{key}: {value:?}"))
        .collect();
    let annotations =
        if annotations.is_empty() { String::new() } else { format!("\n  annotations:{annotations}") };
    format!(
        "---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {name}
  namespace: default{annotations}
spec:
  rules:
  - host: {host}
    http:
      paths:
      - path: /
        pathType: Prefix
        backend: {{service: {{name: {name}, port: {{number: 80}}}}}}
"
    )
}

/// A Service `name` whose ready endpoints are these addresses, each with a port.
pub(crate) fn service(name: &str, endpoints: &[std::net::SocketAddr]) -> String {
    let mut yaml = format!(
        "---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: default}}
spec: {{clusterIP: 10.96.0.10, ports: [{{name: http, port: 80}}]}}
"
    );
    for (number, endpoint) in endpoints.iter().enumerate() {
        let (address, port) = (endpoint.ip(), endpoint.port());
        yaml.push_str(&format!(
            "---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-{number}, namespace: default, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports: [{{name: http, port: {port}, protocol: TCP}}]
endpoints: [{{addresses: [{address}], conditions: {{ready: true}}}}]
"
        ));
    }
    yaml
}

impl Site {
    /// Makes the namespace, writes the manifests and starts a proxy with more flags; returns once it is ready.
    pub(crate) fn start(manifests: &str, flags: &[&str]) -> Self {
        Self::start_in(Self::namespace(), manifests, flags)
    }

    /// A proxy for `a.example`, an Ingress with annotations and one endpoint.
    pub(crate) fn web(annotations: &[(&str, &str)], flags: &[&str]) -> (Self, Endpoint) {
        let namespace = Self::namespace();
        let endpoint = Endpoint::named(&namespace, "10.1.0.1:8000");
        let text = ingress("web", "a.example", annotations) + &service("web", &[endpoint.address]);
        (Self::start_in(namespace, &text, flags), endpoint)
    }

    /// A namespace for endpoints that must be there before the proxy.
    pub(crate) fn namespace() -> Namespace {
        let namespace = Namespace::create(&netns::unique_name()).unwrap();
        namespace.run("ip", &["route", "add", "local", "10.1.0.0/16", "dev", "lo"]).unwrap();
        namespace
    }

    /// As [`Site::start`] in a namespace that is there already.
    pub(crate) fn start_in(namespace: Namespace, text: &str, flags: &[&str]) -> Self {
        let manifests = tempfile::tempdir().unwrap();
        fs::write(manifests.path().join("site.yaml"), text).unwrap();
        let log = fs::File::create(manifests.path().join("proxy.log")).unwrap();
        let mut command = namespace.command(agent::ingress_binary().unwrap()).unwrap();
        command.arg("--manifests").arg(manifests.path());
        for (flag, value) in [
            ("--http", HTTP),
            ("--https", HTTPS),
            ("--admin", ADMIN),
            ("--threads", "2"),
            ("--drain-delay", "0"),
        ] {
            if !flags.contains(&flag) {
                command.args([flag, value]);
            }
        }
        command.args(flags).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let process = command.spawn().unwrap();
        let site = Self { namespace, manifests, process };
        wait::until_true("the proxy is ready", || {
            site.admin("/readyz").is_some_and(|(status, _)| status == 200)
        })
        .unwrap_or_else(|error| panic!("{error:#}\n{}", site.log()));
        site
    }

    /// Replaces the manifests at once, and waits until they are served.
    pub(crate) fn apply(&self, text: &str) {
        let before = self.metric("sluice_ingress_generation");
        let fresh = self.manifests.path().join(".fresh");
        fs::write(&fresh, text).unwrap();
        fs::rename(&fresh, self.manifests.path().join("site.yaml")).unwrap();
        wait::until_true("the change is served", || self.metric("sluice_ingress_generation") > before)
            .unwrap();
    }

    /// Another proxy in the same namespace, which serves plain HTTP only.
    pub(crate) fn second(&self, text: &str, address: &str) -> Second {
        let manifests = self.manifests.path().join(address);
        fs::create_dir_all(&manifests).unwrap();
        fs::write(manifests.join("site.yaml"), text).unwrap();
        self.second_from(["--manifests", manifests.to_str().unwrap()], address)
    }

    /// As [`Site::second`], from any source.
    pub(crate) fn second_from(&self, source: [&str; 2], address: &str) -> Second {
        let mut command = self.command(&agent::ingress_binary().unwrap().display().to_string());
        command.args(source).args([
            "--http",
            address,
            "--https",
            "none",
            "--admin",
            "none",
            "--threads",
            "1",
        ]);
        let process =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait::until_true("the second proxy listens", || self.connect(address).is_some()).unwrap();
        Second { process }
    }

    /// What it logged, the access log too.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.manifests.path().join("proxy.log")).unwrap()
    }

    /// Status and text of the admin server.
    pub(crate) fn admin(&self, path: &str) -> Option<(u16, String)> {
        let page = request(&self.namespace, ADMIN.parse().unwrap(), "GET", path, "").ok()?;
        Some((page.status, page.body))
    }

    /// The value of a series, 0 where there is none.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let (_, text) = self.admin("/metrics").expect("metrics");
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// A connection to any address of the namespace.
    pub(crate) fn connect(&self, address: &str) -> Option<TcpStream> {
        let stream = self.namespace.enter(|| TcpStream::connect(address)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
        Some(stream)
    }

    /// A connection of a client.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.connect(HTTP).expect("the proxy accepts"))
    }

    /// Sends bytes on a connection of their own and reads the response.
    pub(crate) fn ask(&self, request: &str) -> Response {
        let mut client = self.client();
        client.send(request);
        client.response()
    }

    /// GET of a path on a host, with more fields.
    pub(crate) fn get(&self, host: &str, path: &str, fields: &[&str]) -> Response {
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"))
    }

    /// What curl prints, within the namespace.
    pub(crate) fn curl(&self, arguments: &[&str]) -> String {
        let mut all = vec!["--silent", "--show-error", "--max-time", "20"];
        all.extend(arguments);
        self.namespace.run("curl", &all).unwrap()
    }

    /// A command inside.
    pub(crate) fn command(&self, program: &str) -> Command {
        self.namespace.command(program).unwrap()
    }

    /// Sends a signal to the proxy.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id() as i32), signal).unwrap();
    }

    /// Waits for the proxy's end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        wait::until("the proxy ends", || self.process.try_wait().unwrap()).unwrap()
    }
}

/// Another proxy.
pub(crate) struct Second {
    process: Child,
}

impl Drop for Second {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
