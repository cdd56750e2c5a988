//! `Start`: everything that must be true before the first order (design 4), as a machine.
//!
//! Always holds: nothing is created here; trading begins only after every venue has told its instruments, its clock,
//! what the account holds, every fill we missed and every order of ours, and nothing of an earlier run is in doubt.
//! Never does: begin trading on a guess. What it cannot get in time ends in a stop that names it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::action::{Action, Level};
use crate::domain::command::{Command, CommandAnswer};
use crate::domain::event::{Event, LinkState, Quote, Stream};
use crate::domain::ids::{ClientOrderId, Instance, StrategyLetter, Symbol, VenueId};
use crate::domain::order::StateName;
use crate::domain::record::{Record, RiskState};

use crate::domain::request::Call;
use crate::domain::settings::{Mode, OnStart, StartSettings, StrategySettings, VenueSettings};
use crate::domain::snapshot::{SavedOrder, State};
use crate::domain::time::{Boot, Stamp};
use crate::orders::desk::{Desk, Note};
use crate::orders::status;
use crate::orders::sweep::{Before, Progress as SweepProgress, Sweep};
use crate::orders::troubles::Troubles;

/// A venue that has not told all in this time is not there.
const START_BUDGET: Duration = Duration::from_secs(60);
/// Before a question that got no answer is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// Signatures and deadlines need a clock at least this close to the venue's.
const CLOCK_OFFSET_MAX_MS: i64 = 1_000;
/// What `status` says meanwhile.
const PHASE: &str = "starting: reading the accounts";

/// What a start begins with.
pub struct Begin {
    /// Knows the venues, and no order yet.
    pub desk: Desk,
    /// What the disk knows.
    pub state: State,
    /// The operator's policy.
    pub settings: StartSettings,
    /// The venues, for their symbols.
    pub venues: Vec<VenueSettings>,
    /// The strategies, for their letters.
    pub strategies: Vec<StrategySettings>,
    /// What the store mended or noticed while loading.
    pub remarks: Vec<String>,
    /// The disk cannot tell how the run before ended (no state, or a damaged one).
    pub is_suspicious: bool,
}

/// What trading begins with.
pub struct Ready {
    /// Every order and position, known and proved.
    pub desk: Desk,
    /// A strategy's letter, by name.
    pub letters: BTreeMap<String, StrategyLetter>,
    /// What strategies want to find again.
    pub memories: BTreeMap<String, serde_json::Value>,
    /// Orders of earlier runs that were open on disk when this start began; some may have ended since.
    pub leftovers: BTreeSet<ClientOrderId>,
    /// The risk gate's memory.
    pub risk: RiskState,
    /// The newest prices: a quiet market does not repeat them.
    pub quotes: Vec<Quote>,
    /// How far creates of an earlier process may still be on their way.
    pub before: Before,
}

/// Where a start stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Not there yet.
    Busy,
    /// Trading may begin: `into_ready`.
    Ready,
    /// It may not: why, and what to do. `into_parts` for the stop.
    Failed(String),
}

#[derive(Clone, Debug)]
struct VenueStart {
    id: VenueId,
    name: String,
    symbols: BTreeSet<String>,
    asked_at: Option<Boot>,
    has_instruments: bool,
    has_clock: bool,
    has_balances: bool,
    has_access: bool,
    /// All orders and fills of ours are in; contracts are to be told from here on.
    books_are_read: Option<Stamp>,
    contracts_asked_at: Option<Boot>,
    up: BTreeSet<Stream>,
    sweep: Option<Sweep>,
    books_began: Option<Boot>,
    is_done: bool,
}

impl VenueStart {
    /// Prices and news of our orders come in: without them trading would be blind.
    fn hears_all(&self) -> bool {
        self.up.contains(&Stream::Public) && self.up.contains(&Stream::Private)
    }
}

/// The start.
pub struct Start {
    desk: Desk,
    state: State,
    before: Option<Before>,
    unwatched: Vec<SavedOrder>,
    settings: StartSettings,
    strategies: Vec<StrategySettings>,
    remarks: Vec<String>,
    is_suspicious: bool,
    venues: Vec<VenueStart>,
    deadline: Boot,
    has_begun: bool,
    leftovers: BTreeSet<ClientOrderId>,
    n_missed_fills: u32,
    n_externals: u32,
    strangers: BTreeMap<Instance, Vec<String>>,
    letters: BTreeMap<String, StrategyLetter>,
    quotes: BTreeMap<(VenueId, Symbol), Quote>,
    troubles: Troubles,
    failure: Option<String>,
}

