//! What the documentation shows works as it stands there.
#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::{fs, path::Path, process::Command};

use lb_tests::agent::binary;

/// Blocks of YAML in a page, without the indentation that a list gives them.
fn manifests_of(page: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let indentation = line.len() - line.trim_start().len();
        if line.trim() == "```yaml" {
            let block = lines.by_ref().take_while(|line| line.trim() != "```");
            blocks.push(
                block.map(|line| format!("{}\n", line.get(indentation..).unwrap_or_default())).collect(),
            );
        }
    }
    blocks
}

#[test]
fn every_manifest_and_policy_in_the_documentation_is_sound() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = folder.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let mut seen = 0;
    for page in pages.chain([root.join("README.md")]) {
        for manifest in manifests_of(&fs::read_to_string(&page).unwrap()) {
            let file = tempfile::NamedTempFile::new().unwrap();
            fs::write(&file, &manifest).unwrap();
            let mut check = Command::new(binary().unwrap());
            let checked = check.args(["check", "-f"]).arg(file.path()).output().unwrap();
            let told = [checked.stdout, checked.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
            assert!(checked.status.success(), "{}:\n{manifest}{told}", page.display());
            seen += 1;
        }
    }
    assert!(seen >= 3, "{seen} manifests were found");
}
