//! Bringing venues up: which exchange stands behind a venue in which mode, and its threads.
//!
//! | kind | LIVE | PAPER, DRY_RUN |
//! |---|---|---|
//! | `sim` | refused by the configuration | a paper exchange with an invented market |
//! | a real one | the venue itself | a paper exchange fed by the venue's live public data |
//!
//! Always holds: nothing is sent while venues are prepared, except reads of public data for a paper exchange.

use std::collections::BTreeSet;
use std::path::Path;

use super::channels::{EventSender, QuoteBoard};
use super::gate::Gate;
use super::hands::VenueThreads;
use super::live::{Feed, LiveVenue, Towards};
use super::paper::{PaperVenue, Source, traits_of};
use super::trader::NotStarted;
use super::workers::{LANES_NEAR, Workers};
use crate::domain::ids::{Symbol, VenueId};
use crate::domain::instrument::{InstrumentRules, VenueTraits};
use crate::domain::request::{Answered, Call, Facts};
use crate::domain::secret::ApiKey;
use crate::domain::settings::{Mode, VenueKind, VenueSettings};
use crate::domain::snapshot::State;

/// Looks at a venue's instruments before a paper exchange opens.
const TRIES: u32 = 3;

/// A venue whose threads are not started yet.
pub struct Prepared {
    /// What it promises.
    pub traits: VenueTraits,
    settings: VenueSettings,
    /// Symbols of orders that an earlier configuration left: the account must be watched there too.
    left: Vec<Symbol>,
    behind: Behind,
}

enum Behind {
    Invented,
    Fed(LiveVenue),
    Real(LiveVenue),
}

/// Prepares the venue at this place of the configuration.
pub fn prepare(
    place: usize,
    settings: &VenueSettings,
    mode: Mode,
    key: Option<&ApiKey>,
    state: &State,
) -> Result<Prepared, NotStarted> {
    let Ok(venue) = u8::try_from(place).map(VenueId) else {
        return Err(refused(1, format!("venue {}: more venues than a process can hold", settings.name)));
    };
    let open = state.orders.open.values().filter(|order| order.venue == settings.name);
    let left: BTreeSet<Symbol> = open.map(|order| order.symbol.clone()).collect();
    let left: Vec<_> = left.into_iter().filter(|symbol| !settings.symbols.contains(symbol)).collect();
    let live = |key| LiveVenue::open(venue, settings, key, &left).map_err(|error| refused(1, error));
    let (behind, traits) = match (settings.kind, mode) {
        (VenueKind::Sim, _) => (Behind::Invented, traits_of(&settings.sim)),
        (_, Mode::Live) => {
            let live = live(key.cloned())?;
            let traits = live.traits.clone();
            (Behind::Real(live), traits)
        }
        (_, Mode::Paper | Mode::DryRun) => {
            let live = live(None)?;
            // As fast and as many as the venue itself would let us: else what is rehearsed is another stop.
            let real = live.traits.clone();
            let traits = VenueTraits {
                batch_cancel_max: real.batch_cancel_max.min(settings.sim.batch_cancel_max as usize),
                batch_cancel_by: real.batch_cancel_by,
                cancels_per_second: real.cancels_per_second,
                cancel_burst: real.cancel_burst,
                billing: real.billing,
                open_orders_max: real.open_orders_max,
                stale_after: real.stale_after,
                ping_every: real.ping_every,
                ..traits_of(&settings.sim)
            };
            (Behind::Fed(live), traits)
        }
    };
    Ok(Prepared { traits, settings: settings.clone(), left, behind })
}

/// Starts a prepared venue's threads.
pub fn start(
    prepared: Prepared,
    venue: VenueId,
    paper_folder: &Path,
    (gate, events, quotes): (&Gate, &EventSender, &QuoteBoard),
) -> Result<VenueThreads, NotStarted> {
    let Prepared { settings, left, behind, .. } = prepared;
    let board = quotes.clone();
    let failed = |why: String| refused(1, why);
    match behind {
        Behind::Real(live) => {
            let workers = live.start_workers(gate, events).map_err(failed)?;
            let (streams, resolver) = live.start_streams(events, &Towards::Loop(board)).map_err(failed)?;
            Ok(VenueThreads { id: venue, workers, paper: None, streams, resolver: Some(resolver) })
        }
        Behind::Fed(live) => {
            let rules = rules_of(&settings, &live)?;
            let (feed, end) = Feed::new();
            let source = Source::Fed { rules, end };
            let paper = PaperVenue::open(paper_folder, venue, &settings, source, events.clone(), quotes.clone())
                .map_err(|error| refused(3, error))?;
            let workers = Workers::start(venue, (&settings.name, &LANES_NEAR), gate, events, |severed| {
                Ok(paper.transport(severed))
            })
            .map_err(failed)?;
            let (streams, resolver) = live.start_streams(events, &Towards::Paper(feed, board)).map_err(failed)?;
            Ok(VenueThreads { id: venue, workers, paper: Some(paper), streams, resolver: Some(resolver) })
        }
        Behind::Invented => {
            let source = Source::Invented { also: left };
            let paper = PaperVenue::open(paper_folder, venue, &settings, source, events.clone(), quotes.clone())
                .map_err(|error| refused(3, error))?;
            let workers = Workers::start(venue, (&settings.name, &LANES_NEAR), gate, events, |severed| {
                Ok(paper.transport(severed))
            })
            .map_err(failed)?;
            Ok(VenueThreads { id: venue, workers, paper: Some(paper), streams: Vec::new(), resolver: None })
        }
    }
}

/// The venue's own rules, for a paper exchange that trades its symbols.
fn rules_of(settings: &VenueSettings, live: &LiveVenue) -> Result<Vec<InstrumentRules>, NotStarted> {
    let failed = |why: String| {
        let text = format!(
            "venue {}: its instruments cannot be read ({why}), so no paper account can trade its market. Check the \
             network and the address, or use VENUE=sim",
            settings.name
        );
        refused(1, text)
    };
    let mut probe = live.probe().map_err(failed)?;
    let mut last = String::new();
    for _ in 0..TRIES {
        match probe.call(Call::Instruments) {
            Answered::Done(Facts::Instruments(rules)) => return Ok(rules),
            Answered::Refused(refusal) => last = refusal.text,
            Answered::Later { why, .. } | Answered::NotSent(why) | Answered::Unknown(why) => last = why,
            Answered::Done(other) => last = format!("an answer to another question: {other:?}"),
        }
    }
    Err(failed(last))
}

fn refused(exit_code: u8, text: impl std::fmt::Display) -> NotStarted {
    NotStarted { exit_code, text: text.to_string() }
}
