//! Classic BPF, as libpcap makes it, runs it and shows it.

use super::libpcap;

/// An instruction: `struct bpf_insn` of libpcap, `struct sock_filter` of the kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// Instructions to skip if the condition holds.
    pub jt: u8,
    /// Instructions to skip if it does not.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

const _: () = assert!(size_of::<Instruction>() == 8);

/// A program that libpcap's interpreter may run: it returns 0 for a frame that it does not match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program(Vec<Instruction>);

impl Program {
    /// Of these instructions; `None` if libpcap does not take them for a program: a jump leaves it,
    /// or it does not end with a return.
    #[must_use]
    pub fn new(instructions: Vec<Instruction>) -> Option<Self> {
        libpcap::is_valid(&instructions).then_some(Self(instructions))
    }

    /// The instructions.
    #[must_use]
    pub fn instructions(&self) -> &[Instruction] {
        &self.0
    }

    /// Does libpcap's interpreter match a frame, which was `wire_length` bytes long on the wire?
    ///
    /// It knows nothing but the bytes: `inbound` and `outbound` match nothing here.
    #[must_use]
    pub fn matches(&self, frame: &[u8], wire_length: u32) -> bool {
        libpcap::run(self, frame, wire_length) != 0
    }

    /// One line for each instruction, as `tcpdump -d` prints them.
    #[must_use]
    pub fn listing(&self) -> String {
        let line = |(index, instruction)| libpcap::image(instruction, index) + "\n";
        self.0.iter().enumerate().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCEPT: Instruction = Instruction { code: 0x06, jt: 0, jf: 0, k: 1 };

    #[test]
    fn only_valid_programs_are_programs() {
        assert!(Program::new(vec![ACCEPT]).is_some());
        assert!(Program::new(Vec::new()).is_none());
        let leaves = Instruction { code: 0x15, jt: 9, jf: 0, k: 0 };
        assert!(Program::new(vec![leaves, ACCEPT]).is_none());
        let load = Instruction { code: 0x30, jt: 0, jf: 0, k: 0 };
        assert!(Program::new(vec![load]).is_none(), "no return");
    }

    #[test]
    fn what_is_outside_is_not_matched() {
        let load = |k| Instruction { code: 0x30, jt: 0, jf: 0, k };
        let program = |k| Program::new(vec![load(k), ACCEPT]).unwrap();
        assert!(program(59).matches(&[0; 60], 60));
        assert!(!program(60).matches(&[0; 60], 90));
    }

    #[test]
    fn listings_are_those_of_tcpdump() {
        let load = Instruction { code: 0x28, jt: 0, jf: 0, k: 12 };
        let listing = Program::new(vec![load, ACCEPT]).unwrap().listing();
        assert_eq!(listing, "(000) ldh      [12]\n(001) ret      #1\n");
    }
}
