//! Sequences of frames, ticks and pings through the private stream, read as `talk` says.
//!
//! Must hold: sizes are not negative and ids are not empty; it is `Up` only after a login and both subscriptions were
//! sent on this connection; an order's older row never comes out after its newer one (while it is remembered); every row
//! of a frame is told of, or the connection ends.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lastorders::domain::event::Stream;
use lastorders::domain::order::{FillKind, OrderRow};
use lastorders::domain::time::Boot;
use lastorders::venues::StreamOut;
use serde_json::Value;

use crate::accounts::{self, Shape};
use crate::talk::{Cause, Talk, Watch};

/// An order that has ended is forgotten after this.
const MEMORY: Duration = Duration::from_secs(60);
/// Words of an order's way. Others stand nowhere on it.
const WAY: [&str; 11] = [
    "Created",
    "Untriggered",
    "Triggered",
    "New",
    "PartiallyFilled",
    "PendingCancel",
    "Filled",
    "Cancelled",
    "PartiallyFilledCanceled",
    "Rejected",
    "Deactivated",
];

/// Runs one input.
pub fn check(input: &[u8]) {
    let streams = accounts::account(Shape::Whole).streams;
    let found = streams.into_iter().find(|(stream, ..)| *stream == Stream::Private);
    let (_, _, codec) = found.expect("an account with a key has a private stream");
    Talk::new(codec, Eyes::default()).run(input);
}

/// What this target looks at.
#[derive(Debug, Default)]
pub struct Eyes {
    sent: BTreeSet<String>,
    /// The newest update that came out of each order, and when it did.
    newest: BTreeMap<String, (i64, Boot)>,
}

impl Watch for Eyes {
    fn opened(&mut self) {
        self.sent.clear();
        self.newest.clear();
    }

    fn saw(&mut self, at: Boot, out: &StreamOut, frame: Option<&str>) {
        match out {
            StreamOut::Order(row) => {
                assert!(!row.qty.is_negative() && !row.filled.is_negative() && !row.price.is_negative());
                assert!(!row.venue_order_id.as_str().is_empty(), "an order without an id");
                self.order(at, row, frame.unwrap_or_default());
            }
            StreamOut::Fill(row) => {
                assert!(!row.fill.qty.is_negative() && !row.fill.trade_id.as_str().is_empty());
                assert!(row.kind == FillKind::Funding || !row.fill.price.is_negative());
            }
            StreamOut::Send(text) => {
                let request: Value = serde_json::from_str(text).unwrap_or_default();
                let topics = request["args"].as_array().into_iter().flatten().filter_map(Value::as_str);
                let word = request["op"].as_str().unwrap_or_default();
                self.sent.extend(topics.map(|topic| format!("{word} {topic}")));
                self.sent.insert(word.to_owned());
            }
            StreamOut::Up => {
                let all = ["auth", "subscribe order", "subscribe execution"];
                assert!(all.iter().all(|request| self.sent.contains(*request)), "up after {:?}", self.sent);
            }
            StreamOut::Quote(_) | StreamOut::Market(_) => panic!("prices on a private stream"),
            StreamOut::Broken(_) | StreamOut::Remark(_) => {}
        }
    }

    fn stepped(&mut self, at: Boot, cause: Cause<'_>, out: &[StreamOut]) {
        self.newest.retain(|_, (_, seen)| at.since(*seen) <= MEMORY);
        let is_over = out.iter().any(|out| matches!(out, StreamOut::Broken(_)));
        if let Cause::Frame(text) = cause
            && !is_over
        {
            assert_eq!(out.len(), n_expected(text).unwrap_or(out.len()), "news that nobody tells of: {out:?}");
        }
    }
}

/// How much a frame of orders or executions has to tell.
fn n_expected(text: &str) -> Option<usize> {
    let value: Value = serde_json::from_str(text).ok()?;
    let (topic, category) = value["topic"].as_str()?.split_once('.').unwrap_or((value["topic"].as_str()?, "spot"));
    let is_ours =
        ["order", "execution"].contains(&topic) && ["spot", "linear", "inverse", "option"].contains(&category);
    is_ours.then(|| value["data"].as_array().map(Vec::len))?
}

impl Eyes {
    /// Only frames of a single row tell beyond doubt which row came out.
    fn order(&mut self, at: Boot, row: &OrderRow, frame: &str) {
        let value: Value = serde_json::from_str(frame).unwrap_or_default();
        let Some([told]) = value["data"].as_array().map(Vec::as_slice) else {
            self.newest.clear();
            return;
        };
        let updated = match &told["updatedTime"] {
            Value::String(text) => text.parse().ok(),
            other => other.as_i64(),
        };
        let Some(updated) = updated.filter(|_| told["orderStatus"].as_str().is_some_and(|word| WAY.contains(&word)))
        else {
            return;
        };
        let id = row.venue_order_id.to_string();
        if let Some((newest, _)) = self.newest.get(&id) {
            assert!(updated >= *newest, "order {id}: {updated} after {newest}");
        }
        self.newest.insert(id, (updated, at));
    }
}
