//! The verdict over a stopped daemon's directory: what does not agree with the ledger, as a list of findings.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::exact::Exact;
use super::files::{self, Journal, amount, text};
use super::ledger::{Ledger, VenueFill};

/// The state keeps this many ended orders; of older ones it may know nothing.
const CLOSED_KEPT: usize = 200;
/// A trade this long before the fills cursor may be forgotten.
const TRADES_KEPT_MS: i64 = 15 * 60 * 1_000;

/// Fields the report has for ever.
const REPORT_FIELDS: [&str; 23] = [
    "version",
    "complete",
    "instance",
    "epoch",
    "mode",
    "reason",
    "signal",
    "started_at",
    "finished_at",
    "duration_ms",
    "steps",
    "orders",
    "venues",
    "proof",
    "dead_man_switch",
    "pending_jobs",
    "tasks",
    "positions",
    "state_flushed",
    "recorder_flushed",
    "swept_by",
    "exit_code",
    "signals_repeated",
];
const COUNT_FIELDS: [&str; 7] =
    ["found", "canceled", "filled_meanwhile", "cancel_errors", "unsent", "kept", "remaining"];

/// What is known of the run from outside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run<'a> {
    /// The state directory.
    pub(crate) folder: &'a Path,
    /// The venues' names.
    pub(crate) venues: &'a [&'a str],
    /// Its exit code.
    pub(crate) exit_code: i32,
    /// Whether an earlier run here was killed: then the end of a segment may be torn.
    pub(crate) was_killed: bool,
}

/// What happened at a venue.
pub(crate) struct Books<'a> {
    /// Its name in the configuration.
    pub(crate) venue: &'a str,
    pub(crate) ledger: &'a Ledger,
    /// The ledger's name of a trade, from the name the daemon was told.
    pub(crate) trade_of: fn(&str) -> Option<String>,
}

/// The verdict, and the figures it rests on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) findings: Vec<String>,
    pub(crate) orders: usize,
    pub(crate) fills: usize,
}

/// How client ids of this directory begin.
pub(crate) fn ours(folder: &Path) -> Option<String> {
    let state = files::read_state(&folder.join("state.json")).ok()?;
    Some(format!("lo{}", state["instance"].as_str()?))
}

/// Judges what a daemon left that ended by itself: by the ledgers of its paper accounts.
pub(crate) fn judge(run: Run<'_>) -> Verdict {
    let ours = ours(run.folder).unwrap_or_else(|| "lo?".to_owned());
    let ledger = |venue: &&str| Ledger::read(&run.folder.join(format!("paper/{venue}.jsonl")), &ours);
    let ledgers: Vec<Ledger> = run.venues.iter().map(ledger).collect();
    let books = |(venue, ledger)| Books { venue, ledger, trade_of: |name| Some(name.to_owned()) };
    let books: Vec<Books<'_>> = run.venues.iter().copied().zip(&ledgers).map(books).collect();
    judge_by(run, &books)
}

/// Judges it by other ledgers.
pub(crate) fn judge_by(run: Run<'_>, books: &[Books<'_>]) -> Verdict {
    let mut verdict = Verdict::default();
    let findings = &mut verdict.findings;
    let state = match files::read_state(&run.folder.join("state.json")) {
        Ok(state) => state,
        Err(what) => {
            findings.push(what);
            return verdict;
        }
    };
    let previous = run.folder.join("state.prev.json");
    if previous.exists() {
        findings.extend(files::read_state(&previous).err());
    }
    let journal = Journal::read(&run.folder.join("journal"), !run.was_killed);
    findings.extend(journal.findings.iter().cloned());
    findings.extend(state_agrees_with_itself(&state, &journal));
    let mut still_open = BTreeSet::new();
    for books in books {
        let Books { venue, ledger, .. } = books;
        findings.extend(ledger.findings.iter().map(|what| format!("{venue}: {what}")));
        findings.extend(orders_agree(&state, venue, ledger));
        findings.extend(fills_are_booked_once(&state, &journal, books));
        findings.extend(position_is_the_sum(&state, venue, ledger));
        still_open.extend(ledger.open().map(|(id, _)| id.clone()));
        verdict.orders += ledger.orders.len();
        verdict.fills += ledger.fills.len();
    }
    let findings = &mut verdict.findings;
    match read_json(&run.folder.join("last_shutdown.json")) {
        Ok(report) => findings.extend(report_is_true(&report, &still_open, run.exit_code)),
        Err(what) => findings.push(what),
    }
    findings.extend(everything_is_released(run.folder));
    verdict
}

