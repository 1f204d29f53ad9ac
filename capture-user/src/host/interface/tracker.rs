//! What is known of the watched interfaces, and what news of them amounts to.

use std::collections::{BTreeMap, VecDeque};

/// Something happened to a watched interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkEvent {
    /// Name as watched.
    pub name: String,
    /// Index of the interface that it happened to.
    pub ifindex: u32,
    /// What happened.
    pub kind: LinkEventKind,
}

/// What happened to an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkEventKind {
    /// It was set administratively up. Also follows [`Appeared`](Self::Appeared) if it is up then.
    Up,
    /// It was set administratively down. Programs stay attached.
    Down,
    /// It was deleted, renamed, or moved to another network namespace: nothing has its name now.
    /// Programs are still attached to a renamed one.
    Deleted,
    /// An interface of this name came into being, by creation, renaming or moving here.
    Appeared,
}

/// What the caller knows of an interface that is to be watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Name: the kernel's, not an alternative one.
    pub name: String,
    /// `None` if there was none of this name.
    pub seen: Option<Seen>,
}

/// An interface at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its index.
    pub ifindex: u32,
    /// Administratively up.
    pub up: bool,
}

/// Turns states into events. Whatever is told, in whatever order and however often: after each
/// call the events so far add up to the last state told.
#[derive(Debug)]
pub(super) struct Tracker {
    links: BTreeMap<String, Option<Seen>>,
    events: VecDeque<LinkEvent>,
}

impl Tracker {
    pub(super) fn new(known: impl IntoIterator<Item = Known>) -> Self {
        let links = known.into_iter().map(|known| (known.name, known.seen)).collect();
        Self { links, events: VecDeque::new() }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.links.keys().map(String::as_str)
    }

    pub(super) fn next(&mut self) -> Option<LinkEvent> {
        self.events.pop_front()
    }

    /// The interface of a watched name is now like this, or there is none.
    pub(super) fn set(&mut self, name: &str, now: Option<Seen>) {
        use LinkEventKind::{Appeared, Deleted, Down, Up};

        let Some(state) = self.links.get_mut(name) else { return };
        let before = std::mem::replace(state, now);
        let mut push = |ifindex, kind| {
            self.events.push_back(LinkEvent { name: name.to_owned(), ifindex, kind });
        };
        match (before, now) {
            (Some(before), Some(now)) if before.ifindex == now.ifindex => match (before.up, now.up)
            {
                (false, true) => push(now.ifindex, Up),
                (true, false) => push(now.ifindex, Down),
                _ => {}
            },
            (before, now) => {
                if let Some(before) = before {
                    push(before.ifindex, Deleted);
                }
                if let Some(now) = now {
                    push(now.ifindex, Appeared);
                    if now.up {
                        push(now.ifindex, Up);
                    }
                }
            }
        }
    }

    /// An interface is now like this. Some messages leave the name out.
    pub(super) fn changed(&mut self, name: Option<&str>, now: Seen) {
        let watched = self.watched_as(now.ifindex);
        match (name, watched) {
            (Some(name), Some(watched)) if name != watched => {
                self.set(&watched, None);
                self.set(name, Some(now));
            }
            (Some(name), _) => self.set(name, Some(now)),
            (None, Some(watched)) => self.set(&watched, Some(now)),
            (None, None) => {}
        }
    }

    /// An interface is gone.
    pub(super) fn gone(&mut self, ifindex: u32) {
        if let Some(watched) = self.watched_as(ifindex) {
            self.set(&watched, None);
        }
    }

    fn watched_as(&self, ifindex: u32) -> Option<String> {
        self.links
            .iter()
            .find(|(_, seen)| seen.is_some_and(|seen| seen.ifindex == ifindex))
            .map(|(name, _)| name.clone())
    }
}

#[cfg(test)]
mod tests {
    use LinkEventKind::{Appeared, Deleted, Down, Up};
    use proptest::prelude::*;

    use super::*;

    const UP_5: Seen = Seen { ifindex: 5, up: true };
    const DOWN_5: Seen = Seen { ifindex: 5, up: false };

    fn tracker(seen: Option<Seen>) -> Tracker {
        Tracker::new([
            Known { name: "a".to_owned(), seen },
            Known { name: "b".to_owned(), seen: None },
        ])
    }

    fn events(tracker: &mut Tracker) -> Vec<(String, u32, LinkEventKind)> {
        std::iter::from_fn(|| tracker.next())
            .map(|event| (event.name, event.ifindex, event.kind))
            .collect()
    }

    #[test]
    fn what_is_known_is_no_event() {
        let mut tracker = tracker(Some(UP_5));
        tracker.changed(Some("a"), UP_5);
        tracker.changed(None, UP_5);
        tracker.changed(Some("unwatched"), Seen { ifindex: 9, up: true });
        tracker.gone(9);
        assert_eq!(events(&mut tracker), []);
    }

    #[test]
    fn recreated_under_a_new_index() {
        let mut tracker = tracker(Some(UP_5));
        tracker.changed(Some("a"), Seen { ifindex: 6, up: false });
        let a = || "a".to_owned();
        assert_eq!(events(&mut tracker), [(a(), 5, Deleted), (a(), 6, Appeared)]);
    }

    #[test]
    fn renamed_from_one_watched_name_to_another() {
        let mut tracker = tracker(Some(DOWN_5));
        tracker.changed(Some("b"), DOWN_5);
        assert_eq!(
            events(&mut tracker),
            [("a".to_owned(), 5, Deleted), ("b".to_owned(), 5, Appeared)]
        );
    }

    #[test]
    fn message_without_a_name_is_told_by_its_index() {
        let mut tracker = tracker(Some(DOWN_5));
        tracker.changed(None, UP_5);
        tracker.changed(None, DOWN_5);
        assert_eq!(events(&mut tracker), [("a".to_owned(), 5, Up), ("a".to_owned(), 5, Down)]);
    }

    proptest! {
        /// A daemon that does what the events say ends up with what the tracker knows.
        #[test]
        fn events_add_up_to_the_state(
            news in proptest::collection::vec((0usize..4, 1u32..5, any::<bool>(), 0u8..4), 0..60)
        ) {
            let mut tracker = tracker(None);
            let mut daemon: BTreeMap<String, Option<Seen>> =
                tracker.names().map(|name| (name.to_owned(), None)).collect();
            for (name, ifindex, up, how) in news {
                let name = ["a", "b", "c", "d"][name];
                match how {
                    0 => tracker.set(name, None),
                    1 => tracker.gone(ifindex),
                    2 => tracker.changed(None, Seen { ifindex, up }),
                    _ => tracker.changed(Some(name), Seen { ifindex, up }),
                }
                while let Some(event) = tracker.next() {
                    let state = daemon.get_mut(&event.name).unwrap();
                    let before = *state;
                    *state = match event.kind {
                        Appeared => Some(Seen { ifindex: event.ifindex, up: false }),
                        Deleted => None,
                        Up | Down => {
                            Some(Seen { ifindex: event.ifindex, up: event.kind == Up })
                        }
                    };
                    prop_assert_ne!(before, *state);
                    prop_assert_eq!(event.kind == Appeared, before.is_none());
                }
                prop_assert_eq!(&daemon, &tracker.links);
            }
        }
    }
}