impl Start {
    /// Takes over a restored desk.
    pub fn new(begin: Begin, at: Stamp) -> Start {
        let venues: Vec<_> = begin
            .venues
            .iter()
            .filter_map(|settings| {
                let id = begin.desk.catalogue.venue_named(&settings.name)?.id;
                Some(VenueStart {
                    id,
                    name: settings.name.clone(),
                    symbols: settings.symbols.iter().map(|symbol| symbol.as_str().to_owned()).collect(),
                    asked_at: None,
                    has_instruments: false,
                    has_clock: false,
                    has_balances: false,
                    // Who tells no positions tells nothing of the key either.
                    has_access: !begin.desk.catalogue.venue(id).traits.tells_positions,
                    books_are_read: None,
                    contracts_asked_at: None,
                    up: BTreeSet::new(),
                    sweep: None,
                    books_began: None,
                    is_done: false,
                })
            })
            .collect();
        let mut desk = begin.desk;
        for settings in &begin.venues {
            if let Some(id) = desk.catalogue.venue_named(&settings.name).map(|venue| venue.id) {
                desk.use_switch(at, id, settings.exclusive_account);
            }
        }
        Start {
            leftovers: BTreeSet::new(),
            desk,
            state: begin.state,
            before: None,
            unwatched: Vec::new(),
            settings: begin.settings,
            strategies: begin.strategies,
            remarks: begin.remarks,
            is_suspicious: begin.is_suspicious,
            venues,
            deadline: at.boot.after(START_BUDGET),
            has_begun: false,
            n_missed_fills: 0,
            n_externals: 0,
            strangers: BTreeMap::new(),
            letters: BTreeMap::new(),
            quotes: BTreeMap::new(),
            troubles: Troubles::default(),
            failure: None,
        }
    }

    /// One cycle.
    pub fn cycle(&mut self, at: Stamp, events: &[Event], out: &mut Vec<Action>) {
        if !self.has_begun {
            self.begin(at, out);
        }
        for event in events {
            // What is pushed before the state is loaded would be taken for the order of a stranger. It comes again:
            // in the listing and the list of fills that follow.
            if self.before.is_some() || !matches!(event, Event::Order(..) | Event::Fill(..)) {
                self.desk.take(at, event, out);
            }
            match event {
                Event::Command(id, command) => out.push(Action::Answer(*id, self.answer(at, command))),
                Event::Link(venue, stream, LinkState::Up) => self.with(*venue, |at_venue| {
                    at_venue.up.insert(*stream);
                }),
                Event::Link(venue, stream, LinkState::Down(why)) => {
                    self.with(*venue, |at_venue| {
                        at_venue.up.remove(stream);
                    });
                    self.trouble(*venue, &format!("{stream:?} stream down: {why}"), out);
                }
                Event::Quote(quote) => {
                    self.quotes.insert((quote.venue, quote.symbol.clone()), quote.clone());
                }
                _ => {}
            }
        }
        self.desk.work(at, out);
        self.hear_notes(at, out);
        self.load_in_turn(at, out);
        let mut venues = std::mem::take(&mut self.venues);
        for venue in &mut venues {
            self.advance(at, venue, out);
        }
        self.venues = venues;
        self.desk.work(at, out);
        self.hear_notes(at, out);
        if self.failure.is_none() && at.boot >= self.deadline && !self.is_complete() {
            self.failure = Some(self.lateness());
        }
    }

    /// Where it stands.
    pub fn progress(&self) -> Progress {
        match &self.failure {
            Some(why) => Progress::Failed(why.clone()),
            None if self.is_complete() => Progress::Ready,
            None => Progress::Busy,
        }
    }

    /// Hands over to trading. Only after `Progress::Ready`.
    pub fn into_ready(self, out: &mut Vec<Action>) -> Ready {
        self.say_what_was_found(out);
        let memories = self.state.strategies.iter().map(|(name, saved)| (name.clone(), saved.memory.clone())).collect();
        Ready {
            desk: self.desk,
            letters: self.letters,
            memories,
            leftovers: self.leftovers,
            risk: self.state.risk,
            quotes: self.quotes.into_values().collect(),
            before: self.before.unwrap_or(Before::ThisProcess),
        }
    }

