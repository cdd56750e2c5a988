//! The account's own news: orders and executions of every category, and the venue's dead man's switch where it hangs on
//! this socket.
//!
//! Always holds: `Up` only after the login and both subscriptions are confirmed; of two rows of an order the older one
//! never comes out after the newer one while the order is remembered; a row that cannot be read ends the connection
//! after everything readable in its frame went out, because news is lost then and only the lists can tell it again.
//! Never does: tell executions apart by id (the desk books each once), conclude anything from a row that is missing, or
//! show the key, the signature or the login frame.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::super::rows::{self, Reading};
use super::super::sign;
use super::super::symbols::Symbols;
use super::conversation::{Asked, Conversation, Heard, Verb, Weight};
use crate::domain::ids::VenueOrderId;
use crate::domain::money::Decimal;
use crate::domain::order::{OrderRow, VenueStatus};
use crate::domain::secret::ApiKey;
use crate::domain::time::{Boot, Wall};
use crate::venues::json::{Fields, Misread, clipped};
use crate::venues::{Signing, StreamCodec, StreamOut};

/// A login counts this long.
const LOGIN_VALID_MS: i64 = 10_000;
/// The venue ends a connection that was silent for this long (by default only after ten minutes). Three of our pings
/// fit in, and a dead process does not hold its connection open for longer than needed.
const ALIVE: &str = "max_active_time=60s";
/// Topics without which the stream is of no use.
const NEEDED: [&str; 2] = ["order", "execution"];
/// Topics on which the venue's dead man's switch hangs.
const SWITCH: [&str; 2] = ["dcp.spot", "dcp.future"];
/// Orders whose newest row is remembered.
const REMEMBERED_MAX: usize = 10_000;
/// An ended order is remembered this long, so that a late older row does not open it again.
const ENDED_MEMORY: Duration = Duration::from_secs(60);

/// A socket for the account's news.
pub struct PrivateStream {
    url: String,
    key: ApiKey,
    symbols: Symbols,
    exclusive_account: bool,
    talk: Conversation,
    up: bool,
    memory: Memory,
}

impl PrivateStream {
    /// `exclusive_account`: nobody else trades on it, so the dead man's switch may hang on this socket.
    pub fn new(url: &str, key: ApiKey, symbols: Symbols, exclusive_account: bool) -> PrivateStream {
        PrivateStream {
            // An address that brings its own query is taken as it is.
            url: if url.contains('?') { url.to_owned() } else { format!("{url}?{ALIVE}") },
            talk: Conversation::new(Some(key.key.clone())),
            key,
            symbols,
            exclusive_account,
            up: false,
            memory: Memory::default(),
        }
    }

    fn broken(&mut self, why: String, out: &mut Vec<StreamOut>) {
        self.talk.end();
        out.push(StreamOut::Broken(why));
    }

    fn agreed(&mut self, at: Boot, asked: &Asked, out: &mut Vec<StreamOut>) {
        match asked.verb {
            Verb::Auth => {
                // One request each, so that a refusal spoils nothing but its own topic.
                for topic in NEEDED {
                    self.talk.ask(at, Verb::Subscribe, &[topic.to_owned()], Weight::Needed, out);
                }
                for topic in SWITCH.iter().filter(|_| self.exclusive_account) {
                    self.talk.ask(at, Verb::Subscribe, &[(*topic).to_owned()], Weight::Extra, out);
                }
            }
            Verb::Subscribe if asked.weight == Weight::Extra => {
                out.push(StreamOut::Remark(format!("the dead man's switch can hang on this stream: {}", asked.name())));
            }
            Verb::Subscribe | Verb::Unsubscribe => {}
        }
        if !self.up && !self.talk.is_waiting() {
            self.up = true;
            out.push(StreamOut::Up);
        }
    }

