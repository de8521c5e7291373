//! Flags of `sluice-ingress`.

use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    path::PathBuf,
    time::Duration,
};

use clap::Parser;
use lb_model::{cidr::Cidr, ingress::BackendPort, ingress_class::ClassSelector, object::ObjectKey};
use lb_sources::{SecretSelector, Source};

use crate::{
    compile::{self, DefaultBackend},
    serve::Settings,
    status,
};

/// Serves Kubernetes Ingress over HTTP.
#[derive(Clone, Debug, Parser)]
#[command(name = "sluice-ingress", version, after_help = crate::error::EXIT_CODES)]
pub struct Options {
    /// Take Ingresses, Services, EndpointSlices and Secrets from the manifests in this folder, and follow changes.
    #[arg(long, env = "SLUICE_MANIFESTS", value_name = "DIR", conflicts_with = "kubeconfig")]
    pub manifests: Option<PathBuf>,
    /// Take them from the cluster of this kubeconfig; without either flag, from the cluster that the proxy runs in.
    #[arg(long, env = "SLUICE_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Where plain HTTP is answered; `none` for nowhere.
    #[arg(long, env = "SLUICE_HTTP", value_name = "ADDR", default_value = "[::]:80", value_parser = listen)]
    pub http: Listen,
    /// Where HTTP over TLS is answered; `none` for nowhere.
    #[arg(long, env = "SLUICE_HTTPS", value_name = "ADDR", default_value = "[::]:443", value_parser = listen)]
    pub https: Listen,
    /// Where /healthz, /readyz and /metrics answer; `none` for nowhere.
    #[arg(long, env = "SLUICE_ADMIN", value_name = "ADDR", default_value = "127.0.0.1:9480", value_parser = listen)]
    pub admin: Listen,
    /// The IngressClass to serve.
    #[arg(long, env = "SLUICE_INGRESS_CLASS", value_name = "NAME", default_value = "sluice")]
    pub ingress_class: String,
    /// Who answers what matches no Ingress: a Service as NAMESPACE/NAME, or NAMESPACE/NAME:PORT [default: nobody, 404].
    #[arg(long, env = "SLUICE_DEFAULT_BACKEND", value_name = "SERVICE", value_parser = default_backend)]
    pub default_backend: Option<DefaultBackend>,
    /// The Secret with the certificate for server names that have none, as NAMESPACE/NAME.
    #[arg(long, env = "SLUICE_DEFAULT_CERTIFICATE", value_name = "SECRET", value_parser = object)]
    pub default_certificate: Option<ObjectKey>,
    /// What the status of Ingresses says; may be repeated.
    #[arg(long, env = "SLUICE_PUBLISH_ADDRESS", value_name = "IP", value_delimiter = ',')]
    pub publish_address: Vec<IpAddr>,
    /// The Lease that decides which of several proxies publishes, as NAMESPACE/NAME.
    #[arg(long, env = "SLUICE_LEASE", value_name = "LEASE", default_value = "sluice/sluice-ingress", value_parser = object)]
    pub lease: ObjectKey,
    /// The name of this pod, by which other proxies and Events know it [default: the host name].
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub pod_name: Option<String>,
    /// The address of this pod, by which the nodes that run proxies are found where --publish-address is not given.
    #[arg(long, env = "POD_IP", value_name = "IP")]
    pub pod_ip: Option<IpAddr>,
    /// Threads that serve [default: as many as there are processors].
    #[arg(long, env = "SLUICE_THREADS", value_name = "N")]
    pub threads: Option<NonZeroUsize>,
    /// Believe the forwarded headers of clients in these ranges; those of all others are replaced.
    #[arg(long, env = "SLUICE_TRUSTED_PROXIES", value_name = "CIDR", value_delimiter = ',')]
    pub trusted_proxies: Vec<Cidr>,
    /// Connections from these ranges begin with the PROXY protocol, version 1 or 2; others may not use it.
    #[arg(long, env = "SLUICE_PROXY_PROTOCOL_FROM", value_name = "CIDR", value_delimiter = ',')]
    pub proxy_protocol_from: Vec<Cidr>,
    /// Where a line of JSON goes for each request: a file, `-` for standard output, or `off`. A file is appended to and
    /// never reopened: have logrotate use `copytruncate`.
    #[arg(long, env = "SLUICE_ACCESS_LOG", value_name = "PATH", default_value = "-", value_parser = access_log)]
    pub access_log: AccessLog,
    /// How long new connections are taken after SIGTERM: until load balancers have seen that the proxy is not ready.
    #[arg(long, env = "SLUICE_DRAIN_DELAY", value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub drain_delay: Duration,
    /// How long requests and WebSockets may take to end then.
    #[arg(long, env = "SLUICE_DRAIN_TIMEOUT", value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub drain_timeout: Duration,
    /// How long a client may take for the head of a request or a TLS handshake.
    #[arg(long, env = "SLUICE_HEADER_TIMEOUT", value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub header_timeout: Duration,
    /// How long a client's connection is kept without a request.
    #[arg(long, env = "SLUICE_KEEP_ALIVE", value_name = "SECONDS", default_value = "75", value_parser = seconds)]
    pub keep_alive: Duration,
    /// How long a client may pause while it sends a request body, or reads nothing of a response.
    #[arg(long, env = "SLUICE_CLIENT_TIMEOUT", value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub client_timeout: Duration,
    /// How long a WebSocket may be silent.
    #[arg(long, env = "SLUICE_TUNNEL_TIMEOUT", value_name = "SECONDS", default_value = "3600", value_parser = seconds)]
    pub tunnel_timeout: Duration,
    /// Print which host and path leads where, once everything was read, and end.
    #[arg(long)]
    pub dump_routes: bool,
}

