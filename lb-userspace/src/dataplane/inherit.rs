//! Maps of another release that serves, where they are the same in ours: both releases work on them until ours takes
//! over, so that no flow is missing at any moment. A copy would be out of date before it is complete.

use std::{
    fs, io,
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use aya::maps::MapInfo;
use lb_common::abi::map;

use super::{
    cleanup,
    pin::{PinDir, PinError, map_pin},
    spec::{MapSpec, Sizes},
    sys,
};

/// The first layout whose pins carry the version of each map.
const FIRST_WITH_VERSIONS: u32 = 4;
/// What the planner writes. These name one another's indices and ids, so they go together or not at all.
const TABLES: [&str; 6] =
    [map::SERVICES, map::RINGS, map::BACKENDS, map::NAMES, map::SOURCE_RANGES, map::FILTER];
/// What flows are made of: the halves and records of one flow go together too.
const FLOWS: [&str; 4] = [map::FLOWS, map::FLOWS6, map::RESTORE, map::RESTORE6];
/// What names indices and ids of [`TABLES`] beside the flows, which can do without.
const OF_TABLES: [&str; 2] = [map::AFFINITY, map::SERVICE_STATS];

/// What was inherited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inherited {
    /// The other release's directory.
    pub layout: PathBuf,
    /// Names of the maps that are shared with it.
    pub shared: Vec<&'static str>,
    /// Names of those that begin empty.
    pub fresh: Vec<&'static str>,
}

impl Inherited {
    /// True where every flow goes on.
    pub fn has_flows(&self) -> bool {
        FLOWS.iter().all(|name| self.shared.contains(name))
    }
}

/// Pins the maps of the layout that serves under our layout too, as far as they are the same and of the same size; none
/// where no other layout serves, or ours does.
///
/// # Errors
/// Where the pin directory cannot be read or written.
pub fn inherit(dir: &PinDir, sizes: &Sizes) -> Result<Option<Inherited>, PinError> {
    if !PinDir::list(&dir.links())?.is_empty() {
        return Ok(None);
    }
    let Some(layout) = serving(dir)? else { return Ok(None) };
    let specs = sizes.specs();
    let usable = |name: &str| {
        let spec = specs.iter().find(|spec| spec.name == name);
        spec.is_some_and(|spec| pin_in(&layout, name).is_some_and(|pin| fits(spec, &pin)))
    };
    let tables = TABLES.into_iter().all(usable);
    let flows = tables && FLOWS.into_iter().all(usable);
    let (mut shared, mut fresh) = (Vec::new(), Vec::new());
    for name in map::PINNED {
        let wanted = match name {
            name if TABLES.contains(&name) => tables,
            name if FLOWS.contains(&name) => flows,
            name if OF_TABLES.contains(&name) => tables && usable(name),
            name => usable(name),
        };
        // What an agent of ours left that never served.
        remove(&dir.map(name))?;
        match pin_in(&layout, name).filter(|_| wanted) {
            Some(pin) => share(&pin, &dir.map(name)).map(|()| shared.push(name))?,
            None => fresh.push(name),
        }
    }
    Ok(Some(Inherited { layout, shared, fresh }))
}

/// The other layout that has programs on devices.
fn serving(dir: &PinDir) -> Result<Option<PathBuf>, PinError> {
    for layout in cleanup::other_layouts(dir)? {
        if !PinDir::list(&layout.join("links"))?.is_empty() {
            return Ok(Some(layout));
        }
    }
    Ok(None)
}

/// Where another layout pins the map `name`, if it has the same one.
fn pin_in(layout: &Path, name: &str) -> Option<PathBuf> {
    let version: u32 = layout.file_name()?.to_str()?.strip_prefix('v')?.parse().ok()?;
    if version >= FIRST_WITH_VERSIONS {
        Some(layout.join("maps").join(map_pin(name)))
    } else {
        (map::since(name) <= version).then(|| layout.join("maps").join(name))
    }
}

fn fits(spec: &MapSpec, pin: &Path) -> bool {
    MapInfo::from_pin(pin).is_ok_and(|info| spec.fits(&info))
}

fn share(from: &Path, to: &Path) -> Result<(), PinError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| PinError::Io { path, source }
    };
    let map = sys::open(from).map_err(failed(from))?;
    sys::pin(map.as_fd(), to).map_err(failed(to))
}

fn remove(path: &Path) -> Result<(), PinError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(PinError::Io { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_map_is_looked_for_under_the_name_that_its_release_gave_it() {
        let pin = |layout: &str, name| pin_in(Path::new(layout), name);
        assert_eq!(pin("/b/v3", "names").unwrap(), Path::new("/b/v3/maps/names"));
        assert_eq!(pin("/b/v2", "names"), None, "it was another one then");
        assert_eq!(pin("/b/v2", "flows").unwrap(), Path::new("/b/v2/maps/flows"));
        assert_eq!(pin("/b/v9", "flows").unwrap(), Path::new("/b/v9/maps").join(map_pin("flows")));
    }

    #[test]
    fn every_pinned_map_belongs_to_one_group_at_most() {
        let names: Vec<_> = [&TABLES[..], &FLOWS, &OF_TABLES].concat();
        assert!(names.iter().all(|name| map::PINNED.contains(name)));
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
    }

    #[test]
    fn nothing_is_inherited_where_nobody_serves() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = PinDir::new(temporary.path());
        fs::create_dir_all(dir.base().join("v3/maps")).unwrap();
        assert_eq!(inherit(&dir, &Sizes::default()).unwrap(), None);
    }
}