    fn refused(&mut self, asked: &Asked, words: &str, out: &mut Vec<StreamOut>) {
        match (asked.verb, asked.weight) {
            (Verb::Auth, _) => {
                let why = "check key, secret, environment and host, whether the key is bound to this address, and \
                           whether it has expired";
                self.broken(format!("the venue refuses the login: {words}. To mend it: {why}"), out);
            }
            (_, Weight::Needed) => self.broken(format!("the venue refuses the {}: {words}", asked.name()), out),
            (_, Weight::Extra) => out.push(no_switch(asked, words)),
        }
    }

    fn news(&mut self, at: Boot, topic: &str, frame: &Value, out: &mut Vec<StreamOut>) {
        let is = |name: &str| topic == name || topic.strip_prefix(name).is_some_and(is_category);
        let kind = match () {
            () if is("order") => "order",
            () if is("execution") => "execution",
            () => return,
        };
        let rows = match Fields::of(frame, "frame").and_then(|frame| frame.list("data")) {
            Ok(rows) => rows,
            Err(error) => return self.broken(format!("a frame of {kind} is not understood: {error}"), out),
        };
        let mut first_error = None;
        for row in rows {
            let read = if kind == "order" { self.order(at, row, out) } else { self.execution(row, out) };
            if let Err(error) = read {
                first_error = first_error.or(Some(error));
            }
        }
        if let Some(error) = first_error {
            self.broken(format!("a row of {kind} is not understood, so news of this account is lost: {error}"), out);
        }
    }

    fn order(&mut self, at: Boot, row: &Value, out: &mut Vec<StreamOut>) -> Result<(), Misread> {
        let order = match rows::order(row, None, &self.symbols)? {
            Reading::Row(order) => order,
            Reading::Other(words) => {
                out.push(StreamOut::Remark(words));
                return Ok(());
            }
        };
        let fields = Fields::of(row, "order")?;
        if self.memory.is_news(at, &order, fields.maybe_millis("updatedTime")?, fields.text("orderStatus")?) {
            out.push(StreamOut::Order(Box::new(order)));
        } else {
            let id = clipped(order.venue_order_id.as_str());
            out.push(StreamOut::Remark(format!("an older row of order {id} is left out")));
        }
        Ok(())
    }

    fn execution(&self, row: &Value, out: &mut Vec<StreamOut>) -> Result<(), Misread> {
        out.push(match rows::fill(row, None, &self.symbols)? {
            Reading::Row(fill) => StreamOut::Fill(Box::new(fill)),
            Reading::Other(words) => StreamOut::Remark(words),
        });
        Ok(())
    }
}

impl StreamCodec for PrivateStream {
    fn url(&self) -> String {
        self.url.clone()
    }

    fn opened(&mut self, at: Boot, signing: &Signing, out: &mut Vec<StreamOut>) {
        self.talk.begin(at);
        self.up = false;
        self.memory = Memory::default();
        let expires = signing.now.plus_millis(LOGIN_VALID_MS);
        let signature = sign::login(&self.key.secret, expires);
        self.talk.log_in(at, self.key.key.expose(), expires, &signature, out);
    }

    fn frame(&mut self, at: Boot, text: &str, out: &mut Vec<StreamOut>) {
        if !self.talk.is_open() {
            return;
        }
        let before = out.len();
        match self.talk.hear(at, text) {
            Ok(Heard::News(topic, frame)) => self.news(at, &topic, &frame, out),
            Ok(Heard::Agreed(asked)) => self.agreed(at, &asked, out),
            Ok(Heard::Refused(asked, words)) => self.refused(&asked, &words, out),
            Ok(Heard::Nothing) => {}
            Ok(Heard::Remark(words)) => out.push(StreamOut::Remark(words)),
            Err(why) => self.broken(why, out),
        }
        // Whatever of the frame is quoted in them.
        for out in out.iter_mut().skip(before) {
            if let StreamOut::Remark(words) | StreamOut::Broken(words) = out {
                *words = self.talk.safe(words);
            }
        }
    }

