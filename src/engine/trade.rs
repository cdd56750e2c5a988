//! `Trade`: markets and orders in, orders out. Ties strategies, risk gate and desk together.
//!
//! Always holds: an order exists only because a strategy wished for it and the gate let it through; each order's news
//! goes to the strategy that owns it; the exposure counts exactly the orders that count for limits (asserted each
//! cycle); while anything holds trading, nothing is created.
//! Never does: scan all orders for an event, or stop the process. The stop is another machine.

mod pulls;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::exposure::Exposure;
use super::holds::{Hold, Holds, Resting};
use super::market::Market;
use super::reconcile::Reconcile;
use super::risk::{GateView, RiskGate, RiskRefusal};
use super::stale::Staleness;
use super::strategy::{AdoptedOrder, OrderChange, Slot, Strategy, View, Wish, build};
use crate::domain::action::{Action, Level};
use crate::domain::command::{Command, CommandAnswer, CommandId};
use crate::domain::event::{DiskNews, Event, LinkState, MarketNews, Quote, Stream};
use crate::domain::ids::{ClientOrderId, InstrumentId, StrategyLetter, Symbol, VenueId};
use crate::domain::instrument::Instrument;
use crate::domain::money::Lots;
use crate::domain::order::OrderTerms;
use crate::domain::position::Position;
use crate::domain::record::{Record, RiskState};
use crate::domain::request::RefusalKind;
use crate::domain::settings::{RiskLimits, ShutdownSettings, StrategySettings};
use crate::domain::time::{Boot, Stamp};
use crate::orders::desk::{Desk, Note};
use crate::orders::machine::Order;
use crate::orders::status;
use crate::orders::sweep::Before;

/// A refusal that repeats is said at most this often.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// A position nobody trades is valued without a price when none has come in this time.
const PRICE_PATIENCE: Duration = Duration::from_secs(10);

/// What trading begins with.
pub struct Begin {
    /// Every order and position, known and proved.
    pub desk: Desk,
    /// The strategies.
    pub strategies: Vec<StrategySettings>,
    /// A strategy's letter, by name.
    pub letters: BTreeMap<String, StrategyLetter>,
    /// What strategies want to find again, by name.
    pub memories: BTreeMap<String, serde_json::Value>,
    /// Orders of earlier runs that were open on disk at the start.
    pub leftovers: BTreeSet<ClientOrderId>,
    /// The risk gate's memory.
    pub risk: RiskState,
    /// The newest prices: a quiet market does not repeat them.
    pub quotes: Vec<Quote>,
    /// How far creates of an earlier process may still be on their way.
    pub before: Before,
    /// The operator's limits.
    pub limits: RiskLimits,
    /// For the cap on what we may own.
    pub shutdown: ShutdownSettings,
    /// Strategies made elsewhere, by name: each takes the place of the one its settings describe.
    pub own: BTreeMap<String, Box<dyn Strategy>>,
}

/// What the exposure holds of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counted {
    venue: VenueId,
    terms: OrderTerms,
    left: Lots,
}

struct Runner {
    name: String,
    letter: StrategyLetter,
    instruments: Vec<InstrumentId>,
    strategy: Box<dyn Strategy>,
}

/// The trading machine.
pub struct Trade {
    desk: Desk,
    market: Market,
    exposure: Exposure,
    counted: BTreeMap<ClientOrderId, Counted>,
    gate: RiskGate,
    holds: Holds,
    runners: Vec<Runner>,
    by_letter: BTreeMap<StrategyLetter, usize>,
    reconciles: Vec<Reconcile>,
    staleness: Staleness,
    began: Boot,
    to_settle: BTreeSet<ClientOrderId>,
    said: BTreeMap<String, Boot>,
    first_quotes: Vec<Quote>,
    unsaid: Vec<String>,
    before: Before,
    wishes: Vec<Wish>,
}

