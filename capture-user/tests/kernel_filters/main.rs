//! Filters in the kernel against libpcap's own interpreter: each expression of the corpus, and
//! generated ones, on captured, made, mutated and steered frames, at XDP and at tc.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

#[path = "../captures/file.rs"]
mod captures;
#[path = "../filters/mod.rs"]
mod filters;
mod frames;
mod vlan;

/// What the reader of captures gives.
mod replay {
    /// A captured frame.
    pub struct Frame {
        /// In nanoseconds; nothing here depends on it.
        #[allow(dead_code, reason = "the reader is shared with tests that need it")]
        pub time: u64,
        /// From the Ethernet header on.
        pub bytes: Vec<u8>,
    }
}

use std::{collections::BTreeMap, ops::RangeInclusive};

use capture_user::{
    filter::{Expression, classic::Program, translate::Hook},
    kernel::Probe,
};
use proptest::prelude::*;
use rand::{SeedableRng as _, rngs::SmallRng};

/// Mutated frames that each expression sees, beside those that are captured and made.
const MUTATED: usize = 150;
/// Frames that are steered through each expression's program.
const STEERED: usize = 60;

/// Lengths of frames that `BPF_PROG_RUN` of tc programs takes whatever is in them.
const TAKEN_AT_TC: RangeInclusive<usize> = 54..=3_000;

/// A filter in all its versions.
struct Versions {
    text: String,
    program: Program,
    probes: Vec<(Hook, bool, Probe)>,
}

impl Versions {
    fn load(text: &str) -> Result<Self, String> {
        let expression: Expression = text.parse().map_err(|error| format!("{error}"))?;
        let program = expression.compile(0).map_err(|error| error.to_string())?;
        let mut probes = Vec::new();
        for hook in Hook::ALL {
            for only_helpers in [false, true] {
                let probe = Probe::load(&expression, &program, hook, only_helpers);
                probes.push((hook, only_helpers, probe.map_err(|error| error.to_string())?));
            }
        }
        Ok(Self { text: text.to_owned(), program, probes })
    }

    /// Do all say of the frame what libpcap says? Counts the verdicts.
    fn compare(&self, frame: &[u8], verdicts: &mut Verdicts) {
        let expected = self.program.matches(frame, frame.len() as u32);
        for (hook, only_helpers, probe) in &self.probes {
            let run = match probe.run(frame, 1) {
                Ok(run) => run,
                // Headers that are cut, and more than a page: not without a network.
                Err(_) if *hook == Hook::Tc && !TAKEN_AT_TC.contains(&frame.len()) => continue,
                Err(error) => panic!("{hook:?}, {} bytes: {error}", frame.len()),
            };
            assert_eq!(
                run.value,
                u32::from(expected),
                "`{}` at {hook:?}, only by helpers: {only_helpers}, frame {frame:02x?}",
                self.text
            );
            verdicts.compared += 1;
        }
        self.compare_split(frame, expected);
        *if expected { &mut verdicts.matched } else { &mut verdicts.unmatched } += 1;
    }
}

impl Versions {
    /// At XDP, with the frame in two buffers: somewhere on the way the program goes over from
    /// reading directly to asking.
    fn compare_split(&self, frame: &[u8], expected: bool) {
        let first = 14 + frame.iter().map(|byte| u32::from(*byte)).sum::<u32>() % 60;
        let at_xdp =
            |(hook, only_helpers, _): &&(Hook, bool, Probe)| *hook == Hook::Xdp && !only_helpers;
        if let Some((_, _, probe)) = self.probes.iter().find(at_xdp)
            && (first as usize) < frame.len()
        {
            let run = probe.run_split(frame, first).unwrap();
            assert_eq!(
                run.value,
                u32::from(expected),
                "`{}` with {first} bytes in the first buffer, frame {frame:02x?}",
                self.text
            );
        }
    }
}

#[derive(Default)]
struct Verdicts {
    compared: u64,
    matched: u64,
    unmatched: u64,
}

/// What libpcap's interpreter cannot know: it has no direction.
fn is_ancillary(text: &str) -> bool {
    ["inbound", "outbound", "ifindex"].iter().any(|word| text.contains(word))
}

