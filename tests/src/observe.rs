//! What the kernel of a namespace knows: counters of a device, the path MTU to a destination.

use std::net::IpAddr;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::netns::Namespace;

/// Bytes that came in by a device.
///
/// # Errors
/// Where there is no such device.
pub fn received_bytes(namespace: &Namespace, device: &str) -> Result<u64> {
    let link = first(namespace, &["-j", "-s", "link", "show", "dev", device])?;
    link["stats64"]["rx"]["bytes"].as_u64().with_context(|| format!("no counter in {link}"))
}

/// The MAC address of a device.
///
/// # Errors
/// Where there is no such device, or where it has none.
pub fn mac(namespace: &Namespace, device: &str) -> Result<[u8; 6]> {
    let link = first(namespace, &["-j", "link", "show", "dev", device])?;
    let text = link["address"].as_str().with_context(|| format!("no address in {link}"))?;
    let bytes = text.split(':').map(|byte| u8::from_str_radix(byte, 16));
    let bytes: Vec<u8> = bytes.collect::<Result<_, _>>().with_context(|| text.to_owned())?;
    bytes.try_into().map_err(|_| anyhow::anyhow!("{text} is no MAC address"))
}

/// The path MTU that a host has learned towards a destination, if any.
///
/// # Errors
/// Where there is no route.
pub fn path_mtu(namespace: &Namespace, destination: IpAddr) -> Result<Option<u64>> {
    let route = first(namespace, &["-j", "route", "get", &destination.to_string()])?;
    Ok(route["metrics"][0]["mtu"].as_u64())
}

fn first(namespace: &Namespace, arguments: &[&str]) -> Result<Value> {
    let text = namespace.run("ip", arguments)?;
    let mut list: Vec<Value> = serde_json::from_str(&text).with_context(|| text.clone())?;
    list.pop().with_context(|| format!("ip {} shows nothing", arguments.join(" ")))
}
