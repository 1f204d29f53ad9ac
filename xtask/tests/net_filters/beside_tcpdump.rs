//! Beside tcpdump on the same interface, with the same expression: the same frames.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use xtask::lab::{Daemon, Lab, RoutedOptions, Tcpdump, daemon::segments, routed::GATEWAY_OUTSIDE};

use crate::{
    alone,
    made::GATEWAY_MAC,
    scene::Scene,
    traffic::{Recorded, read_pcap},
};

/// The first is given to `captured run` in words, the others to `captured filter set`.
const IN_WORDS: [&str; 20] = [
    "tcp port 80",
    "host 198.51.100.2",
    "src host 203.0.113.2 and icmp",
    "dst net 203.0.113.0/24 and not udp",
    "net 192.0.2.0 mask 255.255.255.0",
    "udp dst portrange 50-60",
    "icmp[icmptype] = icmp-unreach or icmp[icmptype] = icmp-timxceed",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
    "tcp[tcpflags] = tcp-syn|tcp-ack or tcp[13] & 0x29 == 0x29",
    "tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420",
    "ip6",
    "ip6 host 2001:db8:3::2 and tcp",
    "icmp6[icmp6type] = icmp6-neighborsolicit or icmp6[icmp6type] = icmp6-neighboradvert",
    "arp",
    "arp[6:2] = 1 and ether broadcast",
    "greater 600",
    "less 70 and not arp",
    "ether broadcast",
    IP_BROADCAST,
    "ether multicast and not ether broadcast",
];

/// The first is given to `captured run` in a file, the others to `captured filter set` in files.
const IN_FILES: [&str; 16] = [
    "tcp port 80 and (((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0)",
    "ip multicast or ip6 multicast",
    "inbound",
    "outbound and not tcp",
    "not (tcp or udp or arp)",
    "sctp or ip proto 47 or ip proto 50 or ip proto 89",
    "ip[6:2] & 0x3fff != 0",
    "ip6 protochain 17",
    "udp port 53 and udp[10] & 0x80 = 0",
    "mpls 16 and mpls 5 and host 203.0.113.2",
    "pppoed or (pppoes 3 and udp port 53)",
    "stp or ether proto 0x88b5",
    "ether src 02:00:00:00:02:01 and len >= 60 and len <= 100",
    "ip[8] < 3 or ip[0] & 0xf > 5",
    "src or dst port 53 or (tcp and ip[8] % 2 = 1 and tcp[0:2] * 3 > tcp[2:2] + 7)",
    LONG,
];

/// tcpdump asks for the netmask only with `-f`, and then takes its bytes in the wrong order on most
/// machines (libpcap's pull request 1454); so it is told what this means on a network of 256 addresses.
const IP_BROADCAST: &str = "ip broadcast";
const IP_BROADCAST_BY_HAND: &str = "ip[19] = 0 or ip[19] = 255";

/// In `inbound` and `outbound`. When libpcap has given its filter to the kernel, it judges the first
/// frame once more by itself, and knows nothing of directions then: that frame must not count.
const DIRECTION: &str = "bound";

/// Replaced by a long list, of which the last is what is there.
const LONG: &str = "long";

/// tcpdump on a live interface looks at frames without their outermost VLAN tag, in which the kernel
/// keeps it apart, unless the expression asks for `vlan`; captured looks at all of the frame, as
/// tcpdump does in a file. So frames with tags are only sent for these.
const WITH_TAGS: [&str; 4] =
    ["vlan", "vlan 10 and host 203.0.113.2", "vlan 20 and vlan 30 and udp port 53", "not vlan"];

fn text(expression: &str) -> String {
    if expression != LONG {
        return expression.to_owned();
    }
    let hosts: String =
        (0..400).map(|n| format!("host 10.9.{}.{} or ", n / 250, n % 250)).collect();
    hosts + "host 203.0.113.2"
}

/// An expression, and what tcpdump wrote with it.
struct Round {
    expression: String,
    begin: Duration,
    end: Duration,
    theirs: PathBuf,
    /// Frames on the wire.
    passed: u64,
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// A daemon's rounds.
struct Session<'a> {
    scene: &'a Scene<'a>,
    daemon: Daemon<'a>,
    directory: PathBuf,
    rounds: Vec<Round>,
}