/// Judges what a daemon left that could not clean up, by its own exit code: what is open must be named, and nothing be
/// booked that did not happen, or twice. What it could not learn it need not know; the next run must.
pub(crate) fn judge_residue(run: Run<'_>, books: &[Books<'_>]) -> Verdict {
    let mut verdict = Verdict::default();
    let findings = &mut verdict.findings;
    let state = match files::read_state(&run.folder.join("state.json")) {
        Ok(state) => state,
        Err(what) => {
            findings.push(what);
            return verdict;
        }
    };
    let journal = Journal::read(&run.folder.join("journal"), !run.was_killed);
    findings.extend(journal.findings.iter().cloned());
    let mut still_open = BTreeSet::new();
    for books in books {
        let Books { venue, ledger, .. } = books;
        findings.extend(ledger.findings.iter().map(|what| format!("{venue}: {what}")));
        findings.extend(fills_are_true(&state, &journal, books));
        still_open.extend(ledger.open().map(|(id, _)| id.clone()));
        verdict.orders += ledger.orders.len();
        verdict.fills += ledger.fills.len();
    }
    match read_json(&run.folder.join("last_shutdown.json")) {
        Ok(report) => findings.extend(report_is_true(&report, &still_open, run.exit_code)),
        Err(what) => findings.push(what),
    }
    findings.extend(everything_is_released(run.folder));
    verdict
}

pub(crate) fn read_json(path: &Path) -> Result<Value, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: no JSON: {error}", path.display()))
}

fn state_agrees_with_itself(state: &Value, journal: &Journal) -> Vec<String> {
    let mut findings = Vec::new();
    if state["misfits"].as_u64().unwrap_or_default() != 0 {
        findings.push(format!("the state counts {} records that did not fit", state["misfits"]));
    }
    for (id, order) in state["orders"]["open"].as_object().into_iter().flatten() {
        findings.push(format!("the state still has {id} as {}", order["state"]));
    }
    let saved = state["journal_seq"].as_u64().unwrap_or_default();
    if let Some((last, record)) = journal.records.last_key_value()
        && *last > saved
    {
        findings.push(format!("the state ends at record {saved}, the journal goes on to {last} ({})", record["kind"]));
    }
    findings
}

/// Every order the exchange accepted is known, ended, and filled as much as the exchange says.
fn orders_agree(state: &Value, venue: &str, ledger: &Ledger) -> Vec<String> {
    let mut findings: Vec<String> = ledger
        .open()
        .map(|(id, order)| format!("{venue}: {id} rests on the book, {} of {} filled", order.filled, order.qty))
        .collect();
    let closed = state["orders"]["recently_closed"].as_array().cloned().unwrap_or_default();
    let mut known = BTreeSet::new();
    for order in closed.iter().filter(|order| order["venue"] == venue) {
        let id = order["client_id"].as_str().unwrap_or_default();
        if !known.insert(id) {
            findings.push(format!("{venue}: the state has {id} twice"));
        }
        let name = order["state"].as_str().unwrap_or_default();
        let filled = match amount(order, "filled") {
            Ok(filled) => filled,
            Err(what) => {
                findings.push(format!("{venue}: {id}: {what}"));
                continue;
            }
        };
        let Some(at_venue) = ledger.orders.get(id) else {
            if filled != Exact::ZERO {
                findings.push(format!("{venue}: {id} is booked as filled and was never accepted"));
            }
            continue;
        };
        if order["symbol"] != at_venue.symbol {
            let symbol = order["symbol"].as_str().unwrap_or("?");
            findings.push(format!("{venue}: {id} is {symbol} in the state, {} in the ledger", at_venue.symbol));
        }
        if filled != at_venue.filled {
            findings.push(format!("{venue}: {id} is booked with {filled} filled, the ledger says {}", at_venue.filled));
        }
        if (name == "FILLED") != (at_venue.filled == at_venue.qty) {
            findings.push(format!("{venue}: {id} is {name} with {} of {} filled", at_venue.filled, at_venue.qty));
        }
        if name == "REJECTED" && !at_venue.reason.starts_with("post_only") {
            findings.push(format!("{venue}: {id} is REJECTED, and the ledger says it was accepted"));
        }
    }
    if closed.len() < CLOSED_KEPT {
        let lost = ledger.orders.keys().filter(|id| !known.contains(id.as_str()));
        findings.extend(lost.map(|id| format!("{venue}: the state knows nothing of {id}")));
    }
    findings
}