    /// Hands over to a stop, from wherever it stands: the desk, how far creates may be on their way, and what nobody watches.
    pub fn into_parts(mut self, at: Stamp) -> (Desk, Before, Vec<SavedOrder>) {
        let before = self.load(at);
        (self.desk, before, self.unwatched)
    }

    /// Takes in what the disk knows, once. A state that ends with open orders was not left by a clean stop: then
    /// someone else's creates may still be on their way.
    fn load(&mut self, at: Stamp) -> Before {
        if let Some(before) = self.before {
            return before;
        }
        self.unwatched = self.desk.load(&self.state, at);
        self.leftovers = self.desk.orders.open().map(|order| order.id()).collect();
        let was_clean = self.leftovers.is_empty() && self.unwatched.is_empty() && !self.is_suspicious;
        let before = if was_clean { Before::ThisProcess } else { Before::Unseen(at.boot) };
        self.before = Some(before);
        before
    }

    /// The desk, for checks from outside.
    pub fn desk(&self) -> &Desk {
        &self.desk
    }

    fn begin(&mut self, at: Stamp, out: &mut Vec<Action>) {
        self.has_begun = true;
        for remark in self.remarks.drain(..) {
            out.push(Action::Say(Level::Warn, remark));
        }
        self.desk.record(Record::Epoch { epoch: self.desk.identity.epoch, at: at.wall }, out);
        if let Err(why) = self.give_letters(out) {
            self.failure = Some(why);
        }
    }

    /// Loads the state as soon as every venue has told its instruments.
    fn load_in_turn(&mut self, at: Stamp, out: &mut Vec<Action>) {
        if self.before.is_some() || !self.venues.iter().all(|venue| venue.has_instruments) {
            return;
        }
        self.load(at);
        if !self.unwatched.is_empty() {
            let names: Vec<_> =
                self.unwatched.iter().map(|order| format!("{} at {}", order.client_id, order.venue)).collect();
            self.failure = Some(format!(
                "{} open orders belong to venues that are not in the configuration ({}). Add the venue again, or cancel them by hand and start with a new state directory",
                names.len(),
                names.join(", ")
            ));
        }
        if !self.leftovers.is_empty() {
            let n = self.leftovers.len();
            out.push(Action::Say(Level::Warn, format!("The run before left {n} orders that are or may be open")));
            for order in self.desk.orders.open() {
                out.push(Action::Say(Level::Info, format!("  - {}", status::order_words(&self.desk, order))));
            }
        }
    }

    /// A letter for each strategy: its own of earlier runs, else one that no other name ever had.
    fn give_letters(&mut self, out: &mut Vec<Action>) -> Result<(), String> {
        let mut taken: BTreeSet<StrategyLetter> =
            self.state.strategies.values().filter_map(|saved| StrategyLetter::from_char(saved.letter)).collect();
        for strategy in &self.strategies {
            let saved = self.state.strategies.get(&strategy.name);
            if let Some(letter) = saved.and_then(|saved| StrategyLetter::from_char(saved.letter)) {
                self.letters.insert(strategy.name.clone(), letter);
                continue;
            }
            let free = (0..).map_while(StrategyLetter::nth).find(|letter| !taken.contains(letter));
            let Some(letter) = free else {
                return Err(format!(
                    "no letter is left for strategy {}: 36 names have been used in this state directory. Start with a new one",
                    strategy.name
                ));
            };
            taken.insert(letter);
            self.letters.insert(strategy.name.clone(), letter);
            let (name, letter) = (strategy.name.clone(), letter.as_char());
            self.desk.record(Record::Strategy { name, letter, memory: serde_json::Value::Null }, out);
        }
        Ok(())
    }

