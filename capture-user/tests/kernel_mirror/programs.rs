//! The daemon's programs on the mirrored interface.

use std::os::fd::{AsRawFd as _, BorrowedFd};

use capture_common::abi::{Direction, InterfaceConfig, Mode, interface_flags};
use capture_user::kernel::{AttachedInterface, EgressHook, Object, Settings, Tables};

use crate::{
    lab::{MIRROR, index_of},
    queues::SLOT,
};

/// The loaded programs, attached while this lives.
pub struct Programs {
    tables: Tables,
    attached: Option<AttachedInterface>,
    _object: Object,
}

impl Programs {
    /// Loads the programs and attaches them in mirror mode, without a filter.
    pub fn attach() -> Self {
        let settings = Settings { flows: 1024, ring_bytes: 1 << 16 };
        let (mut object, mut tables) = Object::load(&settings).expect("the programs load");
        let ifindex = index_of(MIRROR);
        let config = InterfaceConfig {
            slot: SLOT.into(),
            flags: interface_flags::CAPTURE,
            snap_length: 262_144,
            mode: Mode::Mirror as u8,
            padding: [0; 3],
        };
        tables.set_interface(ifindex, &config).expect("the map takes the interface");
        let hook = EgressHook::of_this_kernel();
        let attached = AttachedInterface::attach(&mut object, MIRROR, ifindex, hook)
            .expect("the programs can be attached");
        Self { tables, attached: Some(attached), _object: object }
    }

    /// Detaches the programs.
    pub fn detach(&mut self) {
        self.attached = None;
    }

    /// Frames of the queue go to the socket.
    pub fn publish(&mut self, queue: u32, socket: BorrowedFd<'_>) {
        let slot = SLOT.into();
        self.tables.publish_socket(slot, queue, socket.as_raw_fd()).expect("the map takes it");
    }

    /// Frames of the queue pass.
    pub fn withdraw(&mut self, queue: u32) {
        self.tables.withdraw_socket(SLOT.into(), queue).expect("the map gives it back");
    }

    /// Frames that the programs redirected.
    pub fn delivered(&self) -> u64 {
        let counters = self.tables.counters(SLOT.into(), Direction::Ingress);
        counters.expect("the map can be read").delivered_frames
    }
}