/// An address to listen on; none where it is switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen(pub Option<SocketAddr>);

/// `--access-log`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// `off`.
    Off,
    /// `-`.
    StandardOutput,
    /// A file.
    File(PathBuf),
}

impl Options {
    /// Where objects come from.
    pub fn source(&self) -> Source {
        match &self.manifests {
            Some(folder) => Source::Manifests(folder.clone()),
            None => Source::Kubernetes {
                kubeconfig: self.kubeconfig.clone(),
                secrets: SecretSelector {
                    named: self.default_certificate.iter().cloned().collect(),
                    class: self.class(),
                },
            },
        }
    }

    /// Which Ingresses are served.
    fn class(&self) -> ClassSelector {
        ClassSelector { name: self.ingress_class.clone(), unclassed: self.manifests.is_some() }
    }

    /// What compiling goes by.
    pub fn compile_settings(&self) -> compile::Settings {
        compile::Settings {
            class: self.class(),
            default_backend: self.default_backend.clone(),
            default_certificate: self.default_certificate.clone(),
        }
    }

    /// The name of this pod.
    pub(crate) fn pod_name(&self) -> String {
        let host =
            || std::fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned());
        self.pod_name.clone().or_else(host).unwrap_or_else(|| "sluice-ingress".to_owned())
    }

    /// Who publishes the status of Ingresses.
    pub(crate) fn status_settings(&self) -> status::Settings {
        status::Settings {
            lease: self.lease.clone(),
            identity: self.pod_name(),
            timing: status::Timing::default(),
        }
    }

    /// How clients are met.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            trusted_proxies: self.trusted_proxies.clone(),
            proxy_protocol_from: self.proxy_protocol_from.clone(),
            header_timeout: self.header_timeout,
            keep_alive: self.keep_alive,
            client_timeout: self.client_timeout,
            tunnel_timeout: self.tunnel_timeout,
        }
    }
}

fn listen(text: &str) -> Result<Listen, String> {
    if matches!(text, "" | "none") {
        return Ok(Listen(None));
    }
    text.parse().map(|address| Listen(Some(address))).map_err(|_| "write ADDRESS:PORT, or none".to_owned())
}

#[expect(clippy::unnecessary_wraps, reason = "what clap asks of a parser")]
fn access_log(text: &str) -> Result<AccessLog, String> {
    Ok(match text {
        "off" => AccessLog::Off,
        "-" => AccessLog::StandardOutput,
        path => AccessLog::File(path.into()),
    })
}

fn object(text: &str) -> Result<ObjectKey, String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok(ObjectKey::new(namespace, name))
        }
        _ => Err("write NAMESPACE/NAME".to_owned()),
    }
}

fn default_backend(text: &str) -> Result<DefaultBackend, String> {
    let (service, port) = text.split_once(':').map_or((text, None), |(service, port)| (service, Some(port)));
    let port = port.map(|port| match port.parse() {
        Ok(number) => BackendPort::Number(number),
        Err(_) => BackendPort::Name(port.to_owned()),
    });
    Ok(DefaultBackend { service: object(service)?, port })
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "write seconds, for example 30 or 0.5".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|_| "write seconds from 0 on".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Options, clap::Error> {
        Options::try_parse_from([&["sluice-ingress"], words].concat())
    }

    #[test]
    fn bad_values_are_refused_with_a_hint() {
        for (words, hint) in [
            (["--trusted-proxies", "10.0.0.1/8"], "10.0.0.0/8"),
            (["--http", "here"], "ADDRESS:PORT"),
            (["--drain-delay=-1", "--dump-routes"], "from 0 on"),
            (["--keep-alive", "long"], "0.5"),
            (["--threads", "0"], "non-zero"),
            (["--default-certificate", "name"], "NAMESPACE/NAME"),
            (["--default-backend", "a/b/c:80"], "NAMESPACE/NAME"),
        ] {
            let error = parse(&words).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(hint), "{error}");
        }
    }

    #[test]
    fn listeners_can_be_switched_off() {
        assert_eq!(parse(&["--https", "none"]).unwrap().https, Listen(None));
        assert_eq!(parse(&[]).unwrap().http.0.map(|address| address.port()), Some(80));
    }
}