    fn hear_notes(&mut self, at: Stamp, out: &mut Vec<Action>) {
        for note in self.desk.take_notes() {
            match note {
                Note::Found(id) => {
                    self.leftovers.insert(id);
                    self.go_above(at, id, out);
                    out.push(Action::Say(
                        Level::Warn,
                        format!("Found {id} on the book: ours, and not in the state on disk"),
                    ));
                }
                Note::Filled { .. } => self.n_missed_fills += 1,
                Note::Listed(venue) => self.hear_listing(venue),
                Note::ListingFailed(venue, why) | Note::FillsFailed(venue, why) | Note::AskFailed(venue, _, why) => {
                    self.trouble(venue, &why, out);
                }
                Note::Instruments(venue, _) => {
                    self.with(venue, |at_venue| at_venue.has_instruments = true);
                    self.repeat_quotes(at, venue, out);
                }
                Note::Access(venue) => self.hear_access(venue, out),
                Note::External { .. } => self.n_externals += 1,
                Note::Balances(venue) => self.with(venue, |at_venue| at_venue.has_balances = true),
                Note::ClockOffset(venue, offset_ms, error) => self.hear_clock(venue, offset_ms, error),
                Note::Moved { .. }
                | Note::CreateRefused(..)
                | Note::CancelFailed(..)
                | Note::CancelAllFailed(..)
                | Note::FillsComplete(_)
                | Note::Positions(_)
                | Note::SwitchLost(_) => {}
            }
        }
    }

    /// Prices that came before the instruments meant nothing to the desk then, and a quiet market does not repeat them.
    fn repeat_quotes(&mut self, at: Stamp, venue: VenueId, out: &mut Vec<Action>) {
        let here = self.quotes.values().filter(|quote| quote.venue == venue);
        for quote in here.cloned().collect::<Vec<_>>() {
            self.desk.take(at, &Event::Quote(quote), out);
        }
    }

    /// A lost directory may have hidden a run as young as this one: no id of it is given again.
    fn go_above(&mut self, at: Stamp, id: ClientOrderId, out: &mut Vec<Action>) {
        if id.epoch() >= self.desk.identity.epoch {
            self.desk.identity.epoch = id.epoch().above();
            self.desk.record(Record::Epoch { epoch: self.desk.identity.epoch, at: at.wall }, out);
        }
    }

    fn with(&mut self, venue: VenueId, change: impl FnOnce(&mut VenueStart)) {
        if let Some(at_venue) = self.venues.iter_mut().find(|at_venue| at_venue.id == venue) {
            change(at_venue);
        }
    }

    /// Something did not come about and is tried again. Each trouble is said once, at once: who has mistyped a key need
    /// not wait until the start gives up.
    fn trouble(&mut self, venue: VenueId, why: &str, out: &mut Vec<Action>) {
        if self.troubles.is_new(venue, why) {
            let name = &self.desk.catalogue.venue(venue).name;
            let text = format!("{name}: {why}. The start tries again, for {} s in all", START_BUDGET.as_secs());
            out.push(Action::Say(Level::Warn, text));
        }
    }

    fn hear_clock(&mut self, venue: VenueId, offset_ms: i64, error: Duration) {
        let sure_ms = i64::try_from(error.as_millis()).unwrap_or(i64::MAX);
        if offset_ms.saturating_abs().saturating_sub(sure_ms) > CLOCK_OFFSET_MAX_MS {
            self.failure = Some(format!(
                "this machine's clock and that of {} differ by {offset_ms} ms; at most {CLOCK_OFFSET_MAX_MS} ms are allowed. Mend the clock (NTP)",
                self.desk.catalogue.venue(venue).name
            ));
        }
        self.with(venue, |at_venue| at_venue.has_clock = true);
    }

    /// `lo` orders of an instance that is neither ours nor named: someone else of our kind works on this account.
    fn hear_listing(&mut self, venue: VenueId) {
        let Some(listed) = self.desk.account(venue).last_listed() else { return };
        for (instance, ids) in &listed.strangers {
            if !self.settings.other_instances.contains(instance) {
                self.strangers.insert(*instance, ids.clone());
            }
        }
        if self.desk.identity.mode == Mode::Live && !self.strangers.is_empty() {
            let names: Vec<_> = self.strangers.iter().map(|(name, ids)| format!("{name}: {}", ids.join(" "))).collect();
            self.failure = Some(format!(
                "orders of another lastorders instance rest on this account ({}). If that instance is alive and meant to be here, name it in [start] other_instances; if it is you with a lost state directory, set instance to it",
                names.join("; ")
            ));
        }
    }

