//! The exchange model's ledger, read with as little machinery as will do: what was open, what was filled, what went
//! wrong on purpose, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::exact::Exact;
use super::files::{amount, text};

/// An order as the exchange had it.
#[derive(Clone, Debug)]
pub(crate) struct VenueOrder {
    pub(crate) account: u64,
    pub(crate) symbol: String,
    pub(crate) qty: Exact,
    pub(crate) filled: Exact,
    pub(crate) accepted_ms: i64,
    /// When a cancel was taken that is not done yet.
    pub(crate) canceling_ms: Option<i64>,
    pub(crate) closed_ms: Option<i64>,
    pub(crate) reason: String,
}

impl VenueOrder {
    /// On the book. One whose `closed` line a crash cut off is not: nothing of it is left.
    pub(crate) fn is_open(&self) -> bool {
        self.closed_ms.is_none() && self.filled < self.qty
    }
}

/// One order's side of a trade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VenueFill {
    pub(crate) account: u64,
    pub(crate) client_id: String,
    pub(crate) symbol: String,
    pub(crate) is_buy: bool,
    pub(crate) price: Exact,
    pub(crate) qty: Exact,
    pub(crate) fee: Exact,
    pub(crate) fee_asset: String,
    pub(crate) at_ms: i64,
}

/// Something that went wrong on purpose.
#[derive(Clone, Debug)]
pub(crate) struct VenueFault {
    pub(crate) word: String,
    pub(crate) at_ms: i64,
}

/// All that a ledger says about orders with client ids of one beginning.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    /// By client id.
    pub(crate) orders: BTreeMap<String, VenueOrder>,
    /// By trade id.
    pub(crate) fills: BTreeMap<String, VenueFill>,
    pub(crate) faults: Vec<VenueFault>,
    /// Client ids that were ever asked for, accepted or not.
    pub(crate) asked: BTreeSet<String>,
    /// What is wrong with the ledger itself.
    pub(crate) findings: Vec<String>,
}

impl Ledger {
    /// Reads the file; `ours` is how client ids of ours begin. Half a line at the end is what a kill leaves.
    pub(crate) fn read(path: &Path, ours: &str) -> Ledger {
        match std::fs::read_to_string(path) {
            Ok(text) => Ledger::parse(&text, ours),
            Err(error) => Ledger { findings: vec![format!("{}: {error}", path.display())], ..Ledger::default() },
        }
    }

    pub(crate) fn parse(content: &str, ours: &str) -> Ledger {
        let mut ledger = Ledger::default();
        let mut last_seq = None;
        let whole = content.rfind('\n').map_or("", |end| &content[..end]);
        for (number, line) in whole.lines().enumerate() {
            let damaged = |what: &str| format!("ledger line {}: {what}", number + 1);
            if let Some((body, sum)) = line.rsplit_once(",\"sum\":\"")
                && sum != format!("{:08x}\"}}", crc32(body.as_bytes()))
            {
                ledger.findings.push(damaged("its checksum does not fit"));
            }
            let Ok(entry) = serde_json::from_str::<Value>(line) else {
                ledger.findings.push(damaged("it is no JSON"));
                continue;
            };
            let seq = entry["seq"].as_u64();
            if let Some(last) = last_seq
                && seq != Some(last + 1)
            {
                ledger.findings.push(damaged("a line before it is missing"));
            }
            last_seq = seq;
            if let Err(what) = ledger.take(&entry, ours) {
                ledger.findings.push(damaged(&what));
            }
        }
        ledger
    }

