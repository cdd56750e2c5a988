//! Updates of any kind, against a book that is only right and not fast.
//!
//! A line is a step: `s` a snapshot, `d` a delta, `c` a clearing, `?` a doubt. Updates go on with how far the number
//! moves (`=` before it sets it), bids, `/`, asks, each as `price x size`: `d 1 100x1 99x0 / 101x3`. The first line is
//! the depth, 1 to 60.
//!
//! Must hold: prices and sizes are above zero, every bid is below every ask, no side is deeper than the cap, a fault
//! leaves nothing behind, and what is shown is what a list that is searched from end to end for every change would show.

use lastorders::domain::money::Decimal;
use lastorders::venues::book::{Book, BookFault, Level, Taken, Update};

use crate::script::{command, lines, number_or, word};

/// Runs one input.
pub fn check(input: &[u8]) {
    let mut lines = lines(input);
    let cap = usize::try_from(number_or(&lines.next().unwrap_or_default(), 5) % 60).unwrap_or(0) + 1;
    let (mut book, mut plain, mut number) = (Book::new(cap), Plain::default(), 0_u64);
    for line in lines {
        let Some((step, rest)) = command(&line) else { continue };
        match step {
            's' | 'd' => {
                let update = update(rest, &mut number);
                let told = if step == 's' { book.snapshot(&update).map(|()| Taken::In) } else { book.delta(&update) };
                let expected = plain.take(cap, step == 's', &update);
                assert_eq!(kind(&told), expected, "{told:?} of {update:?}");
            }
            'c' => {
                book.clear();
                plain = Plain::default();
            }
            '?' => {
                book.doubt();
                plain.doubtful = true;
            }
            _ => continue,
        }
        compare(&book, &plain);
        invariants(&book, cap);
    }
}

fn update(text: &str, number: &mut u64) -> Update {
    let (step, levels) = word(text);
    *number = match step.strip_prefix('=') {
        Some(set) => number_or(set, 0),
        None => number.saturating_add(number_or(step, 1)),
    };
    let (bids, asks) = levels.split_once('/').unwrap_or((levels, ""));
    Update { bids: side(bids), asks: side(asks), number: *number, sequence: number.wrapping_mul(3) }
}

fn side(text: &str) -> Vec<Level> {
    let number = |text: &str| -> Option<Decimal> {
        match text {
            "max" => Some(Decimal::from_units(i128::MAX)),
            "min" => Some(Decimal::from_units(i128::MIN)),
            text => text.parse().ok(),
        }
    };
    let level = |text: &str| text.split_once('x').and_then(|(price, size)| Some((number(price)?, number(size)?)));
    text.split(' ').filter_map(level).collect()
}

/// What came of an update, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    In,
    Gap,
    Old,
    NoSnapshot,
    Bad,
    Crossed,
    Emptied,
}

fn kind(told: &Result<Taken, BookFault>) -> Came {
    match told {
        Ok(Taken::In) => Came::In,
        Ok(Taken::InAfterGap) => Came::Gap,
        Ok(Taken::Old) => Came::Old,
        Err(BookFault::NoSnapshot) => Came::NoSnapshot,
        Err(BookFault::BadPrice(_) | BookFault::BadSize(_)) => Came::Bad,
        Err(BookFault::Crossed { .. }) => Came::Crossed,
        Err(BookFault::Emptied) => Came::Emptied,
    }
}

/// The rules, without a thought for cost. Bids and asks best first.
#[derive(Clone, Debug, Default)]
struct Plain {
    bids: Vec<Level>,
    asks: Vec<Level>,
    number: u64,
    fed: bool,
    doubtful: bool,
}

impl Plain {
    fn take(&mut self, cap: usize, whole: bool, update: &Update) -> Came {
        if !whole && !self.fed {
            return Came::NoSnapshot;
        }
        if !whole && update.number <= self.number {
            return Came::Old;
        }
        let gap = !whole && self.number.checked_add(1) != Some(update.number);
        let mut next = if whole { Plain::default() } else { self.clone() };
        let came = next.change(whole, gap, update);
        *self = if matches!(came, Came::In | Came::Gap) { next } else { Plain::default() };
        self.bids.truncate(cap);
        self.asks.truncate(cap);
        came
    }

    fn change(&mut self, whole: bool, gap: bool, update: &Update) -> Came {
        let zero = Decimal::ZERO;
        if update.bids.iter().chain(&update.asks).any(|(price, size)| *price <= zero || *size < zero) {
            return Came::Bad;
        }
        for (side, levels) in [(&mut self.bids, &update.bids), (&mut self.asks, &update.asks)] {
            for level in levels {
                side.retain(|known| known.0 != level.0);
                side.extend((level.1 != zero).then_some(*level));
            }
        }
        self.bids.sort_by(|one, other| other.cmp(one));
        self.asks.sort();
        match (self.bids.first(), self.asks.first()) {
            (Some(bid), Some(ask)) if bid.0 >= ask.0 => return Came::Crossed,
            (None, None) if !whole => return Came::Emptied,
            _ => {}
        }
        (self.number, self.fed) = (update.number, true);
        self.doubtful |= gap;
        if gap { Came::Gap } else { Came::In }
    }
}

fn compare(book: &Book, plain: &Plain) {
    let shown = book.top(usize::MAX);
    assert_eq!(shown.bids, plain.bids);
    assert_eq!(shown.asks, plain.asks);
    assert_eq!((book.is_fed(), book.is_doubtful()), (plain.fed, plain.doubtful));
    assert_eq!(book.best(), (plain.bids.first().copied(), plain.asks.first().copied()));
}

/// What holds of every book, whatever it was told.
pub fn invariants(book: &Book, cap: usize) {
    let shown = book.top(usize::MAX);
    assert!(shown.bids.len() <= cap && shown.asks.len() <= cap, "deeper than {cap}");
    depth_is_sound(&shown.bids, &shown.asks);
    assert!(book.is_fed() || (shown.bids.is_empty() && shown.asks.is_empty()), "a fault that left something behind");
}

/// Levels best first, nothing at or below zero, every bid below every ask.
pub fn depth_is_sound(bids: &[Level], asks: &[Level]) {
    assert!(bids.iter().chain(asks).all(|(price, size)| price.is_positive() && size.is_positive()), "nothing there");
    assert!(bids.windows(2).all(|pair| pair[0].0 > pair[1].0), "bids out of order");
    assert!(asks.windows(2).all(|pair| pair[0].0 < pair[1].0), "asks out of order");
    if let (Some(bid), Some(ask)) = (bids.first(), asks.first()) {
        assert!(bid.0 < ask.0, "crossed: {bid:?} {ask:?}");
    }
}
