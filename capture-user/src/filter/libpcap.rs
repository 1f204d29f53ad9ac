//! The functions of libpcap that the `pcap` crate does not offer: compiling with a netmask, running
//! and listing instructions.

use std::{
    ffi::{CStr, c_char, c_int, c_uint, c_void},
    ptr,
    sync::{Mutex, PoisonError},
};

use pcap::{Capture, Dead, Linktype};

use super::classic::{Instruction, Program};

/// `struct bpf_program`.
#[repr(C)]
struct RawProgram {
    length: c_uint,
    instructions: *mut Instruction,
}

// Of pcap/pcap.h and pcap/bpf.h; build.rs of the `pcap` crate links the library.
unsafe extern "C" {
    fn pcap_compile(
        handle: *mut c_void,
        program: *mut RawProgram,
        text: *const c_char,
        optimise: c_int,
        netmask: c_uint,
    ) -> c_int;
    fn pcap_freecode(program: *mut RawProgram);
    fn pcap_geterr(handle: *mut c_void) -> *mut c_char;
    fn bpf_validate(instructions: *const Instruction, length: c_int) -> c_int;
    fn bpf_filter(
        instructions: *const Instruction,
        frame: *const u8,
        wire_length: c_uint,
        captured: c_uint,
    ) -> c_uint;
    fn bpf_image(instruction: *const Instruction, index: c_int) -> *mut c_char;
}

/// libpcap's compiler, for Ethernet and a snap length of 65,535 bytes.
pub(super) struct Compiler {
    handle: Capture<Dead>,
    netmask: u32,
}

impl Compiler {
    /// `netmask` in the host's byte order.
    pub(super) fn new(netmask: u32) -> Result<Self, String> {
        let handle = Capture::dead(Linktype::ETHERNET).map_err(|error| error.to_string())?;
        Ok(Self { handle, netmask })
    }

    /// The instructions, or what libpcap says.
    pub(super) fn compile(&mut self, text: &CStr) -> Result<Vec<Instruction>, String> {
        let handle = self.handle.as_ptr().cast::<c_void>();
        let mut program = RawProgram { length: 0, instructions: ptr::null_mut() };
        // SAFETY: the handle lives as long as `self`, which is borrowed exclusively, so that no
        // other call uses it; `text` ends with a NUL, and libpcap reads it only during the call;
        // `program` has the layout of `struct bpf_program`.
        let done = unsafe {
            pcap_compile(handle, &raw mut program, text.as_ptr(), c_int::from(true), self.netmask)
        };
        if done != 0 {
            // SAFETY: the handle lives (see above); the answer is its own buffer, which holds a
            // text with a NUL at its end and which no other call changes before it is copied.
            let message = unsafe { CStr::from_ptr(pcap_geterr(handle)) };
            return Err(message.to_string_lossy().into_owned());
        }
        // SAFETY: after success `instructions` points to `length` of them, of the layout of
        // Instruction and on the heap, until pcap_freecode.
        let instructions = unsafe {
            std::slice::from_raw_parts(program.instructions, program.length as usize).to_vec()
        };
        // SAFETY: filled by a successful pcap_compile, freed once, not used any more.
        unsafe { pcap_freecode(&raw mut program) };
        Ok(instructions)
    }
}

/// Do the instructions end with a return, jump only to one another, and use only scratch memory that
/// there is?
pub(super) fn is_valid(instructions: &[Instruction]) -> bool {
    let Ok(length) = c_int::try_from(instructions.len()) else { return false };
    // SAFETY: `instructions` points to `length` instructions, which are only read.
    unsafe { bpf_validate(instructions.as_ptr(), length) != 0 }
}

/// What a program returns for a frame, of which it sees all that is given.
pub(super) fn run(program: &Program, frame: &[u8], wire_length: u32) -> u32 {
    let captured = c_uint::try_from(frame.len()).unwrap_or(c_uint::MAX);
    // SAFETY: bpf_validate has found every jump of a Program to stay inside, every cell of the scratch
    // memory to exist and the last instruction to return; the loads are checked against `captured`,
    // which is at most the length of the frame.
    unsafe { bpf_filter(program.instructions().as_ptr(), frame.as_ptr(), wire_length, captured) }
}

/// bpf_image writes into one buffer, for all threads.
static IMAGE: Mutex<()> = Mutex::new(());

/// An instruction as a line of `tcpdump -d`, which gives it its place in the program.
pub(super) fn image(instruction: &Instruction, index: usize) -> String {
    let _lock = IMAGE.lock().unwrap_or_else(PoisonError::into_inner);
    let index = c_int::try_from(index).unwrap_or(c_int::MAX);
    // SAFETY: bpf_image reads one instruction, whatever is in it, and answers with its buffer, which
    // ends with a NUL and which no one else writes to while the lock is held.
    let line = unsafe { CStr::from_ptr(bpf_image(instruction, index)) };
    line.to_string_lossy().into_owned()
}
