//! The archive, and the list of what is in it.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::SystemTime,
};

use flate2::{Compression, write::GzEncoder};
use serde::Serialize;

use super::{collect::Collected, redact::redact};
use crate::cli::output::API_VERSION;

/// The folder that everything lies in.
const FOLDER: &str = "sluice-bugreport";

/// An archive that is being written.
pub(super) struct Archive {
    tar: tar::Builder<GzEncoder<File>>,
    parts: Vec<Entry>,
    now: u64,
}

/// A part, as the manifest lists it.
#[derive(Debug, Serialize)]
struct Entry {
    name: String,
    bytes: usize,
    /// Only the beginning, of a file the end, is there.
    cut: bool,
    /// Why the part is missing or not whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a> {
    api_version: &'static str,
    kind: &'static str,
    version: &'static str,
    parts: &'a [Entry],
}

impl Archive {
    /// Begins one, that nobody else may read: a file of that name is replaced, because it may be somebody else's, and what
    /// is no file stays.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        if fs::symlink_metadata(path).is_ok_and(|there| there.is_file()) {
            fs::remove_file(path)?;
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let tar = tar::Builder::new(GzEncoder::new(file, Compression::default()));
        Ok(Self { tar, parts: Vec::new(), now })
    }

    /// Adds a part, without secrets; one that is empty is in the manifest alone.
    pub(super) fn add(&mut self, name: &str, collected: Collected) -> io::Result<()> {
        let text = redact(&String::from_utf8_lossy(&collected.bytes));
        if !text.is_empty() {
            self.append(name, text.as_bytes())?;
        }
        let error = collected.error.map(|error| redact(&error));
        self.parts.push(Entry { name: name.to_owned(), bytes: text.len(), cut: collected.cut, error });
        Ok(())
    }

    /// Ends it; how many parts are missing.
    pub(super) fn finish(mut self) -> io::Result<usize> {
        let manifest = Manifest {
            api_version: API_VERSION,
            kind: "Bugreport",
            version: env!("CARGO_PKG_VERSION"),
            parts: &self.parts,
        };
        let manifest = serde_json::to_vec_pretty(&manifest)?;
        self.append("manifest.json", &manifest)?;
        self.tar.into_inner()?.finish()?.sync_all()?;
        Ok(self.parts.iter().filter(|part| part.bytes == 0).count())
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(self.now);
        self.tar.append_data(&mut header, format!("{FOLDER}/{name}"), bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn an_archive_is_its_owners_alone_and_follows_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.tar.gz");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        Archive::create(&path).unwrap().finish().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, "precious").unwrap();
        symlink(&target, &link).unwrap();
        assert_eq!(Archive::create(&link).err().unwrap().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(target).unwrap(), "precious");
    }
}