impl Trade {
    /// Takes over from a start. The refusals name strategy, key, value and what is allowed, all at once; then the desk
    /// comes back for the stop.
    pub fn new(mut begin: Begin, at: Stamp) -> Result<Trade, (Box<Desk>, Vec<String>)> {
        let mut runners = Vec::new();
        let mut refusals = Vec::new();
        let mut own = std::mem::take(&mut begin.own);
        for settings in &begin.strategies {
            match runner(settings, own.remove(&settings.name), &begin) {
                Ok(runner) => runners.push(runner),
                Err(words) => refusals.extend(words),
            }
        }
        if !refusals.is_empty() {
            return Err((Box::new(begin.desk), refusals));
        }
        let by_letter = runners.iter().enumerate().map(|(place, runner)| (runner.letter, place)).collect();
        let reconciles = begin.desk.catalogue.venues().iter().map(|venue| Reconcile::new(venue.id, at.boot)).collect();
        let traded = runners.iter().flat_map(|runner| &runner.instruments).copied().collect();
        let staleness = Staleness::new(&traded, &begin.desk.catalogue);
        let mut trade = Trade {
            gate: RiskGate::new(begin.limits, begin.shutdown, begin.risk),
            desk: begin.desk,
            market: Market::default(),
            exposure: Exposure::default(),
            counted: BTreeMap::new(),
            holds: Holds::default(),
            runners,
            by_letter,
            reconciles,
            staleness,
            began: at.boot,
            to_settle: BTreeSet::new(),
            said: BTreeMap::new(),
            first_quotes: begin.quotes,
            unsaid: Vec::new(),
            before: begin.before,
            wishes: Vec::new(),
        };
        trade.adopt(&begin.leftovers);
        trade.hold_what_differs();
        if trade.gate.state().paused {
            trade.holds.set(Hold::Operator, Resting::Keep, None, at, &trade.desk);
        }
        if let Some(why) = trade.gate.state().latched.clone() {
            trade.holds.set(Hold::Latched(why), Resting::Cancel, None, at, &trade.desk);
        }
        Ok(trade)
    }

    /// One cycle: news first, then what the strategies make of it.
    pub fn cycle(&mut self, at: Stamp, events: &[Event], out: &mut Vec<Action>) {
        let mut moved_markets = BTreeSet::new();
        out.extend(self.unsaid.drain(..).map(|text| Action::Say(Level::Error, text)));
        for quote in std::mem::take(&mut self.first_quotes) {
            self.quoted(at, &quote, &mut moved_markets, out);
        }
        for event in events {
            self.desk.take(at, event, out);
            self.hear(at, event, &mut moved_markets, out);
        }
        self.cancel_unadopted(at, out);
        self.desk.work(at, out);
        self.follow_notes(at, out);
        self.judge_age(at, out);
        for instrument in &moved_markets {
            self.tell_market(at, *instrument, out);
        }
        for place in 0..self.runners.len() {
            self.with_strategy(at, place, out, |strategy, view, wishes| strategy.on_cycle(view, wishes));
        }
        self.mark(at, out);
        self.hold_on(at, out);
        self.reconcile(at, out);
        // What was wished above is under way within this cycle, and its notes belong to it.
        self.desk.work(at, out);
        self.follow_notes(at, out);
        self.remember(out);
        self.check_invariants();
    }

    /// Hands over to a stop: the desk, how far creates of others may be on their way, and whose commands wait for a proof.
    pub fn into_parts(self) -> (Desk, Before, Vec<CommandId>) {
        (self.desk, self.before, self.holds.into_askers())
    }

    /// The desk, for checks from outside.
    pub fn desk(&self) -> &Desk {
        &self.desk
    }

