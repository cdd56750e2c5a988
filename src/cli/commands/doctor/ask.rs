//! How `doctor` talks to a venue: one call, one answer, nothing that changes anything.
//!
//! Never does: create, cancel, or touch a switch. Only calls that look are passed on.

use crate::domain::ids::VenueId;
use crate::domain::request::{Answered, Call};
use crate::domain::secret::ApiKey;
use crate::domain::settings::VenueSettings;
use crate::domain::time::Stamp;
use crate::runtime::clock::Clock;
use crate::runtime::live::{LiveVenue, Probe};

/// A venue that can be asked.
pub trait Ask {
    /// Asks, and waits for the answer.
    fn ask(&mut self, call: &Call) -> Answered;

    /// The moment.
    fn now(&self) -> Stamp;
}

/// Makes a way to ask a venue, with its key where there is one; else why not.
pub type Open<'o> = dyn Fn(&VenueSettings, Option<&ApiKey>) -> Result<Box<dyn Ask>, String> + 'o;

/// A way to the real venue, over the same codec and the same sockets as a run.
struct Line {
    probe: Probe,
    /// Looks names up while it lives.
    _venue: LiveVenue,
}

/// Makes a way to the real venue. Nothing is sent yet.
pub fn open(settings: &VenueSettings, key: Option<&ApiKey>) -> Result<Box<dyn Ask>, String> {
    let venue = LiveVenue::open(VenueId(0), settings, key.cloned(), &[]).map_err(|error| error.to_string())?;
    Ok(Box::new(Line { probe: venue.probe()?, _venue: venue }))
}

impl Ask for Line {
    fn ask(&mut self, call: &Call) -> Answered {
        match only_looks(call) {
            true => self.probe.call(call.clone()),
            false => Answered::NotSent(format!("doctor never sends {}", call.word())),
        }
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
    use std::time::Duration;

    use super::*;
    use crate::domain::ids::Symbol;
    use crate::domain::request::Scope;
    use crate::domain::settings::{Connection, SimSettings, VenueKind};

    #[test]
    fn nothing_that_changes_anything_is_sent() {
        let here = Some("http://127.0.0.1:1".to_owned());
        let socket = Some("ws://127.0.0.1:1/v5/public/spot".to_owned());
        let settings = VenueSettings {
            name: "main".to_owned(),
            kind: VenueKind::Bybit,
            symbols: vec![Symbol::new("BTC-USDT")],
            exclusive_account: true,
            connection: Connection { rest_url: here, ws_public_url: socket, ..Connection::default() },
            sim: SimSettings::default(),
        };
        let mut line = open(&settings, None).unwrap();
        for call in [
            Call::CancelBatch(Vec::new()),
            Call::CancelAll(Scope("all".to_owned())),
            Call::SetSwitch(None),
            Call::SetSwitch(Some(Duration::from_secs(10))),
        ] {
            let word = call.word();
            assert_eq!(line.ask(&call), Answered::NotSent(format!("doctor never sends {word}")));
        }
        // Nobody listens there.
        assert!(matches!(line.ask(&Call::Time), Answered::NotSent(why) if !why.contains("never sends")));
    }
}
