//! The ledger of a local exchange, judged: which orders live, in which account, what was filled, what was asked for and
//! when, what went wrong on purpose.
//!
//! Orders, fills and faults are read as those of a paper account are (`oracle::ledger`); what a server's ledger has
//! besides is read here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use crate::oracle::ledger::{Ledger, VenueFill, VenueOrder};

/// A request that arrived over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) ticket: u64,
    /// Whose key it named; none for a stranger and for public questions.
    pub(crate) account: Option<u64>,
    pub(crate) path: String,
    pub(crate) at_us: i64,
    /// Client ids it names.
    pub(crate) client_ids: Vec<String>,
    /// What the door said; 0: it was let in.
    pub(crate) code: i64,
    /// How many orders it is about: what a batch costs.
    pub(crate) n_orders: usize,
    /// Whether it is about contracts, as far as it is about anything.
    pub(crate) is_contract: Option<bool>,
    /// Orders it names by the venue's ids.
    order_ids: Vec<String>,
}

impl Arrival {
    /// Whether it asks for new orders.
    pub(crate) fn creates(&self) -> bool {
        self.path.ends_with("/order/create") || self.path.ends_with("/order/create-batch")
    }

    /// Whether it asks for cancels.
    pub(crate) fn cancels(&self) -> bool {
        self.path.contains("/order/cancel")
    }
}

/// Something that went wrong on purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Strike {
    pub(crate) word: String,
    pub(crate) at_us: i64,
    /// The request it struck; none for pushes and sockets.
    pub(crate) ticket: Option<u64>,
    /// Client ids it is about.
    pub(crate) client_ids: Vec<String>,
}

/// All that a ledger says.
#[derive(Clone, Debug, Default)]
pub(crate) struct VenueLedger {
    /// Orders, fills, findings.
    pub(crate) book: Ledger,
    pub(crate) arrivals: Vec<Arrival>,
    pub(crate) strikes: Vec<Strike>,
    /// By the venue's ids of orders.
    symbols: BTreeMap<String, String>,
}

impl VenueLedger {
    pub(crate) fn read(path: &Path) -> VenueLedger {
        match std::fs::read_to_string(path) {
            Ok(text) => VenueLedger::parse(&text),
            Err(error) => {
                let findings = vec![format!("{}: {error}", path.display())];
                VenueLedger { book: Ledger { findings, ..Ledger::default() }, ..VenueLedger::default() }
            }
        }
    }

    pub(crate) fn parse(content: &str) -> VenueLedger {
        let mut ledger = VenueLedger { book: Ledger::parse(content, ""), ..VenueLedger::default() };
        let whole = content.rfind('\n').map_or("", |end| &content[..end]);
        for (number, line) in whole.lines().enumerate() {
            // What is no JSON at all has been found by the reader of the book.
            let Ok(entry) = serde_json::from_str::<Value>(line) else { continue };
            if let Err(what) = ledger.take(&entry) {
                ledger.book.findings.push(format!("ledger line {}: {what}", number + 1));
            }
        }
        let findings = ledger.twice_created();
        ledger.book.findings.extend(findings);
        ledger.sort_by_market();
        ledger
    }

    fn take(&mut self, entry: &Value) -> Result<(), String> {
        let number = |name: &str| entry[name].as_i64();
        let at_us = number("t_ms").ok_or("it has no time")? * 1_000 + number("us").unwrap_or(0);
        match entry["kind"].as_str() {
            Some("http") => {
                let client_ids = texts(&entry["client_ids"]);
                self.arrivals.push(Arrival {
                    ticket: entry["ticket"].as_u64().ok_or("a request without its number")?,
                    account: entry["account"].as_u64(),
                    path: entry["path"].as_str().ok_or("a request for nothing")?.to_owned(),
                    at_us,
                    n_orders: client_ids.len().max(1),
                    client_ids,
                    code: number("code").ok_or("a request without a code")?,
                    is_contract: None,
                    order_ids: Vec::new(),
                });
            }
            // What the model made of it, in the line right after or a little later.
            Some("request") => {
                let arrival = self.arrivals.iter_mut().rev().find(|arrival| entry["ticket"] == arrival.ticket);
                if let Some(arrival) = arrival {
                    let items = entry["orders"].as_array().or(entry["placements"].as_array());
                    arrival.n_orders = items.map_or(1, Vec::len);
                    let named = items.into_iter().flatten().chain([entry]);
                    arrival.order_ids = named.filter_map(|item| item["order_id"].as_str().map(str::to_owned)).collect();
                    let places = [&entry["symbol"], &entry["symbols"][0], &entry["placements"][0]["symbol"]];
                    arrival.is_contract = places.iter().find_map(|place| place.as_str()).map(is_contract);
                }
            }
            Some("accepted") => {
                let named = entry["order_id"].as_str().zip(entry["symbol"].as_str());
                let (order_id, symbol) = named.ok_or("an order without its name or symbol")?;
                self.symbols.insert(order_id.to_owned(), symbol.to_owned());
            }
            Some("fault") => self.strikes.push(Strike {
                word: entry["fault"].as_str().ok_or("a fault without a word")?.to_owned(),
                at_us,
                ticket: entry["ticket"].as_u64(),
                client_ids: texts(&entry["client_ids"]),
            }),
            _ => {}
        }
        Ok(())
    }

