//! sluice-ingress, nginx and haproxy side by side, each before an endpoint of its own.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Stdio},
};

use lb_tests::{
    netns::Namespace,
    skip::{self, Need},
    wait,
};
use tempfile::TempDir;

use super::{exchange, recorder::Recorder};
use crate::site::{self, HTTP, Site, service};

const NGINX: &str = "10.1.0.12:8080";
const HAPROXY: &str = "10.1.0.13:8080";

/// A proxy and what is behind it.
pub(super) struct Proxy {
    pub(super) name: &'static str,
    pub(super) address: &'static str,
    pub(super) recorder: Recorder,
}

/// All three. Each has one thread, waits a second for its clients, and takes heads of 32 KiB.
pub(super) struct Proxies {
    pub(super) site: Site,
    pub(super) sluice: Proxy,
    pub(super) nginx: Proxy,
    pub(super) haproxy: Proxy,
    peers: Peers,
}

/// nginx and haproxy with their files; they end when this is dropped.
struct Peers {
    processes: Vec<Child>,
    files: TempDir,
}

/// True where the tests can run.
pub(super) fn possible() -> bool {
    site::possible() && skip::need(&[Need::Tool("nginx"), Need::Tool("haproxy")])
}

impl Proxies {
    pub(super) fn start() -> Self {
        let namespace = Site::namespace();
        let proxy = |name, address, endpoint: &str| Proxy {
            name,
            address,
            recorder: Recorder::start(&namespace, endpoint),
        };
        let sluice = proxy("sluice-ingress", HTTP, "10.1.0.1:8000");
        let nginx = proxy("nginx", NGINX, "10.1.0.2:8000");
        let haproxy = proxy("haproxy", HAPROXY, "10.1.0.3:8000");
        let mut peers = Peers { processes: Vec::new(), files: tempfile::tempdir().unwrap() };
        peers.start_nginx(&namespace, "10.1.0.2:8000");
        peers.start_haproxy(&namespace, "10.1.0.3:8000");
        // As the two others do: every host is served.
        let ingress = site::ingress("web", "any", &[]).replace("- host: any\n    http:", "- http:");
        let text = ingress + &service("web", &["10.1.0.1:8000".parse().unwrap()]);
        let flags = ["--threads", "1", "--header-timeout", "1", "--client-timeout", "1", "--keep-alive", "1"];
        let site = Site::start_in(namespace, &text, &flags);
        let proxies = Self { site, sluice, nginx, haproxy, peers };
        for proxy in proxies.all() {
            wait::until_true(&format!("{} answers", proxy.name), || {
                proxies.site.connect(proxy.address).is_some_and(exchange::is_served)
            })
            .unwrap_or_else(|error| panic!("{error:#}\n{}", proxies.logs()));
            proxy.recorder.take();
        }
        proxies
    }

    pub(super) const fn all(&self) -> [&Proxy; 3] {
        [&self.sluice, &self.nginx, &self.haproxy]
    }

    fn logs(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.peers.files.path().join(name)).unwrap_or_default();
        [self.site.log(), read("nginx.log"), read("haproxy.log")].join("\n")
    }
}

impl Peers {
    fn start_nginx(&mut self, namespace: &Namespace, endpoint: &str) {
        let folder = self.files.path().display().to_string();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {folder}/{kind};\n"))
            .concat();
        // Who reads the folder, which is root's alone, is the worker.
        let text = format!(
            "daemon off; user root; worker_processes 1; error_log stderr; pid {folder}/nginx.pid;
events {{}}
http {{
access_log off; large_client_header_buffers 4 32k;
client_header_timeout 1s; client_body_timeout 1s; keepalive_timeout 1s; lingering_close off;
{temporary}upstream endpoint {{ server {endpoint}; keepalive 8; }}
server {{
listen {NGINX};
location / {{
proxy_pass http://endpoint; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $host;
}}
}}
}}
"
        );
        let configuration = self.write("nginx.conf", &text);
        self.start(namespace, &["nginx", "-p", &folder, "-c", &configuration]);
    }

    fn start_haproxy(&mut self, namespace: &Namespace, endpoint: &str) {
        let text = format!(
            "global
  nbthread 1
  maxconn 64
  tune.bufsize 33792
defaults
  mode http
  timeout connect 5s
  timeout client 1s
  timeout http-request 1s
  timeout server 5s
frontend clients
  bind {HAPROXY}
  default_backend endpoint
backend endpoint
  server endpoint {endpoint}
"
        );
        let configuration = self.write("haproxy.cfg", &text);
        self.start(namespace, &["haproxy", "-db", "-f", &configuration]);
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.files.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn start(&mut self, namespace: &Namespace, words: &[&str]) {
        let log = File::create(self.files.path().join(Path::new(words[0]).with_extension("log"))).unwrap();
        let mut command = namespace.command(words[0]).unwrap();
        command.args(&words[1..]).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.processes.push(command.spawn().unwrap());
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // nginx has a worker, which a killed master would leave behind.
            let process_id = nix::unistd::Pid::from_raw(process.id() as i32);
            let _ = nix::sys::signal::kill(process_id, nix::sys::signal::Signal::SIGTERM);
            let _ = process.wait();
        }
    }
}
