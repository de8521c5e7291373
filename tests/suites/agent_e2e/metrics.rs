//! `docs/metrics.md` lists every metric of a working agent, with its labels.

use lb_tests::{
    monitoring::{Exporter, missing, page},
    skip, wait,
};

use crate::node::Node;

const HEAD: &str = "# Metrics of the agent
Served on `--admin` under `/metrics`, in the OpenMetrics format; the proxy has [its own](metrics-ingress.md). Made by the test
`agent_e2e metrics` from what an agent says: after a change, run it as root with `SLUICE_WRITE_DOCS=1`.
";

/// Something refused, so that its metric has a sample.
const REFUSED: &str = "
apiVersion: v1
kind: Service
metadata: {name: claim, namespace: shop}
spec: {externalIPs: [198.51.100.9], ports: [{port: 80}]}
";

#[test]
fn every_metric_is_in_the_documentation() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let node = Node::new();
    node.write("claim.yaml", REFUSED);
    let _agent = node.start(&[]);
    let text = wait::until("everything has a sample", || {
        let (_, text) = node.admin("/metrics")?;
        let has_all = ["sluice_refused_objects{", "sluice_source_connected{", "{map=\"flows\"}"]
            .iter()
            .all(|name| text.contains(name));
        has_all.then_some(text)
    })
    .unwrap();
    let lacking = missing(Exporter::Agent, &text);
    assert_eq!(lacking, Vec::<String>::new(), "dashboard or alerts ask for what the agent does not say");
    page::hold("metrics.md", HEAD, &text).unwrap();
}
