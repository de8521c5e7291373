//! tc filters on a clsact qdisc, for kernels before tcx (6.6). A filter stays until it is removed, like a pinned link;
//! what is ours is told by the program's name.

use aya::{
    programs::{
        ProgramError, SchedClassifier, TcAttachType,
        tc::{
            NlOptions, SchedClassifierLink, TcAttachOptions, TcError, TcHandle, qdisc_add_clsact,
            qdisc_detach_program,
        },
    },
    util::KernelVersion,
};
use lb_common::abi::program;

use super::{Hook, error::errno};

/// The hooks that filters can stand for.
pub(super) const DIRECTIONS: [(Hook, TcAttachType); 2] =
    [(Hook::Ingress, TcAttachType::Ingress), (Hook::Egress, TcAttachType::Egress)];

/// First in line, beside whoever else wants that.
const PRIORITY: u16 = 1;
/// Ours among the filters of that priority.
const HANDLE: TcHandle = TcHandle::new(0, 0x51ce);

/// True where the kernel has no tcx.
pub fn is_needed() -> bool {
    KernelVersion::current().is_ok_and(|version| version < KernelVersion::new(6, 6, 0))
}

/// Puts the program on a device, in place of an earlier one of ours where there is one.
///
/// # Errors
/// Whatever the kernel answers.
pub fn attach(
    program: &mut SchedClassifier,
    device: &str,
    direction: TcAttachType,
) -> Result<(), ProgramError> {
    let earlier = SchedClassifierLink::attached(device, direction, PRIORITY, HANDLE, None)?;
    let id = match program.attach_to_link(earlier) {
        // No such qdisc, or no such filter.
        Err(error) if matches!(errno(&error), Some(libc::EINVAL | libc::ENOENT)) => {
            match qdisc_add_clsact(device) {
                Err(TcError::NetlinkError(error)) if error.raw_os_error() == Some(libc::EEXIST) => {}
                other => other?,
            }
            let options = NlOptions { priority: PRIORITY, handle: HANDLE, classid: None };
            program.attach_with_options(device, direction, TcAttachOptions::Netlink(options))?
        }
        other => other?,
    };
    // The filter is to outlive us; dropping the link would remove it.
    std::mem::forget(program.take_link(id)?);
    Ok(())
}

/// Takes our programs off both directions of a device; those that had any.
pub fn detach_all(device: &str) -> impl Iterator<Item = Hook> {
    DIRECTIONS.into_iter().filter(move |(_, direction)| detach(device, *direction)).map(|(hook, _)| hook)
}

/// Takes our programs off one direction of a device; true where there were any.
pub fn detach(device: &str, direction: TcAttachType) -> bool {
    let names: &[&str] = match direction {
        TcAttachType::Egress => &[program::TCX_EGRESS],
        _ => &[program::TCX_INGRESS, program::TCX_INGRESS_L3],
    };
    // A device without the qdisc, or gone meanwhile, has none of ours.
    names.iter().filter(|name| qdisc_detach_program(device, direction, name).is_ok()).count() > 0
}
