//! The ledger: the model's durable memory and the truth that tests judge by. One line of JSON for each thing that
//! happened, written before anything that follows from it is delivered.
//!
//! Always holds: `seq` rises by one from line to line; every line ends with its own checksum.
//! Never does: hold anything a trader claimed. It says what the venue did.
//!
//! # Format
//!
//! Every line: `{"seq":7,"t_ms":1795169472123,"kind":"...",...,"sum":"89abcdef"}`. `t_ms` is when it happened (model
//! time, milliseconds since 1970; `us`, where it is not 0, are the microseconds beyond). `sum` is the CRC-32 of the line's bytes before `,"sum"`. Amounts are decimal strings. `account` is a number; `client_id` is the caller's name of an order,
//! `order_id` the venue's; times in requests end in `_us` and are microseconds.
//!
//! | kind | says | fields |
//! |---|---|---|
//! | `meta` | a ledger begins | `version` 1, `seed`, `symbols`, and the counters `orders`, `trades`, `requests` |
//! | `request` | a request arrived | `request` (the venue's number), `ticket` (the caller's), `account`, `what` (`create`, `cancel`, `cancel_batch`, `cancel_all`, `query`, `history`, `list_open`, `list_fills`, `place`, `place_batch`, `amend`, `cancel_scope`, `list_orders`, `list_trades`, `balances`, `positions`, `instruments`, `time`, `set_countdown`, `read_countdown`) and what it asks: `client_id`, `order_id`, `orders`, `symbol`, `side`, `price`, `qty`, `time_in_force`, `marks` (what an order says beyond its terms), `placements`, `symbols`, `not_after_us`, `cursor`, `since_us`, `ms` |
//! | `fault` | something went wrong on purpose | `fault` (its word), `on` (a request kind, `order_push`, `fill_push`, `http` or `socket`), `account`, `request` and `ticket` (not for pushes), `client_ids` it is about, `time_ms` (`late_execution`: carried out then; `slow_cancel`: leaves the book then; `stale_listing`: shows the book of then; `delayed_*`: delivered then), `detail` (in words, for mishaps of a dialect) |
//! | `http` | a request in a dialect arrived (over a trading socket too: `method` `WS`) | `ticket`, `method`, `path`, `account` (whose key it names, if any), `client_ids` it names, `code` (0: let in, and a `request` of the same `ticket` follows where the model is asked; otherwise what it was refused with: signature, clock, limit...), `cut` (legs of a batch that the limit cut off) |
//! | `executed` | a late request is carried out now | `request` |
//! | `accepted` | an order exists | `request`, `account`, `client_id`, `order_id`, `symbol`, `side`, `price`, `qty`, `filled` (before this ledger's own `fill` lines), `time_in_force`, `marks`; in a beginning also `worth` and `paid` of what is in `filled`, and `updated_us` |
//! | `rejected` | a create was refused | `request`, `account`, `client_id`, `code` |
//! | `resting` | an order joined the book | `account`, `client_id`, `order_id` |
//! | `canceling` | a cancel was taken, the order leaves the book at `time_ms` and may fill until then | `account`, `client_id`, `order_id`, `time_ms`, `reason` |
//! | `fill` | one order's side of a trade | `account`, `client_id`, `order_id`, `trade_id`, `trade`, `symbol`, `side`, `price`, `qty`, `fee`, `fee_asset`, `maker`, `with` (`crowd`, or the `order_id` of the other account's order, which has its own `fill` line of the same `trade_id`) |
//! | `amended` | a resting order was changed and goes to the end of the line | `account`, `client_id`, `order_id`, `price`, `qty` (in all) |
//! | `external` | something was booked that no order of the account did | `account`, `cause` (`funding`: `fee` was paid; `liquidation`, `auto_deleverage`: the position was closed), `trade_id`, `trade`, `symbol`, `side`, `price`, `qty`, `fee`, `fee_asset` |
//! | `closed` | an order ended | `account`, `client_id`, `order_id`, `reason` (`filled`, `cancelled`, `countdown`, `post_only_would_cross`, `post_only_rejected`, `ioc_rest`, `self_trade`, `reduce_only`, `liquidation`), `filled` (in all) |
//! | `answer` | what the caller of a `create`, `amend`, `cancel`, batch or `cancel_all` is told (a lost answer has none) | `request`, `ticket`, `account`, `code` (`ok`, or the error) |
//! | `countdown` | the dead man's switch was set | `account`, `time_ms` (when it runs out; absent: disarmed) |
//! | `switch`, `switch_fired` | the window of a dialect's dead man's switch was set; it ran out | `account`, `product`, `window_s` |
//! | `market` | where the invented price is, now and then | `symbol`, `price` |
//! | `balance`, `position` | what a holder has, absolutely | `holder` (an account's number as text, `crowd`, `fees`), `asset` and `total`, or `symbol`, `lots` and `cost` |
//! | `ready` | the beginning is whole | |
//!
//! **Reading it.** An order is open from `accepted` to `closed`. (After a crash between two lines, an order may be left
//! with `filled` equal to `qty` and no `closed`, or `accepted` and never `resting`: the next start finishes it, by lines
//! in this ledger.) What is filled is `filled` of `accepted` plus the `qty` of its `fill` lines. A cancel that was
//! answered is done at `closed`, not at `canceling`. Faults struck at their `t_ms`; a request refused by a fault has its
//! `request`, `fault` and `answer` lines only.
//!
//! **Names in a dialect.** `order_id` is the model's; a dialect shows another for it. The caller's name is `client_id`
//! everywhere; one that begins with `~` was made up for an order that came without, and is shown to nobody.
//!
//! **Beginning.** A ledger begins with `meta` and ends its beginning with `ready`. A fresh one holds the first balances
//! between; one from `checkpoint_lines` repeats, with their old `t_ms`, the orders and fills that are still remembered,
//! the requests still to be carried out late (`request` and `fault`), and then the balances as they are at that point: balances
//! are absolute, later `fill` lines change them.

