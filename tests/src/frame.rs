//! Frames by hand, at one end of a cable: what this kernel has no device for.

use std::{
    io, mem,
    os::fd::{AsRawFd, OwnedFd},
};

use nix::sys::{
    socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, send, setsockopt, socket, sockopt},
    time::{TimeVal, TimeValLike},
};

use crate::{netns::Namespace, traffic::PATIENCE};

/// A packet socket on one device.
#[derive(Debug)]
pub struct Cable(OwnedFd);

impl Cable {
    /// Opens one.
    ///
    /// # Errors
    /// Where there is no such device, or without CAP_NET_RAW.
    pub fn open(namespace: &Namespace, device: &str) -> io::Result<Self> {
        let socket = namespace.enter(|| -> io::Result<OwnedFd> {
            let (flags, protocol) = (SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll);
            let socket = socket(AddressFamily::Packet, SockType::Raw, flags, protocol)?;
            setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::seconds(PATIENCE.as_secs() as i64))?;
            let address = libc::sockaddr_ll {
                sll_family: libc::AF_PACKET as u16,
                sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
                sll_ifindex: nix::net::if_::if_nametoindex(device)?.cast_signed(),
                sll_hatype: 0,
                sll_pkttype: 0,
                sll_halen: 0,
                sll_addr: [0; 8],
            };
            let length = size_of_val(&address) as u32;
            // SAFETY: the address is valid for its length.
            let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
            if bound == 0 { Ok(socket) } else { Err(io::Error::last_os_error()) }
        })?;
        // The kernel takes the outer tag off a frame and tells it beside (packet(7)).
        let on = 1i32;
        // SAFETY: the value is valid for its length.
        let set = unsafe {
            let (option, length) = (libc::PACKET_AUXDATA, size_of_val(&on) as u32);
            libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, option, (&raw const on).cast(), length)
        };
        if set == 0 { Ok(Self(socket)) } else { Err(io::Error::last_os_error()) }
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// What the device met.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        send(self.0.as_raw_fd(), frame, MsgFlags::empty()).map(drop).map_err(Into::into)
    }

    /// The next frame that comes in, as it was on the cable.
    ///
    /// # Errors
    /// Where none comes in time.
    pub fn receive(&self) -> io::Result<Vec<u8>> {
        loop {
            let mut buffer = vec![0u8; 2048];
            // Room for one header and the auxiliary data, aligned as headers are.
            let mut control = [0u64; 8];
            // SAFETY: integers and pointers, of which zero and null are valid.
            let mut from: libc::sockaddr_ll = unsafe { mem::zeroed() };
            let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
            // SAFETY: as above.
            let mut message: libc::msghdr = unsafe { mem::zeroed() };
            message.msg_name = (&raw mut from).cast();
            message.msg_namelen = size_of_val(&from) as u32;
            (message.msg_iov, message.msg_iovlen) = (&raw mut part, 1);
            message.msg_control = control.as_mut_ptr().cast();
            message.msg_controllen = size_of_val(&control);
            // SAFETY: all that the message points to outlives the call.
            let length = unsafe { libc::recvmsg(self.0.as_raw_fd(), &raw mut message, 0) };
            let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
            if from.sll_pkttype == libc::PACKET_OUTGOING {
                continue;
            }
            let mut frame = buffer[..length].to_vec();
            if let Some(tag) = tag(&message) {
                frame.splice(12..12, tag);
            }
            return Ok(frame);
        }
    }
}

/// The outer tag that the kernel took off.
fn tag(message: &libc::msghdr) -> Option<[u8; 4]> {
    // SAFETY: the kernel has filled the message in; a header that it points to is whole.
    let header = unsafe { libc::CMSG_FIRSTHDR(message).as_ref() }?;
    if (header.cmsg_level, header.cmsg_type) != (libc::SOL_PACKET, libc::PACKET_AUXDATA) {
        return None;
    }
    // SAFETY: such a header is followed by the auxiliary data, aligned for 32-bit fields.
    let data = unsafe { libc::CMSG_DATA(header).cast::<libc::tpacket_auxdata>().read_unaligned() };
    let [p0, p1] = data.tp_vlan_tpid.to_be_bytes();
    let [i0, i1] = data.tp_vlan_tci.to_be_bytes();
    (data.tp_status & libc::TP_STATUS_VLAN_VALID != 0).then_some([p0, p1, i0, i1])
}
