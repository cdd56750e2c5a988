//! An order book of everyone's orders, by price: snapshots replace it, deltas change it, numbers tell what was missed.
//!
//! Always holds: prices and sizes are above zero, no bid lies at or above an ask, no side is deeper than the cap, and an
//! update costs by its own size and the cap, never by how many came before. A fault empties the book: a book that may
//! be wrong is not shown.
//! Never does: mend itself. Whoever feeds it asks the venue for a new snapshot.

use std::collections::BTreeMap;

use crate::domain::event::Depth;
use crate::domain::money::Decimal;

/// A price and what stands there.
pub type Level = (Decimal, Decimal);

/// What a venue tells of a book at once. In a snapshot: all of it. In a delta: what is new at these prices, where a size
/// of zero takes the price off.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Update {
    /// Buyers.
    pub bids: Vec<Level>,
    /// Sellers.
    pub asks: Vec<Level>,
    /// The venue's number of this update, counted by book.
    pub number: u64,
    /// The venue's number for the state of the market it shows, the same for books of every depth.
    pub sequence: u64,
}

/// What became of a delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is in.
    In,
    /// It is in, and numbers before it never came: the book is doubtful from here to the next snapshot.
    InAfterGap,
    /// It tells what was known already; nothing changed.
    Old,
}

/// Why an update was not taken. The book is empty after it, but for `NoSnapshot`, where it was empty before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BookFault {
    /// A delta without a snapshot before it.
    #[error("a change of a book that was never shown whole")]
    NoSnapshot,
    /// A price at or below zero.
    #[error("a price of {0}")]
    BadPrice(Decimal),
    /// A size below zero.
    #[error("a size of {0}")]
    BadSize(Decimal),
    /// A bid at or above an ask: something was missed.
    #[error("the bid {bid} does not lie below the ask {ask}")]
    Crossed {
        /// The bid.
        bid: Decimal,
        /// The ask.
        ask: Decimal,
    },
    /// A delta took the last price off.
    #[error("nothing is left in it")]
    Emptied,
}

/// A book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Book {
    depth_max: usize,
    bids: BTreeMap<Decimal, Decimal>,
    asks: BTreeMap<Decimal, Decimal>,
    number: u64,
    sequence: u64,
    fed: bool,
    doubtful: bool,
}

impl Book {
    /// An empty book that keeps the best `depth_max` prices of each side.
    pub fn new(depth_max: usize) -> Book {
        Book {
            depth_max,
            bids: BTreeMap::new(),
            asks: BTreeMap::new(),
            number: 0,
            sequence: 0,
            fed: false,
            doubtful: false,
        }
    }

    /// Replaces everything, whatever its number: a venue that restarts counts from one again.
    pub fn snapshot(&mut self, update: &Update) -> Result<(), BookFault> {
        self.clear();
        self.change(update)?;
        (self.number, self.sequence, self.fed) = (update.number, update.sequence, true);
        Ok(())
    }

    /// Changes what the update names.
    pub fn delta(&mut self, update: &Update) -> Result<Taken, BookFault> {
        if !self.fed {
            return Err(BookFault::NoSnapshot);
        }
        if update.number <= self.number {
            return Ok(Taken::Old);
        }
        let gap = update.number - self.number > 1;
        self.change(update)?;
        if self.bids.is_empty() && self.asks.is_empty() {
            self.clear();
            return Err(BookFault::Emptied);
        }
        (self.number, self.sequence) = (update.number, update.sequence);
        self.doubtful |= gap;
        Ok(if gap { Taken::InAfterGap } else { Taken::In })
    }

    /// Forgets everything. Deltas are refused until the next snapshot.
    pub fn clear(&mut self) {
        *self = Book::new(self.depth_max);
    }

    /// What it shows may be wrong until the next snapshot: someone saw a sign of it elsewhere.
    pub fn doubt(&mut self) {
        self.doubtful = true;
    }

    /// Whether a snapshot came, and nothing broke since.
    pub fn is_fed(&self) -> bool {
        self.fed
    }

    /// Whether something may have been missed since the last snapshot.
    pub fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    /// The venue's number of the market's state it shows.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The best bid and the best ask.
    pub fn best(&self) -> (Option<Level>, Option<Level>) {
        let level = |(&price, &size): (&Decimal, &Decimal)| (price, size);
        (self.bids.last_key_value().map(level), self.asks.first_key_value().map(level))
    }

