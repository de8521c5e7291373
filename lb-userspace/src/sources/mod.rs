//! Where objects come from: a folder of manifests, or the Kubernetes API.

pub mod translate;
