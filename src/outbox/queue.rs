//! Requests of one class: first in, first out among those that draw from the same buckets. Lists come before questions
//! about single orders: a list answers hundreds of these at once, and a proof hangs on it.
//!
//! Always holds: what waits for a full bucket holds up only what draws from the same ones. Costs the number of different
//! draws (a handful), not the number of requests.

use std::collections::{BTreeMap, VecDeque};

use crate::domain::request::{Call, Request};

/// What a request draws: bucket and amount.
type Draws = Vec<(usize, u32)>;

/// A request in line: its arrival, what it draws, itself.
type Waiting = (u64, Draws, Box<Request>);

/// Smaller goes first of two that may go at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// A page of a list.
    List,
    /// Anything else.
    Single,
}

/// Waiting requests of one class.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Lists or not, and by the buckets they draw from.
    lines: BTreeMap<(Rank, Vec<usize>), VecDeque<Waiting>>,
    count: usize,
}

/// The first of a line.
pub(super) struct Head<'q> {
    pub(super) rank: Rank,
    pub(super) arrival: u64,
    pub(super) draws: &'q [(usize, u32)],
    pub(super) request: &'q Request,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn push(&mut self, arrival: u64, draws: Draws, request: Box<Request>) {
        let buckets = draws.iter().map(|(bucket, _)| *bucket).collect();
        let rank = match request.call {
            Call::ListOpen(_) | Call::ListFills(..) => Rank::List,
            _ => Rank::Single,
        };
        self.lines.entry((rank, buckets)).or_default().push_back((arrival, draws, request));
        self.count += 1;
    }

    /// The first of each line.
    pub(super) fn heads(&self) -> impl Iterator<Item = Head<'_>> {
        self.lines.iter().filter_map(|((rank, _), line)| {
            let (arrival, draws, request) = line.front()?;
            Some(Head { rank: *rank, arrival: *arrival, draws, request })
        })
    }

    /// Takes a head out.
    pub(super) fn take(&mut self, arrival: u64) -> Option<(Draws, Box<Request>)> {
        let line = self.lines.values_mut().find(|line| line.front().is_some_and(|(first, ..)| *first == arrival))?;
        let (_, draws, request) = line.pop_front()?;
        self.count -= 1;
        Some((draws, request))
    }
}
