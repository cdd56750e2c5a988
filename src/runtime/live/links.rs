//! When a venue's stream counts as up: a stream may be several sockets, and it delivers only while all of them do.
//!
//! Always holds: `Up` is told once, when the last socket delivers; `Down` once, when the first one no longer does, or
//! when it could not be opened at all.

use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::event::{Event, LinkState, Stream};
use crate::domain::ids::VenueId;
use crate::runtime::channels::EventSender;

#[derive(Debug)]
struct Sockets {
    is_up: Vec<bool>,
    /// What was told last; nothing at first.
    told_up: Option<bool>,
}

/// One stream of a venue, shared by the threads of its sockets.
#[derive(Clone, Debug)]
pub(super) struct Link {
    venue: VenueId,
    stream: Stream,
    sockets: Arc<Mutex<Sockets>>,
    events: EventSender,
}

impl Link {
    /// A stream of so many sockets, none of them up.
    pub(super) fn new(venue: VenueId, stream: Stream, n_sockets: usize, events: EventSender) -> Link {
        let sockets = Sockets { is_up: vec![false; n_sockets], told_up: None };
        Link { venue, stream, sockets: Arc::new(Mutex::new(sockets)), events }
    }

    /// A socket delivers.
    pub(super) fn up(&self, socket: usize) {
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.is_up[socket] = true;
        if sockets.is_up.iter().all(|is_up| *is_up) && sockets.told_up != Some(true) {
            sockets.told_up = Some(true);
            self.events.send(Event::Link(self.venue, self.stream, LinkState::Up));
        }
    }

    /// A socket does not deliver (any more).
    pub(super) fn down(&self, socket: usize, why: &str) {
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.is_up[socket] = false;
        if sockets.told_up != Some(false) {
            sockets.told_up = Some(false);
            self.events.send(Event::Link(self.venue, self.stream, LinkState::Down(why.to_owned())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::channels::inbox;
    use std::time::Duration;

    #[test]
    fn a_stream_is_up_when_all_its_sockets_are_and_down_with_the_first_that_breaks() {
        let (mut inbox, events, _quotes) = inbox();
        let link = Link::new(VenueId(0), Stream::Public, 2, events);
        let mut told = |act: &dyn Fn(&Link)| {
            act(&link);
            let events = inbox.next_batch(Duration::ZERO).into_iter();
            events
                .map(|event| match event {
                    Event::Link(_, _, state) => state == LinkState::Up,
                    other => panic!("{other:?}"),
                })
                .collect::<Vec<_>>()
        };
        assert!(told(&|link| link.up(0)).is_empty());
        assert_eq!(told(&|link| link.up(1)), [true]);
        assert_eq!(told(&|link| link.down(0, "gone")), [false]);
        assert!(told(&|link| link.down(1, "gone too")).is_empty());
        assert!(told(&|link| link.up(0)).is_empty());
        assert_eq!(told(&|link| link.up(1)), [true]);
    }

    #[test]
    fn a_socket_that_never_opened_is_told_once() {
        let (mut inbox, events, _quotes) = inbox();
        let link = Link::new(VenueId(0), Stream::Private, 1, events);
        link.down(0, "refused");
        link.down(0, "refused again");
        assert_eq!(inbox.next_batch(Duration::ZERO).len(), 1);
    }
}