    fn hear(&mut self, at: Stamp, event: &Event, moved: &mut BTreeSet<InstrumentId>, out: &mut Vec<Action>) {
        match event {
            Event::Quote(quote) => self.quoted(at, quote, moved, out),
            Event::Link(venue, stream, state) => self.linked(at, *venue, *stream, state, out),
            Event::Disk(DiskNews::Failed(why)) => {
                out.push(Action::Say(
                    Level::Error,
                    format!("THE DISK FAILED ({why}): no new orders, resting ones are cancelled. Trading goes on by itself once a new file can be written"),
                ));
                self.holds.set(Hold::Disk(why.clone()), Resting::Cancel, None, at, &self.desk);
            }
            Event::Disk(DiskNews::Recovered) => {
                out.push(Action::Say(Level::Warn, "The disk works again; records are complete".into()));
                self.clear_hold(|hold| matches!(hold, Hold::Disk(_)), out);
            }
            Event::Command(id, command) => self.commanded(at, *id, command, out),
            Event::Market(news) => self.market_told(at, news),
            Event::Limits(..)
            | Event::Answer(_)
            | Event::Order(..)
            | Event::Fill(..)
            | Event::Durable(_)
            | Event::Saved(..)
            | Event::Signal(_)
            | Event::Closed(..) => {}
        }
    }

    fn quoted(&mut self, at: Stamp, quote: &Quote, moved: &mut BTreeSet<InstrumentId>, out: &mut Vec<Action>) {
        let Some(instrument) = self.desk.catalogue.find(quote.venue, &quote.symbol) else { return };
        match self.market.take(at.boot, instrument, quote) {
            Ok(true) => {
                moved.insert(instrument.id);
            }
            Ok(false) => {}
            Err(bad) => self.say_sometimes(at, Level::Warn, bad.to_string(), out),
        }
    }

    fn market_told(&mut self, at: Stamp, news: &MarketNews) {
        if let Some(instrument) = self.desk.catalogue.find(news.venue, &news.symbol) {
            self.market.take_news(at.boot, instrument, news);
        }
    }

    fn symbol(&self, instrument: InstrumentId) -> &Symbol {
        self.desk.catalogue.instrument(instrument).symbol()
    }

    fn linked(&mut self, at: Stamp, venue: VenueId, stream: Stream, state: &LinkState, out: &mut Vec<Action>) {
        let name = self.desk.catalogue.venue(venue).name.clone();
        match state {
            LinkState::Up => {
                out.push(Action::Say(Level::Info, format!("{name}: {stream:?} stream up")));
                self.clear_hold(|hold| *hold == Hold::Link(venue, stream), out);
                // Nothing is replayed: whatever happened meanwhile is in the lists.
                self.reconciles[usize::from(venue.0)].now();
            }
            LinkState::Down(why) => {
                out.push(Action::Say(
                    Level::Warn,
                    format!("{name}: {stream:?} stream down ({why}); quotes are pulled"),
                ));
                if stream == Stream::Public {
                    self.market.forget(venue);
                }
                self.holds.set(Hold::Link(venue, stream), Resting::Cancel, None, at, &self.desk);
            }
        }
    }

    fn commanded(&mut self, at: Stamp, id: CommandId, command: &Command, out: &mut Vec<Action>) {
        let done = |text: &str| Some(CommandAnswer { ok: true, text: text.into(), data: serde_json::Value::Null });
        let answer = match command {
            Command::Status => {
                let phase = self.phase();
                let data = status::data(&self.desk, at, &phase, self.holds.is_empty());
                Some(CommandAnswer { ok: true, text: status::text(&self.desk, &phase), data })
            }
            Command::Pause { keep_orders: true } => {
                self.gate.pause();
                self.holds.set(Hold::Operator, Resting::Keep, None, at, &self.desk);
                self.end_unsent(at, |_| true, out);
                done("paused: no new orders; resting orders stay, as asked")
            }
            Command::Pause { keep_orders: false } | Command::CancelAll => {
                // Answered once the venues have shown that nothing is left.
                self.gate.pause();
                self.holds.set(Hold::Operator, Resting::Cancel, Some(id), at, &self.desk);
                None
            }
            Command::Resume => Some(self.resume(out)),
            Command::Rearm => Some(self.rearm(out)),
            Command::Stop | Command::Restart => done("stopping"),
        };
        if let Some(answer) = answer {
            out.push(Action::Answer(id, answer));
        }
    }

