//! The public streams: books, trades, prices.
//!
//! Always holds: of one book every subscriber sees the same updates with rising numbers; whoever comes later gets a
//! snapshot first that stands at the last of them. A book of one level is always told whole, and again after three quiet
//! seconds.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::names::{self, Category};
use super::rows::side_word;
use super::sockets::Purpose;
use super::{Due, Gateway};
use crate::domain::order::Side;
use crate::exchange::Micros;
use crate::exchange::dialects::SocketId;
use crate::exchange::venue::Print;

const DEPTHS: [usize; 4] = [1, 50, 200, 1_000];
const LOOK_EVERY_US: i64 = 100_000;
const REPEAT_US: i64 = 3_000_000;

type Levels = BTreeMap<i64, i64>;

/// One book as it was told last.
#[derive(Clone, Debug, Default)]
struct BookFeed {
    bids: Levels,
    asks: Levels,
    update: u64,
    told_at: Micros,
}

/// Everything that is being told to the public.
#[derive(Clone, Debug, Default)]
pub(super) struct Feeds {
    books: BTreeMap<(usize, usize), BookFeed>,
    prices: BTreeMap<usize, Value>,
    pub(super) seq: u64,
    looking: bool,
}

impl Feeds {
    /// The newest number of an instrument's book.
    pub(super) fn update_of(&self, pit: usize) -> u64 {
        let books = self.books.iter().filter(|((of, _), _)| *of == pit);
        books.map(|(_, book)| book.update).max().unwrap_or(1)
    }
}

/// What a public topic is about.
enum Topic {
    Book(usize, usize),
    Trades,
    Prices(usize),
}

impl Gateway {
    fn public_topic(&self, category: Category, topic: &str) -> Option<Topic> {
        let mut parts = topic.split('.');
        let kind = parts.next()?;
        let depth = if kind == "orderbook" { Some(parts.next()?.parse::<usize>().ok()?) } else { None };
        let pit = self.pit(category, parts.next()?)?;
        if parts.next().is_some() {
            return None;
        }
        match (kind, depth) {
            ("orderbook", Some(depth)) if DEPTHS.contains(&depth) => Some(Topic::Book(pit, depth)),
            ("publicTrade", None) => Some(Topic::Trades),
            ("tickers", None) => Some(Topic::Prices(pit)),
            _ => None,
        }
    }

    pub(super) fn is_public_topic(&self, category: Category, topic: &str) -> bool {
        self.public_topic(category, topic).is_some()
    }

    /// Snapshots for somebody who has just subscribed.
    pub(super) fn begin_feeds(&mut self, socket: SocketId, category: Category, topics: &[String]) {
        for name in topics {
            match self.public_topic(category, name) {
                Some(Topic::Book(pit, depth)) => {
                    // As it was told last to whoever listens already: the next change is told to all.
                    if !self.feeds.books.contains_key(&(pit, depth)) {
                        self.look_at_book(pit, depth);
                    }
                    let Some(book) = self.feeds.books.get(&(pit, depth)) else {
                        continue;
                    };
                    let (bids, asks, update) = (book.bids.clone(), book.asks.clone(), book.update);
                    let text = self.book_text(pit, depth, "snapshot", (&bids, &asks), update);
                    self.send(socket, text);
                }
                Some(Topic::Prices(pit)) => {
                    let prices = self.ticker_stream(pit);
                    let text = self.prices_text(pit, "snapshot", &prices);
                    self.feeds.prices.entry(pit).or_insert(prices);
                    self.send(socket, text);
                }
                Some(Topic::Trades) | None => {}
            }
        }
        if !self.feeds.looking {
            self.feeds.looking = true;
            self.schedule(self.now.plus(LOOK_EVERY_US), Due::Look);
        }
    }

    /// What is subscribed of a category's books and prices.
    fn subscribed(&self) -> (BTreeSet<(usize, usize)>, BTreeSet<usize>) {
        let (mut books, mut prices) = (BTreeSet::new(), BTreeSet::new());
        for session in self.sockets.values() {
            let Purpose::Public(category) = session.purpose else {
                continue;
            };
            for topic in &session.topics {
                match self.public_topic(category, topic) {
                    Some(Topic::Book(pit, depth)) => {
                        books.insert((pit, depth));
                    }
                    Some(Topic::Prices(pit)) => {
                        prices.insert(pit);
                    }
                    Some(Topic::Trades) | None => {}
                }
            }
        }
        (books, prices)
    }

    /// Looks at everything that is subscribed, and tells what changed.
    pub(super) fn look(&mut self) {
        let (books, prices) = self.subscribed();
        self.feeds.books.retain(|key, _| books.contains(key));
        self.feeds.prices.retain(|pit, _| prices.contains(pit));
        if books.is_empty() && prices.is_empty() {
            self.feeds.looking = false;
            return;
        }
        for (pit, depth) in books {
            self.look_at_book(pit, depth);
        }
        for pit in prices {
            self.look_at_prices(pit);
        }
        self.schedule(self.now.plus(LOOK_EVERY_US), Due::Look);
    }

