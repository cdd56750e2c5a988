//! `last_shutdown.json`: what the stop did, what it could prove, and what it could not.
//!
//! Always holds: `complete: false` goes with exit code 3 and the orders that were open when it was written, so a stop
//! that dies on the way leaves a report that does not flatter.

use serde::{Deserialize, Serialize};

use super::ids::{ClientOrderId, Symbol, VenueOrderId};
use super::money::Decimal;
use super::order::StateName;
use super::time::Wall;

/// The report of a stop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Form of the file.
    pub version: u32,
    /// Whether the stop came to its end.
    pub complete: bool,
    /// Whose.
    pub instance: String,
    /// Which run.
    pub epoch: u32,
    /// `DRY_RUN`, `PAPER`, `LIVE`.
    pub mode: String,
    /// Why it stopped.
    pub reason: String,
    /// The signal, if one began it.
    pub signal: Option<String>,
    /// Signals that came after the first.
    pub signals_repeated: u32,
    /// When the stop began.
    pub started_at: Wall,
    /// When it ended (of a draft: when it was written).
    pub finished_at: Wall,
    /// How long it took, on the boot clock.
    pub duration_ms: u64,
    /// The steps gone through, good or bad.
    pub steps: Vec<StepLine>,
    /// Orders over all venues.
    pub orders: OrderCounts,
    /// Each venue by itself.
    pub venues: Vec<VenueReport>,
    /// Whether the venues showed that none is left.
    pub proof: ProofReport,
    /// What became of the venue's own timer.
    pub dead_man_switch: String,
    /// Work that was not finished.
    pub pending_jobs: Vec<String>,
    /// Threads.
    pub tasks: TaskReport,
    /// What is held; a stop never trades.
    pub positions: Vec<PositionReport>,
    /// Entries this run booked that were no trades of our orders: foreign trades, funding, liquidations.
    #[serde(default)]
    pub external_entries: u64,
    /// Whether `state.json` holds the final state.
    pub state_flushed: bool,
    /// Whether the recorder wrote everything; true where there is none.
    pub recorder_flushed: bool,
    /// `trader` or `guardian`.
    pub swept_by: String,
    /// The exit code.
    pub exit_code: u8,
}

/// A step of the stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepLine {
    /// Its name.
    pub name: String,
    /// Whether it did what it should.
    pub ok: bool,
    /// How long it took.
    pub ms: u64,
    /// In words.
    pub note: String,
}

/// What became of the orders.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OrderCounts {
    /// Open when the stop began, and found by listings since.
    pub found: u32,
    /// Ended canceled.
    pub canceled: u32,
    /// Ended filled instead.
    pub filled_meanwhile: u32,
    /// Cancel requests that were refused, lost or answered with an error.
    pub cancel_errors: u32,
    /// Creates that never left.
    pub unsent: u32,
    /// Kept on purpose (`on_exit = "keep"`).
    pub kept: Vec<OrderLine>,
    /// Are or may be open.
    pub remaining: Vec<OrderLine>,
}

/// An order by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderLine {
    /// Where.
    pub venue: String,
    /// What.
    pub symbol: Symbol,
    /// Our id.
    pub client_order_id: ClientOrderId,
    /// The venue's id.
    pub venue_order_id: Option<VenueOrderId>,
    /// Where it stands.
    pub state: StateName,
    /// Why it is named here.
    pub why: String,
}

/// A venue's part of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VenueReport {
    /// The operator's name for it.
    pub name: String,
    /// Its orders.
    #[serde(flatten)]
    pub orders: OrderCounts,
    /// Its proof.
    pub proof: ProofReport,
    /// Foreign orders seen and left alone.
    pub foreign_orders: u32,
    /// Cancel requests sent (a batch is one).
    pub cancel_requests: u32,
}

/// What the venue showed.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProofReport {
    /// Whether it is shown that none of ours is left.
    pub proved: bool,
    /// `by_order`, `by_listing`, `skipped` or `none`.
    pub grade: String,
    /// Complete listings read.
    pub listings: u32,
    /// When the last one came.
    pub at: Option<Wall>,
    /// What is missing, if it is not proved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// Threads at the end.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TaskReport {
    /// Ended in time.
    pub joined: u32,
    /// Did not, by name.
    pub late: Vec<String>,
}

/// A position held through the stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PositionReport {
    /// Where.
    pub venue: String,
    /// What.
    pub symbol: Symbol,
    /// How much; negative when short.
    pub qty: Decimal,
    /// Worth at the mark.
    pub notional: Option<Decimal>,
    /// The price it is marked at.
    pub mark: Option<Decimal>,
}
