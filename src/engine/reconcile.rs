//! Comparing our books with a venue's while trading: every minute, and after anything that may have lost news.
//!
//! Always holds: a difference counts only when a second look confirms it; what differs trades again only after two
//! comparisons agree.
//! Never does: mend a difference by guessing. It holds the instrument and names the numbers.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::action::Action;
use crate::domain::ids::{InstrumentId, VenueId};
use crate::domain::instrument::{Instrument, InstrumentKind};
use crate::domain::money::Decimal;
use crate::domain::request::Call;
use crate::domain::time::{Boot, Stamp};
use crate::orders::desk::Desk;

/// Between comparisons.
const EVERY: Duration = Duration::from_secs(60);
/// Before the second look at a difference, and between tries that failed.
const SECOND_LOOK: Duration = Duration::from_secs(2);
/// Tries in a row that may fail.
const FAILURES_MAX: u32 = 3;
/// A comparison whose answers do not come counts as failed.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a comparison found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reconciled {
    /// Books agree; these instruments may trade again.
    Agrees {
        /// Held before.
        released: Vec<InstrumentId>,
    },
    /// A confirmed difference.
    Differs {
        /// Touched by it.
        instruments: Vec<InstrumentId>,
        /// The numbers.
        words: String,
    },
    /// Too many comparisons in a row did not come about.
    Failed(String),
}

#[derive(Clone, Debug)]
struct Look {
    began: Boot,
    is_listed: bool,
    has_fills: bool,
    has_balances: bool,
    has_positions: bool,
    n_booked: u64,
}

/// One venue's comparisons.
#[derive(Clone, Debug)]
pub struct Reconcile {
    venue: VenueId,
    next_at: Boot,
    look: Option<Look>,
    trouble: Option<String>,
    n_failures: u32,
    /// Balance less position, per currency, at the first look: deposits made before us are not a difference.
    baseline: Option<BTreeMap<String, Decimal>>,
    /// A first look at the baseline, until a second one agrees.
    candidate: Option<BTreeMap<String, Decimal>>,
    is_wanted_again: bool,
    suspected: BTreeMap<String, Decimal>,
    held: BTreeMap<String, u32>,
}

impl Reconcile {
    /// The first look is at once: it sets what later ones are compared with.
    pub fn new(venue: VenueId, at: Boot) -> Reconcile {
        Reconcile {
            venue,
            next_at: at,
            look: None,
            trouble: None,
            n_failures: 0,
            baseline: None,
            candidate: None,
            is_wanted_again: false,
            suspected: BTreeMap::new(),
            held: BTreeMap::new(),
        }
    }

    /// Which venue.
    pub fn venue(&self) -> VenueId {
        self.venue
    }

    /// News may have been lost: look now, and if a look is under way, look again after it.
    pub fn now(&mut self) {
        self.next_at = Boot::ZERO;
        self.is_wanted_again = self.look.is_some();
    }

    /// A complete listing came in.
    pub fn listed(&mut self) {
        if let Some(look) = &mut self.look {
            look.is_listed = true;
        }
    }

    /// All fills are booked.
    pub fn fills_complete(&mut self) {
        if let Some(look) = &mut self.look {
            look.has_fills = true;
        }
    }

    /// Balances came in.
    pub fn balances_in(&mut self) {
        if let Some(look) = &mut self.look {
            look.has_balances = true;
        }
    }

    /// Contract positions came in.
    pub fn positions_in(&mut self) {
        if let Some(look) = &mut self.look {
            look.has_positions = true;
        }
    }

    /// Contracts that differ at the start, as the venue told there: they are held as after a confirmed difference.
    pub fn hold_what_differs(&mut self, desk: &Desk) -> BTreeMap<InstrumentId, Decimal> {
        self.held.extend(contract_drifts(self.venue, desk).into_keys().map(|name| (name, 0)));
        desk.contract_drifts(self.venue)
    }

    /// A question of ours failed.
    pub fn failed(&mut self, why: &str) {
        if self.look.is_some() {
            self.trouble = Some(why.to_owned());
        }
    }

    /// Begins a look when it is time, and judges it when its answers are in.
    pub fn pass(&mut self, at: Stamp, desk: &mut Desk, out: &mut Vec<Action>) -> Option<Reconciled> {
        if !desk.sends() {
            return None;
        }
        let Some(look) = &self.look else {
            if at.boot >= self.next_at {
                self.begin(at, desk, out);
            }
            return None;
        };
        if let Some(why) = self.trouble.take() {
            return self.look_failed(at, why);
        }
        if !(look.is_listed && look.has_fills && look.has_balances && look.has_positions) {
            let is_late = at.boot >= look.began.after(PATIENCE);
            return if is_late { self.look_failed(at, "no complete answers in time".into()) } else { None };
        }
        let is_still = look.n_booked == desk.n_booked();
        self.look = None;
        self.n_failures = 0;
        // A fill (or another entry) between the answers makes them two different moments: look again.
        if !is_still {
            self.next_at = at.boot.after(SECOND_LOOK);
            return None;
        }
        self.next_at = if std::mem::take(&mut self.is_wanted_again) { at.boot } else { at.boot.after(EVERY) };
        self.judge(at, desk)
    }

    fn begin(&mut self, at: Stamp, desk: &mut Desk, out: &mut Vec<Action>) {
        let tells_positions = desk.catalogue.venue(self.venue).traits.tells_positions;
        self.look = Some(Look {
            began: at.boot,
            is_listed: false,
            has_fills: false,
            has_balances: false,
            has_positions: !tells_positions,
            n_booked: desk.n_booked(),
        });
        self.trouble = None;
        desk.list(at, self.venue, out);
        desk.fetch_fills(at, self.venue, out);
        desk.ask_account(at, self.venue, Call::Balances, out);
        if tells_positions {
            desk.ask_account(at, self.venue, Call::Positions, out);
        }
    }

