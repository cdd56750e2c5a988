//! Every queue between threads, with its rule for "full". The loop itself never blocks on a send.
//!
//! | queue | from | to | holds | full |
//! |---|---|---|---|---|
//! | urgent | workers, streams, store, control, signals | loop | 4,096 events | the sender waits; order news is never dropped |
//! | quotes, market | streams | loop | one an instrument | merged: the newest replaces the one before |
//! | feed | streams | paper exchange | one an instrument | merged: the newest replaces the one before |
//! | pings | loop | a stream's thread | 1 | dropped: one ping is as good as two |
//! | store | loop | store thread | 65,536 messages | the loop keeps the rest in order and tries again each pass |
//! | work | loop | one worker | 1 request | never: a request goes to an idle worker only, the rest waits in the `Outbox` |
//! | paper | workers | paper exchange | 256 asks | the worker waits: the venue is slow |
//! | log | everyone | log thread | 8,192 lines (`logging`) | the line is dropped and counted |
//!
//! Always holds: the loop drains `urgent` in every pass, so a sender that waits there waits for one pass.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, select};

use crate::domain::event::{Event, MarketNews, Quote};
use crate::domain::ids::{Symbol, VenueId};

/// Order news and everything else that must not be lost.
pub const URGENT_EVENTS_MAX: usize = 4_096;
/// Messages to the store.
pub const STORE_MESSAGES_MAX: usize = 65_536;
/// Asks of a paper exchange.
pub const PAPER_ASKS_MAX: usize = 256;
/// Events of one cycle: a flood is worked off in cycles, so that a stop begins between two of them.
pub const BATCH_EVENTS_MAX: usize = 512;

/// Where other threads put events.
#[derive(Clone, Debug)]
pub struct EventSender(Sender<Event>);

impl EventSender {
    /// Hands an event to the loop; waits while the queue is full. `false` once the loop is gone.
    pub fn send(&self, event: Event) -> bool {
        self.0.send(event).is_ok()
    }
}

/// Newest prices and newest market news, one an instrument.
#[derive(Clone, Debug)]
pub struct QuoteBoard {
    newest: Arc<Mutex<Newest>>,
    wake: Sender<()>,
}

#[derive(Debug, Default)]
struct Newest {
    quotes: BTreeMap<(VenueId, Symbol), Quote>,
    market: BTreeMap<(VenueId, Symbol), MarketNews>,
}

/// Where a board is read.
#[derive(Debug)]
pub struct QuoteEnd {
    newest: Arc<Mutex<Newest>>,
    woken: Receiver<()>,
}

/// A board and where it is read.
pub fn quote_board() -> (QuoteBoard, QuoteEnd) {
    let (wake, woken) = bounded(1);
    let newest = Arc::default();
    (QuoteBoard { newest: Arc::clone(&newest), wake }, QuoteEnd { newest, woken })
}

impl QuoteEnd {
    /// Becomes ready when something was put up.
    pub fn woken(&self) -> &Receiver<()> {
        &self.woken
    }

    /// The newest prices since the last call.
    pub fn take_quotes(&self) -> Vec<Quote> {
        self.take().quotes.into_values().collect()
    }

    fn take(&self) -> Newest {
        std::mem::take(&mut *self.newest.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl QuoteBoard {
    /// Puts a quote up in place of the one before.
    pub fn put(&self, quote: Quote) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.quotes.insert((quote.venue, quote.symbol.clone()), quote);
        drop(newest);
        self.wake();
    }

    /// Puts market news up: each kind of it in place of the one before.
    pub fn put_market(&self, news: MarketNews) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        match newest.market.entry((news.venue, news.symbol.clone())) {
            Entry::Vacant(place) => {
                place.insert(news);
            }
            Entry::Occupied(mut place) => {
                let known = place.get_mut();
                known.depth = news.depth.or(known.depth.take());
                known.last = news.last.or(known.last.take());
                known.ticker = news.ticker.or(known.ticker.take());
            }
        }
        drop(newest);
        self.wake();
    }

    fn wake(&self) {
        // Full: the reader has been woken already.
        let _ = self.wake.try_send(());
    }
}

/// Where the loop takes events from.
#[derive(Debug)]
pub struct Inbox {
    urgent: Receiver<Event>,
    held: VecDeque<Event>,
    quotes: QuoteEnd,
}

/// The loop's inbox and the two ways into it.
pub fn inbox() -> (Inbox, EventSender, QuoteBoard) {
    let (urgent_in, urgent) = bounded(URGENT_EVENTS_MAX);
    let (board, quotes) = quote_board();
    (Inbox { urgent, held: VecDeque::new(), quotes }, EventSender(urgent_in), board)
}

impl Inbox {
    /// Waits for events, at most this long, and takes a batch: order news before quotes.
    pub fn next_batch(&mut self, wait: Duration) -> Vec<Event> {
        let mut batch = Vec::new();
        if self.held.is_empty() {
            select! {
                recv(self.urgent) -> event => batch.extend(event.ok()),
                recv(self.quotes.woken()) -> _ => {}
                default(wait) => {}
            }
        }
        self.hold();
        batch.extend(self.held.drain(..self.held.len().min(BATCH_EVENTS_MAX)));
        let newest = self.quotes.take();
        batch.extend(newest.market.into_values().map(|news| Event::Market(Box::new(news))));
        batch.extend(newest.quotes.into_values().map(Event::Quote));
        batch
    }

