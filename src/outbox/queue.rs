//! Requests of one class: first in, first out among those that draw from the same buckets.
//!
//! Always holds: what waits for a full bucket holds up only what draws from the same ones. Costs the number of different
//! draws (a handful), not the number of requests.

use std::collections::{BTreeMap, VecDeque};

use crate::domain::request::Request;

/// What a request draws: bucket and amount.
type Draws = Vec<(usize, u32)>;

/// A request in line: its arrival, what it draws, itself.
type Waiting = (u64, Draws, Box<Request>);

/// Waiting requests of one class.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// By the buckets they draw from.
    lines: BTreeMap<Vec<usize>, VecDeque<Waiting>>,
    count: usize,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn push(&mut self, arrival: u64, draws: Draws, request: Box<Request>) {
        let buckets = draws.iter().map(|(bucket, _)| *bucket).collect();
        self.lines.entry(buckets).or_default().push_back((arrival, draws, request));
        self.count += 1;
    }

    /// The first of each line.
    pub(super) fn heads(&self) -> impl Iterator<Item = (u64, &[(usize, u32)], &Request)> {
        self.lines.values().filter_map(|line| {
            let (arrival, draws, request) = line.front()?;
            Some((*arrival, draws.as_slice(), request.as_ref()))
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
