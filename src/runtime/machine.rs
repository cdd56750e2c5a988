//! The machine of the moment: `Start`, then `Trade`, then `Stop`. A stop changes the machine, not the loop.
//!
//! Always holds: the way goes forward only; a panic in `Start` or `Trade` leads into `Stop`, which works from the state
//! on disk and from the venue's own lists, because memory may hold half a booking.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::domain::action::Action;
use crate::domain::command::CommandId;
use crate::domain::event::Event;
use crate::domain::ids::Epoch;
use crate::domain::instrument::Catalogue;
use crate::domain::settings::Settings;
use crate::domain::snapshot::{SavedOrder, State};
use crate::domain::stop::StopCause;
use crate::domain::time::{Stamp, Wall};
use crate::engine::strategy::Strategy;
use crate::engine::trade::{self, Trade};
use crate::orders::desk::{Desk, Identity};
use crate::orders::sweep::Before;
use crate::shutdown::stop::{self, Stop};
use crate::startup::start::{Progress, Start};
use crate::store::load::{Loaded, Resumed};

/// What runs now.
pub enum Machine {
    /// Reading the accounts.
    Start(Box<Start>),
    /// Trading.
    Trade(Box<Trade>),
    /// Stopping.
    Stop(Box<Stop>),
}

/// What a machine needs from outside to become the next.
pub struct Frame {
    /// The operator's settings.
    pub settings: Settings,
    /// Who we are.
    pub identity: Identity,
    /// Where the report will lie, for the last line.
    pub report_path: String,
    /// Strategies that no configuration describes: made by whoever embeds this.
    pub own_strategies: Vec<OwnStrategy>,
}

/// A strategy made elsewhere.
pub struct OwnStrategy {
    /// Its name; it needs settings of the same name for letter and symbols, whose kind it replaces.
    pub name: String,
    /// The strategy.
    pub strategy: Box<dyn Strategy>,
}

impl Machine {
    /// One cycle. A panic gives its words; what the cycle asked for until then is void.
    pub fn cycle(&mut self, at: Stamp, events: &[Event], out: &mut Vec<Action>) -> Result<(), String> {
        let cycled = catch_unwind(AssertUnwindSafe(|| match self {
            Machine::Start(start) => start.cycle(at, events, out),
            Machine::Trade(trade) => trade.cycle(at, events, out),
            Machine::Stop(stop) => stop.cycle(at, events, out),
        }));
        cycled.map_err(|panic| {
            out.clear();
            words_of(panic.as_ref())
        })
    }

    /// Goes on from `Start` when it is through: to trading, or to a stop that says why not. A panic on the way (a
    /// strategy meets its old orders here) gives its words, and the machine is gone.
    pub fn advance(self, frame: &mut Frame, at: Stamp, out: &mut Vec<Action>) -> Result<Machine, String> {
        let Machine::Start(start) = self else { return Ok(self) };
        let advanced = catch_unwind(AssertUnwindSafe(|| Machine::go_on(start, frame, at, out)));
        advanced.map_err(|panic| {
            out.clear();
            words_of(panic.as_ref())
        })
    }

    fn go_on(start: Box<Start>, frame: &mut Frame, at: Stamp, out: &mut Vec<Action>) -> Machine {
        match start.progress() {
            Progress::Busy => Machine::Start(start),
            Progress::Failed(why) => Machine::Start(start).stop(frame, StopCause::StartFailed(why), at),
            Progress::Ready => {
                let ready = start.into_ready(out);
                let before = ready.before;
                let begin = trade::Begin {
                    desk: ready.desk,
                    strategies: frame.settings.strategies.clone(),
                    letters: ready.letters,
                    memories: ready.memories,
                    leftovers: ready.leftovers,
                    risk: ready.risk,
                    quotes: ready.quotes,
                    before: ready.before,
                    limits: frame.settings.risk.clone(),
                    shutdown: frame.settings.shutdown.clone(),
                    own: frame.own_strategies.drain(..).map(|own| (own.name, own.strategy)).collect(),
                };
                match Trade::new(begin, at) {
                    Ok(trade) => Machine::Trade(Box::new(trade)),
                    Err((desk, refusals)) => {
                        let cause = StopCause::StartFailed(refusals.join("; "));
                        let books = Books { desk: *desk, before, unwatched: Vec::new(), unanswered: Vec::new() };
                        stopping(frame, cause, books, at)
                    }
                }
            }
        }
    }

    /// Begins the stop, from wherever it stands. A stop that runs already stays as it is.
    pub fn stop(self, frame: &Frame, cause: StopCause, at: Stamp) -> Machine {
        match self {
            Machine::Start(start) => {
                let (desk, before, unwatched) = start.into_parts(at);
                stopping(frame, cause, Books { desk, before, unwatched, unanswered: Vec::new() }, at)
            }
            Machine::Trade(trade) => {
                let (desk, before, unanswered) = trade.into_parts();
                let books = Books { desk, before, unwatched: Vec::new(), unanswered };
                stopping(frame, cause, books, at)
            }
            Machine::Stop(stop) => Machine::Stop(stop),
        }
    }

    /// Begins the stop after a panic: the machine is dropped unread, everything comes from the state and the venues.
    pub fn stop_after_panic(
        frame: &Frame,
        what: String,
        state: &State,
        catalogue: Catalogue,
        first_request: u64,
        at: Stamp,
    ) -> Machine {
        let (desk, unwatched) = Desk::restore(catalogue, frame.identity, state, first_request, at);
        let books = Books { desk, before: Before::Unseen(at.boot), unwatched, unanswered: Vec::new() };
        stopping(frame, StopCause::CorePanic(what), books, at)
    }

    /// Whether it is stopping.
    pub fn is_stopping(&self) -> bool {
        matches!(self, Machine::Stop(_))
    }

    /// Whether it trades.
    pub fn is_trading(&self) -> bool {
        matches!(self, Machine::Trade(_))
    }

    /// The desk, for the status line and for checks from outside.
    pub fn desk(&self) -> &Desk {
        match self {
            Machine::Start(start) => start.desk(),
            Machine::Trade(trade) => trade.desk(),
            Machine::Stop(stop) => stop.desk(),
        }
    }

    /// What it is doing, in a word or two.
    pub fn phase(&self) -> String {
        match self {
            Machine::Start(_) => "starting".into(),
            Machine::Trade(trade) => trade.phase(),
            Machine::Stop(stop) => format!("stopping {}/11", stop.step().number()),
        }
    }
}

/// What a machine leaves to the stop.
struct Books {
    desk: Desk,
    before: Before,
    unwatched: Vec<SavedOrder>,
    unanswered: Vec<CommandId>,
}

fn stopping(frame: &Frame, cause: StopCause, books: Books, at: Stamp) -> Machine {
    let begin = stop::Begin {
        cause,
        desk: books.desk,
        before: books.before,
        unwatched: books.unwatched,
        unanswered: books.unanswered,
        settings: frame.settings.shutdown.clone(),
        report_path: frame.report_path.clone(),
    };
    Machine::Stop(Box::new(Stop::new(begin, at)))
}

/// The run number of this start. Where the disk cannot tell of the run before, that one may have begun within the same
/// ten seconds: one more, and `Start` goes above whatever the venue shows.
pub fn epoch_of(resumed: &Resumed, now: Wall) -> Epoch {
    let next = Epoch::next(Some(resumed.state.epoch), now);
    match resumed.loaded {
        Loaded::Good | Loaded::Older(_) => next,
        Loaded::Absent | Loaded::Damaged(_) => next.above(),
    }
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without words".into())
}
