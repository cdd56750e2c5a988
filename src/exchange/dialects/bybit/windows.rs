//! Rolling windows: what an account may ask a second, and an address in five.
//!
//! Always holds: in no window of that length is more granted than the limit, wherever the window begins.

use std::collections::{BTreeMap, VecDeque};

use super::names::Category;
use super::routes::Endpoint;
use super::setup::Limits;
use crate::exchange::{AccountId, Micros};

const SECOND_US: i64 = 1_000_000;
const ADDRESS_WINDOW_US: i64 = 5 * SECOND_US;

/// What the headers tell about a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) limit: u32,
    pub(super) left: u32,
    pub(super) reset: Micros,
}

/// Who asks for what, as it is counted.
pub(super) type Counted = (AccountId, Endpoint, Category);

/// Everything that was granted of late.
#[derive(Clone, Debug, Default)]
pub(super) struct Windows {
    used: BTreeMap<Counted, VecDeque<Micros>>,
    address: VecDeque<Micros>,
    banned_until: Option<Micros>,
}

impl Windows {
    /// Takes up to `cost`; the answer is how much of it is granted.
    pub(super) fn take(&mut self, limits: &Limits, now: Micros, who: Counted, cost: u32) -> (u32, Option<Shown>) {
        let Some(base) = who.1.per_second(who.2).filter(|_| limits.on) else {
            return (cost, None);
        };
        let limit = (base.saturating_mul(limits.percent) / 100).max(1);
        let used = self.used.entry(who).or_default();
        forget(used, now, SECOND_US);
        let left = limit.saturating_sub(u32::try_from(used.len()).unwrap_or(u32::MAX));
        let granted = cost.min(left);
        used.extend((0..granted).map(|_| now));
        let oldest = used.front().map_or(now, |oldest| oldest.plus(SECOND_US));
        let reset = if granted < cost { oldest } else { now };
        (granted, Some(Shown { limit, left: left - granted, reset }))
    }

    /// Counts a request of the address; `false`: it is banned, from now on or still.
    pub(super) fn address_may(&mut self, limits: &Limits, now: Micros) -> bool {
        if self.banned_until.is_some_and(|until| now < until) {
            return false;
        }
        self.banned_until = None;
        if !limits.on || limits.address_per_5s == 0 {
            return true;
        }
        forget(&mut self.address, now, ADDRESS_WINDOW_US);
        if self.address.len() >= limits.address_per_5s as usize {
            self.ban(now.plus(i64::from(limits.ban_s) * SECOND_US));
            return false;
        }
        self.address.push_back(now);
        true
    }

    /// Lets nobody in until then.
    pub(super) fn ban(&mut self, until: Micros) {
        self.banned_until = Some(until);
    }

    /// Ends a ban.
    pub(super) fn lift_ban(&mut self) {
        self.banned_until = None;
        self.address.clear();
    }
}

fn forget(used: &mut VecDeque<Micros>, now: Micros, window_us: i64) {
    // A clock that was set back leaves entries of the future; they would never leave by themselves.
    while used.front().is_some_and(|at| at.plus(window_us) <= now || *at > now) {
        used.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Micros {
        Micros::from_millis(1_000_000 + ms)
    }

    const CREATES: Counted = (AccountId(0), Endpoint::Create, Category::Linear);

    #[test]
    fn no_second_holds_more_than_the_limit_wherever_it_begins() {
        let mut windows = Windows::default();
        let limits = Limits::default();
        let mut granted = Vec::new();
        for ms in (0..5_000).step_by(37) {
            let (got, _) = windows.take(&limits, at(ms), CREATES, 1);
            granted.extend((0..got).map(|_| ms));
        }
        let busiest =
            granted.iter().map(|begin| granted.iter().filter(|ms| (*begin..begin + 1_000).contains(*ms)).count());
        assert_eq!(busiest.max(), Some(10));
        assert!(granted.len() >= 45, "and it is used up: {}", granted.len());
    }

    #[test]
    fn a_batch_is_cut_to_what_is_left_and_told_when_to_come_back() {
        let mut windows = Windows::default();
        let limits = Limits::default();
        let batch = (AccountId(0), Endpoint::CreateBatch, Category::Linear);
        assert_eq!(windows.take(&limits, at(0), batch, 7).0, 7);
        let (granted, shown) = windows.take(&limits, at(400), batch, 7);
        assert_eq!((granted, shown), (3, Some(Shown { limit: 10, left: 0, reset: at(1_000) })));
        assert_eq!(windows.take(&limits, at(400), CREATES, 1).0, 1, "single creates are counted apart");
        let spot = (AccountId(0), Endpoint::CreateBatch, Category::Spot);
        assert_eq!(windows.take(&limits, at(400), spot, 10).0, 10, "and so is the other category");
        let other = (AccountId(1), Endpoint::CreateBatch, Category::Linear);
        assert_eq!(windows.take(&limits, at(400), other, 10).0, 10, "and the other account");
        assert_eq!(windows.take(&limits, at(1_000), batch, 10).0, 7);
    }

    #[test]
    fn an_address_that_is_too_fast_is_banned_for_a_while() {
        let mut windows = Windows::default();
        let limits = Limits { address_per_5s: 3, ban_s: 600, ..Limits::default() };
        let may = |windows: &mut Windows, ms| windows.address_may(&limits, at(ms));
        assert!((0..3).all(|_| may(&mut windows, 0)));
        assert!(!may(&mut windows, 4_999));
        assert!(!may(&mut windows, 600_000), "the ban runs from the request that was too much");
        assert!(may(&mut windows, 604_999));
        windows.ban(at(700_000));
        assert!(!may(&mut windows, 699_999));
        windows.lift_ban();
        assert!(may(&mut windows, 699_999));
    }

    #[test]
    fn limits_scale_and_can_be_off() {
        let mut windows = Windows::default();
        let half = Limits { percent: 50, ..Limits::default() };
        assert_eq!(windows.take(&half, at(0), CREATES, 10).0, 5);
        assert_eq!(windows.take(&Limits::off(), at(0), CREATES, 1_000), (1_000, None));
    }
}