/// Each of our trades is in the books, none twice, and no other.
fn fills_are_booked_once(state: &Value, journal: &Journal, books: &Books<'_>) -> Vec<String> {
    let mut findings = fills_are_true(state, journal, books);
    let Books { venue, ledger, trade_of } = books;
    let names = state["venues"][*venue]["recent_trades"].as_object();
    let booked: BTreeSet<String> = names.into_iter().flatten().filter_map(|(name, _)| trade_of(name)).collect();
    let newest_ms = ledger.fills.values().map(|fill| fill.at_ms).max().unwrap_or_default();
    for (id, fill) in &ledger.fills {
        let is_remembered = fill.at_ms > newest_ms - TRADES_KEPT_MS;
        if is_remembered && !booked.contains(id) {
            findings.push(format!("{venue}: trade {id} of {} is not booked", fill.client_id));
        }
    }
    findings
}

/// What is booked did happen, as it is booked, and is booked once.
fn fills_are_true(state: &Value, journal: &Journal, books: &Books<'_>) -> Vec<String> {
    let mut findings = Vec::new();
    let Books { venue, ledger, trade_of } = books;
    let mut booked = BTreeSet::new();
    for (name, _) in state["venues"][*venue]["recent_trades"].as_object().into_iter().flatten() {
        let Some(id) = trade_of(name).filter(|id| ledger.fills.contains_key(id)) else {
            findings.push(format!("{venue}: trade {name} is booked and never happened"));
            continue;
        };
        if !booked.insert(id) {
            findings.push(format!("{venue}: trade {name} is booked by two names"));
        }
    }
    let mut journaled = BTreeSet::new();
    for (seq, record) in journal.of_kind("fill").filter(|(_, record)| record["venue"] == *venue) {
        let name = record["fill"]["trade_id"].as_str().unwrap_or_default();
        let id = trade_of(name).unwrap_or_default();
        if !journaled.insert(id.clone()) {
            findings.push(format!("{venue}: record {seq} books trade {name} a second time"));
        }
        if let Some(fill) = ledger.fills.get(&id)
            && let Some(what) = differs(record, fill)
        {
            findings.push(format!("{venue}: record {seq} books trade {name} with another {what}"));
        }
    }
    findings
}

fn differs(record: &Value, fill: &VenueFill) -> Option<&'static str> {
    let side = if fill.is_buy { "BUY" } else { "SELL" };
    let number = |key: &str, wanted: Exact| amount(&record["fill"], key).is_ok_and(|number| number == wanted);
    [
        ("order", record["client_id"] == fill.client_id),
        ("symbol", record["symbol"] == fill.symbol),
        ("side", record["side"] == side),
        ("price", number("price", fill.price)),
        ("quantity", number("qty", fill.qty)),
        ("fee", number("fee", fill.fee) && record["fill"]["fee_asset"] == fill.fee_asset),
    ]
    .into_iter()
    .find_map(|(what, is_same)| (!is_same).then_some(what))
}

/// What a position must be after these fills.
#[derive(Default)]
struct Sum {
    qty: Exact,
    turnover: Exact,
    fees: Exact,
    fills: u64,
}

fn position_is_the_sum(state: &Value, venue: &str, ledger: &Ledger) -> Vec<String> {
    let mut sums: BTreeMap<&str, Sum> = BTreeMap::new();
    for fill in ledger.fills.values() {
        let sum = sums.entry(&fill.symbol).or_default();
        let (base, quote) = fill.symbol.split_once('-').unwrap_or((&fill.symbol, ""));
        sum.qty = sum.qty.plus(if fill.is_buy { fill.qty } else { fill.qty.negated() });
        sum.turnover = sum.turnover.plus(fill.price.times(fill.qty));
        if quote.split('-').next() == Some(fill.fee_asset.as_str()) {
            sum.fees = sum.fees.plus(fill.fee);
        } else if fill.fee_asset == base {
            sum.fees = sum.fees.plus(fill.fee.times(fill.price));
        }
        sum.fills += 1;
    }
    let mut findings = Vec::new();
    let none = serde_json::Map::new();
    let positions = state["venues"][venue]["positions"].as_object().unwrap_or(&none);
    let symbols: BTreeSet<&str> = sums.keys().copied().chain(positions.keys().map(String::as_str)).collect();
    for symbol in symbols {
        let sum = sums.remove(symbol).unwrap_or_default();
        let Some(position) = positions.get(symbol) else {
            findings.push(format!("{venue}: {} fills of {symbol} and no position", sum.fills));
            continue;
        };
        if position["fills"] != sum.fills {
            findings.push(format!("{venue}: {} fills of {symbol} are booked of {}", position["fills"], sum.fills));
        }
        for (key, wanted) in [("qty", sum.qty), ("turnover", sum.turnover), ("fees", sum.fees)] {
            match amount(position, key) {
                Ok(number) if number == wanted => {}
                Ok(number) => findings.push(format!("{venue}: {key} of {symbol} is {number}, the fills make {wanted}")),
                Err(what) => findings.push(format!("{venue}: position of {symbol}: {what}")),
            }
        }
    }
    findings
}