use serde::{Deserialize, Serialize};

use super::answers::{Cause, Reason};
use super::asks::{AccountId, Ask, Micros, OrderMarks, Ticket};
use super::faults::Place;
use crate::domain::ids::{Symbol, TradeId, VenueOrderId};
use crate::domain::money::Decimal;
use crate::domain::order::{Side, TimeInForce};

/// The form of the lines.
pub(super) const VERSION: u32 = 1;

/// Why a ledger cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLedger {
    /// It ends before its `ready`. Nothing was ever answered from it, so a new one may take its place.
    #[error(
        "the exchange ledger ends before its beginning was whole; nothing was answered from it, so it can be removed"
    )]
    Unfinished,
    /// A line that cannot be used, and is not merely the torn end.
    #[error(
        "line {line} of the exchange ledger is damaged: {why}; put back a whole copy, or remove it to begin anew (paper orders and balances are lost)"
    )]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
}

/// Names of an order, as in most lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Who {
    pub(super) account: AccountId,
    pub(super) client_id: String,
    pub(super) order_id: VenueOrderId,
}

/// A line's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Line {
    Meta {
        version: u32,
        seed: u64,
        symbols: Vec<Symbol>,
        orders: u64,
        trades: u64,
        requests: u64,
    },
    Request {
        request: u64,
        ticket: Ticket,
        account: AccountId,
        #[serde(flatten)]
        ask: Ask,
    },
    Fault {
        fault: String,
        on: Place,
        account: AccountId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ticket: Option<Ticket>,
        client_ids: Vec<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        time_ms: Option<i64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// A request in a dialect has arrived.
    Http {
        ticket: Ticket,
        method: String,
        path: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        account: Option<AccountId>,
        client_ids: Vec<String>,
        /// What the gate said; 0: let in.
        code: i64,
        /// Legs of a batch the limit cut off.
        #[serde(default, skip_serializing_if = "is_none_cut")]
        cut: usize,
    },
    /// The window of a dead man's switch that a dialect keeps.
    Switch {
        account: AccountId,
        product: String,
        window_s: u32,
    },
    /// A dead man's switch of a dialect ran out.
    SwitchFired {
        account: AccountId,
        product: String,
    },
    /// A resting order was changed.
    Amended {
        #[serde(flatten)]
        who: Who,
        price: Decimal,
        qty: Decimal,
    },
    /// Something that no order of the account did.
    External {
        account: AccountId,
        cause: Cause,
        trade_id: TradeId,
        trade: u64,
        symbol: Symbol,
        side: Side,
        price: Decimal,
        qty: Decimal,
        fee: Decimal,
        fee_asset: String,
    },
    Executed {
        request: u64,
    },
    Accepted {
        request: u64,
        #[serde(flatten)]
        who: Who,
        symbol: Symbol,
        side: Side,
        price: Decimal,
        qty: Decimal,
        filled: Decimal,
        time_in_force: TimeInForce,
        #[serde(default, skip_serializing_if = "OrderMarks::is_plain")]
        marks: OrderMarks,
        #[serde(default, skip_serializing_if = "is_nothing")]
        worth: Decimal,
        #[serde(default, skip_serializing_if = "is_nothing")]
        paid: Decimal,
        #[serde(rename = "updated_us", default, skip_serializing_if = "Option::is_none")]
        updated: Option<Micros>,
    },
    Rejected {
        request: u64,
        account: AccountId,
        client_id: String,
        code: String,
    },
    Resting {
        #[serde(flatten)]
        who: Who,
    },
    Canceling {
        #[serde(flatten)]
        who: Who,
        time_ms: i64,
        reason: Reason,
    },
    Fill {
        #[serde(flatten)]
        who: Who,
        trade_id: TradeId,
        trade: u64,
        symbol: Symbol,
        side: Side,
        price: Decimal,
        qty: Decimal,
        fee: Decimal,
        fee_asset: String,
        maker: bool,
        with: String,
    },
    Closed {
        #[serde(flatten)]
        who: Who,
        reason: Reason,
        filled: Decimal,
    },
    Answer {
        request: u64,
        ticket: Ticket,
        account: AccountId,
        code: String,
    },
    Countdown {
        account: AccountId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        time_ms: Option<i64>,
    },
    Market {
        symbol: Symbol,
        price: Decimal,
    },
    Balance {
        holder: String,
        asset: String,
        total: Decimal,
    },
    Position {
        holder: String,
        symbol: Symbol,
        lots: i64,
        cost: Decimal,
    },
    Ready {},
}