    fn look_failed(&mut self, at: Stamp, why: String) -> Option<Reconciled> {
        self.look = None;
        self.next_at = at.boot.after(SECOND_LOOK);
        self.n_failures += 1;
        (self.n_failures == FAILURES_MAX).then_some(Reconciled::Failed(why))
    }

    fn judge(&mut self, at: Stamp, desk: &Desk) -> Option<Reconciled> {
        let mut drifts = self.coin_drifts(at, desk);
        drifts.extend(contract_drifts(self.venue, desk));
        let confirmed: BTreeMap<_, _> =
            drifts.iter().filter(|(asset, drift)| self.suspected.get(*asset) == Some(*drift)).collect();
        let newly: Vec<_> =
            confirmed.keys().filter(|asset| !self.held.contains_key(**asset)).map(|asset| (*asset).clone()).collect();
        let words: Vec<_> = newly.iter().map(|asset| format!("{asset} by {}", drifts[asset])).collect();
        if drifts != self.suspected && !drifts.is_empty() {
            self.next_at = at.boot.after(SECOND_LOOK);
        }
        let released = self.count_agreements(&drifts);
        // What is held has agreed once: no reason to wait a minute for the second time.
        if self.held.values().any(|n_agreed| *n_agreed > 0) {
            self.next_at = self.next_at.min(at.boot.after(SECOND_LOOK));
        }
        self.suspected = drifts;
        for asset in &newly {
            self.held.insert(asset.clone(), 0);
        }
        if newly.is_empty() {
            return Some(Reconciled::Agrees { released: instruments_of(&released, self.venue, desk) });
        }
        Some(Reconciled::Differs { instruments: instruments_of(&newly, self.venue, desk), words: words.join(", ") })
    }

    /// Coins whose balance moved otherwise than by what is booked. The first two looks that agree set what later ones are
    /// compared with.
    fn coin_drifts(&mut self, at: Stamp, desk: &Desk) -> BTreeMap<String, Decimal> {
        let rest = self.rest(desk);
        let Some(baseline) = &self.baseline else {
            // Two looks must agree: a fill between list and balance would make a false start for good.
            if self.candidate.as_ref() == Some(&rest) {
                self.baseline = Some(rest);
            } else {
                self.candidate = Some(rest);
                self.next_at = at.boot.after(SECOND_LOOK);
            }
            return BTreeMap::new();
        };
        let mut drifts = BTreeMap::new();
        for (asset, now) in &rest {
            let was = baseline.get(asset).copied().unwrap_or_default();
            let drift = now.checked_sub(was).unwrap_or_default();
            if drift.abs() > self.largest_lot(asset, desk) {
                drifts.insert(asset.clone(), drift);
            }
        }
        drifts
    }

    /// Counts a look in which a held currency agrees; two in a row release it.
    fn count_agreements(&mut self, drifts: &BTreeMap<String, Decimal>) -> Vec<String> {
        let mut released = Vec::new();
        for (asset, n_agreed) in &mut self.held {
            *n_agreed = if drifts.contains_key(asset) { 0 } else { *n_agreed + 1 };
            if *n_agreed >= 2 {
                released.push(asset.clone());
            }
        }
        for asset in &released {
            self.held.remove(asset);
        }
        released
    }

    /// Balance less booked position of every currency that is a spot base here. Fees taken in that currency have left the
    /// balance and not the position.
    fn rest(&self, desk: &Desk) -> BTreeMap<String, Decimal> {
        let mut rest: BTreeMap<String, Decimal> = BTreeMap::new();
        for instrument in spot_instruments(self.venue, desk) {
            let base = &instrument.rules.base;
            let Some(balance) = desk.account(self.venue).balances().get(base) else { continue };
            let position = desk.position(instrument.id);
            let held = position.qty.checked_sub(position.base_fees).unwrap_or(position.qty);
            let entry = rest.entry(base.clone()).or_insert(*balance);
            *entry = entry.checked_sub(held).unwrap_or(*entry);
        }
        rest
    }

    fn largest_lot(&self, asset: &str, desk: &Desk) -> Decimal {
        let lots = spot_instruments(self.venue, desk).filter(|instrument| instrument.rules.base == asset);
        lots.map(|instrument| instrument.rules.lot).max().unwrap_or_default()
    }
}

fn spot_instruments(venue: VenueId, desk: &Desk) -> impl Iterator<Item = &Instrument> {
    desk.catalogue
        .instruments()
        .iter()
        .filter(move |instrument| instrument.venue == venue && instrument.rules.kind == InstrumentKind::Spot)
}

/// Contracts by symbol: there the venue's word is compared as it is, without a baseline.
fn contract_drifts(venue: VenueId, desk: &Desk) -> BTreeMap<String, Decimal> {
    let drifts = desk.contract_drifts(venue).into_iter();
    drifts.map(|(id, drift)| (desk.catalogue.instrument(id).symbol().as_str().to_owned(), drift)).collect()
}

/// Spot instruments by their base currency, contracts by their symbol.
fn instruments_of(names: &[String], venue: VenueId, desk: &Desk) -> Vec<InstrumentId> {
    let here = desk.catalogue.instruments().iter().filter(|instrument| instrument.venue == venue);
    let is_named = |instrument: &&Instrument| match instrument.rules.kind {
        InstrumentKind::Spot => names.contains(&instrument.rules.base),
        InstrumentKind::Linear => names.iter().any(|name| name == instrument.symbol().as_str()),
    };
    here.filter(is_named).map(|instrument| instrument.id).collect()
}
