//! Two network cards of this machine on one wire, in place of the veth pair between node-a and the router. A machine
//! that `cargo xtask test kernels` boots has them.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};

use crate::{netns::Namespace, wait};

/// MAC addresses of the card of node-a and of the router's, as `xtask/src/kernels/machine.rs` gives them.
const MACS: [&str; 2] = ["02:00:00:00:0a:01", "02:00:00:00:0a:02"];

/// Moves the cards to where the ends of the veth pair would be.
pub(super) fn plug(ends: [(&Namespace, &str); 2]) -> Result<()> {
    for (mac, (namespace, name)) in MACS.into_iter().zip(ends) {
        // They come back when the namespace that had them has ended, which takes its time.
        let card = wait::until(&format!("the network card {mac} is there"), || find(mac))?;
        let output = std::process::Command::new("ip")
            .args(["link", "set", &card, "netns", namespace.name(), "name", name])
            .output()
            .context("cannot start ip")?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "moving {card} to {}: {}", namespace.name(), error.trim());
    }
    Ok(())
}

/// The name of a card in the namespace that `/sys` was mounted in.
fn find(mac: &str) -> Option<String> {
    let devices = fs::read_dir("/sys/class/net").ok()?.flatten();
    let has = |device: &Path| fs::read_to_string(device.join("address")).is_ok_and(|text| text.trim() == mac);
    devices.filter(|device| has(&device.path())).find_map(|device| device.file_name().into_string().ok())
}
