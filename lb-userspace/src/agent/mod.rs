//! The agent: keeps the maps equal to what Kubernetes says, and the programs attached.
