//! Flags about the node's agent that more than one verb has.

use std::net::SocketAddr;

use clap::Args;

use crate::agent::options::{self, Admin, Ports};

/// Where it is asked.
#[derive(Debug, Args)]
pub(crate) struct AdminFlag {
    /// --admin of the agent, by its loopback address; `none` where it has none.
    #[arg(
        long,
        env = "SLUICE_ADMIN",
        hide_env_values = true,
        value_name = "ADDR",
        default_value = "127.0.0.1:9470",
        value_parser = options::admin
    )]
    pub(crate) admin: Admin,
}

/// Where a program of this node answers.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write ADDRESS:PORT, or [ADDRESS]:PORT for IPv6".to_owned())
}

/// What it gives forwarded connections.
#[derive(Debug, Args)]
pub(crate) struct SnatPortsFlag {
    /// Source ports of forwarded connections, as the agent was given them.
    #[arg(
        long,
        env = "SLUICE_SNAT_PORTS",
        hide_env_values = true,
        value_name = "RANGE",
        default_value_t = options::default_ports(),
        value_parser = options::ports
    )]
    pub(crate) snat_ports: Ports,
}