    /// Takes in what waits without working on it, so that no sender waits while the loop joins threads.
    pub fn hold(&mut self) {
        self.held.extend(self.urgent.try_iter().take(URGENT_EVENTS_MAX));
    }
}

/// The loop's end of a queue to another thread: what does not fit stays here, in order.
#[derive(Debug)]
pub struct Backlog<T> {
    to: Option<Sender<T>>,
    waiting: VecDeque<T>,
}

impl<T> Backlog<T> {
    /// Over a bounded channel.
    pub fn new(to: Sender<T>) -> Backlog<T> {
        Backlog { to: Some(to), waiting: VecDeque::new() }
    }

    /// Queues a message and sends what fits.
    pub fn push(&mut self, message: T) {
        self.waiting.push_back(message);
        self.flush();
    }

    /// Sends what fits. The loop calls it in every pass.
    pub fn flush(&mut self) {
        let Some(to) = &self.to else {
            self.waiting.clear();
            return;
        };
        while let Some(message) = self.waiting.pop_front() {
            match to.try_send(message) {
                Ok(()) => {}
                Err(TrySendError::Full(message)) => {
                    self.waiting.push_front(message);
                    return;
                }
                // The thread is gone; whoever waits for its answers has a deadline.
                Err(TrySendError::Disconnected(_)) => {
                    self.to = None;
                    self.waiting.clear();
                    return;
                }
            }
        }
    }

    /// How many messages wait here.
    pub fn n_waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether the other thread is there.
    pub fn is_open(&self) -> bool {
        self.to.is_some()
    }

    /// Ends the queue: the other thread ends once it has worked off what it has.
    pub fn close(&mut self) {
        self.flush();
        self.to = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::{DiskNews, SignalName};

    fn quote(bid: i64) -> Quote {
        Quote {
            venue: VenueId(0),
            symbol: Symbol::new("BTC-USDT"),
            bid: Some((crate::domain::money::Decimal::whole(bid), crate::domain::money::Decimal::ONE)),
            ask: None,
        }
    }

    #[test]
    fn order_news_comes_before_quotes_and_only_the_newest_quote_comes() {
        let (mut inbox, events, quotes) = inbox();
        quotes.put(quote(1));
        quotes.put(quote(2));
        assert!(events.send(Event::Signal(SignalName::Term)));
        let batch = inbox.next_batch(Duration::ZERO);
        assert_eq!(batch, [Event::Signal(SignalName::Term), Event::Quote(quote(2))]);
    }

    #[test]
    fn a_flood_is_worked_off_in_batches_and_nothing_is_lost() {
        let (mut inbox, events, _) = inbox();
        for _ in 0..URGENT_EVENTS_MAX {
            assert!(events.send(Event::Disk(DiskNews::Recovered)));
        }
        let mut taken = 0;
        while taken < URGENT_EVENTS_MAX {
            let batch = inbox.next_batch(Duration::ZERO);
            assert!(!batch.is_empty() && batch.len() <= BATCH_EVENTS_MAX + 1);
            taken += batch.len();
        }
        assert_eq!(taken, URGENT_EVENTS_MAX);
    }

    #[test]
    fn the_loop_never_blocks_on_a_full_queue_and_keeps_the_order() {
        let (to, from) = bounded(2);
        let mut backlog = Backlog::new(to);
        for number in 0..10 {
            backlog.push(number);
        }
        assert_eq!(backlog.n_waiting(), 8);
        let mut got = Vec::new();
        while got.len() < 10 {
            got.extend(from.try_iter());
            backlog.flush();
        }
        assert_eq!(got, (0..10).collect::<Vec<_>>());
    }
}