/// A line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) seq: u64,
    pub(super) t_ms: i64,
    /// Microseconds beyond `t_ms`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) us: u16,
    #[serde(flatten)]
    pub(super) line: Line,
}

fn is_none_cut(cut: &usize) -> bool {
    *cut == 0
}

fn is_nothing(amount: &Decimal) -> bool {
    amount.is_zero()
}

fn is_zero(number: &u16) -> bool {
    *number == 0
}

impl Entry {
    pub(super) fn new(seq: u64, at: Micros, line: Line) -> Entry {
        Entry {
            seq,
            t_ms: at.millis(),
            // What is left of a microsecond count below a thousand fits.
            us: u16::try_from(at.micros().rem_euclid(1_000)).unwrap_or(0),
            line,
        }
    }

    pub(super) fn at(&self) -> Micros {
        Micros::from_millis(self.t_ms).plus(i64::from(self.us))
    }

    /// The text, with its checksum, without a line break.
    pub(super) fn encode(&self) -> String {
        // Only strings, numbers and lists in here, and every key is text: nothing JSON cannot say.
        let mut text = serde_json::to_string(self).expect("a ledger line is always plain JSON");
        text.pop();
        let sum = crc32(text.as_bytes());
        text.push_str(&format!(",\"sum\":\"{sum:08x}\"}}"));
        text
    }

    /// From a text; the error says what is wrong.
    pub(super) fn decode(text: &str) -> Result<Entry, String> {
        const TAIL: usize = ",\"sum\":\"89abcdef\"}".len();
        let cut = text.len().saturating_sub(TAIL);
        let tail = text.get(cut..).unwrap_or_default();
        let sum = tail.strip_prefix(",\"sum\":\"").and_then(|rest| rest.strip_suffix("\"}"));
        let found = format!("{:08x}", crc32(&text.as_bytes()[..cut]));
        if sum != Some(found.as_str()) {
            return Err(format!("its checksum should be {found} and is {}", sum.unwrap_or("missing")));
        }
        serde_json::from_str(text).map_err(|error| error.to_string())
    }
}

/// The lines of a file, and how much of it is whole.
pub(super) struct Whole {
    pub(super) entries: Vec<Entry>,
    /// Bytes up to the end of the last whole line.
    pub(super) bytes: usize,
}

