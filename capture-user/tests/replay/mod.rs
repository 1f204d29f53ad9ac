//! Frames with the times at which they were captured, through the real ingress program and through
//! the same parser and step on the host.

use std::collections::HashMap;

use aya::programs::{TestRun as _, TestRunOptions};
use capture_common::{
    abi::{Counters, Direction, FrameHeader, InterfaceConfig, interface_flags, names},
    class::{Class, Classes},
    flow::{Conversation, FlowKey, Seen, Sight, Trouble, TroubleKey},
    parse::{Packet, depth, layers, parse, parse_inner},
};
use capture_user::kernel::{FrameRing, Object, Settings, Tables, TestClock};

/// `BPF_PROG_RUN` shows programs the loopback of the namespace unless told otherwise.
const LOOPBACK: u32 = 1;
const XDP_PASS: u32 = 2;
const TCP: u8 = 6;
/// Holds the records of 131,072 frames: 8 bytes of the kernel's, the header, and 88 of the frame,
/// the least that the program reserves.
const SETTINGS: Settings = Settings { flows: 1 << 18, ring_bytes: 1 << 24 };
/// Frames after which the records are read.
const BATCH: usize = 1 << 16;

/// A captured frame.
#[derive(Clone, Debug)]
pub struct Frame {
    /// In nanoseconds.
    pub time: u64,
    /// From the Ethernet header on.
    pub bytes: Vec<u8>,
}

/// The loaded programs.
pub struct Kernel {
    object: Object,
    tables: Tables,
    clock: TestClock,
    ring: FrameRing,
}

impl Kernel {
    /// Loads the programs anew: no conversation is known yet.
    pub fn new() -> Self {
        let (mut object, mut tables, clock) = Object::load_with_test_clock(&SETTINGS).unwrap();
        let config = InterfaceConfig {
            flags: interface_flags::CAPTURE,
            snap_length: 1,
            ..InterfaceConfig::default()
        };
        tables.set_interface(LOOPBACK, &config).unwrap();
        let ring = object.take_frames().unwrap();
        Self { object, tables, clock, ring }
    }

    /// The classes that the program finds in each frame.
    pub fn classes(&mut self, frames: &[Frame]) -> Vec<Classes> {
        frames.chunks(BATCH).flat_map(|batch| self.batch(batch)).collect()
    }

    fn batch(&mut self, frames: &[Frame]) -> Vec<Classes> {
        let program = self.object.xdp(names::XDP_INGRESS).unwrap();
        for frame in frames {
            self.clock.set(frame.time).unwrap();
            let options = TestRunOptions { data_in: Some(&frame.bytes), ..TestRunOptions::new() };
            assert_eq!(program.test_run(options).unwrap().return_value, XDP_PASS);
        }
        let mut classes = Vec::with_capacity(frames.len());
        while let Some(record) = self.ring.next_record() {
            let header = FrameHeader::from_bytes(record).unwrap();
            assert_eq!(header.original_length, frames[classes.len()].bytes.len() as u32);
            classes.push(Classes(header.classes));
        }
        assert_eq!(classes.len(), frames.len(), "the ring holds a batch");
        classes
    }

    /// What the program counted so far.
    pub fn counters(&self) -> Counters {
        self.tables.counters(0, Direction::Ingress).unwrap()
    }

    /// The state of a conversation.
    pub fn conversation(&self, key: &FlowKey) -> Option<Conversation> {
        self.tables.flow(key).unwrap()
    }

    /// What went wrong in a conversation.
    pub fn trouble(&self, key: &TroubleKey) -> Option<Trouble> {
        self.tables.trouble(key).unwrap()
    }
}

/// The same on the host.
#[derive(Default)]
pub struct Host {
    /// By key, as in the kernel's map.
    pub conversations: HashMap<FlowKey, Conversation>,
    /// What went wrong in them, as in the kernel's other map.
    pub trouble: HashMap<TroubleKey, Trouble>,
}

impl Host {
    /// The segment in a frame, if it is one that the step looks at, and what the step says of it.
    pub fn step(&mut self, frame: &Frame) -> Option<(Packet, Classes)> {
        let packet = parsed(frame);
        let sight = Sight {
            now: frame.time,
            ifindex: LOOPBACK,
            frames: 1,
            bytes: frame.bytes.len() as u32,
            ttl: packet.ttl,
            ..Sight::default()
        };
        if packet.depth != depth::TRANSPORT {
            return None;
        }
        if packet.protocol != TCP || packet.has(layers::FRAGMENT) {
            self.join(&packet, &sight);
            return None;
        }
        let (key, side) = FlowKey::of(&packet);
        let conversation = self.conversations.entry(key).or_insert(Conversation::NEW);
        let mut seen = Seen::default();
        conversation.observe(side, &packet.segment, &sight, &mut seen);
        if seen.classes.is_trouble() {
            let key = TroubleKey { flow: key, protocol: TCP.into() };
            let trouble = self.trouble.entry(key).or_insert(Trouble::NEW);
            trouble.observe(side, &packet.segment, &sight, &mut seen);
        }
        Some((packet, seen.classes))
    }

    /// What an ICMP error says of the conversation that it quotes.
    fn join(&mut self, packet: &Packet, sight: &Sight) {
        let mut key = TroubleKey::default();
        if packet.has(layers::QUOTE)
            && let Some(side) = key.set_quoted(packet)
        {
            self.trouble.entry(key).or_insert(Trouble::NEW).icmp_error(side, packet, sight);
        }
    }
}

/// The headers that the frame is judged by: of a tunnel, the inner ones.
fn parsed(frame: &Frame) -> Packet {
    let (bytes, length) = (&frame.bytes[..], frame.bytes.len() as u32);
    let (mut outer, mut inner) = (Packet::default(), Packet::default());
    let _stopped = parse(bytes, length, &mut outer);
    if !outer.has(layers::TUNNEL) {
        return outer;
    }
    let _stopped = parse_inner(bytes, length, &outer, &mut inner);
    inner
}

/// Runs the frames through both and requires the same of them: the classes of each frame, what was
/// counted of them, and in the end the state of each conversation. None of the conversations may
/// have been seen before. Returns the segments that the step looked at (`None` for other frames),
/// and the classes.
pub fn agreed(kernel: &mut Kernel, frames: &[Frame]) -> Vec<(Option<Packet>, Classes)> {
    let mut host = Host::default();
    let mut counted = kernel.counters().tcp;
    let found = kernel.classes(frames);
    let mut agreed = Vec::with_capacity(frames.len());
    for (number, (frame, kernel)) in frames.iter().zip(found).enumerate() {
        let (packet, classes) = host.step(frame).unzip();
        let classes = classes.unwrap_or(Classes::NONE);
        let names = |classes: Classes| classes.iter().map(Class::name).collect::<Vec<_>>();
        let sides = (kernel.side(), classes.side());
        assert_eq!(sides.0, sides.1, "frame {}: {packet:?}", number + 1);
        assert_eq!(names(kernel), names(classes), "frame {}: {packet:?}", number + 1);
        for class in classes.iter() {
            let is_v6 = packet.is_some_and(|packet| packet.ip_version == 6);
            counted[usize::from(is_v6)][class as usize] += 1;
        }
        agreed.push((packet, classes));
    }
    assert_eq!(kernel.counters().tcp, counted);
    for (key, conversation) in &host.conversations {
        assert_eq!(kernel.conversation(key).as_ref(), Some(conversation), "{key:?}");
    }
    for (key, trouble) in &host.trouble {
        assert_eq!(kernel.trouble(key).as_ref(), Some(trouble), "{key:?}");
    }
    agreed
}
