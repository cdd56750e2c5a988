//! The report of a stop: built anew from what is known whenever it is written, draft or final.

use std::collections::BTreeMap;

use super::ending::{Ending, exit_code};
use super::stop::Stop;
use crate::domain::ids::{ClientOrderId, VenueId};
use crate::domain::order::StateName;
use crate::domain::report::{OrderCounts, OrderLine, PositionReport, ProofReport, Report, TaskReport, VenueReport};
use crate::domain::settings::{Mode, OnExit};
use crate::domain::snapshot::SavedOrder;
use crate::domain::time::Stamp;
use crate::orders::desk::Desk;
use crate::orders::machine::Order;
use crate::orders::proof::{Grade, Missing};

/// The form of the file.
const REPORT_VERSION: u32 = 1;

/// What happened to orders since the signal, each with its venue: the order machine forgets old ended orders, a report
/// must not.
#[derive(Clone, Debug, Default)]
pub(super) struct Findings {
    /// Open at the signal, and found since.
    pub(super) found: BTreeMap<ClientOrderId, VenueId>,
    /// Ended canceled.
    pub(super) canceled: BTreeMap<ClientOrderId, VenueId>,
    /// Ended filled.
    pub(super) filled: BTreeMap<ClientOrderId, VenueId>,
    /// Creates that never left.
    pub(super) unsent: BTreeMap<ClientOrderId, VenueId>,
    cancel_errors: BTreeMap<VenueId, u32>,
}

impl Findings {
    /// Before the news of the stop's first cycle: what ends in it was open at the signal.
    pub(super) fn of_takeover(desk: &Desk) -> Findings {
        let open = desk.orders.open().chain(desk.orders.new_orders());
        Findings { found: open.map(|order| (order.id(), order.key.venue)).collect(), ..Findings::default() }
    }

    pub(super) fn ended(&mut self, id: ClientOrderId, before: StateName, after: StateName, desk: &Desk) {
        let order = desk.orders.get(id);
        let Some(venue) = order.map(|order| order.key.venue).or(self.found.get(&id).copied()) else { return };
        let never_left = order.is_some_and(|order| order.reason.starts_with("not sent"));
        if before.is_terminal() {
            // What we called canceled filled after all. Anything else ended before the stop and is not its doing.
            if after == StateName::Filled && self.canceled.remove(&id).is_some() {
                self.filled.insert(id, venue);
            }
            return;
        }
        match after {
            StateName::Canceled if before == StateName::New || never_left => {
                self.unsent.insert(id, venue);
                self.found.remove(&id);
            }
            StateName::Filled => {
                self.filled.insert(id, venue);
            }
            StateName::Canceled | StateName::Expired => {
                self.canceled.insert(id, venue);
            }
            _ => {}
        }
    }

    pub(super) fn cancel_failed(&mut self, id: ClientOrderId, desk: &Desk) {
        if let Some(order) = desk.orders.get(id) {
            *self.cancel_errors.entry(order.key.venue).or_default() += 1;
        }
    }
}

impl Stop {
    /// The report as things stand. A draft claims nothing: code 3, incomplete, every open order named.
    pub(super) fn report(&self, at: Stamp, complete: bool) -> Report {
        let ending = self.ending();
        let venues: Vec<_> = self.desk.catalogue.venues().iter().map(|venue| self.venue_report(venue.id)).collect();
        let state_flushed = self.state_flushed == Some(Ok(()));
        Report {
            version: REPORT_VERSION,
            complete,
            instance: self.desk.identity.instance.to_string(),
            epoch: self.desk.identity.epoch.0,
            mode: self.desk.identity.mode.word().into(),
            reason: self.cause.reason().into(),
            signal: self.cause.signal().map(|signal| signal.word().into()),
            signals_repeated: self.n_signals,
            started_at: self.began.wall,
            finished_at: at.wall,
            duration_ms: u64::try_from(at.boot.since(self.began.boot).as_millis()).unwrap_or(u64::MAX),
            steps: self.steps.clone(),
            orders: self.all_counts(&venues),
            venues,
            proof: self.proof_report(&ending),
            dead_man_switch: self.desk.switch_words(),
            pending_jobs: self.pending_jobs(),
            tasks: TaskReport { joined: self.tasks.joined, late: self.tasks.late.clone() },
            positions: self.positions(),
            external_entries: self.desk.tally().externals,
            state_flushed,
            recorder_flushed: true,
            swept_by: "trader".into(),
            exit_code: if complete { exit_code(&ending, &self.cause, state_flushed) } else { 3 },
        }
    }