    fn take(&mut self, entry: &Value, ours: &str) -> Result<(), String> {
        let at_ms = entry["t_ms"].as_i64().ok_or("it has no time")?;
        let client_id = entry["client_id"].as_str().unwrap_or_default().to_owned();
        let kind = text(entry, "kind")?;
        if kind == "fault" {
            self.faults.push(VenueFault { word: text(entry, "fault")?, at_ms });
            return Ok(());
        }
        if !client_id.starts_with(ours) {
            return Ok(());
        }
        match kind.as_str() {
            "request" if entry["what"] == "create" => {
                self.asked.insert(client_id);
            }
            "accepted" => {
                let order = VenueOrder {
                    account: entry["account"].as_u64().ok_or("it has no account")?,
                    symbol: text(entry, "symbol")?,
                    qty: amount(entry, "qty")?,
                    filled: amount(entry, "filled")?,
                    accepted_ms: at_ms,
                    canceling_ms: None,
                    closed_ms: None,
                    reason: String::new(),
                };
                if self.orders.insert(client_id.clone(), order).is_some() {
                    return Err(format!("{client_id} is accepted a second time"));
                }
                self.asked.insert(client_id);
            }
            "canceling" => self.order(&client_id)?.canceling_ms = Some(at_ms),
            "fill" => self.fill(entry, client_id, at_ms)?,
            "closed" => {
                let (filled, reason) = (amount(entry, "filled")?, text(entry, "reason")?);
                let order = self.order(&client_id)?;
                if order.closed_ms.is_some() {
                    return Err(format!("{client_id} ends a second time"));
                }
                order.closed_ms = Some(at_ms);
                order.reason = reason;
                if order.filled != filled {
                    return Err(format!("{client_id} ends with {filled} filled, its fills make {}", order.filled));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn fill(&mut self, entry: &Value, client_id: String, at_ms: i64) -> Result<(), String> {
        let fill = VenueFill {
            account: entry["account"].as_u64().ok_or("it has no account")?,
            symbol: text(entry, "symbol")?,
            is_buy: text(entry, "side")? == "BUY",
            price: amount(entry, "price")?,
            qty: amount(entry, "qty")?,
            fee: amount(entry, "fee")?,
            fee_asset: text(entry, "fee_asset")?,
            at_ms,
            client_id,
        };
        let order = self.order(&fill.client_id)?;
        if order.closed_ms.is_some() {
            return Err(format!("{} is filled after its end", fill.client_id));
        }
        order.filled = order.filled.plus(fill.qty);
        let trade_id = text(entry, "trade_id")?;
        match self.fills.insert(trade_id.clone(), fill) {
            None => Ok(()),
            Some(_) => Err(format!("trade {trade_id} of ours stands in it twice")),
        }
    }

    fn order(&mut self, client_id: &str) -> Result<&mut VenueOrder, String> {
        self.orders.get_mut(client_id).ok_or_else(|| format!("{client_id} was never accepted"))
    }

    /// Orders of ours that rest on the book now.
    pub(crate) fn open(&self) -> impl Iterator<Item = (&String, &VenueOrder)> {
        self.orders.iter().filter(|(_, order)| order.is_open())
    }

    /// How many orders of ours rested at a moment, and how many of them with a cancel under way.
    pub(crate) fn open_at(&self, at_ms: i64) -> (usize, usize) {
        let rested = |order: &&VenueOrder| {
            order.accepted_ms <= at_ms && order.closed_ms.is_none_or(|closed_ms| closed_ms > at_ms)
        };
        let open: Vec<&VenueOrder> = self.orders.values().filter(rested).collect();
        let canceling = open.iter().filter(|order| order.canceling_ms.is_some_and(|ms| ms <= at_ms)).count();
        (open.len(), canceling)
    }

    /// Faults from a moment on, by their words.
    pub(crate) fn faults_since(&self, at_ms: i64) -> BTreeMap<String, u32> {
        let mut words = BTreeMap::new();
        for fault in self.faults.iter().filter(|fault| fault.at_ms >= at_ms) {
            *words.entry(fault.word.clone()).or_default() += 1;
        }
        words
    }
}

/// CRC-32 as in gzip, a bit at a time.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let mut remainder = u32::MAX;
    for byte in bytes {
        remainder ^= u32::from(*byte);
        for _ in 0..8 {
            let low_bit = remainder & 1;
            remainder >>= 1;
            if low_bit == 1 {
                remainder ^= 0xedb8_8320;
            }
        }
    }
    !remainder
}

/// A ledger as the exchange writes one: lines with their numbers and checksums. For planting defects.
pub(crate) fn sealed(lines: &[Value]) -> String {
    let numbered = lines.iter().enumerate().map(|(seq, line)| {
        let mut line = line.clone();
        line["seq"] = (seq + 1).into();
        let mut body = line.to_string();
        body.pop();
        format!("{body},\"sum\":\"{:08x}\"}}\n", crc32(body.as_bytes()))
    });
    numbered.collect()
}
