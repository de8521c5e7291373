//! Kernel modules: which of a package the guest needs, each after those that it depends on.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Every module of a kernel, by name.
pub(super) struct Modules {
    paths: BTreeMap<String, PathBuf>,
}

impl Modules {
    /// Finds the modules below a folder.
    pub(super) fn below(folder: &Path) -> Result<Self> {
        let mut paths = BTreeMap::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
                let entry = entry?;
                let path = entry.path();
                if entry.file_type()?.is_dir() {
                    folders.push(path);
                } else if let Some(name) = entry.file_name().to_string_lossy().strip_suffix(".ko") {
                    paths.insert(canonical(name), path);
                }
            }
        }
        Ok(Self { paths })
    }

    /// The files of these modules in the order in which they can be loaded. Names that the kernel has built in are
    /// left out.
    pub(super) fn in_order(&self, names: &[&str]) -> Result<Vec<PathBuf>> {
        let mut order = Vec::new();
        for name in names {
            self.append(name, &mut order)?;
        }
        Ok(order)
    }

    fn append(&self, name: &str, order: &mut Vec<PathBuf>) -> Result<()> {
        let Some(path) = self.paths.get(&canonical(name)) else { return Ok(()) };
        if order.contains(path) {
            return Ok(());
        }
        let content = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        for dependency in depends(&content) {
            self.append(&dependency, order)?;
        }
        order.push(path.clone());
        Ok(())
    }
}

/// File names have `-` where the kernel has `_`, some of them.
fn canonical(name: &str) -> String {
    name.replace('-', "_")
}

/// The modules that one depends on, of its section `.modinfo`: strings `KEY=VALUE` that end with a zero.
/// depmod, which writes them into `modules.dep`, is not part of the package.
fn depends(content: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"depends=";
    let Some(strings) = content.split(|byte| *byte == 0).find_map(|text| text.strip_prefix(KEY)) else {
        return Vec::new();
    };
    let list = String::from_utf8_lossy(strings);
    list.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(folder: &Path, name: &str, depends: &str) {
        let text = format!("ELF\0license=GPL\0depends={depends}\0intree=Y\0");
        fs::write(folder.join(name), text).unwrap();
    }

    #[test]
    fn a_module_comes_once_after_those_it_depends_on() {
        let folder = std::env::temp_dir().join(format!("sluice-modules-{}", std::process::id()));
        fs::create_dir_all(folder.join("net")).unwrap();
        module(&folder, "vxlan.ko", "udp_tunnel,ip6_udp_tunnel");
        module(&folder.join("net"), "udp_tunnel.ko", "");
        module(&folder.join("net"), "ip6-udp-tunnel.ko", "");
        let modules = Modules::below(&folder).unwrap();
        let names = ["udp_tunnel", "vxlan", "built_in"];
        let order = modules.in_order(&names).unwrap();
        let files: Vec<_> = order.iter().map(|path| path.file_name().unwrap().to_string_lossy()).collect();
        assert_eq!(files, ["udp_tunnel.ko", "ip6-udp-tunnel.ko", "vxlan.ko"]);
        fs::remove_dir_all(&folder).unwrap();
    }
}
