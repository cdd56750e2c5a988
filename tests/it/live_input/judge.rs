//! What must hold after any run: no panic, no secret anywhere, every fill of the ledger booked once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::{Desk, Said};
use crate::oracle::exact::Exact;
use crate::oracle::files::{self, Journal, amount};
use crate::venue::exchange::Exchange;
use crate::venue::ledger::{VenueLedger, trade_of};

/// What is wrong with an end: the exit code, words that are missing, a panic, a secret that got out.
pub(super) fn of_end(desk: &Desk, said: &Said, code: i32, words: &[&str]) -> Vec<String> {
    let mut findings = Vec::new();
    if said.code != Some(code) {
        findings.push(format!("it ended with {:?} and not with {code}", said.code));
    }
    for word in words.iter().filter(|word| !said.text.contains(**word)) {
        findings.push(format!("`{word}` is not among its words"));
    }
    findings.extend(soundness(desk, &[]));
    if !findings.is_empty() {
        findings.push(said.text.clone());
    }
    findings
}

/// What may never happen in any run: a panic, or a secret in anything it wrote. `signatures`: what else is secret.
pub(super) fn soundness(desk: &Desk, signatures: &[String]) -> Vec<String> {
    let mut findings = Vec::new();
    let crash = desk.home.state().join("logs/crash.log");
    if crash.exists() {
        findings.push(format!("there is a crash.log:\n{}", std::fs::read_to_string(crash).unwrap_or_default()));
    }
    let config = desk.command(&["config"]).text;
    let mut texts = BTreeMap::from([("its output".to_owned(), desk.home.printed()), ("config".to_owned(), config)]);
    gather(&desk.home.state(), &mut texts);
    let secrets = ["BYBIT_API_KEY", "BYBIT_API_SECRET"].map(|name| desk.value_of(name));
    let secrets = secrets.into_iter().chain(signatures.iter().map(String::as_str));
    let secrets: Vec<&str> = secrets.filter(|secret| !secret.is_empty()).collect();
    for (place, text) in &texts {
        if text.contains("panicked at") || text.contains("PANIC") {
            findings.push(format!("{place} tells of a panic"));
        }
        for secret in secrets.iter().filter(|secret| text.contains(**secret)) {
            findings.push(format!("{place} holds the secret {secret}"));
        }
    }
    findings
}

/// Every file of a folder, as text.
fn gather(folder: &Path, texts: &mut BTreeMap<String, String>) {
    for path in files::entries(folder) {
        if path.is_dir() {
            gather(&path, texts);
        } else if path.is_file() {
            let bytes = std::fs::read(&path).unwrap_or_default();
            texts.insert(path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned());
        }
    }
}

/// What is wrong after a stop on request that ended well: an order left, a fill lost or doubled, a create sent twice, a
/// limit exceeded, and all that may never happen.
pub(super) fn of_clean_stop(desk: &Desk, exchange: &Exchange, account: u64, code: Option<i32>) -> Vec<String> {
    let mut findings = soundness(desk, &[]);
    if code != Some(0) {
        findings.push(format!("it ended with {code:?}"));
    }
    let ledger = exchange.ledger();
    findings.extend(ledger.book.findings.iter().cloned());
    let left: Vec<_> = ledger.live_of(account).into_iter().filter(|id| id.starts_with(&Desk::ours())).collect();
    if !left.is_empty() {
        findings.push(format!("orders are left: {left:?}"));
    }
    let report = std::fs::read_to_string(desk.home.state().join("last_shutdown.json")).unwrap_or_default();
    let report: Value = serde_json::from_str(&report).unwrap_or_default();
    if report["proof"]["proved"] != true || report["complete"] != true {
        findings.push(format!("the report proves nothing: {report}"));
    }
    match files::read_state(&desk.home.state().join("state.json")) {
        Ok(state) => {
            let journal = Journal::read(&desk.home.state().join("journal"), true);
            findings.extend(bookings(&state, &journal, &ledger, &externals(exchange), account));
        }
        Err(what) => findings.push(what),
    }
    if !findings.is_empty() {
        findings.push(desk.home.printed());
    }
    findings
}

/// Entries of the ledger that no order did, by the ledger's name of the trade: account, symbol, signed quantity.
pub(super) type Externals = BTreeMap<String, (u64, String, Exact)>;

/// What the venue did to accounts: fundings (which move no quantity), liquidations, deleveragings.
pub(super) fn externals(exchange: &Exchange) -> Externals {
    let text = std::fs::read_to_string(exchange.ledger_path()).expect("the ledger of a running exchange");
    let lines = text.lines().filter(|line| line.contains("\"kind\":\"external\""));
    lines
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .map(|line| {
            let qty = amount(&line, "qty").unwrap_or_default();
            let signed = if line["side"] == "BUY" { qty } else { qty.negated() };
            let moved = if line["cause"] == "funding" { Exact::ZERO } else { signed };
            let word = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            (word("trade_id"), (line["account"].as_u64().unwrap_or(u64::MAX), word("symbol"), moved))
        })
        .collect()
}

