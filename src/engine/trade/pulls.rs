//! What pulls quotes without holding the whole process: prices that grow old, books that differ from the venue's, a
//! switch that is lost; and what the operator hears when others move the account.
//!
//! Always holds: only the instrument (or the venue) concerned is pulled; what was about to leave ends unsent.
//! Never does: decide when trading goes on by guessing. A fresh price, or two comparisons that agree, say so.

use super::super::holds::{Hold, Resting};
use super::super::reconcile::Reconciled;
use super::super::risk::GateView;
use super::super::stale::Turned;
use super::Trade;
use crate::domain::action::{Action, Level};
use crate::domain::ids::{InstrumentId, VenueId};
use crate::domain::money::Decimal;
use crate::domain::order::FillKind;
use crate::domain::time::Stamp;
use crate::orders::machine::Order;

/// Why an instrument is held.
const DIFFERS: &str = "our books and the venue's differ";

impl Trade {
    /// Prices that are too old are no prices: what rests by them is pulled, and only there.
    pub(super) fn judge_age(&mut self, at: Stamp, out: &mut Vec<Action>) {
        for turned in self.staleness.pass(at.boot, &self.market) {
            match turned {
                Turned::Stale(instrument, after) => {
                    self.gate.stale(instrument, after);
                    self.market.hide(instrument);
                    self.pull(at, instrument, out);
                    let (symbol, after_s) = (self.symbol(instrument), after.as_secs());
                    let text =
                        format!("{symbol}: no price for over {after_s} s; its quotes are pulled until one comes");
                    out.push(Action::Say(Level::Warn, text));
                }
                Turned::Fresh(instrument) => {
                    self.gate.fresh(instrument);
                    out.push(Action::Say(Level::Info, format!("{}: prices come again", self.symbol(instrument))));
                }
            }
        }
    }

    /// Something moved the account that no strategy wished for. What takes positions away is always said.
    pub(super) fn external(
        &mut self,
        at: Stamp,
        instrument: InstrumentId,
        what: FillKind,
        words: String,
        out: &mut Vec<Action>,
    ) {
        let held = self.desk.position(instrument).qty;
        match what {
            FillKind::Liquidation | FillKind::Deleveraging | FillKind::Settlement => {
                out.push(Action::Say(Level::Error, format!("{words}. Held now: {held}. Compare with the venue")));
            }
            FillKind::Trade => {
                let text = format!("{words}. Booked, held now: {held}; it counts for position, profit and limits");
                self.say_sometimes(at, Level::Warn, text, out);
            }
            FillKind::Funding | FillKind::Opening => self.say_sometimes(at, Level::Info, words, out),
        }
    }

    /// A switch is lost: no more may rest at its venue than may rest uncovered.
    pub(super) fn pull_uncovered(&mut self, at: Stamp, venue: VenueId, out: &mut Vec<Action>) {
        let view = GateView {
            catalogue: &self.desk.catalogue,
            market: &self.market,
            exposure: &self.exposure,
            position: Decimal::ZERO,
            is_covered: &|venue| self.desk.is_covered(venue),
        };
        if self.gate.has_too_much_uncovered(&view) {
            let name = self.desk.catalogue.venue(venue).name.clone();
            let text = format!(
                "{name}: more rests without a dead man's switch than uncovered_max_notional allows: it is cancelled"
            );
            out.push(Action::Say(Level::Error, text));
            self.pull_where(at, |order| order.key.venue == venue, out);
        }
    }

    pub(super) fn reconcile(&mut self, at: Stamp, out: &mut Vec<Action>) {
        for place in 0..self.reconciles.len() {
            let Some(result) = self.reconciles[place].pass(at, &mut self.desk, out) else { continue };
            let venue = self.reconciles[place].venue();
            match result {
                Reconciled::Agrees { released } => {
                    self.clear_hold(|hold| *hold == Hold::Books(venue), out);
                    for instrument in released {
                        self.gate.release(instrument);
                        let symbol = self.desk.catalogue.instrument(instrument).symbol();
                        out.push(Action::Say(
                            Level::Warn,
                            format!("{symbol}: two reconciliations agree again; it trades on"),
                        ));
                    }
                }
                Reconciled::Differs { instruments, words } => {
                    out.push(Action::Say(Level::Error, format!("Our books and the venue's differ: {words}. Quotes are pulled until two reconciliations agree")));
                    for instrument in instruments {
                        self.gate.hold(instrument, DIFFERS);
                        self.pull(at, instrument, out);
                    }
                }
                Reconciled::Failed(why) => {
                    self.holds.set(Hold::Books(venue), Resting::Cancel, None, at, &self.desk);
                    out.push(Action::Say(
                        Level::Error,
                        format!(
                            "Three reconciliations in a row failed ({why}); the venue is paused until one succeeds"
                        ),
                    ));
                }
            }
        }
    }

    /// Contracts that differ from the venue's at the start trade only after two comparisons have agreed.
    pub(super) fn hold_what_differs(&mut self) {
        for reconcile in &mut self.reconciles {
            for (instrument, drift) in reconcile.hold_what_differs(&self.desk) {
                self.gate.hold(instrument, DIFFERS);
                let symbol = self.desk.catalogue.instrument(instrument).symbol();
                self.unsaid.push(format!("{symbol}: the venue's position differs from our books by {drift}. It is not traded until two comparisons agree"));
            }
        }
    }

    /// Cancels what rests on one instrument, and ends what was about to.
    fn pull(&mut self, at: Stamp, instrument: InstrumentId, out: &mut Vec<Action>) {
        self.pull_where(at, |order| order.terms.instrument == instrument, out);
    }

    fn pull_where(&mut self, at: Stamp, which: impl Fn(&Order) -> bool, out: &mut Vec<Action>) {
        self.end_unsent(at, &which, out);
        let resting: Vec<_> = self
            .desk
            .orders
            .open()
            .filter(|order| which(order))
            .map(|order| (order.id(), self.desk.cancel_rank(order)))
            .collect();
        for (id, rank) in resting {
            self.desk.cancel(at, id, rank, out);
        }
    }
}
