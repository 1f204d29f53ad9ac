//! The real programs under `BPF_PROG_RUN`.

use aya::programs::{TestRun as _, TestRunOptions};
use capture_common::abi::{Direction, InterfaceConfig, interface_flags, names};
use capture_user::kernel::{Object, Settings};

const SETTINGS: Settings = Settings { flows: 1024, ring_bytes: 1 << 20 };
/// `BPF_PROG_RUN` shows XDP programs the loopback of the namespace unless told otherwise.
const LOOPBACK: u32 = 1;

#[test]
fn a_frame_is_counted_and_delivered() {
    let (mut object, mut tables) = Object::load(&SETTINGS).unwrap();
    tables
        .set_interface(
            LOOPBACK,
            &InterfaceConfig {
                flags: interface_flags::CAPTURE,
                snap_length: 262_144,
                ..Default::default()
            },
        )
        .unwrap();
    let mut frames = object.take_frames().unwrap();
    let program = object.xdp(names::XDP_INGRESS).unwrap();
    let frame = [0_u8; 60];
    let result = program
        .test_run(TestRunOptions { data_in: Some(&frame), ..TestRunOptions::new() })
        .unwrap();
    assert_eq!(result.return_value, 2, "XDP_PASS");
    let counters = tables.counters(0, Direction::Ingress).unwrap();
    assert_eq!((counters.received_frames, counters.received_bytes), (1, 60));
    assert_eq!((counters.matched_frames, counters.delivered_frames), (1, 1));
    let record = frames.next().unwrap();
    assert_eq!(&record[32..92], &frame);
}
