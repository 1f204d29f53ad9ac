//! Mirror mode in the kernel: frames sent through a veth pair, redirected by the programs, received
//! by queues. Needs root.

mod bare;
mod lab;
mod programs;
mod queues;

use std::{
    collections::HashSet,
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use capture_user::{
    capture::mirror::{Ended, MirrorError, Queue},
    ledger::{Ledger, Loss},
};

use self::{
    bare::Bare,
    lab::{
        MIRROR, SENDER, Sender, enter_new_namespace, index_of, ip, make_pair, mixed_length,
        numbered_frame,
    },
    programs::Programs,
    queues::{Collector, Running, config, lost, wait_until},
};

/// A namespace with the programs attached and queues running.
struct Mirror {
    programs: Programs,
    ledger: Arc<Ledger>,
    running: Vec<Running>,
}

impl Mirror {
    fn new(queues: u32, frames: u32, frame_size: u32, slowness: Duration) -> Self {
        enter_new_namespace();
        make_pair(queues, 9_000);
        let mut mirror =
            Self { programs: Programs::attach(), ledger: Arc::default(), running: Vec::new() };
        for number in 0..queues {
            mirror.start(number, frames, frame_size, slowness);
        }
        mirror
    }

    fn start(&mut self, number: u32, frames: u32, frame_size: u32, slowness: Duration) {
        let queue = Queue::open(&config(number, frames, frame_size)).expect("the queue opens");
        assert!(queue.multi_buffer());
        self.programs.publish(number, queue.fd());
        self.running.push(Running::start(queue, &self.ledger, slowness));
    }

    fn accounted(&self) -> u64 {
        self.running.iter().map(|queue| queue.progress.accounted()).sum()
    }

    /// Withdraws the queues and stops them; what they received, and the frames that reached them.
    fn stop(mut self) -> (Vec<Collector>, Arc<Ledger>, u64) {
        for number in 0..self.running.len() {
            self.programs.withdraw(number as u32);
        }
        let progress: Vec<_> =
            self.running.iter().map(|queue| Arc::clone(&queue.progress)).collect();
        let sinks: Vec<_> = self.running.into_iter().map(Running::stop).collect();
        let accounted = progress.iter().map(|progress| progress.accounted()).sum();
        assert_eq!(self.programs.delivered(), accounted, "frames are unaccounted for");
        let received: u64 = sinks.iter().map(|sink| sink.numbers.len() as u64).sum();
        let lost = Loss::ALL.map(|stage| lost(&self.ledger, stage)).iter().sum::<u64>();
        assert_eq!(received + lost, accounted, "the ledger is at odds with the queues");
        (sinks, self.ledger, accounted)
    }
}

/// Runs a test in a namespace of its own, which ends with its threads.
fn in_namespace(test: impl FnOnce() + Send + 'static) {
    std::thread::spawn(test).join().expect("the test passes");
}

fn all_once_and_in_order(sinks: &[Collector], count: u64) {
    let mut seen: HashSet<u64> = HashSet::new();
    for (queue, sink) in sinks.iter().enumerate() {
        assert!(!sink.numbers.is_empty(), "queue {queue} got nothing");
        assert_eq!(sink.damaged, 0);
        assert!(sink.numbers.is_sorted_by(|a, b| a < b), "queue {queue} is out of order");
        assert!(sink.timestamps.is_sorted_by(|a, b| a < b), "queue {queue}: time stamps repeat");
        assert!(sink.queues.iter().all(|number| usize::from(*number) == queue));
        seen.extend(&sink.numbers);
    }
    assert!((0..count).all(|number| seen.contains(&number)), "frames are missing");
}

fn every_size_on_two_queues(frame_size: u32) {
    const COUNT: u64 = 60_000;
    in_namespace(move || {
        let mirror = Mirror::new(2, 4096, frame_size, Duration::ZERO);
        let (sender, mut frame) = (Sender::new(SENDER), Vec::new());
        for number in 0..COUNT {
            wait_until("the queues keep up", || number - mirror.accounted() < 300);
            numbered_frame(number, mixed_length(number), &mut frame);
            assert!(sender.send(&frame));
        }
        let (sinks, _, accounted) = mirror.stop();
        assert_eq!(accounted, COUNT);
        all_once_and_in_order(&sinks, COUNT);
    });
}

#[test]
fn every_size_arrives_once_whole_and_in_order_in_small_buffers() {
    every_size_on_two_queues(2048);
}

#[test]
fn every_size_arrives_once_whole_and_in_order_in_large_buffers() {
    every_size_on_two_queues(4096);
}

/// Sends numbered frames as fast as it goes until told to stop.
fn flood(stop: &AtomicBool) -> u64 {
    let (sender, mut frame) = (Sender::new(SENDER), Vec::new());
    let mut number = 0;
    while !stop.load(Relaxed) {
        numbered_frame(number, mixed_length(number), &mut frame);
        sender.send(&frame);
        number += 1;
    }
    number
}

#[test]
fn overload_is_accounted_for_and_stopping_loses_nothing() {
    in_namespace(|| {
        let mirror = Mirror::new(2, 64, 2048, Duration::from_micros(20));
        let stop = Arc::new(AtomicBool::new(false));
        let flooding = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || flood(&stop)
        });
        wait_until("the flood comes", || mirror.accounted() > 100_000);
        // Stopped while the frames keep coming: `stop` compares the counters.
        let (sinks, ledger, _) = mirror.stop();
        stop.store(true, Relaxed);
        flooding.join().expect("the flood ends");
        assert!(lost(&ledger, Loss::RxDropped) > 1_000, "this was no overload");
        assert_eq!(lost(&ledger, Loss::BadHeader), 0);
        for sink in sinks {
            assert_eq!(sink.damaged, 0);
            assert!(sink.numbers.is_sorted_by(|a, b| a < b));
        }
    });
}