    fn clear_hold(&mut self, matches: impl Fn(&Hold) -> bool, out: &mut Vec<Action>) {
        for (asker, text) in self.holds.clear(matches) {
            out.push(Action::Answer(asker, CommandAnswer { ok: false, text, data: serde_json::Value::Null }));
        }
    }

    fn resume(&mut self, out: &mut Vec<Action>) -> CommandAnswer {
        self.gate.resume();
        self.clear_hold(|hold| *hold == Hold::Operator, out);
        let text = match self.holds.words() {
            None => "trading".to_owned(),
            Some(words) => format!("no longer paused, but still on hold: {words}"),
        };
        CommandAnswer { ok: self.holds.is_empty(), text, data: serde_json::Value::Null }
    }

    fn rearm(&mut self, out: &mut Vec<Action>) -> CommandAnswer {
        let Some(profit) = status::profit(&self.desk) else {
            let text = "profit cannot be worked out exactly, so no limit on losses could hold: not rearmed".into();
            return CommandAnswer { ok: false, text, data: serde_json::Value::Null };
        };
        let Some(why) = self.gate.state().latched.clone() else {
            let text = "nothing is latched off".into();
            return CommandAnswer { ok: true, text, data: serde_json::Value::Null };
        };
        self.gate.rearm(profit);
        self.clear_hold(|hold| matches!(hold, Hold::Latched(_)), out);
        let text = match self.holds.words() {
            None => format!("rearmed (was latched off: {why}); trading"),
            Some(words) => format!("rearmed (was latched off: {why}), but still on hold: {words}"),
        };
        CommandAnswer { ok: true, text, data: serde_json::Value::Null }
    }

    /// What it is doing, in words.
    pub fn phase(&self) -> String {
        self.holds.words().map_or("trading".into(), |words| format!("on hold: {words}"))
    }

    /// Goes through what happened to orders: counts for exposure, tells the owners.
    fn follow_notes(&mut self, at: Stamp, out: &mut Vec<Action>) {
        loop {
            let notes = self.desk.take_notes();
            if notes.is_empty() {
                return;
            }
            for note in notes {
                self.follow(at, note, out);
            }
        }
    }

    fn follow(&mut self, at: Stamp, note: Note, out: &mut Vec<Action>) {
        match note {
            Note::Moved { id, .. } | Note::Filled { id, .. } => {
                self.count(id);
                self.tell_owner(at, id, out);
            }
            Note::CreateRefused(id, refusal) => {
                let Some(order) = self.desk.orders.get(id) else { return };
                let instrument = order.terms.instrument;
                let text = format!("{} refused {}: {}", order.key.symbol, id, refusal.text);
                // "Not now" says nothing against the order, and a market that moved into a post-only one is no fault of
                // ours.
                let counts = !matches!(refusal.kind, RefusalKind::NotNow | RefusalKind::WouldCross);
                if counts && self.gate.note_rejection(at, instrument) {
                    let symbol = self.desk.catalogue.instrument(instrument).symbol();
                    out.push(Action::Say(Level::Error, format!("{symbol} is paused: the venue refused ten orders within a minute, last: {}. `lastorders resume` trades on", refusal.text)));
                }
                self.say_sometimes(at, Level::Warn, text, out);
            }
            Note::Found(id) => {
                out.push(Action::Say(
                    Level::Warn,
                    format!("Order {id} is ours and was not known here: it is cancelled"),
                ));
                self.to_settle.insert(id);
                self.count(id);
            }
            Note::Listed(venue) => self.reconciles[usize::from(venue.0)].listed(),
            Note::FillsComplete(venue) => self.reconciles[usize::from(venue.0)].fills_complete(),
            Note::Balances(venue) => self.reconciles[usize::from(venue.0)].balances_in(),
            Note::ListingFailed(venue, why) | Note::FillsFailed(venue, why) | Note::AskFailed(venue, _, why) => {
                self.reconciles[usize::from(venue.0)].failed(&why);
            }
            Note::CancelFailed(id, why) => {
                self.say_sometimes(at, Level::Warn, format!("Cancel of {id}: {why}; it is asked again"), out);
            }
            Note::CancelAllFailed(venue, why) => {
                let name = &self.desk.catalogue.venue(venue).name;
                let text = format!("{name}: cancel-all: {why}; every order is cancelled by itself");
                self.say_sometimes(at, Level::Warn, text, out);
            }
            Note::Positions(venue) => self.reconciles[usize::from(venue.0)].positions_in(),
            Note::External { instrument, what, words } => self.external(at, instrument, what, words, out),
            Note::SwitchLost(venue) => {
                self.reconciles[usize::from(venue.0)].now();
                self.pull_uncovered(at, venue, out);
            }
            Note::Instruments(..) | Note::ClockOffset(..) | Note::Access(_) => {}
        }
    }

