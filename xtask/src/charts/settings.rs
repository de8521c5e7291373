//! What a user of the chart can set: one table, from which templates, default values, their schema and the README are
//! made.

/// A value of the chart.
pub(crate) struct Setting {
    /// Its place in `values.yaml`; what begins with `ingress.` is about the proxy.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) places: &'static [Place],
    /// One sentence for a user.
    pub(crate) description: &'static str,
}

/// What a value may be.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Switch,
    /// A text, not empty.
    Name,
    /// A text, or an empty one.
    Text,
    /// A text of a regular expression, or an empty one.
    Pattern(&'static str),
    OneOf(&'static [&'static str]),
    /// A number from 1 up to this; null leaves the program's own default.
    Count(u64),
    Texts,
    /// Address prefixes.
    Prefixes,
    /// An address of either family.
    Address,
    /// Addresses.
    Addresses,
    /// A list of what Kubernetes says it is.
    Objects,
    /// A mapping that Kubernetes says the inside of.
    Object,
}

/// Where a value goes: a path that begins with the kind of one of the agent's, or of the proxy's, objects.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    /// Instead of what the base says, which is the default.
    Of(&'static str),
    /// This template instead of what the base says.
    Instead(&'static str, &'static str),
    /// Under this key of the mapping, where it is not empty.
    Key(&'static str, &'static str),
    /// After the other items of the list.
    Items(&'static str),
    /// This template after what else is in the mapping or list.
    In(&'static str, &'static str),
    /// An environment variable of the program, where the value is not empty.
    Variable(&'static str),
}

use Kind::{Address, Addresses, Count, Name, Object, Objects, OneOf, Pattern, Prefixes, Switch, Text, Texts};
use Place::{In, Instead, Items, Key, Of, Variable};

macro_rules! pod {
    ($path:literal) => {
        concat!("DaemonSet/spec/template/spec/", $path)
    };
}

macro_rules! container {
    ($path:literal) => {
        concat!("DaemonSet/spec/template/spec/containers/0/", $path)
    };
}

const POD: &str = "DaemonSet/spec/template/spec";
const ARGS: &str = container!("args");
pub(super) const ENV: &str = container!("env");
const IMAGE: &str = container!("image");
/// More than any map needs, and less than a typing error.
const ENTRIES: u64 = 1 << 24;

const fn setting(
    name: &'static str,
    kind: Kind,
    places: &'static [Place],
    description: &'static str,
) -> Setting {
    Setting { name, kind, places, description }
}

/// Every value, in the order of the README.
pub(crate) const SETTINGS: &[Setting] = &[
    setting(
        "image.repository",
        Name,
        &[Instead(IMAGE, "{{ include \"sluice.image\" (list $ .Values.image) | quote }}")],
        "The agent's image, without a tag.",
    ),
    setting("image.tag", Text, &[], "Its tag; the chart's `appVersion` where empty."),
    setting(
        "image.digest",
        Pattern("^sha256:[0-9a-f]{64}$"),
        &[],
        "Its digest, which then counts instead of the tag.",
    ),
    setting(
        "image.pullPolicy",
        OneOf(&["IfNotPresent", "Always", "Never"]),
        &[Of(container!("imagePullPolicy"))],
        "When the kubelet pulls it.",
    ),
    setting(
        "image.pullSecrets",
        Objects,
        &[Key(POD, "imagePullSecrets")],
        "Secrets for the registry, each `{name: …}`.",
    ),
    setting(
        "interfaces",
        Texts,
        &[Variable("SLUICE_INTERFACE")],
        "Uplinks; found by route and address where empty.",
    ),
    setting(
        "mode",
        OneOf(&["", "auto", "native", "tc", "generic"]),
        &[Variable("SLUICE_MODE")],
        "Where packets are met; `auto` where empty.",
    ),
    setting(
        "externalIPs.allowed",
        Prefixes,
        &[Variable("SLUICE_EXTERNAL_IPS_ALLOWED")],
        "Prefixes that any Service may take external IPs from; none where empty.",
    ),
    setting(
        "externalIPs.policy",
        Text,
        &[
            In(
                ENV,
                "{{- if .Values.externalIPs.policy }}\n- name: SLUICE_EXTERNAL_IP_POLICY\n  value: /etc/sluice/policy.yaml\n{{- end }}",
            ),
            In(
                container!("volumeMounts"),
                "{{- if .Values.externalIPs.policy }}\n- name: external-ips\n  mountPath: /etc/sluice\n  readOnly: true\n{{- end }}",
            ),
            In(
                pod!("volumes"),
                "{{- if .Values.externalIPs.policy }}\n- name: external-ips\n  configMap:\n    name: sluice-external-ips\n{{- end }}",
            ),
        ],
        "Which namespace may take which external IP, as a text; agents follow it without a restart.",
    ),
    setting(
        "nodePortAddresses",
        Prefixes,
        &[Variable("SLUICE_NODE_PORT_ADDRESSES")],
        "Prefixes of the node's addresses that serve node ports; all of the Node object where empty.",
    ),
    setting(
        "snatPorts",
        Pattern("^[0-9]+-[0-9]+$"),
        &[Variable("SLUICE_SNAT_PORTS")],
        "Source ports of forwarded connections, FIRST-LAST.",
    ),
    setting("maps.services", Count(ENTRIES), &[Variable("SLUICE_MAX_SERVICES")], "Frontends."),
    setting("maps.backends", Count(ENTRIES), &[Variable("SLUICE_MAX_BACKENDS")], "Endpoints."),
    setting(
        "maps.flows",
        Count(ENTRIES),
        &[Variable("SLUICE_MAX_FLOWS")],
        "IPv4 flows; the memory limit has to follow.",
    ),
    setting(
        "maps.flows6",
        Count(ENTRIES),
        &[Variable("SLUICE_MAX_FLOWS6")],
        "IPv6 flows; the memory limit has to follow.",
    ),
    setting("logLevel", Text, &[Variable("SLUICE_LOG")], "What the agent logs, as `info` or `sluice=debug`."),
    setting(
        "admin.host",
        Address,
        &[
            Instead(
                container!("args/1"),
                "{{ printf (ternary \"--admin=[%s]:9470\" \"--admin=%s:9470\" (contains \":\" .Values.admin.host)) .Values.admin.host | quote }}",
            ),
            Of(container!("startupProbe/httpGet/host")),
            Of(container!("livenessProbe/httpGet/host")),
            Of(container!("readinessProbe/httpGet/host")),
        ],
        "The address of every node that answers probes and Prometheus on port 9470; `::` for all of them, of both families.",
    ),
    setting(
        "podMonitor.enabled",
        Switch,
        &[],
        "Have the Prometheus operator scrape the agents; needs another `admin.host`.",
    ),
    setting("podMonitor.labels", Object, &[], "Labels by which Prometheus selects it."),
    setting(
        "prometheusRule.enabled",
        Switch,
        &[],
        "Give the Prometheus operator the alert rules of `deploy/monitoring`.",
    ),
    setting("prometheusRule.labels", Object, &[], "Labels by which Prometheus selects them."),
    setting(
        "grafanaDashboard.enabled",
        Switch,
        &[],
        "Give Grafana the dashboard of `deploy/monitoring`, in a ConfigMap.",
    ),
    setting(
        "grafanaDashboard.labels",
        Object,
        &[],
        "Labels by which Grafana finds it, besides `grafana_dashboard: \"1\"`.",
    ),
    setting("extraArgs", Texts, &[Items(ARGS)], "More arguments of the agent."),
    setting("extraEnv", Objects, &[Items(ENV)], "More environment variables of the agent."),
    setting(
        "resources",
        Object,
        &[Of(container!("resources"))],
        "What the agent asks for and may take; maps are charged to it.",
    ),
    setting(
        "seccompProfile",
        Object,
        &[Of(container!("securityContext/seccompProfile"))],
        "The agent's seccomp profile.",
    ),
    setting("updateStrategy", Object, &[Of("DaemonSet/spec/updateStrategy")], "How agents are replaced."),
    setting("nodeSelector", Object, &[Of(pod!("nodeSelector"))], "Nodes that have an agent."),
    setting("tolerations", Objects, &[Of(pod!("tolerations"))], "Taints that do not keep the agent away."),
    setting("affinity", Object, &[Key(POD, "affinity")], "As in a pod."),
    setting(
        "ingress.enabled",
        Switch,
        &[In(
            ENV,
            "{{- if ne .Release.Namespace \"sluice\" }}\n- name: SLUICE_LEASE\n  value: {{ printf \"%s/sluice-ingress\" .Release.Namespace | quote }}\n{{- end }}",
        )],
        "Run the Ingress proxy too.",
    ),
    setting(
        "ingress.image.repository",
        Name,
        &[Instead(IMAGE, "{{ include \"sluice.image\" (list $ .Values.ingress.image) | quote }}")],
        "The proxy's image, without a tag.",
    ),
    setting("ingress.image.tag", Text, &[], "Its tag; the chart's `appVersion` where empty."),
    setting(
        "ingress.image.digest",
        Pattern("^sha256:[0-9a-f]{64}$"),
        &[],
        "Its digest, which then counts instead of the tag.",
    ),
    setting(
        "ingress.image.pullPolicy",
        OneOf(&["IfNotPresent", "Always", "Never"]),
        &[Of(container!("imagePullPolicy"))],
        "When the kubelet pulls it.",
    ),
    setting(
        "ingress.image.pullSecrets",
        Objects,
        &[Key(POD, "imagePullSecrets")],
        "Secrets for the registry, each `{name: …}`.",
    ),
    setting(
        "ingress.publishAddresses",
        Addresses,
        &[Variable("SLUICE_PUBLISH_ADDRESS")],
        "Addresses for the status of Ingresses; those of the proxy's Service where empty.",
    ),
    setting(
        "ingress.externalIPs",
        Addresses,
        &[Key("Service/spec", "externalIPs")],
        "External IPs of the proxy's Service, where no load balancer gives it an address; the agents must allow them.",
    ),
    setting(
        "ingress.defaultBackend",
        Text,
        &[Variable("SLUICE_DEFAULT_BACKEND")],
        "Service for requests without a route.",
    ),
    setting(
        "ingress.defaultCertificate",
        Text,
        &[Variable("SLUICE_DEFAULT_CERTIFICATE")],
        "Secret for hosts without a certificate, NAMESPACE/NAME.",
    ),
    setting(
        "ingress.trustedProxies",
        Prefixes,
        &[Variable("SLUICE_TRUSTED_PROXIES")],
        "Prefixes of proxies whose forwarded fields count.",
    ),
    setting(
        "ingress.proxyProtocolFrom",
        Prefixes,
        &[Variable("SLUICE_PROXY_PROTOCOL_FROM")],
        "Prefixes of proxies that begin connections with the PROXY protocol.",
    ),
    setting("ingress.logLevel", Text, &[Variable("SLUICE_LOG")], "What the proxy logs."),
    setting("ingress.podMonitor.enabled", Switch, &[], "Have the Prometheus operator scrape the proxies."),
    setting("ingress.podMonitor.labels", Object, &[], "Labels by which Prometheus selects it."),
    setting("ingress.extraArgs", Texts, &[Items(ARGS)], "More arguments of the proxy."),
    setting("ingress.extraEnv", Objects, &[Items(ENV)], "More environment variables of the proxy."),
    setting(
        "ingress.resources",
        Object,
        &[Of(container!("resources"))],
        "What the proxy asks for and may take.",
    ),
    setting(
        "ingress.seccompProfile",
        Object,
        &[Of(pod!("securityContext/seccompProfile"))],
        "The proxy's seccomp profile.",
    ),
    setting(
        "ingress.updateStrategy",
        Object,
        &[Of("DaemonSet/spec/updateStrategy")],
        "How proxies are replaced.",
    ),
    setting("ingress.nodeSelector", Object, &[Of(pod!("nodeSelector"))], "Nodes that have a proxy."),
    setting(
        "ingress.tolerations",
        Objects,
        &[Key(POD, "tolerations")],
        "Taints that do not keep the proxy away.",
    ),
    setting("ingress.affinity", Object, &[Key(POD, "affinity")], "As in a pod."),
];