#[test]
fn the_corpus_is_decided_as_libpcap_decides() {
    let mut random = SmallRng::seed_from_u64(4);
    let mut base = frames::made();
    base.extend(frames::captured());
    let mut all = base.clone();
    all.extend((0..MUTATED).map(|_| frames::mutated(&base, &mut random)));
    let corpus: Vec<&str> = filters::corpus().filter(|text| !is_ancillary(text)).collect();
    let (mut compared, mut both) = (0, 0);
    for text in &corpus {
        let versions = Versions::load(text).unwrap();
        let mut verdicts = Verdicts::default();
        for frame in &all {
            versions.compare(frame, &mut verdicts);
        }
        for number in 0..STEERED {
            let frame = frames::steered(&versions.program, &all[number % base.len()], &mut random);
            versions.compare(&frame, &mut verdicts);
        }
        compared += verdicts.compared;
        both += usize::from(verdicts.matched > 0 && verdicts.unmatched > 0);
    }
    println!("{compared} verdicts of {} expressions, {both} with both", corpus.len());
    assert!(corpus.len() >= 300, "{}", corpus.len());
    assert!(compared >= 1_000_000, "{compared}");
    // Not all can: some are contradictions, some match everything.
    assert!(both * 100 >= corpus.len() * 90, "{both} of {}", corpus.len());
}

#[test]
fn directions_are_those_of_the_hooks() {
    let frame = vec![0; 60];
    for (text, at_xdp, at_tc) in [("inbound", 1, 0), ("outbound", 0, 1), ("not inbound", 0, 1)] {
        for (hook, _, probe) in &Versions::load(text).unwrap().probes {
            let expected = if *hook == Hook::Xdp { at_xdp } else { at_tc };
            assert_eq!(probe.run(&frame, 1).unwrap().value, expected, "{text} at {hook:?}");
        }
    }
}

/// libpcap's own interpreter decides this by what happens to be in its memory.
#[test]
fn what_libpcap_leaves_to_chance_is_refused() {
    let error = Versions::load("geneve 7 or tcp port 80").err().unwrap();
    assert!(error.contains("put the part with `geneve` last"), "{error}");
    assert!(Versions::load("tcp port 80 or geneve 7").is_ok());
}

#[test]
fn long_lists_are_searched() {
    let mut random = SmallRng::seed_from_u64(5);
    let host = |n: u32| format!("host 10.{}.{}.{}", n % 7, n >> 8, n & 255);
    let lists = BTreeMap::from([
        ("hosts", (0..500).map(|n| host(n * 3)).collect::<Vec<_>>().join(" or ")),
        ("ports", (0..300).map(|n| format!("port {}", n * 7)).collect::<Vec<_>>().join(" or ")),
        ("nets", (0..200).map(|n| format!("net 10.{n}.0.0/16")).collect::<Vec<_>>().join(" or ")),
        (
            "ranges",
            (0..200)
                .map(|n| format!("portrange {}-{}", n * 50, n * 50 + 9))
                .collect::<Vec<_>>()
                .join(" or "),
        ),
        (
            "hosts of IPv6",
            (0..200).map(|n| format!("host 2001:db8::{n:x}")).collect::<Vec<_>>().join(" or "),
        ),
    ]);
    for (name, text) in lists {
        let versions = Versions::load(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut verdicts = Verdicts::default();
        let base = frames::made();
        for number in 0..2_000 {
            let frame = &base[number % base.len()];
            versions
                .compare(&frames::steered(&versions.program, frame, &mut random), &mut verdicts);
        }
        assert!(verdicts.matched > 100 && verdicts.unmatched > 100, "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        max_shrink_iters: 200,
        max_shrink_time: 20_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn generated_expressions_are_decided_as_libpcap_decides(
        text in filters::generate::expression(),
        seed: u64,
    ) {
        let versions = match Versions::load(&text) {
            Ok(versions) => versions,
            // Some contradict themselves in libpcap's eyes; but what it compiles must load, unless the
            // verifier loses its way in loops beside loops.
            Err(error) => {
                let loops = text.matches("protochain").count();
                let is_too_complex = loops > 1 && error.contains("too complex");
                prop_assert!(is_too_complex || text.parse::<Expression>().is_err(), "{}", error);
                return Ok(());
            }
        };
        let mut random = SmallRng::seed_from_u64(seed);
        let (made, mut verdicts) = (frames::made(), Verdicts::default());
        for number in 0..60 {
            let frame = frames::mutated(&made, &mut random);
            versions.compare(&frame, &mut verdicts);
            let frame = &made[number % made.len()];
            versions.compare(&frames::steered(&versions.program, frame, &mut random), &mut verdicts);
        }
    }
}