    /// Brings the exposure in line with one order. One that was forgotten since has ended.
    fn count(&mut self, id: ClientOrderId) {
        let order = self.desk.orders.get(id).filter(|order| order.state.counts_for_limits());
        let now = order.map(|order| Counted { venue: order.key.venue, terms: order.terms, left: order.left() });
        let before = match now {
            Some(now) => self.counted.insert(id, now),
            None => self.counted.remove(&id),
        };
        // A size that was mended, or fewer left: taken off as it was, put on as it is.
        if before == now {
            return;
        }
        if let Some(before) = before {
            let is_held = self.exposure.remove(before.venue, &before.terms, before.left).is_ok();
            assert!(is_held, "exposure lost track of {id}");
        }
        if let Some(now) = now {
            self.exposure.add(now.venue, &now.terms, now.left);
        }
    }

    fn tell_owner(&mut self, at: Stamp, id: ClientOrderId, out: &mut Vec<Action>) {
        let Some(&place) = self.by_letter.get(&id.strategy()) else { return };
        let Some(order) = self.desk.orders.get(id) else { return };
        let change = OrderChange { client_id: id, terms: order.terms, filled: order.filled, state: order.state_name() };
        self.with_strategy(at, place, out, |strategy, view, wishes| strategy.on_order(view, &change, wishes));
    }

    fn tell_market(&mut self, at: Stamp, instrument: InstrumentId, out: &mut Vec<Action>) {
        for place in 0..self.runners.len() {
            if self.runners[place].instruments.contains(&instrument) {
                self.with_strategy(at, place, out, |strategy, view, wishes| {
                    strategy.on_market(view, instrument, wishes)
                });
            }
        }
    }

