//! How `doctor` talks to a venue: one call, one answer, nothing that changes anything.
//!
//! Never does: create, cancel, or touch a switch. Only calls that look are passed on.

use std::time::Duration;

use crate::domain::ids::VenueId;
use crate::domain::request::{Answered, Call, Request, RequestId};
use crate::domain::secret::ApiKey;
use crate::domain::settings::VenueSettings;
use crate::domain::time::Stamp;
use crate::runtime::clock::Clock;
use crate::runtime::workers::Transport;

/// Whole time for one answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A venue that can be asked.
pub trait Ask {
    /// Asks, and waits for the answer.
    fn ask(&mut self, call: &Call) -> Answered;

    /// The moment.
    fn now(&self) -> Stamp;
}

/// Makes a way to ask a venue, with its key where there is one; else why not.
pub type Open<'o> = dyn Fn(&VenueSettings, Option<&ApiKey>) -> Result<Box<dyn Ask>, String> + 'o;

/// A way to a venue as the workers have it.
pub struct Line<T> {
    transport: T,
    last: u64,
}

impl<T: Transport> Line<T> {
    /// Over this.
    pub fn new(transport: T) -> Line<T> {
        Line { transport, last: 0 }
    }
}

impl<T: Transport> Ask for Line<T> {
    fn ask(&mut self, call: &Call) -> Answered {
        if !only_looks(call) {
            return Answered::NotSent(format!("doctor never sends {}", call.word()));
        }
        self.last += 1;
        let not_after = Clock.boot().after(PATIENCE);
        self.transport.call(&Request { id: RequestId(self.last), venue: VenueId(0), call: call.clone(), not_after })
    }

    fn now(&self) -> Stamp {
        Clock.stamp()
    }
}

/// Whether a call changes nothing at the venue.
fn only_looks(call: &Call) -> bool {
    match call {
        Call::Create(_) | Call::Cancel(_) | Call::CancelBatch(_) | Call::CancelAll(_) | Call::SetSwitch(_) => false,
        Call::Query(_)
        | Call::History(_)
        | Call::ListOpen(_)
        | Call::ListFills(..)
        | Call::Balances
        | Call::Positions
        | Call::Instruments
        | Call::Time
        | Call::Access
        | Call::ReadSwitch => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::request::Scope;

    struct Never;

    impl Transport for Never {
        fn call(&mut self, request: &Request) -> Answered {
            panic!("{} was passed on", request.call.word())
        }
    }

    #[test]
    fn nothing_that_changes_anything_is_passed_on() {
        let mut line = Line::new(Never);
        for call in [
            Call::CancelBatch(Vec::new()),
            Call::CancelAll(Scope("all".to_owned())),
            Call::SetSwitch(None),
            Call::SetSwitch(Some(Duration::from_secs(10))),
        ] {
            assert!(matches!(line.ask(&call), Answered::NotSent(_)), "{}", call.word());
        }
    }
}
