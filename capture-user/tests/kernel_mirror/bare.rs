//! An XDP program that redirects frames without a header in front.

use std::{
    cell::OnceCell,
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

use crate::{
    lab::{MIRROR, index_of},
    queues::wait_until,
};

const BPF_MAP_CREATE: libc::c_int = 0;
const BPF_MAP_UPDATE_ELEM: libc::c_int = 2;
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_MAP_TYPE_XSKMAP: u32 = 17;
const BPF_PROG_TYPE_XDP: u32 = 6;
const BPF_F_XDP_HAS_FRAGS: u32 = 1 << 5;
const BPF_XDP: u32 = 37;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;

#[repr(C)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
}

#[repr(C)]
struct MapUpdate {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
struct ProgramLoad {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log: [u64; 2],
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    ifindex: u32,
    expected_attach_type: u32,
}

#[repr(C)]
struct LinkCreate {
    program: u32,
    ifindex: u32,
    attach_type: u32,
    flags: u32,
}

/// Attached while it lives: `return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS)`.
pub struct Bare {
    _sockets: OwnedFd,
    _link: OwnedFd,
}

impl Bare {
    /// Attaches the program; queue 0 goes to the socket.
    pub fn attach(socket: BorrowedFd<'_>) -> Self {
        let sockets = descriptor(bpf(
            BPF_MAP_CREATE,
            &MapCreate {
                map_type: BPF_MAP_TYPE_XSKMAP,
                key_size: 4,
                value_size: 4,
                max_entries: 1,
            },
        ));
        let (key, value) = (0u32, socket.as_raw_fd());
        bpf(
            BPF_MAP_UPDATE_ELEM,
            &MapUpdate {
                map: sockets.as_raw_fd() as u32,
                padding: 0,
                key: (&raw const key).addr() as u64,
                value: (&raw const value).addr() as u64,
                flags: 0,
            },
        );
        let program = load(&sockets);
        let link = LinkCreate {
            program: program.as_raw_fd() as u32,
            ifindex: index_of(MIRROR),
            attach_type: BPF_XDP,
            flags: XDP_FLAGS_DRV_MODE,
        };
        // A child that another test is just starting has the descriptors of this process until it
        // has become `ip`, and so holds the link of the program that was there before.
        let attached = OnceCell::new();
        wait_until("the interface is free of programs", || {
            try_bpf(BPF_LINK_CREATE, &link).is_ok_and(|fd| attached.set(descriptor(fd)).is_ok())
        });
        let link = attached.into_inner().expect("waited for");
        Self { _sockets: sockets, _link: link }
    }
}

fn load(sockets: &OwnedFd) -> OwnedFd {
    /// Opcode, destination and source register, offset, immediate value.
    const fn instruction(code: u8, registers: u8, offset: i16, value: i32) -> u64 {
        (value as u32 as u64) << 32
            | (offset as u16 as u64) << 16
            | (registers as u64) << 8
            | code as u64
    }
    let instructions = [
        instruction(0x61, 0x12, 16, 0), // r2 = *(u32 *)(r1 + 16)
        instruction(0x18, 0x11, 0, sockets.as_raw_fd()), // r1 = map
        0,                              // upper half of the map
        instruction(0xb7, 0x03, 0, 2),  // r3 = XDP_PASS
        instruction(0x85, 0x00, 0, 51), // call bpf_redirect_map
        instruction(0x95, 0x00, 0, 0),  // exit
    ];
    descriptor(bpf(
        BPF_PROG_LOAD,
        &ProgramLoad {
            program_type: BPF_PROG_TYPE_XDP,
            instruction_count: instructions.len() as u32,
            instructions: instructions.as_ptr().addr() as u64,
            license: c"GPL".as_ptr().addr() as u64,
            log: [0; 2],
            kernel_version: 0,
            flags: BPF_F_XDP_HAS_FRAGS,
            name: *b"bare\0\0\0\0\0\0\0\0\0\0\0\0",
            ifindex: 0,
            expected_attach_type: BPF_XDP,
        },
    ))
}

fn bpf<T>(command: libc::c_int, attributes: &T) -> i32 {
    try_bpf(command, attributes).unwrap_or_else(|error| panic!("bpf({command}): {error}"))
}

fn try_bpf<T>(command: libc::c_int, attributes: &T) -> io::Result<i32> {
    // SAFETY: the attributes are the beginning of what the kernel expects for the command (it
    // takes the rest for zero), and the pointers in them are to live values.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<T>())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}

fn descriptor(fd: i32) -> OwnedFd {
    // SAFETY: the kernel has just made this descriptor; nobody else has it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