    /// The best `count` prices of each side, best first.
    pub fn top(&self, count: usize) -> Depth {
        let level = |(&price, &size): (&Decimal, &Decimal)| (price, size);
        Depth {
            bids: self.bids.iter().rev().take(count).map(level).collect(),
            asks: self.asks.iter().take(count).map(level).collect(),
        }
    }

    fn change(&mut self, update: &Update) -> Result<(), BookFault> {
        if let Some(fault) = first_bad_level(update) {
            self.clear();
            return Err(fault);
        }
        for (side, levels) in [(&mut self.bids, &update.bids), (&mut self.asks, &update.asks)] {
            for &(price, size) in levels {
                if size.is_zero() {
                    side.remove(&price);
                } else {
                    side.insert(price, size);
                }
            }
        }
        if let (Some((bid, _)), Some((ask, _))) = self.best()
            && bid >= ask
        {
            self.clear();
            return Err(BookFault::Crossed { bid, ask });
        }
        while self.bids.len() > self.depth_max {
            self.bids.pop_first();
        }
        while self.asks.len() > self.depth_max {
            self.asks.pop_last();
        }
        Ok(())
    }
}

fn first_bad_level(update: &Update) -> Option<BookFault> {
    update.bids.iter().chain(&update.asks).find_map(|&(price, size)| {
        if !price.is_positive() {
            Some(BookFault::BadPrice(price))
        } else if size.is_negative() {
            Some(BookFault::BadSize(size))
        } else {
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn levels(text: &str) -> Vec<Level> {
        let level = |part: &str| {
            let (price, size) = part.split_once('x').unwrap();
            (price.parse().unwrap(), size.parse().unwrap())
        };
        text.split_whitespace().map(level).collect()
    }

    fn update(number: u64, bids: &str, asks: &str) -> Update {
        Update { bids: levels(bids), asks: levels(asks), number, sequence: number * 10 }
    }

    fn shown(book: &Book) -> String {
        let side = |levels: Vec<Level>| {
            levels.iter().map(|(price, size)| format!("{price}x{size}")).collect::<Vec<_>>().join(" ")
        };
        let depth = book.top(usize::MAX);
        format!("{} | {}", side(depth.bids), side(depth.asks))
    }

    fn fed() -> Book {
        let mut book = Book::new(3);
        book.snapshot(&update(5, "100x1 99x2", "101x3 102x4")).unwrap();
        book
    }

    #[test]
    fn a_delta_sets_adds_and_takes_off() {
        let mut book = fed();
        assert_eq!(book.delta(&update(6, "99x0 100x7 98.5x1", "101.5x2")), Ok(Taken::In));
        assert_eq!(shown(&book), "100x7 98.5x1 | 101x3 101.5x2 102x4");
        assert_eq!(book.sequence(), 60);
        assert_eq!(book.best().0, Some(levels("100x7")[0]));
    }

    #[test]
    fn what_is_not_newer_changes_nothing() {
        let mut book = fed();
        for number in [0, 4, 5] {
            assert_eq!(book.delta(&update(number, "100x0", "")), Ok(Taken::Old));
        }
        assert_eq!(book, fed());
    }

    #[test]
    fn a_gap_is_taken_and_leaves_a_doubt_until_the_next_snapshot() {
        let mut book = fed();
        assert_eq!(book.delta(&update(7, "99x9", "")), Ok(Taken::InAfterGap));
        assert_eq!(book.delta(&update(8, "99x8", "")), Ok(Taken::In));
        assert!(book.is_doubtful() && book.is_fed());
        book.snapshot(&update(1, "50x1", "51x1")).unwrap();
        assert!(!book.is_doubtful());
        assert_eq!(shown(&book), "50x1 | 51x1");
    }

    #[test]
    fn a_fault_empties_the_book_and_only_a_snapshot_brings_it_back() {
        let minus = |text: &str| -> Decimal { text.parse().unwrap() };
        let cases = [
            (update(6, "101x1", ""), BookFault::Crossed { bid: minus("101"), ask: minus("101") }),
            (update(6, "", "99x1"), BookFault::Crossed { bid: minus("100"), ask: minus("99") }),
            (update(6, "100x0 99x0", "101x0 102x0"), BookFault::Emptied),
            (update(6, "0x1", ""), BookFault::BadPrice(Decimal::ZERO)),
            (update(6, "", "-5x1"), BookFault::BadPrice(minus("-5"))),
            (update(6, "98x-1", ""), BookFault::BadSize(minus("-1"))),
        ];
        for (bad, fault) in cases {
            let mut book = fed();
            assert_eq!(book.delta(&bad), Err(fault));
            assert_eq!(book.best(), (None, None));
            assert_eq!(book.delta(&update(7, "99x1", "")), Err(BookFault::NoSnapshot));
            book.snapshot(&update(8, "99x1", "")).unwrap();
            assert!(book.is_fed());
        }
    }

    #[test]
    fn a_book_with_one_side_or_none_is_a_book_where_the_venue_shows_it_so() {
        let mut book = fed();
        assert_eq!(book.delta(&update(6, "100x0 99x0", "")), Ok(Taken::In));
        assert_eq!(book.best().0, None);
        book.snapshot(&update(9, "", "")).unwrap();
        assert!(book.is_fed());
    }

    #[test]
    fn only_the_best_prices_are_kept_however_many_updates_came() {
        let mut book = fed();
        for number in 6..10_006_u64 {
            let price = Decimal::whole(i64::try_from(number).unwrap() % 90 + 1);
            let size = if number % 3 == 0 { Decimal::ZERO } else { Decimal::ONE };
            let _ = book.delta(&Update { bids: vec![(price, size)], asks: vec![], number, sequence: number });
            assert!(book.bids.len() <= 3 && book.asks.len() <= 3);
        }
    }

    /// The same rules without a thought for cost: all levels in a list, looked through for each change.
    #[derive(Clone, Default)]
    struct Naive {
        bids: Vec<Level>,
        asks: Vec<Level>,
        number: u64,
        fed: bool,
        doubtful: bool,
    }

    impl Naive {
        fn apply(&mut self, cap: usize, whole: bool, update: &Update) {
            if !whole && (!self.fed || update.number <= self.number) {
                return;
            }
            let gap = !whole && update.number != self.number + 1;
            if whole {
                *self = Naive { fed: true, ..Naive::default() };
            }
            for (side, levels) in [(&mut self.bids, &update.bids), (&mut self.asks, &update.asks)] {
                for level in levels {
                    side.retain(|known| known.0 != level.0);
                    if !level.1.is_zero() {
                        side.push(*level);
                    }
                }
                side.sort();
            }
            self.bids.reverse();
            let crossed = matches!((self.bids.first(), self.asks.first()), (Some(bid), Some(ask)) if bid.0 >= ask.0);
            if crossed || (!whole && self.bids.is_empty() && self.asks.is_empty()) {
                *self = Naive::default();
                return;
            }
            self.bids.truncate(cap);
            self.asks.truncate(cap);
            self.number = update.number;
            self.doubtful |= gap;
        }
    }

    fn side(lowest: i64) -> impl Strategy<Value = Vec<Level>> {
        let level =
            (lowest..lowest + 12, 0..4_i64).prop_map(|(price, size)| (Decimal::whole(price), Decimal::whole(size)));
        prop::collection::vec(level, 0..6)
    }

    proptest! {
        #[test]
        fn it_does_what_a_naive_book_does(
            steps in prop::collection::vec((side(89), side(100), 0_u64..3, prop::bool::weighted(0.1)), 1..60),
            cap in 1_usize..6,
        ) {
            let (mut book, mut naive, mut number) = (Book::new(cap), Naive::default(), 10_u64);
            for (bids, asks, step, whole) in steps {
                number += step;
                let update = Update { bids, asks, number, sequence: number };
                if whole {
                    let _ = book.snapshot(&update);
                } else {
                    let _ = book.delta(&update);
                }
                naive.apply(cap, whole, &update);
                let depth = book.top(usize::MAX);
                prop_assert_eq!(&depth.bids, &naive.bids);
                prop_assert_eq!(&depth.asks, &naive.asks);
                prop_assert_eq!((book.is_fed(), book.is_doubtful()), (naive.fed, naive.doubtful));
                prop_assert_eq!(book.best(), (naive.bids.first().copied(), naive.asks.first().copied()));
            }
        }
    }
}