    /// Lets a strategy decide, then carries its wishes out.
    fn with_strategy(
        &mut self,
        at: Stamp,
        place: usize,
        out: &mut Vec<Action>,
        decide: impl FnOnce(&mut dyn Strategy, &View<'_>, &mut Vec<Wish>),
    ) {
        let mut wishes = std::mem::take(&mut self.wishes);
        let desk = &self.desk;
        let position = |instrument: InstrumentId| desk.position(instrument).qty;
        let view = View {
            at,
            catalogue: &desk.catalogue,
            market: &self.market,
            position: &position,
            may_create: self.holds.is_empty() && self.gate.is_open(),
        };
        decide(self.runners[place].strategy.as_mut(), &view, &mut wishes);
        for wish in wishes.drain(..) {
            match wish {
                Wish::Place { slot, terms } => self.place(at, place, slot, terms, out),
                Wish::Cancel(id) => {
                    let rank = self.desk.orders.get(id).map_or(0, |order| self.desk.cancel_rank(order));
                    self.desk.cancel(at, id, rank, out);
                }
                Wish::Say(level, text) => {
                    let text = format!("{}: {text}", self.runners[place].name);
                    self.say_sometimes(at, level, text, out);
                }
            }
        }
        self.wishes = wishes;
    }

    fn place(&mut self, at: Stamp, place: usize, slot: Slot, terms: OrderTerms, out: &mut Vec<Action>) {
        let letter = self.runners[place].letter;
        let venue = self.desk.catalogue.instrument(terms.instrument).venue;
        let forbidden = self.holds.words().or_else(|| self.desk.switch_forbids(at, venue).map(str::to_owned));
        let placed = match forbidden {
            Some(why) => Err(RiskRefusal::not_now(self.desk.catalogue.instrument(terms.instrument), &terms, &why)),
            None => {
                let view = GateView {
                    catalogue: &self.desk.catalogue,
                    market: &self.market,
                    exposure: &self.exposure,
                    position: self.desk.position(terms.instrument).qty,
                    is_covered: &|venue| self.desk.is_covered(venue),
                };
                self.gate.check(at, terms, &view)
            }
        };
        let outcome = placed.and_then(|checked| {
            self.desk.intend(at, checked, letter, out).ok_or_else(|| {
                let instrument = self.desk.catalogue.instrument(terms.instrument);
                RiskRefusal::not_now(instrument, &terms, "no client order id is left in this run; restart")
            })
        });
        let strategy = &mut self.runners[place].strategy;
        match outcome {
            Ok(id) => {
                strategy.placed(slot, id);
                self.count(id);
            }
            Err(refusal) => {
                strategy.refused(at.boot, slot, &refusal);
                self.say_sometimes(at, Level::Debug, refusal.to_string(), out);
            }
        }
    }

    /// Leftovers go to the strategies that own their letters; what nobody wants is cancelled.
    fn adopt(&mut self, leftovers: &BTreeSet<ClientOrderId>) {
        let open: Vec<_> = self.desk.orders.open().map(|order| order.id()).collect();
        for id in leftovers.iter().copied().chain(open).collect::<BTreeSet<_>>() {
            let Some(order) = self.desk.orders.get(id) else { continue };
            let (ended, counts) = (order.state.is_terminal(), order.state.counts_for_limits());
            let adopted = AdoptedOrder { client_id: id, terms: order.terms, filled: order.filled, ended };
            let owner = self.by_letter.get(&id.strategy()).copied();
            let wanted = owner.is_some_and(|place| self.runners[place].strategy.adopt(&adopted));
            if counts {
                self.count(id);
            }
            if !wanted && !ended {
                self.to_settle.insert(id);
            }
        }
    }

    fn cancel_unadopted(&mut self, at: Stamp, out: &mut Vec<Action>) {
        for id in std::mem::take(&mut self.to_settle) {
            let rank = self.desk.orders.get(id).map_or(0, |order| self.desk.cancel_rank(order));
            self.desk.cancel(at, id, rank, out);
        }
    }

    /// Profit to the gate; a day's loss over the limit latches.
    fn mark(&mut self, at: Stamp, out: &mut Vec<Action>) {
        // Without a price a loss can be neither seen nor ruled out; the first quote brings it. Of what no strategy trades
        // (a symbol nobody configured, moved by someone else) none may ever come, and the other losses count all the same.
        let waits_for_all = at.boot < self.began.after(PRICE_PATIENCE);
        let is_traded = |id| self.runners.iter().any(|runner| runner.instruments.contains(&id));
        let is_marked = |(instrument, position): (&Instrument, &Position)| {
            position.qty.is_zero()
                || self.desk.mark(instrument.id).is_some()
                || !(waits_for_all || is_traded(instrument.id))
        };
        if !self.desk.positions().all(is_marked) {
            return;
        }
        let profit = status::profit(&self.desk);
        let latched = match profit {
            Some(profit) => self.gate.mark(at, profit),
            None => {
                self.gate.latch("profit cannot be worked out exactly: a number is too large");
                self.gate.state().latched.clone().filter(|_| !self.holds.has(|hold| matches!(hold, Hold::Latched(_))))
            }
        };
        if let Some(why) = latched {
            out.push(Action::Say(
                Level::Error,
                format!("TRADING IS LATCHED OFF: {why}. Every order is cancelled; positions are held. `lastorders rearm` trades on"),
            ));
            self.holds.set(Hold::Latched(why), Resting::Cancel, None, at, &self.desk);
        }
    }

    /// What holds trading cancels what rests, proves it, and answers whoever asked.
    fn hold_on(&mut self, at: Stamp, out: &mut Vec<Action>) {
        for (asker, words) in self.holds.pass(at, &mut self.desk, out) {
            out.push(Action::Answer(asker, CommandAnswer { ok: true, text: words, data: serde_json::Value::Null }));
        }
    }

    /// Ends orders that have not been handed over yet.
    fn end_unsent(&mut self, at: Stamp, which: impl Fn(&Order) -> bool, out: &mut Vec<Action>) {
        let unsent: Vec<_> = self.desk.orders.new_orders().filter(|order| which(order)).map(Order::id).collect();
        for id in unsent {
            self.desk.cancel(at, id, 0, out);
        }
    }

    /// Records what gate and strategies must find again.
    fn remember(&mut self, out: &mut Vec<Action>) {
        if let Some(risk) = self.gate.take_unsaved() {
            self.desk.record(Record::Risk(risk), out);
        }
        for runner in &mut self.runners {
            if runner.strategy.take_memory_changed() {
                let record = Record::Strategy {
                    name: runner.name.clone(),
                    letter: runner.letter.as_char(),
                    memory: runner.strategy.memory(),
                };
                self.desk.record(record, out);
            }
        }
    }

    fn say_sometimes(&mut self, at: Stamp, level: Level, text: String, out: &mut Vec<Action>) {
        const REMEMBERED_MAX: usize = 1_000;
        // The numbers in a line differ each time; the words before the first digit are what repeats.
        let kind: String = text.chars().take_while(|letter| !letter.is_ascii_digit()).collect();
        if self.said.get(&kind).is_some_and(|last| at.boot.since(*last) < SAY_AGAIN) {
            return;
        }
        if self.said.len() >= REMEMBERED_MAX {
            self.said.clear();
        }
        self.said.insert(kind, at.boot);
        out.push(Action::Say(level, text));
    }

    /// A broken assumption of ours ends trading, not the clean-up: the runtime turns this panic into a stop.
    fn check_invariants(&self) {
        let n_counting = self.desk.orders.n_open() + self.desk.orders.n_new();
        assert!(
            usize::try_from(self.exposure.total()) == Ok(n_counting),
            "exposure counts {} orders, the order machine {n_counting}",
            self.exposure.total()
        );
    }
}

fn runner(settings: &StrategySettings, own: Option<Box<dyn Strategy>>, begin: &Begin) -> Result<Runner, Vec<String>> {
    let name = settings.name.clone();
    let venue = begin.desk.catalogue.venue_named(&settings.venue).map(|venue| venue.id);
    let (Some(venue), Some(&letter)) = (venue, begin.letters.get(&name)) else {
        return Err(vec![format!("strategy {name}: there is no venue `{}`", settings.venue)]);
    };
    let mut strategy = match own {
        Some(strategy) => strategy,
        None => build(settings, &begin.desk.catalogue, venue)?,
    };
    if let Some(memory) = begin.memories.get(&name).filter(|memory| !memory.is_null()) {
        strategy.recall(memory).map_err(|why| vec![format!("strategy {name}: {why}")])?;
    }
    let instruments = settings
        .symbols
        .iter()
        .filter_map(|symbol| begin.desk.catalogue.find(venue, symbol))
        .map(|instrument| instrument.id)
        .collect();
    Ok(Runner { name, letter, instruments, strategy })
}
