//! Attaching the programs to interfaces, by links: the kernel detaches them when the daemon's
//! descriptors close, however it ends.

use aya::{
    programs::{
        LinkOrder, ProgramError, SchedClassifier, TcAttachType, XdpMode,
        tc::{self, NlOptions, SchedClassifierLink, TcAttachOptions},
        xdp::XdpLink,
    },
    util::KernelVersion,
};
use capture_common::abi::names;

use super::object::{LoadError, Object};
use crate::snapshot::Attach;

/// Why the programs could not be attached.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// XDP, neither in the driver nor generic.
    #[error("cannot attach the XDP program to {interface}")]
    Xdp {
        /// The interface.
        interface: String,
        /// The kernel's words for the generic attempt.
        #[source]
        source: ProgramError,
    },
    /// Another XDP program is there.
    #[error(
        "{interface} has an XDP program already; captured does not replace it: detach it first \
         (`ip link set dev {interface} xdp off`, or stop the program that put it there)"
    )]
    Busy {
        /// The interface.
        interface: String,
    },
    /// tc egress.
    #[error("cannot attach the egress program to {interface}")]
    Egress {
        /// The interface.
        interface: String,
        /// The kernel's words.
        #[source]
        source: ProgramError,
    },
    /// The object is not as expected.
    #[error(transparent)]
    Object(#[from] LoadError),
}

/// How the egress program is hooked in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EgressHook {
    /// By a tcx link (kernel 6.6): gone with the daemon.
    Tcx,
    /// As a filter of a clsact qdisc (older kernels): outlives a daemon that is killed; the next
    /// one replaces it.
    Clsact,
}

impl EgressHook {
    /// The best that the running kernel has.
    #[must_use]
    pub fn of_this_kernel() -> Self {
        let has_tcx =
            KernelVersion::current().is_ok_and(|version| version >= KernelVersion::new(6, 6, 0));
        if has_tcx { Self::Tcx } else { Self::Clsact }
    }
}

/// The programs on one interface; dropping it detaches them.
#[derive(Debug)]
pub struct AttachedInterface {
    /// Native or generic.
    pub attach: Attach,
    _ingress: XdpLink,
    _egress: SchedClassifierLink,
}

impl AttachedInterface {
    /// Attaches the ingress and the egress program: XDP in the driver if it can, else generic.
    ///
    /// # Errors
    /// See [`AttachError`]; nothing stays attached.
    pub fn attach(
        object: &mut Object,
        interface: &str,
        ifindex: u32,
        egress: EgressHook,
    ) -> Result<Self, AttachError> {
        let (attach, ingress) = attach_xdp(object, interface, ifindex)?;
        let egress = attach_egress(object, interface, egress)?;
        Ok(Self { attach, _ingress: ingress, _egress: egress })
    }
}

fn attach_xdp(
    object: &mut Object,
    interface: &str,
    ifindex: u32,
) -> Result<(Attach, XdpLink), AttachError> {
    let program = object.xdp(names::XDP_INGRESS)?;
    let (attach, id) = match program.attach_to_if_index(ifindex, XdpMode::Driver) {
        Ok(id) => (Attach::Native, id),
        Err(error) if has_errno(&error, libc::EBUSY) => {
            return Err(AttachError::Busy { interface: interface.to_owned() });
        }
        Err(native) => {
            let id = program
                .attach_to_if_index(ifindex, XdpMode::Skb)
                .map_err(|source| AttachError::Xdp { interface: interface.to_owned(), source })?;
            log::warn!(
                "{interface}: the driver does not take XDP programs ({}); using generic XDP, which \
                 is slower",
                crate::chain(&native)
            );
            (Attach::Generic, id)
        }
    };
    let link = program
        .take_link(id)
        .map_err(|source| AttachError::Xdp { interface: interface.to_owned(), source })?;
    Ok((attach, link))
}

fn attach_egress(
    object: &mut Object,
    interface: &str,
    hook: EgressHook,
) -> Result<SchedClassifierLink, AttachError> {
    let error = |source| AttachError::Egress { interface: interface.to_owned(), source };
    let options = match hook {
        EgressHook::Tcx => TcAttachOptions::TcxOrder(LinkOrder::default()),
        EgressHook::Clsact => {
            prepare_clsact(interface).map_err(|source| error(source.into()))?;
            TcAttachOptions::Netlink(NlOptions::default())
        }
    };
    let program: &mut SchedClassifier = object.classifier(names::TC_EGRESS)?;
    let id =
        program.attach_with_options(interface, TcAttachType::Egress, options).map_err(error)?;
    program.take_link(id).map_err(error)
}

/// Makes the qdisc if it is not there, and removes the filter of a daemon that was killed.
fn prepare_clsact(interface: &str) -> Result<(), tc::TcError> {
    match tc::qdisc_add_clsact(interface) {
        Ok(()) => {}
        Err(error) if is_exists(&error) => {
            if tc::qdisc_detach_program(interface, TcAttachType::Egress, names::TC_EGRESS).is_ok() {
                log::warn!(
                    "{interface}: removed the egress filter that an earlier run left behind"
                );
            }
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

fn is_exists(error: &tc::TcError) -> bool {
    has_errno(error, libc::EEXIST)
}

/// Is this errno somewhere in the chain of causes?
fn has_errno(error: &(dyn std::error::Error + 'static), errno: i32) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<std::io::Error>()
            && error.raw_os_error() == Some(errno)
        {
            return true;
        }
        cause = error.source();
    }
    false
}