/// Reads a file. A torn end is cut; anything else that is wrong names its line.
pub(super) fn read(bytes: &[u8]) -> Result<Whole, BadLedger> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut whole_bytes = 0;
    let pieces: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
    for (index, piece) in pieces.iter().enumerate() {
        let damaged = |why: String| BadLedger::Line { line: index + 1, why };
        let Some(line) = piece.strip_suffix(b"\n") else {
            // A write that never finished: nothing that follows from this line was ever delivered.
            break;
        };
        let decoded = std::str::from_utf8(line).map_err(|error| error.to_string()).and_then(Entry::decode);
        let entry = decoded.map_err(damaged)?;
        if let Some(last) = entries.last()
            && last.seq.checked_add(1) != Some(entry.seq)
        {
            return Err(damaged(format!("seq {} follows seq {}", entry.seq, last.seq)));
        }
        whole_bytes += piece.len();
        entries.push(entry);
    }
    // Of a trade between two accounts either both sides happened or none did.
    if let Some(Entry { line: Line::Fill { trade, with, .. }, .. }) = entries.last()
        && with != "crowd"
        && !matches!(entries.iter().rev().nth(1), Some(Entry { line: Line::Fill { trade: before, .. }, .. }) if before == trade)
    {
        whole_bytes -= pieces[entries.len() - 1].len();
        entries.pop();
    }
    Ok(Whole { entries, bytes: whole_bytes })
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, &byte| (crc >> 8) ^ CRC_TABLE[usize::from((crc as u8) ^ byte)])
}

const CRC_TABLE: [u32; 256] = {
    let mut table = [0_u32; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(seq: u64) -> Entry {
        Entry {
            seq,
            t_ms: 1_795_169_472_123,
            us: 0,
            line: Line::Accepted {
                request: 4,
                who: Who {
                    account: AccountId(2),
                    client_id: "lo7k2p000010a000001".into(),
                    order_id: VenueOrderId::new("V12"),
                },
                symbol: Symbol::new("BTC-USDT"),
                side: Side::Buy,
                price: Decimal::whole(64_000),
                qty: Decimal::ONE,
                filled: Decimal::ZERO,
                time_in_force: TimeInForce::PostOnly,
                marks: OrderMarks::default(),
                worth: Decimal::ZERO,
                paid: Decimal::ZERO,
                updated: None,
            },
        }
    }

    fn file(lines: &[Entry]) -> Vec<u8> {
        lines.iter().flat_map(|line| (line.encode() + "\n").into_bytes()).collect()
    }

    #[test]
    fn the_checksum_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn lines_come_back_as_they_went() {
        let text = entry(7).encode();
        assert!(
            text.starts_with("{\"seq\":7,\"t_ms\":1795169472123,\"kind\":\"accepted\",\"request\":4,\"account\":2,")
        );
        assert_eq!(Entry::decode(&text), Ok(entry(7)));
        let ask = Ask::ListOpen { cursor: None };
        let request =
            Entry { line: Line::Request { request: 1, ticket: Ticket(9), account: AccountId(0), ask }, ..entry(8) };
        assert_eq!(Entry::decode(&request.encode()), Ok(request));
    }

    #[test]
    fn places_have_one_word_each() {
        let word = |place| serde_json::to_string(&place).unwrap();
        assert_eq!(word(Place::Ask(super::super::asks::AskKind::CancelBatch)), "\"cancel_batch\"");
        assert_eq!(word(Place::FillPush), "\"fill_push\"");
        for place in [Place::Ask(super::super::asks::AskKind::Time), Place::OrderPush] {
            assert_eq!(serde_json::from_str::<Place>(&word(place)).unwrap(), place);
        }
    }

    #[test]
    fn every_cut_of_the_last_line_is_a_torn_end() {
        let whole = file(&[entry(1), entry(2)]);
        let both = file(&[entry(1), entry(2), entry(3)]);
        for cut in whole.len()..both.len() {
            let read = read(&both[..cut]).unwrap();
            assert_eq!((read.entries.len(), read.bytes), (2, whole.len()), "cut at {cut}");
        }
        assert_eq!(read(&both).unwrap().bytes, both.len());
    }

    #[test]
    fn every_flipped_bit_before_the_end_is_noticed() {
        let good = file(&[entry(1), entry(2), entry(3)]);
        let first_two = file(&[entry(1), entry(2)]).len();
        for place in 0..first_two {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[place] ^= 1 << bit;
                assert!(read(&bad).is_err(), "bit {bit} of byte {place}");
            }
        }
    }

    #[test]
    fn a_missing_line_is_noticed_and_named() {
        let error = read(&file(&[entry(1), entry(3)])).map(|_| ()).unwrap_err();
        assert!(matches!(error, BadLedger::Line { line: 2, .. }), "{error}");
    }
}
