//! The proxies, and how each is set up: one thread, no access log, connections to the endpoint kept.
//!
//! nginx and haproxy forward everything and add no field but Host; Sluice matches host and path, checks the request,
//! adds the forwarded fields and counts. nginx has buffers for a whole body of 64 KiB, without which it needs twice the
//! time for it.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};

use anyhow::Result;
use serde::Serialize;

use super::{certificate::Certificate, site};
use crate::agent;

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Candidate {
    /// The endpoint itself, without a proxy: what the generator can do.
    Direct,
    /// Debian's nginx.
    Nginx,
    /// Debian's haproxy.
    Haproxy,
    /// `sluice-ingress`.
    Sluice,
}

/// A program and its arguments.
pub(super) type CommandLine = Vec<String>;

impl Candidate {
    /// All.
    pub(super) const ALL: [Self; 4] = [Self::Direct, Self::Nginx, Self::Haproxy, Self::Sluice];
    /// Those that are compared.
    pub(super) const PROXIES: [Self; 3] = [Self::Nginx, Self::Haproxy, Self::Sluice];

    /// Its name in the report.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Sluice => "sluice-ingress",
        }
    }

    /// Where it listens, with or without TLS.
    pub(super) const fn address(self, tls: bool) -> SocketAddr {
        let address = match self {
            Self::Direct => site::ENDPOINT,
            Self::Nginx => Ipv4Addr::new(10, 1, 0, 2),
            Self::Haproxy => Ipv4Addr::new(10, 1, 0, 3),
            Self::Sluice => Ipv4Addr::new(10, 1, 0, 4),
        };
        SocketAddr::new(std::net::IpAddr::V4(address), if tls { 8443 } else { 8080 })
    }

    /// Writes its configuration, and returns what starts it.
    pub(super) fn configure(self, files: &Path, certificate: &Certificate) -> Result<CommandLine> {
        match self {
            Self::Direct => nginx(files, self.name(), &endpoint(certificate)),
            Self::Nginx => nginx(files, self.name(), &nginx_proxy(certificate)),
            Self::Haproxy => haproxy(files, certificate),
            Self::Sluice => sluice(files, certificate),
        }
    }
}

fn listen(candidate: Candidate) -> [SocketAddr; 2] {
    [candidate.address(false), candidate.address(true)]
}

fn nginx(files: &Path, name: &str, http: &str) -> Result<CommandLine> {
    let configuration = files.join(format!("{name}.conf"));
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {}/{name}-{kind};\n", files.display()))
        .concat();
    // Everything is in a folder that only root can read; who wants to read it is the worker.
    let text = format!(
        "daemon off; user root; worker_processes 1; worker_rlimit_nofile 8192; error_log stderr warn;
pid {}/{name}.pid;
events {{ worker_connections 4096; }}
http {{
access_log off; keepalive_requests 1000000000;
{temporary}{http}}}
",
        files.display()
    );
    fs::write(&configuration, text)?;
    Ok(["nginx", "-p", &files.display().to_string(), "-c", &configuration.display().to_string()]
        .map(String::from)
        .to_vec())
}

/// The endpoint: an nginx that answers `/SIZE` from memory.
fn endpoint(certificate: &Certificate) -> String {
    let [plain, secure] = listen(Candidate::Direct);
    // A word of the configuration can have 4 KiB at most.
    let kibibyte = "x".repeat(1024);
    let bodies = [
        ("/256 ", kibibyte[..256].to_owned()),
        ("/4096 ", "$kibibyte".repeat(4)),
        ("/65536 ", "$many".repeat(4)),
    ];
    let locations: String = bodies
        .iter()
        .map(|(path, body)| format!("location = {path}{{ return 200 \"{body}\"; }}\n"))
        .collect();
    format!(
        "server {{
listen {plain} backlog=4096; listen {secure} ssl http2 backlog=4096;
{}
set $kibibyte \"{kibibyte}\"; set $many \"{}\";
{locations}}}
",
        nginx_tls(certificate),
        "$kibibyte".repeat(16)
    )
}

fn nginx_proxy(certificate: &Certificate) -> String {
    let [plain, secure] = listen(Candidate::Nginx);
    format!(
        "proxy_buffers 8 16k; proxy_max_temp_file_size 0;
upstream pods {{ server {}; keepalive 512; keepalive_requests 1000000000; }}
server {{
listen {plain} backlog=4096; listen {secure} ssl http2 backlog=4096;
{}
location / {{
proxy_pass http://pods; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $host;
}}
}}
",
        Candidate::Direct.address(false),
        nginx_tls(certificate)
    )
}

fn nginx_tls(certificate: &Certificate) -> String {
    let (chain, key) = (certificate.chain.display(), certificate.key.display());
    format!("ssl_certificate {chain}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;")
}

fn haproxy(files: &Path, certificate: &Certificate) -> Result<CommandLine> {
    let [plain, secure] = listen(Candidate::Haproxy);
    let configuration = files.join("haproxy.cfg");
    let text = format!(
        "global
  nbthread 1
  maxconn 4096
  ssl-default-bind-options ssl-min-ver TLSv1.3
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend clients
  bind {plain} backlog 4096
  bind {secure} backlog 4096 ssl crt {} alpn h2,http/1.1
  default_backend pods
backend pods
  server pod {} pool-max-conn 512
",
        certificate.both.display(),
        Candidate::Direct.address(false)
    );
    fs::write(&configuration, text)?;
    Ok(["haproxy", "-db", "-f", &configuration.display().to_string()].map(String::from).to_vec())
}

fn sluice(files: &Path, certificate: &Certificate) -> Result<CommandLine> {
    let [plain, secure] = listen(Candidate::Sluice).map(|address| address.to_string());
    let manifests = files.join("manifests");
    fs::create_dir(&manifests)?;
    fs::write(manifests.join("site.yaml"), site::manifests(certificate)?)?;
    let (program, manifests) =
        (agent::ingress_binary()?.display().to_string(), manifests.display().to_string());
    let words = ["--manifests", &manifests, "--http", &plain, "--https", &secure];
    let more = ["--admin", "127.0.0.1:9480", "--threads", "1", "--access-log", "off", "--drain-delay", "0"];
    Ok([&[program.as_str()], words.as_slice(), &more].concat().into_iter().map(String::from).collect())
}
