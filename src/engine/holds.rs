//! What keeps `Trade` from creating orders, and what becomes of the orders that rest meanwhile.
//!
//! Always holds: while any hold is set nothing is created; a hold that cancels sweeps every venue and is answered only
//! when the venues have shown that nothing is left.

use crate::domain::action::{Action, Level};
use crate::domain::command::CommandId;
use crate::domain::event::Stream;
use crate::domain::ids::VenueId;
use crate::domain::time::Stamp;
use crate::orders::desk::Desk;
use crate::orders::sweep::{Before, Progress, Sweep};

/// Why nothing is created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The operator paused.
    Operator,
    /// A loss or a broken number latched trading off.
    Latched(String),
    /// Nothing can be recorded.
    Disk(String),
    /// A stream of this venue does not deliver.
    Link(VenueId, Stream),
    /// The books of this venue could not be compared.
    Books(VenueId),
}

/// What becomes of resting orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resting {
    /// Cancelled, and shown to be gone.
    Cancel,
    /// Left alone.
    Keep,
}

/// All holds, and the sweep they asked for.
#[derive(Clone, Debug, Default)]
pub struct Holds {
    set: Vec<(Hold, Resting)>,
    sweeps: Vec<Sweep>,
    askers: Vec<CommandId>,
}

impl Holds {
    /// Sets a hold. `asker` is answered when nothing rests any more.
    pub fn set(&mut self, hold: Hold, resting: Resting, asker: Option<CommandId>, at: Stamp, desk: &Desk) {
        self.askers.extend(asker);
        let is_new = !self.set.iter().any(|(known, rests)| *known == hold && *rests == resting);
        if is_new {
            self.set.retain(|(known, _)| *known != hold);
            self.set.push((hold, resting));
        }
        let sweeps_again = is_new || asker.is_some();
        if resting == Resting::Cancel && self.sweeps.is_empty() && sweeps_again && desk.sends() {
            let venues = desk.catalogue.venues();
            self.sweeps = venues.iter().map(|venue| Sweep::new(venue.id, at, Before::ThisProcess, desk)).collect();
        }
    }

    /// Ends the holds that match. Once none is left that cancels, an unfinished sweep ends too: what rests is wanted
    /// again, what is being cancelled goes on being cancelled. Whoever waited for the proof is told that there is none.
    pub fn clear(&mut self, matches: impl Fn(&Hold) -> bool) -> Vec<(CommandId, String)> {
        self.set.retain(|(hold, _)| !matches(hold));
        if self.set.iter().any(|(_, resting)| *resting == Resting::Cancel) {
            return Vec::new();
        }
        self.sweeps.clear();
        let text = "trading was resumed before every order was shown to be gone";
        self.askers.drain(..).map(|asker| (asker, text.to_owned())).collect()
    }

    /// Whoever still waits for a proof.
    pub fn into_askers(self) -> Vec<CommandId> {
        self.askers
    }

    /// Whether there is such a hold.
    pub fn has(&self, matches: impl Fn(&Hold) -> bool) -> bool {
        self.set.iter().any(|(hold, _)| matches(hold))
    }

    /// Whether nothing holds trading.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// Why nothing is created; `None` when nothing holds trading.
    pub fn words(&self) -> Option<String> {
        let words: Vec<_> = self.set.iter().map(|(hold, _)| hold.words()).collect();
        (!words.is_empty()).then(|| words.join("; "))
    }

    /// Moves the sweep on. Gives the answers for those who asked for it, once it is proved.
    pub fn pass(&mut self, at: Stamp, desk: &mut Desk, out: &mut Vec<Action>) -> Vec<(CommandId, String)> {
        let mut words = Vec::new();
        let mut is_proved = true;
        for sweep in &mut self.sweeps {
            match sweep.pass(at, desk, out) {
                Progress::Proved(proof) => {
                    let name = &desk.catalogue.venue(sweep.venue()).name;
                    words.push(format!(
                        "{name}: none left ({}, {} listings)",
                        proof.grade().word(),
                        proof.n_listings()
                    ));
                }
                Progress::Chasing | Progress::Proving => is_proved = false,
            }
        }
        if !is_proved {
            return Vec::new();
        }
        if !self.sweeps.is_empty() {
            out.push(Action::Say(Level::Info, format!("Every order is cancelled: {}", words.join("; "))));
            self.sweeps.clear();
        }
        if !desk.sends() {
            words.push("DRY_RUN: nothing was ever sent".into());
        }
        let text = format!("paused. {}. `lastorders resume` trades on", words.join("; "));
        self.askers.drain(..).map(|asker| (asker, text.clone())).collect()
    }
}

impl Hold {
    fn words(&self) -> String {
        match self {
            Hold::Operator => "paused by the operator".into(),
            Hold::Latched(why) => format!("latched off: {why}"),
            Hold::Disk(why) => format!("the disk failed: {why}"),
            Hold::Link(_, Stream::Public) => "no prices".into(),
            Hold::Link(_, Stream::Private) => "no news of our orders".into(),
            Hold::Books(_) => "the books could not be compared".into(),
        }
    }
}