    fn look_at_book(&mut self, pit: usize, depth: usize) {
        let bids: Levels = self.exchange.levels(pit, Side::Buy, depth).into_iter().collect();
        let asks: Levels = self.exchange.levels(pit, Side::Sell, depth).into_iter().collect();
        let now = self.now;
        let known = self.feeds.books.contains_key(&(pit, depth));
        let book = self.feeds.books.entry((pit, depth)).or_default();
        if !known {
            // The first number is not 1: that would mean that the venue's service was started again.
            (book.update, book.told_at) = (100 + pit as u64, now);
            (book.bids, book.asks) = (bids, asks);
            return;
        }
        let changed = book.bids != bids || book.asks != asks;
        let quiet = depth == 1 && book.told_at.plus(REPEAT_US) <= now;
        if !changed && !quiet {
            return;
        }
        book.told_at = now;
        if changed {
            book.update += 1;
        }
        let update = book.update;
        let (old_bids, old_asks) = (std::mem::take(&mut book.bids), std::mem::take(&mut book.asks));
        (book.bids, book.asks) = (bids.clone(), asks.clone());
        self.feeds.seq += 1;
        let text = if depth == 1 {
            self.book_text(pit, depth, "snapshot", (&bids, &asks), update)
        } else {
            let moved = (&moved(&old_bids, &bids), &moved(&old_asks, &asks));
            self.book_text(pit, depth, "delta", moved, update)
        };
        self.tell_public(pit, &format!("orderbook.{depth}.{}", self.listed[pit].name), &text);
    }

    fn book_text(&self, pit: usize, depth: usize, kind: &str, (bids, asks): (&Levels, &Levels), update: u64) -> String {
        let row = |(&ticks, &lots): (&i64, &i64)| {
            let (price, mut size) = self.level_texts(pit, (ticks, lots));
            if lots == 0 {
                "0".clone_into(&mut size);
            }
            json!([price, size])
        };
        let bids: Vec<Value> = bids.iter().rev().map(row).collect();
        let asks: Vec<Value> = asks.iter().map(row).collect();
        let now_ms = self.ms(self.now);
        let name = &self.listed[pit].name;
        json!({
            "topic": format!("orderbook.{depth}.{name}"),
            "type": kind,
            "ts": now_ms,
            "data": { "s": name, "b": bids, "a": asks, "u": update, "seq": self.feeds.seq },
            "cts": now_ms,
        })
        .to_string()
    }

    fn look_at_prices(&mut self, pit: usize) {
        let prices = self.ticker_stream(pit);
        let Some(before) = self.feeds.prices.insert(pit, prices.clone()) else {
            return;
        };
        if before == prices {
            return;
        }
        self.feeds.seq += 1;
        let name = self.listed[pit].name.clone();
        let text = if self.listed[pit].category == Category::Spot {
            self.prices_text(pit, "snapshot", &prices)
        } else {
            let mut delta = json!({ "symbol": name });
            for (field, value) in prices.as_object().into_iter().flatten() {
                if before.get(field) != Some(value) {
                    delta[field.as_str()] = value.clone();
                }
            }
            self.prices_text(pit, "delta", &delta)
        };
        self.tell_public(pit, &format!("tickers.{name}"), &text);
    }

    fn prices_text(&self, pit: usize, kind: &str, data: &Value) -> String {
        json!({
            "topic": format!("tickers.{}", self.listed[pit].name),
            "type": kind,
            "data": data,
            "cs": self.feeds.seq,
            "ts": self.ms(self.now),
        })
        .to_string()
    }

    /// Trades have happened.
    pub(super) fn printed(&mut self, prints: &[Print]) {
        let mut rows: BTreeMap<usize, Vec<Value>> = BTreeMap::new();
        for print in prints {
            let pit = print.pit;
            let no = self.tapes[pit].print(*print, &self.exchange.grids[pit]);
            self.feeds.seq += 1;
            let (price, size) = self.level_texts(pit, (print.ticks, print.lots));
            rows.entry(pit).or_default().push(json!({
                "T": self.ms(print.at),
                "s": self.listed[pit].name,
                "S": side_word(print.side),
                "v": size,
                "p": price,
                "L": if self.tapes[pit].rises { "PlusTick" } else { "MinusTick" },
                "i": names::execution_id(self.listed[pit].category, no),
                "BT": false,
                "seq": self.feeds.seq,
            }));
        }
        for (pit, data) in rows {
            let topic = format!("publicTrade.{}", self.listed[pit].name);
            let text = json!({ "topic": topic, "type": "snapshot", "ts": self.ms(self.now), "data": data });
            self.tell_public(pit, &topic, &text.to_string());
        }
    }

    /// The venue's own state.
    pub(super) fn tell_status(&mut self, on: bool) {
        let mut row = self.status_row();
        if !on {
            row["state"] = json!("completed");
        }
        let text = json!({ "topic": "system.status", "ts": self.ms(self.now), "data": [row] }).to_string();
        let listening = self.sockets.iter().filter(|(_, session)| session.topics.contains("system.status"));
        let sockets: Vec<SocketId> = listening.map(|(socket, _)| *socket).collect();
        for socket in sockets {
            self.send(socket, text.clone());
        }
    }

    fn tell_public(&mut self, pit: usize, topic: &str, text: &str) {
        let purpose = Purpose::Public(self.listed[pit].category);
        let listening = self.sockets.iter();
        let listening = listening.filter(|(_, session)| session.purpose == purpose && session.topics.contains(topic));
        let sockets: Vec<SocketId> = listening.map(|(socket, _)| *socket).collect();
        for socket in sockets {
            self.send(socket, text.to_owned());
        }
    }
}

/// From one side of a book to the next: new sizes, and zero for what is gone.
fn moved(before: &Levels, after: &Levels) -> Levels {
    let mut moved: Levels = before.keys().filter(|ticks| !after.contains_key(ticks)).map(|ticks| (*ticks, 0)).collect();
    moved.extend(after.iter().filter(|(ticks, lots)| before.get(ticks) != Some(lots)));
    moved
}
