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
    /// Of the image and of its program, which is `/usr/bin/NAME`.
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    /// As SPDX writes it.
    pub(crate) licences: &'static str,
    /// Also the image's tag.
    pub(crate) version: &'static str,
    /// As Go calls it.
    pub(crate) architecture: &'static str,
    pub(crate) user: User,
    pub(crate) program: Vec<u8>,
}

/// The number of the user, and of the group, that the program runs as where nobody says otherwise.
#[derive(Clone, Copy)]
pub(crate) struct User(pub(crate) u32);

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Writes the archive; the digest by which a registry or a runtime knows the image.
pub(crate) fn write(image: &Image, to: impl Write) -> Result<String> {
    let layer = layer(image)?;
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
    let tag = format!("{}:{}", image.name, image.version);
    let docker = json!([{ "Config": config.path(), "RepoTags": [tag], "Layers": [layer.path()] }]);
    file(&mut tar, "manifest.json", 0o644, docker.to_string().as_bytes())?;
    file(&mut tar, "oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    tar.into_inner()?.flush()?;
    Ok(manifest.digest)
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
    let User(user) = image.user;
    json!({
        "architecture": image.architecture,
        "os": "linux",
        "config": {
            "User": format!("{user}:{user}"),
            "Env": ["PATH=/usr/bin"],
            "Entrypoint": [format!("/usr/bin/{}", image.name)],
            "Labels": {
                "org.opencontainers.image.title": image.name,
                "org.opencontainers.image.description": image.description,
                "org.opencontainers.image.licenses": image.licences,
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
        "io.containerd.image.name": format!("docker.io/library/{}:{}", image.name, image.version),
        "org.opencontainers.image.ref.name": image.version,
    });
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [descriptor],
    })
}

fn layer(image: &Image) -> Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    directory(&mut tar, "usr/")?;
    directory(&mut tar, "usr/bin/")?;
    file(&mut tar, &format!("usr/bin/{}", image.name), 0o755, &image.program)?;
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
        Image {
            name: "sluice-ingress",
            description: "a proxy",
            licences: "MIT",
            version: "1.2.3",
            architecture: "arm64",
            user: User(65534),
            program: b"I am a program".to_vec(),
        }
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

    fn parse(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).unwrap()
    }

    #[test]
    fn the_index_leads_to_the_program_and_to_nothing_else() {
        let files = files(&written());
        let manifest = parse(follow(&files, &parse(&files["index.json"])["manifests"][0]));
        let config = parse(follow(&files, &manifest["config"]));
        let mut layer = Vec::new();
        flate2::read::GzDecoder::new(follow(&files, &manifest["layers"][0])).read_to_end(&mut layer).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"], json!([format!("sha256:{}", digest(&layer))]));
        assert_eq!(config["config"]["Entrypoint"], json!(["/usr/bin/sluice-ingress"]));
        assert_eq!(config["config"]["User"], "65534:65534");
        assert_eq!(config["architecture"], "arm64");
        let mut inside = self::files(&layer);
        assert_eq!(inside.remove("usr/bin/sluice-ingress").unwrap(), b"I am a program");
        assert_eq!(inside.into_keys().collect::<Vec<_>>(), ["usr/", "usr/bin/"]);
    }

    #[test]
    fn the_image_is_named_for_the_runtimes_that_read_the_archive() {
        let files = files(&written());
        let index = parse(&files["index.json"]);
        let descriptor = &index["manifests"][0];
        assert_eq!(descriptor["platform"], json!({"architecture": "arm64", "os": "linux"}));
        let annotations = &descriptor["annotations"];
        assert_eq!(annotations["io.containerd.image.name"], "docker.io/library/sluice-ingress:1.2.3");
        assert_eq!(parse(&files["manifest.json"])[0]["RepoTags"], json!(["sluice-ingress:1.2.3"]));
    }

    #[test]
    fn equal_programs_make_equal_archives_and_another_program_another_digest() {
        assert_eq!(written(), written());
        let digest = |image| write(&image, std::io::sink()).unwrap();
        assert_eq!(digest(image()), digest(image()));
        assert_ne!(digest(image()), digest(Image { program: b"I am another".to_vec(), ..image() }));
    }
}
