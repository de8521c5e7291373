//! An [`Explanation`] as text that stays the same as long as its meaning does.

use std::fmt;

use crate::{
    explain::{BackendView, Explanation, FrontendView, ServiceView},
    object::Refusal,
};

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.services.iter().try_for_each(|service| service.fmt(f))?;
        for vip in &self.vips {
            writeln!(f, "VIP {vip}: every other port is closed")?;
        }
        if !self.backends.is_empty() {
            writeln!(f, "Backends")?;
        }
        self.backends.iter().try_for_each(|backend| backend.fmt(f))
    }
}

impl fmt::Display for ServiceView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.name.is_empty() { "(unnamed)" } else { &self.name };
        let policy = if self.local { ", externalTrafficPolicy Local" } else { "" };
        writeln!(f, "Service {name} (id {}{policy})", self.id)?;
        self.frontends.iter().try_for_each(|frontend| frontend.fmt(f))?;
        match (self.ring_size, self.local) {
            (0, false) => return writeln!(f, "  no endpoints: clients are refused"),
            (0, true) => return writeln!(f, "  no endpoints on this node: packets are dropped"),
            (size, _) => writeln!(f, "  ring of {size} slots")?,
        }
        for share in &self.endpoints {
            match share.backend {
                Some(backend) => writeln!(f, "    {:<21} {:>6}", backend.socket().to_string(), share.slots)?,
                None => writeln!(f, "    {:<21} {:>6}", "(free index)", share.slots)?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for FrontendView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, port, protocol, kinds } = self;
        writeln!(f, "  {:<12}  {address}:{port}/{protocol}", kinds.join("+"))
    }
}

impl fmt::Display for BackendView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { backend, index, generation, .. } = self;
        write!(f, "  {:<25}  index {index}, generation {generation}", backend.to_string())?;
        if self.local {
            write!(f, ", local")?;
        }
        writeln!(f, "{}", if self.draining { ", draining" } else { "" })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}: {}", self.kind, self.object, self.reason, self.message)
    }
}