impl Session<'_> {
    /// The filter is in force.
    fn round(&mut self, expression: &str, with_tags: bool) {
        let theirs = self.directory.join(format!("{}.pcap", self.rounds.len()));
        let gateway = self.daemon.namespace();
        let expression = text(expression);
        let for_tcpdump =
            if expression == IP_BROADCAST { IP_BROADCAST_BY_HAND } else { &expression };
        let tcpdump = Tcpdump::start(gateway, GATEWAY_OUTSIDE, &theirs, for_tcpdump).unwrap();
        if expression.contains(DIRECTION) {
            self.scene.play(with_tags);
        }
        let begin = now();
        let passed = self.scene.play(with_tags);
        let end = now();
        let count = tcpdump.stop().unwrap();
        assert!(count > 0, "`{expression}` matches nothing");
        self.rounds.push(Round { expression, begin, end, theirs, passed });
    }

    /// Stops the daemon and compares all rounds; returns how many frames were compared.
    fn finish(self) -> usize {
        self.daemon.stop().unwrap();
        let ours: Vec<Recorded> = segments(&self.directory.join("segments"))
            .unwrap()
            .iter()
            .flat_map(|segment| read_pcap(segment))
            .collect();
        self.rounds.iter().map(|round| round.compare(&ours)).sum()
    }
}

impl Round {
    fn compare(&self, all: &[Recorded]) -> usize {
        let during = |frame: &&Recorded| frame.time >= self.begin && frame.time <= self.end;
        let theirs = read_pcap(&self.theirs);
        let ours: Vec<&Recorded> = all.iter().filter(during).collect();
        let theirs: Vec<&Recorded> = theirs.iter().filter(during).collect();
        let Self { expression, passed, .. } = self;
        let mut surplus: BTreeMap<&[u8], i32> = BTreeMap::new();
        ours.iter().for_each(|frame| *surplus.entry(&frame.bytes).or_default() += 1);
        theirs.iter().for_each(|frame| *surplus.entry(&frame.bytes).or_default() -= 1);
        surplus.retain(|_, count| *count != 0);
        assert!(
            surplus.is_empty(),
            "`{expression}`: captured wrote {} frames, tcpdump {}, of {passed}; how many more \
             captured has of each: {surplus:02x?}",
            ours.len(),
            theirs.len(),
        );
        assert!((theirs.len() as u64) < *passed, "`{expression}` leaves nothing out");
        // What leaves may be sent by several CPUs at once; what comes in comes one by one.
        assert_eq!(arrivals(&ours), arrivals(&theirs), "`{expression}`: order of what came in");
        ours.len()
    }
}

fn arrivals<'a>(frames: &[&'a Recorded]) -> Vec<&'a [u8]> {
    let frames = frames.iter().map(|frame| &frame.bytes[..]);
    frames.filter(|bytes| bytes[6..12] != GATEWAY_MAC).collect()
}

fn start<'a>(
    scene: &'a Scene<'a>,
    lab: &'a xtask::lab::Routed,
    directory: &Path,
    filter: &[&str],
) -> Session<'a> {
    fs::create_dir(directory).unwrap();
    let stored = directory.join("segments");
    let options = ["-i", GATEWAY_OUTSIDE, "-w", stored.to_str().unwrap(), "--format", "pcap"];
    let daemon = Daemon::start(&lab.gateway, &[&options[..], filter].concat()).unwrap();
    // An XDP program switches GRO on, and tcpdump, which sits behind it, would see one frame where
    // several came. For the same reason the lab's links come without TSO and GSO.
    lab.gateway.run(&["ethtool", "-K", GATEWAY_OUTSIDE, "gro", "off"]).unwrap();
    Session { scene, daemon, directory: directory.to_owned(), rounds: Vec::new() }
}

#[test]
fn writes_what_tcpdump_writes() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let lab = Lab::routed(&RoutedOptions::default()).unwrap();
    let scene = Scene::new(&lab, directory.path());

    let words: Vec<&str> = IN_WORDS[0].split(' ').collect();
    let mut session = start(&scene, &lab, &directory.path().join("words"), &words);
    session.round(IN_WORDS[0], false);
    for expression in &IN_WORDS[1..] {
        session.daemon.set_filter(&[expression]).unwrap();
        session.round(expression, false);
    }
    let compared = session.finish();

    let file = directory.path().join("expression");
    let write = |expression: &str| {
        let text = text(expression).replace(" or ", "\n or # one of several\n ");
        fs::write(&file, format!("# What is captured\n{text} # no more\n")).unwrap();
    };
    let in_file = ["-F", file.to_str().unwrap()];
    write(IN_FILES[0]);
    let mut session = start(&scene, &lab, &directory.path().join("files"), &in_file);
    session.round(IN_FILES[0], false);
    for expression in &IN_FILES[1..] {
        write(expression);
        session.daemon.set_filter(&in_file).unwrap();
        session.round(expression, false);
    }
    for expression in WITH_TAGS {
        session.daemon.set_filter(&[expression]).unwrap();
        session.round(expression, true);
    }
    println!("{} frames compared", compared + session.finish());
}
