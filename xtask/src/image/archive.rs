//! An archive for containerd: an OCI image layout, with the one file more that `docker load` of before version 25 asks
//! for.
//!
//! Sources: OCI image specification 1.1 (`image-layout.md`, `manifest.md`, `config.md`), Docker image specification 1.2.
//! Equal programs give equal archives: there is no time in them, and root owns every file.

use std::io::{Cursor, Write};

use anyhow::Result;
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

/// What the archive holds.
pub(crate) struct Image {
    /// `NAME:TAG`.
    pub(crate) name: String,
    /// As Go calls it.
    pub(crate) architecture: &'static str,
    pub(crate) version: &'static str,
    /// The first is what a container runs.
    pub(crate) programs: Vec<Program>,
}

/// A program, for `/usr/bin`.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Writes the archive.
pub(crate) fn write(image: &Image, to: impl Write) -> Result<()> {
    let layer = layer(&image.programs)?;
    let diff_id = digest(&layer);
    let layer = Blob::new("application/vnd.oci.image.layer.v1.tar+gzip", compressed(&layer)?);
    let config = Blob::json("application/vnd.oci.image.config.v1+json", &config(image, &diff_id));
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config.descriptor(),
        "layers": [layer.descriptor()],
    });
    let manifest = Blob::json(MANIFEST, &manifest);
    let mut tar = Builder::new(to);
    directory(&mut tar, "blobs/")?;
    directory(&mut tar, "blobs/sha256/")?;
    for blob in [&layer, &config, &manifest] {
        file(&mut tar, &blob.path(), 0o644, &blob.bytes)?;
    }
    file(&mut tar, "index.json", 0o644, index(image, &manifest).to_string().as_bytes())?;
    let docker = json!([{ "Config": config.path(), "RepoTags": [image.name], "Layers": [layer.path()] }]);
    file(&mut tar, "manifest.json", 0o644, docker.to_string().as_bytes())?;
    file(&mut tar, "oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    tar.into_inner()?.flush()?;
    Ok(())
}

/// Something that is found by its digest.
struct Blob {
    media_type: &'static str,
    digest: String,
    bytes: Vec<u8>,
}

impl Blob {
    fn new(media_type: &'static str, bytes: Vec<u8>) -> Self {
        Self { media_type, digest: digest(&bytes), bytes }
    }

    fn json(media_type: &'static str, value: &Value) -> Self {
        Self::new(media_type, value.to_string().into_bytes())
    }

    fn descriptor(&self) -> Value {
        let digest = format!("sha256:{}", self.digest);
        json!({ "mediaType": self.media_type, "digest": digest, "size": self.bytes.len() })
    }

    fn path(&self) -> String {
        format!("blobs/sha256/{}", self.digest)
    }
}

fn config(image: &Image, diff_id: &str) -> Value {
    let entrypoint = image.programs.first().map(|program| format!("/usr/bin/{}", program.name));
    json!({
        "architecture": image.architecture,
        "os": "linux",
        "config": {
            // Root, because bpffs belongs to root; the agent's security context takes away what root does not need, and
            // the proxy's makes it nobody.
            "User": "0:0",
            "Env": ["PATH=/usr/bin"],
            "Entrypoint": [entrypoint],
            "Labels": {
                "org.opencontainers.image.title": "sluice",
                "org.opencontainers.image.description": "XDP load balancer for Kubernetes north-south traffic",
                "org.opencontainers.image.licenses": "MIT OR Apache-2.0",
                "org.opencontainers.image.version": image.version,
            },
        },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{diff_id}")] },
        "history": [{ "created_by": "cargo xtask image" }],
    })
}

/// The annotations are where containerd takes the image's name from (`images/archive/reference.go`).
fn index(image: &Image, manifest: &Blob) -> Value {
    let mut descriptor = manifest.descriptor();
    descriptor["platform"] = json!({ "architecture": image.architecture, "os": "linux" });
    descriptor["annotations"] = json!({
        "io.containerd.image.name": format!("docker.io/library/{}", image.name),
        "org.opencontainers.image.ref.name": image.version,
    });
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [descriptor],
    })
}

fn layer(programs: &[Program]) -> Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    directory(&mut tar, "usr/")?;
    directory(&mut tar, "usr/bin/")?;
    for program in programs {
        file(&mut tar, &format!("usr/bin/{}", program.name), 0o755, &program.bytes)?;
    }
    Ok(tar.into_inner()?)
}

fn compressed(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

fn directory(tar: &mut Builder<impl Write>, path: &str) -> Result<()> {
    let mut header = header(EntryType::Directory, 0o755, 0);
    Ok(tar.append_data(&mut header, path, std::io::empty())?)
}

fn file(tar: &mut Builder<impl Write>, path: &str, mode: u32, bytes: &[u8]) -> Result<()> {
    let mut header = header(EntryType::Regular, mode, bytes.len() as u64);
    Ok(tar.append_data(&mut header, path, Cursor::new(bytes))?)
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

    use std::{collections::BTreeMap, io::Read};

    use super::*;

    fn image() -> Image {
        let program = |name| Program { name, bytes: format!("I am {name}").into_bytes() };
        let programs = vec![program("sluice"), program("sluice-ingress")];
        Image { name: "sluice:1.2.3".to_owned(), architecture: "amd64", version: "1.2.3", programs }
    }

    fn files(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut tar = tar::Archive::new(archive);
        let entries = tar.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (entry.path().unwrap().to_str().unwrap().to_owned(), bytes)
        });
        entries.collect()
    }

    fn written() -> Vec<u8> {
        let mut archive = Vec::new();
        write(&image(), &mut archive).unwrap();
        archive
    }

    /// What a descriptor leads to, with its digest and size as it says.
    fn follow<'a>(files: &'a BTreeMap<String, Vec<u8>>, descriptor: &Value) -> &'a [u8] {
        let hex = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        let bytes = &files[&format!("blobs/sha256/{hex}")];
        assert_eq!((digest(bytes).as_str(), Some(bytes.len() as u64)), (hex, descriptor["size"].as_u64()));
        bytes
    }

    #[test]
    fn the_index_leads_to_the_programs() {
        let files = files(&written());
        let parse = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
        let manifest = parse(follow(&files, &parse(&files["index.json"])["manifests"][0]));
        let config = parse(follow(&files, &manifest["config"]));
        let mut layer = Vec::new();
        flate2::read::GzDecoder::new(follow(&files, &manifest["layers"][0])).read_to_end(&mut layer).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", digest(&layer)));
        let programs = self::files(&layer);
        assert_eq!(config["config"]["Entrypoint"], json!(["/usr/bin/sluice"]));
        assert_eq!(programs["usr/bin/sluice"], b"I am sluice");
        assert_eq!(programs["usr/bin/sluice-ingress"], b"I am sluice-ingress");
    }

    #[test]
    fn equal_programs_make_equal_archives() {
        assert_eq!(written(), written());
    }
}
