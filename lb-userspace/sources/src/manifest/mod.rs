//! A folder of manifests: `*.yaml`, `*.yml` and `*.json` directly in it, hidden files left out.
//!
//! A file is taken whole. While it is broken its last good version stays served; on first sight there is none, and
//! what parses of it is served. Of two definitions of an object the earlier one counts, files in the order of their
//! names.

pub mod document;
pub mod folder;
mod mend;

pub use self::folder::Folder;
