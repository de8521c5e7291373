//! Addresses of a device: those that it has, and those fit as a source.

use std::net::IpAddr;

use rtnetlink::packet_route::{
    AddressFamily,
    address::{AddressAttribute, AddressHeaderFlags, AddressMessage, AddressScope},
};

/// Every address of a device that has these messages, and those of them that packets may be sent from and clients may
/// use: see [`Device::sources`](crate::dataplane::device::Device::sources).
pub(super) fn of_device<'a>(
    messages: impl Iterator<Item = &'a AddressMessage>,
) -> (Vec<IpAddr>, Vec<IpAddr>) {
    let (mut all, mut sources, mut secondary, mut v6) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for message in messages {
        let flags = message.header.flags;
        // Somebody else on the link has it, so the kernel does not use it (RFC 4862 §5.4.5).
        if flags.contains(AddressHeaderFlags::Dadfailed) {
            continue;
        }
        let Some(address) = address(message) else { continue };
        all.push(address);
        match message.header.family {
            _ if !matches!(message.header.scope, AddressScope::Universe | AddressScope::Site) => {}
            AddressFamily::Inet6 if is_lasting(flags) => v6.push(address),
            AddressFamily::Inet if flags.contains(AddressHeaderFlags::Secondary) => secondary.push(address),
            AddressFamily::Inet => sources.push(address),
            _ => {}
        }
    }
    sources.extend(secondary);
    // The kernel lists the newest IPv6 address first (`ipv6_link_dev_addr`); an address added later must not take over.
    sources.extend(v6.into_iter().rev());
    (all, sources)
}

/// An IPv6 address that peers may rely on: verified, preferred, and not one of the temporary ones of RFC 8981, which
/// share their bit with IPv4's secondary ones (`IFA_F_TEMPORARY`).
fn is_lasting(flags: AddressHeaderFlags) -> bool {
    let passing =
        AddressHeaderFlags::Secondary | AddressHeaderFlags::Tentative | AddressHeaderFlags::Deprecated;
    !flags.intersects(passing)
}

fn address(message: &AddressMessage) -> Option<IpAddr> {
    let local = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    // On a point-to-point link `Address` is the peer's and `Local` ours (rtnetlink(7)); IPv6 has no `Local` elsewhere.
    local.or_else(|| {
        message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(address @ IpAddr::V6(_)) => Some(*address),
            _ => None,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str, scope: AddressScope, flags: AddressHeaderFlags) -> AddressMessage {
        let address: IpAddr = text.parse().unwrap();
        let mut message = AddressMessage::default();
        message.header.family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        message.header.scope = scope;
        message.header.flags = flags;
        message.attributes = vec![AddressAttribute::Address(address)];
        if address.is_ipv4() {
            message.attributes.push(AddressAttribute::Local(address));
        }
        message
    }

    fn global(text: &str, flags: AddressHeaderFlags) -> AddressMessage {
        message(text, AddressScope::Universe, flags)
    }

    fn texts(addresses: &[IpAddr]) -> Vec<String> {
        addresses.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_lasting_addresses_of_global_scope_are_sources() {
        let none = AddressHeaderFlags::empty();
        let messages = [
            global("192.0.2.2", AddressHeaderFlags::Secondary),
            global("192.0.2.1", none),
            global("2001:db8::3", none),
            global("2001:db8::2", AddressHeaderFlags::Permanent),
            global("2001:db8::aaaa", AddressHeaderFlags::Secondary),
            global("2001:db8::bbbb", AddressHeaderFlags::Deprecated),
            global("2001:db8::cccc", AddressHeaderFlags::Tentative),
            message("fe80::1", AddressScope::Link, none),
            message("127.0.0.1", AddressScope::Host, none),
        ];
        let (all, sources) = of_device(messages.iter());
        assert_eq!(texts(&sources), ["192.0.2.1", "192.0.2.2", "2001:db8::2", "2001:db8::3"]);
        assert_eq!(all.len(), messages.len());
    }

    #[test]
    fn an_address_that_somebody_else_has_is_not_ours() {
        let (all, sources) = of_device([global("2001:db8::1", AddressHeaderFlags::Dadfailed)].iter());
        assert_eq!((all, sources), (vec![], vec![]));
    }

    #[test]
    fn on_a_point_to_point_link_the_local_end_is_ours() {
        let mut message = global("2001:db8::2", AddressHeaderFlags::empty());
        message.attributes.push(AddressAttribute::Local("2001:db8::1".parse().unwrap()));
        assert_eq!(texts(&of_device([message].iter()).0), ["2001:db8::1"]);
    }
}
