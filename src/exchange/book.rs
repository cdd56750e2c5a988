//! The order book of one instrument: price levels, within a level first come first served.
//!
//! Always holds: a level exists only while something rests on it and knows its sum; the crowd has at most one entry a
//! level. Adding, taking and removing cost the logarithm of what rests, whoever owns it.
//! Never does: decide whether a trade may happen, or move money.

use std::collections::BTreeMap;

use crate::domain::order::Side;

/// Whose entry it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// The background crowd.
    Crowd,
    /// An account's order, by its number.
    Order(u64),
}

/// What stands first in line on one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Front {
    pub(super) ticks: i64,
    pub(super) rank: u64,
    pub(super) owner: Owner,
    pub(super) lots: i64,
}

#[derive(Clone, Copy, Debug)]
struct Resting {
    owner: Owner,
    lots: i64,
}

#[derive(Clone, Debug, Default)]
struct Level {
    queue: BTreeMap<u64, Resting>,
    lots: i64,
}

#[derive(Clone, Debug, Default)]
struct Half {
    levels: BTreeMap<i64, Level>,
    crowd: BTreeMap<i64, u64>,
}

/// Both sides.
#[derive(Clone, Debug, Default)]
pub(super) struct Book {
    bids: Half,
    asks: Half,
    last_rank: u64,
}

impl Book {
    fn half(&self, side: Side) -> &Half {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    fn half_mut(&mut self, side: Side) -> &mut Half {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    /// Puts an entry at the end of its level's line; the answer is its place in time.
    pub(super) fn add(&mut self, side: Side, ticks: i64, owner: Owner, lots: i64) -> u64 {
        self.last_rank += 1;
        let rank = self.last_rank;
        let half = self.half_mut(side);
        let level = half.levels.entry(ticks).or_default();
        level.queue.insert(rank, Resting { owner, lots });
        level.lots += lots;
        if owner == Owner::Crowd {
            half.crowd.insert(ticks, rank);
        }
        rank
    }

    /// Takes lots off an entry; one that is used up leaves the book.
    pub(super) fn reduce(&mut self, side: Side, ticks: i64, rank: u64, lots: i64) {
        let half = self.half_mut(side);
        let Some(level) = half.levels.get_mut(&ticks) else {
            return;
        };
        let Some(entry) = level.queue.get_mut(&rank) else {
            return;
        };
        let taken = lots.min(entry.lots);
        entry.lots -= taken;
        level.lots -= taken;
        if entry.lots == 0 {
            if entry.owner == Owner::Crowd {
                half.crowd.remove(&ticks);
            }
            level.queue.remove(&rank);
        }
        if level.queue.is_empty() {
            half.levels.remove(&ticks);
        }
    }

    /// Takes an entry off the book.
    pub(super) fn remove(&mut self, side: Side, ticks: i64, rank: u64) {
        self.reduce(side, ticks, rank, i64::MAX);
    }

    /// The best price of a side and what stands there.
    pub(super) fn best(&self, side: Side) -> Option<(i64, i64)> {
        let levels = &self.half(side).levels;
        let best = match side {
            Side::Buy => levels.last_key_value(),
            Side::Sell => levels.first_key_value(),
        };
        best.map(|(&ticks, level)| (ticks, level.lots))
    }

    /// First in line for a taker of `side` who goes no further than `limit`.
    pub(super) fn front(&self, side: Side, limit: i64) -> Option<Front> {
        let levels = &self.half(side.opposite()).levels;
        let (&ticks, level) = match side {
            Side::Buy => levels.first_key_value().filter(|(ticks, _)| **ticks <= limit)?,
            Side::Sell => levels.last_key_value().filter(|(ticks, _)| **ticks >= limit)?,
        };
        let (&rank, entry) = level.queue.first_key_value()?;
        Some(Front { ticks, rank, owner: entry.owner, lots: entry.lots })
    }

    /// Where the crowd stands on a side: price and place in time.
    pub(super) fn crowd(&self, side: Side) -> Vec<(i64, u64)> {
        let entries = self.half(side).crowd.iter();
        entries.map(|(&ticks, &rank)| (ticks, rank)).collect()
    }

    /// What of the crowd stands at this price.
    pub(super) fn crowd_lots(&self, side: Side, ticks: i64) -> i64 {
        let half = self.half(side);
        let entry = half.crowd.get(&ticks).zip(half.levels.get(&ticks));
        entry.and_then(|(rank, level)| level.queue.get(rank)).map_or(0, |entry| entry.lots)
    }

    /// Whether the crowd stands at this price.
    pub(super) fn crowd_at(&self, side: Side, ticks: i64) -> bool {
        self.half(side).crowd.contains_key(&ticks)
    }

    /// The first levels of a side, best first: price and sum.
    pub(super) fn depth(&self, side: Side, levels_max: usize) -> Vec<(i64, i64)> {
        let levels = &self.half(side).levels;
        let row = |(&ticks, level): (&i64, &Level)| (ticks, level.lots);
        match side {
            Side::Buy => levels.iter().rev().take(levels_max).map(row).collect(),
            Side::Sell => levels.iter().take(levels_max).map(row).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn better_prices_go_first_and_equal_prices_by_time() {
        let mut book = Book::default();
        book.add(Side::Sell, 102, Owner::Order(1), 5);
        book.add(Side::Sell, 101, Owner::Order(2), 5);
        book.add(Side::Sell, 101, Owner::Order(3), 5);
        let mut order = Vec::new();
        while let Some(front) = book.front(Side::Buy, 102) {
            order.push(front.owner);
            book.remove(Side::Sell, front.ticks, front.rank);
        }
        assert_eq!(order, [Owner::Order(2), Owner::Order(3), Owner::Order(1)]);
        assert_eq!(book.best(Side::Sell), None, "empty levels leave");
    }

    #[test]
    fn a_limit_is_never_passed() {
        let mut book = Book::default();
        book.add(Side::Buy, 99, Owner::Crowd, 5);
        assert!(book.front(Side::Sell, 100).is_none());
        assert!(book.front(Side::Sell, 99).is_some());
    }

    #[test]
    fn a_used_up_entry_frees_the_crowds_place() {
        let mut book = Book::default();
        let rank = book.add(Side::Buy, 99, Owner::Crowd, 5);
        book.add(Side::Buy, 99, Owner::Order(1), 2);
        book.reduce(Side::Buy, 99, rank, 3);
        assert_eq!(book.best(Side::Buy), Some((99, 4)));
        assert!(book.crowd_at(Side::Buy, 99));
        book.reduce(Side::Buy, 99, rank, 2);
        assert!(!book.crowd_at(Side::Buy, 99));
        assert_eq!(book.depth(Side::Buy, 3), [(99, 2)]);
    }
}