    /// Moves one venue on as far as its answers allow.
    fn advance(&mut self, at: Stamp, venue: &mut VenueStart, out: &mut Vec<Action>) {
        if venue.is_done || self.failure.is_some() {
            return;
        }
        let told_all = venue.has_instruments && venue.has_clock && venue.has_balances && venue.has_access;
        if !told_all {
            if venue.asked_at.is_none_or(|asked| at.boot >= asked.after(ASK_AGAIN)) {
                venue.asked_at = Some(at.boot);
                let open_questions = [
                    (venue.has_instruments, Call::Instruments),
                    (venue.has_clock, Call::Time),
                    (venue.has_balances, Call::Balances),
                    (venue.has_access, Call::Access),
                ];
                for (_, call) in open_questions.into_iter().filter(|(is_answered, _)| !is_answered) {
                    self.desk.ask_account(at, venue.id, call, out);
                }
            }
            return;
        }
        let Some(before) = self.before else { return };
        if let Err(why) = self.check_symbols(venue) {
            self.failure = Some(why);
            return;
        }
        if let Some(why) = self.refused_access() {
            self.failure = Some(why);
            return;
        }
        if self.desk.identity.mode == Mode::DryRun {
            venue.is_done = true;
            return;
        }
        let is_read = match self.settings.on_start {
            OnStart::Cancel => self.sweep(at, venue, before, out),
            OnStart::Adopt => self.read_books(at, venue, out),
        };
        venue.is_done = is_read && self.compare_contracts(at, venue, out);
    }

    /// Contracts as the venue shows them, and where our books begin. Later starts hold what differs: `Trade` does.
    fn compare_contracts(&mut self, at: Stamp, venue: &mut VenueStart, out: &mut Vec<Action>) -> bool {
        let since = *venue.books_are_read.get_or_insert(at);
        let tells = self.desk.catalogue.venue(venue.id).traits.tells_positions;
        if !tells || self.desk.knows_contracts(venue.id, since.boot) {
            return self.desk.open_books(venue.id, since, out);
        }
        if venue.contracts_asked_at.is_none_or(|asked| at.boot >= asked.after(ASK_AGAIN)) {
            venue.contracts_asked_at = Some(at.boot);
            self.desk.ask_account(at, venue.id, Call::Positions, out);
        }
        false
    }

    fn hear_access(&mut self, venue: VenueId, out: &mut Vec<Action>) {
        self.with(venue, |at_venue| at_venue.has_access = true);
        let Some(access) = self.desk.account(venue).access().cloned() else { return };
        let name = &self.desk.catalogue.venue(venue).name;
        for remark in &access.remarks {
            out.push(Action::Say(Level::Warn, format!("{name}: {remark}")));
        }
        if access.may_withdraw.is_none() && self.desk.identity.mode == Mode::Live {
            let text = format!("{name} does not tell whether this key may withdraw; see that it may not");
            out.push(Action::Say(Level::Info, text));
        }
        if access.switch == Some(false) {
            self.desk.switch_denied(venue, out);
        }
    }