    fn all_counts(&self, venues: &[VenueReport]) -> OrderCounts {
        let mut counts = OrderCounts::default();
        for venue in venues {
            counts.found += venue.orders.found;
            counts.canceled += venue.orders.canceled;
            counts.filled_meanwhile += venue.orders.filled_meanwhile;
            counts.cancel_errors += venue.orders.cancel_errors;
            counts.unsent += venue.orders.unsent;
            counts.kept.extend(venue.orders.kept.clone());
        }
        counts.remaining = self.remaining();
        counts
    }

    fn venue_report(&self, venue: VenueId) -> VenueReport {
        let here = |orders: &BTreeMap<ClientOrderId, VenueId>| {
            u32::try_from(orders.values().filter(|at| **at == venue).count()).unwrap_or(u32::MAX)
        };
        let name = self.desk.catalogue.venue(venue).name.clone();
        let keeps = self.settings.on_exit == OnExit::Keep && self.sweeps.is_empty();
        let kept = if keeps {
            self.desk.orders.open_at(venue).map(|order| self.line(order, "kept by policy")).collect()
        } else {
            Vec::new()
        };
        let orders = OrderCounts {
            found: here(&self.findings.found),
            canceled: here(&self.findings.canceled),
            filled_meanwhile: here(&self.findings.filled),
            cancel_errors: self.findings.cancel_errors.get(&venue).copied().unwrap_or(0),
            unsent: here(&self.findings.unsent),
            kept,
            remaining: self.remaining().into_iter().filter(|line| line.venue == name).collect(),
        };
        let account = self.desk.account(venue);
        VenueReport {
            name,
            orders,
            proof: self.venue_proof(venue),
            foreign_orders: account.last_listed().map_or(0, |listed| {
                let n_strangers: usize = listed.strangers.values().map(Vec::len).sum();
                listed.n_foreign.saturating_add(u32::try_from(n_strangers).unwrap_or(u32::MAX))
            }),
            cancel_requests: account.n_cancel_requests(),
        }
    }

    fn venue_proof(&self, venue: VenueId) -> ProofReport {
        let Some(sweep) = self.sweeps.iter().find(|sweep| sweep.venue() == venue) else {
            return ProofReport { proved: false, grade: self.no_proof_word().into(), ..ProofReport::default() };
        };
        let missing = sweep.missing(&self.desk).iter().map(Missing::to_string).collect();
        match sweep.proof() {
            Some(proof) => ProofReport {
                proved: true,
                grade: proof.grade().word().into(),
                listings: proof.n_listings(),
                at: Some(proof.at()),
                missing: Vec::new(),
            },
            None => ProofReport {
                proved: false,
                grade: "none".into(),
                listings: sweep.n_listings(&self.desk),
                at: self.desk.account(venue).last_listed().map(|listed| listed.finished.wall),
                missing,
            },
        }
    }

    fn proof_report(&self, ending: &Ending) -> ProofReport {
        let venues: Vec<_> = self.desk.catalogue.venues().iter().map(|venue| self.venue_proof(venue.id)).collect();
        let proved = matches!(ending, Ending::Clean(_));
        ProofReport {
            proved,
            grade: if proved { self.grade_word().into() } else { self.no_proof_word().into() },
            listings: venues.iter().map(|venue| venue.listings).sum(),
            at: venues.iter().filter_map(|venue| venue.at).max(),
            missing: venues.into_iter().flat_map(|venue| venue.missing).collect(),
        }
    }

