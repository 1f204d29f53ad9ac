use std::{
    process::{Child, Command},
    time::Duration,
};

use futures_util::FutureExt as _;
use tokio::time::timeout;

use crate::host::{
    interface::{
        Facts, Known, LinkEvent,
        LinkEventKind::{self, Appeared, Deleted, Down, Up},
        Watch,
    },
    namespace::{ifindex, ip, run},
};

/// A process that does not outlive its test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn absent(name: &str) -> Known {
    Known { name: name.to_owned(), seen: None }
}

async fn next(watch: &mut Watch) -> LinkEvent {
    timeout(Duration::from_secs(10), watch.next()).await.expect("no event came")
}

async fn expect(watch: &mut Watch, name: &str, ifindex: u32, kinds: &[LinkEventKind]) {
    for kind in kinds {
        let expected = LinkEvent { name: name.to_owned(), ifindex, kind: *kind };
        assert_eq!(next(watch).await, expected);
    }
}

async fn expect_silence(watch: &mut Watch) {
    if let Ok(event) = timeout(Duration::from_millis(300), watch.next()).await {
        panic!("unexpected: {event:?}");
    }
}

#[test]
fn life_of_an_interface() {
    run(|| async {
        ip("link add v type veth peer name p");
        let first = ifindex("v");
        let known = Facts::read("v").await.unwrap().known();
        let mut watch = Watch::start([known, absent("w")]).unwrap();
        expect_silence(&mut watch).await;

        ip("link set v up");
        expect(&mut watch, "v", first, &[Up]).await;
        ip("link set p up");
        ip("link set v mtu 1400");
        ip("link set v down");
        expect(&mut watch, "v", first, &[Down]).await;
        ip("link delete v");
        expect(&mut watch, "v", first, &[Deleted]).await;

        ip("link add v type veth peer name p");
        let second = ifindex("v");
        assert_ne!(first, second);
        ip("link set v up");
        expect(&mut watch, "v", second, &[Appeared, Up]).await;

        // The kernel renames interfaces that are up, too.
        ip("link set v name w");
        expect(&mut watch, "v", second, &[Deleted]).await;
        expect(&mut watch, "w", second, &[Appeared, Up]).await;
        ip("link set w down");
        ip("link set w name unwatched");
        expect(&mut watch, "w", second, &[Down, Deleted]).await;
        ip("link set unwatched up");
        ip("link delete unwatched");
        expect_silence(&mut watch).await;
        assert_eq!(watch.overruns(), 0);
    });
}

#[test]
fn moved_to_another_namespace() {
    run(|| async {
        ip("link add v type veth peer name p");
        let index = ifindex("v");
        let mut watch = Watch::start([absent("v")]).unwrap();
        expect(&mut watch, "v", index, &[Appeared]).await;
        let elsewhere =
            Ended(Command::new("unshare").args(["--net", "sleep", "60"]).spawn().unwrap());
        // The child is in its own namespace once it has become `sleep`.
        let name = format!("/proc/{}/comm", elsewhere.0.id());
        while std::fs::read_to_string(&name).unwrap().trim() != "sleep" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        ip(&format!("link set v netns {}", elsewhere.0.id()));
        expect(&mut watch, "v", index, &[Deleted]).await;
    });
}

#[test]
fn leaving_a_bridge_is_not_being_deleted() {
    run(|| async {
        ip("link add v type veth peer name p");
        ip("link add br7 type bridge");
        ip("link set br7 up");
        ip("link set v up");
        let known = Facts::read("v").await.unwrap().known();
        let mut watch = Watch::start([known]).unwrap();
        expect_silence(&mut watch).await;
        ip("link set v master br7");
        ip("link set v nomaster");
        ip("link delete br7");
        expect_silence(&mut watch).await;
    });
}

#[test]
fn what_happened_before_the_start_is_told() {
    run(|| async {
        ip("link add v type veth peer name p");
        ip("link add w type veth peer name q");
        let facts = [Facts::read("v").await.unwrap(), Facts::read("w").await.unwrap()];
        ip("link delete v");
        ip("link add v type veth peer name p");
        ip("link set w up");
        let mut watch = Watch::start(facts.iter().map(Facts::known)).unwrap();
        expect(&mut watch, "v", facts[0].index, &[Deleted]).await;
        expect(&mut watch, "v", ifindex("v"), &[Appeared]).await;
        expect(&mut watch, "w", facts[1].index, &[Up]).await;
        expect_silence(&mut watch).await;
    });
}

#[test]
fn dropped_notifications_are_made_up_for() {
    run(|| async {
        ip("link add v type veth peer name p");
        ip("link set v up");
        let known = Facts::read("v").await.unwrap().known();
        let first = ifindex("v");
        // Room for hardly one notification.
        let mut watch = Watch::with_receive_buffer([known], 0).unwrap();
        expect_silence(&mut watch).await;
        // The runtime does not read meanwhile: these calls block its only thread.
        for _ in 0..10 {
            ip("link set v down");
            ip("link set v up");
        }
        ip("link delete v");
        ip("link add v type veth peer name p");
        let second = ifindex("v");
        // What was not dropped may be told before; the end of the story must be the present.
        let mut told = Vec::new();
        while told.last() != Some(&(second, Appeared)) {
            let event = next(&mut watch).await;
            told.push((event.ifindex, event.kind));
        }
        assert!(watch.overruns() > 0, "nothing was dropped, this test shows nothing");
        assert!(told.contains(&(first, Deleted)), "{told:?}");
        expect_silence(&mut watch).await;
        ip("link set v up");
        expect(&mut watch, "v", second, &[Up]).await;
    });
}

#[test]
fn waiting_can_be_cancelled_at_any_point() {
    run(|| async {
        ip("link add v type veth peer name p");
        let index = ifindex("v");
        let mut watch = Watch::start([absent("v")]).unwrap();
        let mut told = Vec::new();
        for polls in 0..40 {
            let mut waiting = std::pin::pin!(watch.next());
            for _ in 0..polls {
                if let Some(event) = (&mut waiting).now_or_never() {
                    told.push(event.kind);
                    break;
                }
                // Lets the sockets' tasks go on.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        assert_eq!(told, [Appeared]);
        ip("link set v up");
        expect(&mut watch, "v", index, &[Up]).await;
    });
}

/// The daemon's tasks move between threads.
#[test]
fn futures_can_be_spawned() {
    fn spawnable<F: Future + Send>(_: &F) {}
    spawnable(&Facts::read("v"));
    run(|| async {
        let mut watch = Watch::start([absent("v")]).unwrap();
        spawnable(&watch.next());
    });
}