fn send_one(sender: &Sender, number: u64) {
    let mut frame = Vec::new();
    numbered_frame(number, 100, &mut frame);
    sender.send(&frame);
}

#[test]
fn an_interface_that_goes_down_and_up_is_survived() {
    in_namespace(|| {
        let mirror = Mirror::new(1, 64, 2048, Duration::ZERO);
        send_one(&Sender::new(SENDER), 0);
        wait_until("the first frame arrives", || mirror.accounted() == 1);
        ip(&format!("link set {MIRROR} down"));
        std::thread::sleep(Duration::from_millis(300));
        ip(&format!("link set {MIRROR} up"));
        let sender = Sender::new(SENDER);
        wait_until("a frame arrives", || {
            send_one(&sender, 1);
            mirror.accounted() > 1
        });
        let (sinks, ..) = mirror.stop();
        assert!(sinks[0].ticks >= 3, "an idle queue ticks each 100 ms");
    });
}

#[test]
fn a_deleted_interface_ends_the_queue_and_a_new_one_can_be_opened() {
    in_namespace(|| {
        let mut mirror = Mirror::new(1, 64, 2048, Duration::ZERO);
        send_one(&Sender::new(SENDER), 0);
        wait_until("the frame arrives", || mirror.accounted() == 1);
        let old = config(0, 64, 2048);
        ip(&format!("link del {MIRROR}"));
        let (sink, ended) = mirror.running.remove(0).join();
        assert_eq!(ended, Ended::InterfaceGone);
        assert!(!sink.closed);
        assert_eq!(sink.numbers, [0]);
        assert!(matches!(Queue::open(&old), Err(MirrorError::InterfaceChanged { .. })));

        make_pair(1, 1_500);
        assert_ne!(index_of(MIRROR), old.ifindex);
        assert!(matches!(Queue::open(&old), Err(MirrorError::InterfaceChanged { .. })));
        mirror.programs = Programs::attach();
        mirror.start(0, 64, 2048, Duration::ZERO);
        send_one(&Sender::new(SENDER), 1);
        wait_until("a frame arrives", || mirror.accounted() == 1);
        mirror.stop();
    });
}

#[test]
fn a_frame_without_header_is_counted_and_gets_no_other_frames_header() {
    in_namespace(|| {
        enter_new_namespace();
        make_pair(1, 9_000);
        let programs = &mut Programs::attach();
        let ledger = Arc::new(Ledger::default());
        let queue = Queue::open(&config(0, 64, 2048)).expect("the queue opens");
        let socket = queue.fd().try_clone_to_owned().expect("the descriptor can be copied");
        programs.publish(0, queue.fd());
        let running = Running::start(queue, &ledger, Duration::ZERO);
        let (sender, mut frame) = (Sender::new(SENDER), Vec::new());
        let mut send = |numbers: std::ops::Range<u64>, length| {
            for number in numbers {
                numbered_frame(number, length, &mut frame);
                assert!(sender.send(&frame));
                wait_until("the frame arrives", || running.progress.accounted() > number);
            }
        };
        // After this every buffer has held a frame of this length with its header.
        send(0..200, 100);
        programs.detach();
        let _bare = Bare::attach(socket.as_fd());
        send(200..400, 100);
        // These have several parts: each frame counts once.
        send(400..410, 9_000);
        let progress = Arc::clone(&running.progress);
        assert_eq!(running.stop().numbers, (0..200).collect::<Vec<_>>());
        assert_eq!(progress.received(), 410);
        assert_eq!(lost(&ledger, Loss::BadHeader), 210);
    });
}

#[test]
fn what_cannot_be_opened_says_why() {
    in_namespace(|| {
        enter_new_namespace();
        make_pair(1, 1_500);
        let error = |config| Queue::open(&config).map(drop).expect_err("is refused").to_string();
        assert!(error(config(0, 100, 2048)).contains("power of two"));
        assert!(error(config(0, 64, 1024)).contains("2048 or 4096"));
        assert!(error(config(7, 64, 2048)).contains("ethtool -l"));
        let _first = Queue::open(&config(0, 64, 2048)).expect("the queue opens");
        assert!(error(config(0, 64, 2048)).contains("another program"));
    });
}