/// Where the books on disk differ from the ledger.
pub(super) fn bookings(
    state: &Value,
    journal: &Journal,
    ledger: &VenueLedger,
    externals: &Externals,
    account: u64,
) -> Vec<String> {
    let mut findings = journal.findings.clone();
    if state["misfits"].as_u64() != Some(0) {
        findings.push(format!("the state counts {} records that did not fit", state["misfits"]));
    }
    let booked = &state["venues"]["main"];
    let mut known = BTreeSet::new();
    for name in booked["recent_trades"].as_object().into_iter().flatten().map(|(name, _)| name) {
        let exec_id = name.split(':').next().unwrap_or_default();
        match trade_of(exec_id) {
            Some(trade) => {
                if !known.insert(trade) {
                    findings.push(format!("trade {name} is booked under two names"));
                }
            }
            None => findings.push(format!("trade {name} is no trade of the venue")),
        }
    }
    let fills = ledger.book.fills.iter().filter(|(_, fill)| fill.account == account);
    let theirs = externals.iter().filter(|(_, (holder, ..))| *holder == account);
    let mut happened = BTreeSet::new();
    let mut held: BTreeMap<String, Exact> = BTreeMap::new();
    for (trade, fill) in fills.clone() {
        happened.insert(trade.clone());
        let signed = if fill.is_buy { fill.qty } else { fill.qty.negated() };
        let sum = held.entry(fill.symbol.clone()).or_default();
        *sum = sum.plus(signed);
    }
    for (trade, (_, symbol, moved)) in theirs {
        happened.insert(trade.clone());
        let sum = held.entry(symbol.clone()).or_default();
        *sum = sum.plus(*moved);
    }
    findings.extend(happened.difference(&known).map(|trade| format!("trade {trade} is not booked")));
    findings.extend(known.difference(&happened).map(|trade| format!("trade {trade} is booked and never happened")));
    for (symbol, sum) in &held {
        let qty = amount(&booked["positions"][symbol], "qty").unwrap_or_default();
        if qty != *sum {
            findings.push(format!("{symbol}: {qty} are booked, the trades make {sum}"));
        }
        let ours = fills.clone().filter(|(_, fill)| fill.symbol == *symbol && is_ours(&fill.client_id)).count();
        if booked["positions"][symbol]["fills"].as_u64().unwrap_or(0) != ours as u64 {
            let told = &booked["positions"][symbol]["fills"];
            findings.push(format!("{symbol}: {told} fills of ours are counted, there were {ours}"));
        }
    }
    findings.extend(journaled_once(journal, ledger));
    findings.extend(orders_agree(state, ledger));
    findings
}

fn is_ours(client_id: &str) -> bool {
    client_id.starts_with(&Desk::ours())
}

/// The records of fills name each trade once, with the ledger's numbers.
fn journaled_once(journal: &Journal, ledger: &VenueLedger) -> Vec<String> {
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    for (seq, record) in journal.of_kind("fill") {
        let name = record["fill"]["trade_id"].as_str().unwrap_or_default();
        if !seen.insert(name.to_owned()) {
            findings.push(format!("record {seq} books trade {name} a second time"));
        }
        let Some(fill) = ledger.fill_of(name.split(':').next().unwrap_or_default()) else { continue };
        let same = amount(&record["fill"], "price") == Ok(fill.price)
            && amount(&record["fill"], "qty") == Ok(fill.qty)
            && amount(&record["fill"], "fee") == Ok(fill.fee)
            && record["fill"]["fee_asset"] == fill.fee_asset
            && record["client_id"] == fill.client_id;
        if !same {
            findings.push(format!("record {seq} books trade {name} otherwise than the ledger: {record} {fill:?}"));
        }
    }
    findings
}

/// Ended orders are filled as much as the ledger says.
fn orders_agree(state: &Value, ledger: &VenueLedger) -> Vec<String> {
    let mut findings = Vec::new();
    for (id, order) in state["orders"]["open"].as_object().into_iter().flatten() {
        findings.push(format!("the state still has {id} as {}", order["state"]));
    }
    for order in state["orders"]["recently_closed"].as_array().into_iter().flatten() {
        let id = order["client_id"].as_str().unwrap_or_default();
        let filled = amount(order, "filled").unwrap_or_default();
        let wanted = ledger.order_of(id).map_or(Exact::ZERO, |order| order.filled);
        if filled != wanted {
            findings.push(format!("{id} is booked with {filled} filled, the ledger says {wanted}"));
        }
    }
    findings
}

/// What the venue would have billed beyond its usual limits, in the busiest second of each path and market, and what it
/// refused as too much.
pub(super) fn of_limits(ledger: &VenueLedger) -> Vec<String> {
    let mut findings = Vec::new();
    for ((account, path, is_contract), busiest) in ledger.busiest_seconds() {
        let limit = match path.as_str() {
            path if path.starts_with("/v5/order/c") => {
                if is_contract {
                    10
                } else {
                    20
                }
            }
            _ => 50,
        };
        if busiest > limit {
            findings
                .push(format!("account {account} asked for {path} {busiest} times in a second, allowed are {limit}"));
        }
    }
    let refused: Vec<_> = ledger.arrivals.iter().filter(|arrival| arrival.code == 10_006).collect();
    if !refused.is_empty() {
        findings.push(format!("the venue refused {} requests as too much: {:?}", refused.len(), refused[0]));
    }
    findings
}
