//! A folder of Kubernetes manifests, as `sluice agent --manifests` reads it, and edits of it.

mod service;
mod yaml;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

pub use service::{Endpoint, PORT, Service};

use crate::topo::Topology;

/// A folder of manifests.
#[derive(Debug)]
pub struct Manifests {
    directory: PathBuf,
}

impl Manifests {
    /// A folder that describes the nodes of a network, and no Service yet.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn new(directory: impl Into<PathBuf>, topology: &Topology) -> Result<Self> {
        let directory = directory.into();
        fs::create_dir_all(&directory)?;
        let manifests = Self { directory };
        let nodes: Vec<String> = topology.nodes.iter().map(yaml::node).collect();
        manifests.write("nodes.yaml", &nodes.join("---\n"))?;
        Ok(manifests)
    }

    /// The folder.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Writes a Service and its EndpointSlices into `<name>.yaml`; a file of that name is replaced at once.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn apply(&self, service: &Service) -> Result<()> {
        self.write(&format!("{}.yaml", service.name), &service.yaml())
    }

    /// Removes a Service's file.
    ///
    /// # Errors
    /// Where there is none.
    pub fn delete(&self, service: &Service) -> Result<()> {
        let path = self.directory.join(format!("{}.yaml", service.name));
        fs::remove_file(&path).with_context(|| path.display().to_string())
    }

    /// Writes any text as a file of the folder.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, file: &str, text: &str) -> Result<()> {
        // By rename, as kubectl's and editors' files come: no reader meets half a file.
        let draft = self.directory.join(format!(".{file}.draft"));
        fs::write(&draft, text).with_context(|| draft.display().to_string())?;
        fs::rename(&draft, self.directory.join(file)).with_context(|| file.to_owned())
    }
}