    /// What forbids real orders with these keys: everything at once, and the mend of each. Nothing while a venue has
    /// still to tell.
    fn refused_access(&self) -> Option<String> {
        if self.desk.identity.mode != Mode::Live || !self.venues_know_access() {
            return None;
        }
        let mut reasons = Vec::new();
        for venue in self.desk.catalogue.venues() {
            let Some(access) = self.desk.account(venue.id).access() else { continue };
            let name = &venue.name;
            if access.may_withdraw == Some(true) {
                reasons
                    .push(format!("the key of {name} may withdraw: make one that may only trade, and delete this one"));
            }
            if access.may_trade == Some(false) {
                reasons.push(format!("the key of {name} may not place orders: give it the permission to trade"));
            }
            if access.hedge_mode == Some(true) {
                reasons.push(format!("the account of {name} is in hedge mode: set it to one-way mode"));
            }
        }
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    fn venues_know_access(&self) -> bool {
        let tells = self.desk.catalogue.venues().iter().filter(|venue| venue.traits.tells_positions);
        tells.into_iter().all(|venue| self.desk.account(venue.id).access().is_some())
    }

    fn check_symbols(&self, venue: &VenueStart) -> Result<(), String> {
        let known: BTreeSet<_> = self
            .desk
            .catalogue
            .instruments()
            .iter()
            .filter(|instrument| instrument.venue == venue.id && instrument.rules.tradable)
            .map(|instrument| instrument.symbol().as_str())
            .collect();
        let unknown: Vec<_> =
            venue.symbols.iter().map(String::as_str).filter(|symbol| !known.contains(symbol)).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        Err(format!(
            "venue {} does not trade {} now; it trades {}. Change `symbols`, or wait until it does",
            venue.name,
            unknown.join(", "),
            known.into_iter().take(20).collect::<Vec<_>>().join(", ")
        ))
    }

    /// `on_start = "cancel"`: whatever earlier runs left goes, and the venue shows that it is gone.
    fn sweep(&mut self, at: Stamp, venue: &mut VenueStart, before: Before, out: &mut Vec<Action>) -> bool {
        let sweep = venue.sweep.get_or_insert_with(|| Sweep::new(venue.id, at, before, &self.desk));
        matches!(sweep.pass(at, &mut self.desk, out), SweepProgress::Proved(_))
    }

    /// `on_start = "adopt"`: complete books, and nothing in doubt.
    fn read_books(&mut self, at: Stamp, venue: &mut VenueStart, out: &mut Vec<Action>) -> bool {
        let began = *venue.books_began.get_or_insert(at.boot);
        let account = self.desk.account(venue.id);
        let is_listed = account.last_listed().is_some_and(|listed| listed.started.boot >= began);
        let has_fills = account.fills_complete().is_some_and(|started| started >= began);
        let owes = self.desk.orders.owed_at(venue.id).next().is_some();
        let in_doubt = self
            .desk
            .orders
            .open_at(venue.id)
            .any(|order| matches!(order.state_name(), StateName::Unknown | StateName::Sent));
        if !is_listed {
            self.desk.list(at, venue.id, out);
        }
        if !has_fills {
            self.desk.fetch_fills(at, venue.id, out);
        }
        is_listed && has_fills && !owes && !in_doubt && !self.desk.has_doubts()
    }

    fn is_complete(&self) -> bool {
        self.failure.is_none() && self.has_begun && self.venues.iter().all(|venue| self.is_through(venue))
    }

    /// Books read, streams up, and known whether a switch covers the account: then orders may rest there.
    fn is_through(&self, venue: &VenueStart) -> bool {
        venue.is_done && venue.hears_all() && self.desk.is_switch_settled(venue.id)
    }

    fn lateness(&self) -> String {
        let late: Vec<_> = self
            .venues
            .iter()
            .filter(|venue| !self.is_through(venue))
            .map(|venue| format!("{} ({})", venue.name, self.troubles.last(venue.id).unwrap_or("no answer yet")))
            .collect();
        format!(
            "no complete and settled books within {} s from {}. Check that the venue can be reached, then start again",
            START_BUDGET.as_secs(),
            late.join(", ")
        )
    }

    fn say_what_was_found(&self, out: &mut Vec<Action>) {
        let outcome = |wanted: StateName| {
            let is = |id: &&ClientOrderId| self.desk.orders.get(**id).is_some_and(|order| order.state_name() == wanted);
            self.leftovers.iter().filter(is).count()
        };
        if self.n_externals > 0 {
            let text = format!(
                "{} entries booked that are no trades of our orders (trades of others, funding, liquidations, what was taken over): they count for positions, profit and limits",
                self.n_externals
            );
            out.push(Action::Say(Level::Warn, text));
        }
        if !self.leftovers.is_empty() || self.n_missed_fills > 0 {
            out.push(Action::Say(
                Level::Info,
                format!(
                    "Leftovers of earlier runs: {} orders, of them {} cancelled now, {} filled, {} never reached the book, {} still open; {} missed fills booked",
                    self.leftovers.len(),
                    outcome(StateName::Canceled),
                    outcome(StateName::Filled),
                    outcome(StateName::Rejected),
                    self.desk.orders.n_open(),
                    self.n_missed_fills
                ),
            ));
        }
        for (instance, ids) in &self.strangers {
            out.push(Action::Say(
                Level::Warn,
                format!(
                    "{} orders of another lastorders instance ({instance}) rest on this account; they are left alone",
                    ids.len()
                ),
            ));
        }
    }

    fn answer(&self, at: Stamp, command: &Command) -> CommandAnswer {
        match command {
            Command::Status => CommandAnswer {
                ok: true,
                text: status::text(&self.desk, PHASE),
                data: status::data(&self.desk, at, PHASE, false),
            },
            Command::Stop | Command::Restart => {
                CommandAnswer { ok: true, text: "stopping".into(), data: serde_json::Value::Null }
            }
            Command::Pause { .. } | Command::Resume | Command::CancelAll | Command::Rearm => CommandAnswer {
                ok: false,
                text: "not yet: the start is still reading the accounts; try again in a moment".into(),
                data: serde_json::Value::Null,
            },
        }
    }
}