    fn tick(&mut self, at: Boot, out: &mut Vec<StreamOut>) {
        if !self.talk.is_open() {
            return;
        }
        for asked in self.talk.overdue_extras(at) {
            out.push(no_switch(&asked, "no answer"));
        }
        self.memory.forget_ended(at);
        if let Some(why) = self.talk.overdue(at) {
            self.broken(why, out);
        }
    }

    fn ping(&mut self, at: Boot, out: &mut Vec<StreamOut>) {
        self.talk.ping(at, out);
    }
}

fn no_switch(asked: &Asked, words: &str) -> StreamOut {
    StreamOut::Remark(format!("no dead man's switch for this account: the {} got: {words}", asked.name()))
}

/// `.spot`, `.linear` and whatever other category a topic may be narrowed to. `execution.fast` is another topic.
fn is_category(rest: &str) -> bool {
    [".spot", ".linear", ".inverse", ".option"].contains(&rest)
}

/// How far an order has come: later rows of an order never have a lower mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Mark {
    updated: Wall,
    rank: u8,
    filled: Decimal,
}

/// A status as a step on an order's way; `None` for words that stand nowhere on it.
fn rank(status: &str) -> Option<u8> {
    Some(match status {
        "Created" => 0,
        "Untriggered" => 1,
        "Triggered" => 2,
        "New" => 3,
        "PartiallyFilled" => 4,
        "PendingCancel" => 5,
        "Filled" | "Cancelled" | "PartiallyFilledCanceled" | "Rejected" | "Deactivated" => 6,
        _ => return None,
    })
}

struct Seen {
    mark: Mark,
    ended: bool,
    at: Boot,
    turn: u64,
}

/// The newest row of each order on this connection. Bounded: ended orders go first, then those without news for longest.
#[derive(Default)]
struct Memory {
    seen: BTreeMap<VenueOrderId, Seen>,
    /// Who goes next: ended ones (`false` sorts first), then by the turn of their last row.
    queue: BTreeMap<(bool, u64), VenueOrderId>,
    turns: u64,
}

impl Memory {
    /// Whether a row is not older than what was seen of its order; remembers it then. A row without a time goes out: the
    /// desk judges it. A status we do not know stands nowhere on an order's way: it goes out unless it is from before.
    /// Neither is remembered.
    fn is_news(&mut self, at: Boot, order: &OrderRow, updated: Option<Wall>, status: &str) -> bool {
        let known = self.seen.get(&order.venue_order_id);
        let Some(updated) = updated else {
            return true;
        };
        let Some(rank) = rank(status) else {
            return known.is_none_or(|seen| updated >= seen.mark.updated);
        };
        let mark = Mark { updated, rank, filled: order.filled };
        if known.is_some_and(|seen| mark < seen.mark) {
            return false;
        }
        let ended = matches!(order.status, VenueStatus::Ended(_));
        self.forget(&order.venue_order_id.clone());
        self.turns += 1;
        let turn = self.turns;
        self.queue.insert((!ended, turn), order.venue_order_id.clone());
        self.seen.insert(order.venue_order_id.clone(), Seen { mark, ended, at, turn });
        while self.seen.len() > REMEMBERED_MAX {
            let Some((_, next)) = self.queue.pop_first() else { break };
            self.seen.remove(&next);
        }
        true
    }

    fn forget(&mut self, id: &VenueOrderId) {
        if let Some(seen) = self.seen.remove(id) {
            self.queue.remove(&(!seen.ended, seen.turn));
        }
    }

    fn forget_ended(&mut self, at: Boot) {
        while let Some((&(false, _), id)) = self.queue.first_key_value() {
            let id = id.clone();
            if self.seen.get(&id).is_some_and(|seen| at.since(seen.at) <= ENDED_MEMORY) {
                break;
            }
            self.queue.pop_first();
            self.seen.remove(&id);
        }
    }
}
