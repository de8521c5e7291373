//! The Ingresses that began the project, answering at an external IP.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::screen::Screen;
use crate::{
    cluster::Cluster,
    ingress::{self, HOSTS, INGRESS_IP, Proxies},
    topo::CLIENT,
    wait,
};

/// What is asked for: URL and `Host`, and how often.
const REQUESTS: [(&str, Option<&str>); 6] = [
    ("http://{}/", None),
    ("http://{}/foo", Some(HOSTS[0])),
    ("http://{}/bar", Some(HOSTS[0])),
    ("http://{}/hello-cisco", None),
    ("https://{}/foo", Some(HOSTS[0])),
    ("https://{}/", None),
];

/// Starts a proxy on each node and sends requests through both.
pub(super) fn answer(screen: &Screen, cluster: &mut Cluster, directory: &Path) -> Result<Proxies> {
    screen.title("Ingress: hosts and paths, by a proxy on each node behind the same packet path");
    // The pod that left before is needed again.
    cluster.topology.pod(super::LEAVING).restart()?;
    ingress::apply(&cluster.topology, &cluster.manifests)?;
    let proxies = Proxies::start(cluster, directory)?;
    screen.done("sluice-ingress is ready in a pod of node-a and of node-b");
    for node in &cluster.topology.nodes {
        cluster.topology.route_vips_to(node)?;
        let all_answer = || REQUESTS.iter().all(|(url, host)| ask(cluster, url, *host).is_ok());
        wait::until_true(&format!("{} answers by {}", INGRESS_IP.v4, node.name), all_answer)?;
        screen.plain(&format!("\n  by {}:", node.name));
        for (url, host) in REQUESTS {
            let answer = ask(cluster, url, host)?;
            ensure!(
                answer.contains(&CLIENT.v4.to_string()),
                "the pod was not told who the client is: {answer}"
            );
            let host = host.map_or_else(String::new, |host| format!("-H Host:{host} "));
            let url = url.replace("{}", &INGRESS_IP.v4.to_string());
            screen.plain(&format!("  {:<58} {}", format!("curl {host}{url}"), answer.trim_end()));
        }
    }
    cluster.topology.route_vips_to(cluster.topology.node_a())?;
    Ok(proxies)
}

fn ask(cluster: &Cluster, url: &str, host: Option<&str>) -> Result<String> {
    let url = url.replace("{}", &INGRESS_IP.v4.to_string());
    let header = host.map(|host| format!("Host: {host}"));
    let mut arguments = vec!["--silent", "--fail", "--insecure", "--max-time", "5"];
    if let Some(header) = &header {
        arguments.extend(["--header", header]);
    }
    arguments.push(&url);
    cluster.topology.client.run("curl", &arguments).with_context(|| url.clone())
}