    /// A cancel names an order and not its market.
    fn sort_by_market(&mut self) {
        for arrival in self.arrivals.iter_mut().filter(|arrival| arrival.is_contract.is_none()) {
            let by_client_id = arrival.client_ids.iter().find_map(|id| Some(&self.book.orders.get(id)?.symbol));
            let symbol = by_client_id.or(arrival.order_ids.iter().find_map(|id| self.symbols.get(id)));
            arrival.is_contract = symbol.map(|symbol| is_contract(symbol));
        }
    }

    /// Client ids that a create arrived for more than once, in one account.
    fn twice_created(&self) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let mut twice = Vec::new();
        for arrival in self.arrivals.iter().filter(|arrival| arrival.creates() && arrival.code == 0) {
            for id in &arrival.client_ids {
                if !seen.insert((arrival.account, id)) {
                    twice.push(format!("a create of {id} arrived a second time"));
                }
            }
        }
        twice
    }

    /// The fill behind an `execId`.
    pub(crate) fn fill_of(&self, exec_id: &str) -> Option<&VenueFill> {
        self.book.fills.get(&trade_of(exec_id)?)
    }

    /// Orders on the book now, by account.
    pub(crate) fn live(&self) -> BTreeMap<u64, BTreeSet<String>> {
        let mut live: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
        for (id, order) in self.book.open() {
            live.entry(order.account).or_default().insert(id.clone());
        }
        live
    }

    /// Ids of the orders of one account on the book now.
    pub(crate) fn live_of(&self, account: u64) -> BTreeSet<String> {
        self.live().remove(&account).unwrap_or_default()
    }

    pub(crate) fn has_order(&self, client_id: &str) -> bool {
        self.book.orders.contains_key(client_id)
    }

    pub(crate) fn order_of(&self, client_id: &str) -> Option<&VenueOrder> {
        self.book.orders.get(client_id)
    }

    /// How often each fault struck from a moment on.
    pub(crate) fn struck_since(&self, at_us: i64) -> BTreeMap<String, usize> {
        let mut words = BTreeMap::new();
        for strike in self.strikes.iter().filter(|strike| strike.at_us >= at_us) {
            *words.entry(strike.word.clone()).or_default() += 1;
        }
        words
    }

    /// The most that one account asked for in any second, for each path and market (a contract or not), as the venue
    /// bills it: a batch costs its orders.
    pub(crate) fn busiest_seconds(&self) -> BTreeMap<(u64, String, bool), usize> {
        let mut times: BTreeMap<(u64, String, bool), Vec<(i64, usize)>> = BTreeMap::new();
        // What was refused for being too much was asked for all the same.
        for arrival in self.arrivals.iter().filter(|arrival| matches!(arrival.code, 0 | 10_006)) {
            let Some(account) = arrival.account else { continue };
            // What names no market is counted with the contracts.
            let market = (account, arrival.path.clone(), arrival.is_contract.unwrap_or(true));
            let cost = if arrival.path.ends_with("-batch") { arrival.n_orders } else { 1 };
            times.entry(market).or_default().push((arrival.at_us, cost));
        }
        times.into_iter().map(|(market, times)| (market, most_in_a_second(times))).collect()
    }
}

/// The largest sum within any second.
pub(crate) fn most_in_a_second(mut times: Vec<(i64, usize)>) -> usize {
    times.sort_unstable();
    let (mut most, mut sum, mut first) = (0, 0, 0);
    for last in 0..times.len() {
        sum += times[last].1;
        while times[last].0 - times[first].0 >= 1_000_000 {
            sum -= times[first].1;
            first += 1;
        }
        most = most.max(sum);
    }
    most
}

/// The ledger's name of a trade, from its name on the wire (`execId`): there a UUID for contracts, whose last group hides
/// the trade's number, and a large decimal on spot.
pub(crate) fn trade_of(exec_id: &str) -> Option<String> {
    let number = match exec_id.rsplit_once('-') {
        Some((_, tail)) => u64::from_str_radix(tail, 16).ok()? ^ 0x5a3c_9e17_d24b ^ 0x77,
        None => exec_id.parse::<u64>().ok()?.checked_sub(2_290_000_000_000_000_000)?,
    };
    Some(format!("T{number}"))
}

fn is_contract(symbol: &str) -> bool {
    symbol.ends_with("-PERP")
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}