/// The report is whole, agrees with the exit code, and names every order that is left.
fn report_is_true(report: &Value, still_open: &BTreeSet<String>, exit_code: i32) -> Vec<String> {
    let mut findings = Vec::new();
    let missing = REPORT_FIELDS.iter().filter(|field| report.get(**field).is_none());
    findings.extend(missing.map(|field| format!("the report has no `{field}`")));
    let missing = COUNT_FIELDS.iter().filter(|field| report["orders"].get(**field).is_none());
    findings.extend(missing.map(|field| format!("the report's orders have no `{field}`")));
    if report["complete"] != true {
        findings.push("the report is not complete".to_owned());
    }
    if report["exit_code"] != exit_code {
        findings.push(format!("the report says exit code {}, the process ended with {exit_code}", report["exit_code"]));
    }
    if report["state_flushed"] != true {
        findings.push("the report says the state is not flushed".to_owned());
    }
    let named: BTreeSet<String> = report["orders"]["remaining"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|order| text(order, "client_order_id").ok())
        .collect();
    findings.extend(still_open.difference(&named).map(|id| format!("the report does not name {id}, which is open")));
    let proved = report["proof"]["proved"] == true;
    if exit_code == 0 && !(proved && named.is_empty()) {
        findings.push(format!(
            "exit code 0 with proved {} and {} orders remaining",
            report["proof"]["proved"],
            named.len()
        ));
    }
    if !still_open.is_empty() && exit_code != 3 {
        findings.push(format!("exit code {exit_code} with {} orders open", still_open.len()));
    }
    let late = report["tasks"]["late"].as_array().into_iter().flatten();
    findings.extend(late.map(|name| format!("the thread {} did not end", name.as_str().unwrap_or("?"))));
    findings
}

/// Nothing of the run is left behind that the next one would stumble over.
fn everything_is_released(folder: &Path) -> Vec<String> {
    let mut findings = Vec::new();
    match files::is_unlocked(&folder.join("lastorders.lock")) {
        Ok(true) => {}
        Ok(false) => findings.push("the lock is still held".to_owned()),
        Err(what) => findings.push(what),
    }
    let gone = ["control.sock", "lastorders.pid"].into_iter().filter(|name| folder.join(name).exists());
    findings.extend(gone.map(|name| format!("{name} is still there")));
    for path in files::entries(folder).into_iter().chain(files::entries(&folder.join("journal"))) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".new") || name.contains(".broken.") {
            findings.push(format!("{name} lies in the state directory"));
        }
    }
    let open = files::open_to_others(folder);
    findings.extend(open.iter().map(|path| format!("{} is open to others", path.display())));
    findings
}

/// Judges a daemon that a signal ended before it had taken it over: it may have left files, and no order.
pub(crate) fn judge_unborn(folder: &Path, venues: &[&str]) -> Vec<String> {
    let ours = ours(folder).unwrap_or_else(|| "lo".to_owned());
    let mut findings = Vec::new();
    for venue in venues {
        let path = folder.join(format!("paper/{venue}.jsonl"));
        if !path.exists() {
            continue;
        }
        let ledger = Ledger::read(&path, &ours);
        findings.extend(ledger.findings.iter().map(|what| format!("{venue}: {what}")));
        findings.extend(ledger.asked.iter().map(|id| format!("{venue}: {id} was sent by a run that never began")));
    }
    if files::is_unlocked(&folder.join("lastorders.lock")) != Ok(true) {
        findings.push("the lock is still held".to_owned());
    }
    findings
}