    fn no_proof_word(&self) -> &'static str {
        match (self.desk.identity.mode, self.settings.on_exit) {
            (Mode::DryRun, _) => "skipped",
            (_, OnExit::Keep) if self.sweeps.is_empty() => "skipped",
            _ => "none",
        }
    }

    /// The weakest grade of all venues.
    pub(super) fn grade_word(&self) -> &'static str {
        let weakest = self.sweeps.iter().filter_map(|sweep| sweep.proof().map(|proof| proof.grade())).min();
        weakest.unwrap_or(Grade::ByOrder).word()
    }

    pub(super) fn missing_words(&self) -> String {
        const SHOWN_MAX: usize = 5;
        let missing: Vec<_> =
            self.sweeps.iter().flat_map(|sweep| sweep.missing(&self.desk)).map(|missing| missing.to_string()).collect();
        let mut words = missing.iter().take(SHOWN_MAX).cloned().collect::<Vec<_>>().join("; ");
        if missing.len() > SHOWN_MAX {
            words.push_str(&format!("; and {} more", missing.len() - SHOWN_MAX));
        }
        if words.is_empty() { "no venue was asked".into() } else { words }
    }

    /// Orders that are or may be open, each with the reason it is named.
    pub(super) fn remaining(&self) -> Vec<OrderLine> {
        let keeps = self.settings.on_exit == OnExit::Keep && self.sweeps.is_empty();
        let unsettled = |order: &&Order| matches!(order.state_name(), StateName::Sent | StateName::Unknown);
        let mut lines: Vec<_> = self
            .desk
            .orders
            .open()
            .filter(|order| !keeps || unsettled(order))
            .map(|order| self.line(order, &self.unended(order.key.venue)))
            .collect();
        for sweep in &self.sweeps {
            let ghosts = sweep.listed_still().iter().filter(|id| !self.is_remaining(**id));
            lines.extend(
                ghosts
                    .filter_map(|id| self.desk.orders.get(*id))
                    .map(|order| self.line(order, "the venue still lists it")),
            );
        }
        lines.extend(self.unwatched.iter().map(unwatched_line));
        lines
    }

    fn unended(&self, venue: VenueId) -> String {
        let why = self.troubles.last(venue).map(|why| format!(" ({why})"));
        format!("no end of it was shown{}", why.unwrap_or_default())
    }

    fn line(&self, order: &Order, why: &str) -> OrderLine {
        OrderLine {
            venue: self.desk.catalogue.venue(order.key.venue).name.clone(),
            symbol: order.key.symbol.clone(),
            client_order_id: order.id(),
            venue_order_id: order.key.venue_order_id.clone(),
            state: order.state_name(),
            why: why.into(),
        }
    }

    fn pending_jobs(&self) -> Vec<String> {
        match self.desk.n_pending() {
            0 => Vec::new(),
            n => vec![format!("{n} requests without an answer")],
        }
    }

    fn positions(&self) -> Vec<PositionReport> {
        let held = self.desk.positions().filter(|(_, position)| !position.qty.is_zero());
        held.map(|(instrument, position)| {
            let mark = self.desk.mark(instrument.id);
            PositionReport {
                venue: self.desk.catalogue.venue(instrument.venue).name.clone(),
                symbol: instrument.symbol().clone(),
                qty: position.qty,
                notional: mark.and_then(|mark| position.notional(mark)),
                mark,
            }
        })
        .collect()
    }
}

fn unwatched_line(saved: &SavedOrder) -> OrderLine {
    OrderLine {
        venue: saved.venue.clone(),
        symbol: saved.symbol.clone(),
        client_order_id: saved.client_id,
        venue_order_id: saved.venue_order_id.clone(),
        state: saved.state,
        why: "its venue is not in the configuration: add it again and start, or cancel it by hand".into(),
    }
}

/// An order of the report on one line.
pub(super) fn order_line(line: &OrderLine) -> String {
    let venue_order_id = line.venue_order_id.as_ref().map_or("none", |id| id.as_str());
    format!("{} {} (id={}, order_id={venue_order_id}) {}", line.venue, line.symbol, line.client_order_id, line.state)
}
