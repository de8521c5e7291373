//! An [`Explanation`] as text that stays the same as long as its meaning does.

use std::{fmt, net::SocketAddr};

use crate::{
    explain::{BackendView, Explanation, FrontendView, RingView, ServiceView},
    object::Refusal,
};

/// Width of most addresses with their ports.
const SOCKET_WIDTH: usize = 21;

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.services.iter().try_for_each(|service| service.fmt(f))?;
        for vip in &self.vips {
            writeln!(f, "VIP {vip}: every other port is closed")?;
        }
        if !self.backends.is_empty() {
            writeln!(f, "Backends")?;
        }
        self.backends.iter().try_for_each(|backend| backend.fmt(f))?;
        if !self.peers.is_empty() {
            writeln!(f, "Encapsulated packets are accepted from {}", list(&self.peers))?;
        }
        Ok(())
    }
}

impl fmt::Display for ServiceView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.name.is_empty() { "(unnamed)" } else { &self.name };
        write!(f, "Service {name} (id {}", self.id)?;
        if self.local {
            write!(f, ", externalTrafficPolicy Local")?;
        }
        if self.affinity_seconds > 0 {
            write!(f, ", sessionAffinity ClientIP for {} s", self.affinity_seconds)?;
        }
        writeln!(f, ")")?;
        self.frontends.iter().try_for_each(|frontend| frontend.fmt(f))?;
        if self.frontends.iter().any(|frontend| frontend.guarded) {
            let ranges = list(&self.source_ranges);
            writeln!(f, "  clients let in: {}", if ranges.is_empty() { "nobody" } else { &ranges })?;
        }
        match (self.ring.size, self.local) {
            (0, false) => writeln!(f, "  no endpoints: clients are refused")?,
            (0, true) => writeln!(f, "  no endpoints on this node: packets are dropped")?,
            (size, _) => write!(f, "  ring of {size} slots\n{}", self.ring)?,
        }
        if self.local_ring.size > 0 {
            let size = self.local_ring.size;
            write!(f, "  ring of {size} slots for packets from other nodes\n{}", self.local_ring)?;
        }
        Ok(())
    }
}

impl fmt::Display for RingView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shares.iter().try_for_each(|share| {
            let backend =
                share.backend.map_or("(free index)".to_owned(), |backend| backend.socket().to_string());
            writeln!(f, "    {backend:<SOCKET_WIDTH$} {:>6}", share.slots)
        })
    }
}

impl fmt::Display for FrontendView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, port, protocol, kinds, guarded, dsr } = self;
        let socket = SocketAddr::new(*address, *port);
        write!(f, "  {:<12}  {socket}/{protocol}", kinds.join("+"))?;
        if *guarded {
            write!(f, ", source ranges")?;
        }
        writeln!(f, "{}", if *dsr { ", DSR" } else { "" })
    }
}

impl fmt::Display for BackendView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { backend, index, generation, .. } = self;
        write!(f, "  {:<25}  index {index}, generation {generation}", backend.to_string())?;
        match self.node {
            _ if self.local => write!(f, ", local")?,
            Some(node) => write!(f, ", on node {node}")?,
            None => {}
        }
        writeln!(f, "{}", if self.draining { ", draining" } else { "" })
    }
}

fn list(items: &[impl ToString]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}: {}", self.kind, self.object, self.reason, self.message)
    }
}
