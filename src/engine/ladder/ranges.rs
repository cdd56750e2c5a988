//! A set of numbers that mostly lie next to each other, kept and written as ranges: `0-5,9`.
//!
//! Always holds: what is written reads back as the same set; a run of neighbours costs one entry.
//! Never does: give a number back. What is done stays done.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// The set: first to last number of each range. Ranges neither overlap nor touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges(BTreeMap<u32, u32>);

impl Ranges {
    pub(super) fn insert(&mut self, number: u32) {
        if self.contains(number) {
            return;
        }
        let mut last = number;
        if let Some(after) = number.checked_add(1).and_then(|next| self.0.remove(&next)) {
            last = after;
        }
        match self.0.range_mut(..number).next_back() {
            Some((_, end)) if end.checked_add(1) == Some(number) => *end = last,
            _ => {
                self.0.insert(number, last);
            }
        }
    }

    pub(super) fn contains(&self, number: u32) -> bool {
        self.end_from(number).is_some()
    }

    /// The last number of the range this one lies in.
    pub(super) fn end_from(&self, number: u32) -> Option<u32> {
        let (_, &end) = self.0.range(..=number).next_back()?;
        (number <= end).then_some(end)
    }
}

impl fmt::Display for Ranges {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (first, last)) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            if first == last {
                write!(out, "{comma}{first}")?;
            } else {
                write!(out, "{comma}{first}-{last}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for Ranges {
    type Err = String;

    fn from_str(text: &str) -> Result<Ranges, String> {
        let bad = || format!("`{text}` is not a list of ranges like 0-5,9");
        let mut ranges = Ranges::default();
        let mut free_from = 0_u32;
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let first: u32 = first.parse().map_err(|_| bad())?;
            let last: u32 = last.parse().map_err(|_| bad())?;
            if first < free_from || last < first {
                return Err(bad());
            }
            ranges.0.insert(first, last);
            // Not even touching: a range right behind another would be one range.
            free_from = last.checked_add(2).ok_or_else(bad)?;
        }
        Ok(ranges)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::Dice;
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn ranges_hold_what_a_plain_set_holds_and_survive_being_written() {
        for seed in 1..60 {
            let mut dice = Dice::new(seed);
            let (mut ranges, mut plain) = (Ranges::default(), BTreeSet::new());
            for _ in 0..60 {
                let number = dice.below(40) as u32;
                ranges.insert(number);
                plain.insert(number);
                for number in 0..42 {
                    assert_eq!(ranges.contains(number), plain.contains(&number), "seed {seed}");
                }
                assert_eq!(ranges.to_string().parse::<Ranges>().unwrap(), ranges);
            }
        }
    }

    #[test]
    fn neighbours_are_one_range() {
        let mut ranges = Ranges::default();
        for number in [0, 2, 9, 1] {
            ranges.insert(number);
        }
        assert_eq!(ranges.to_string(), "0-2,9");
        assert_eq!((ranges.end_from(1), ranges.end_from(3)), (Some(2), None));
    }

    #[test]
    fn what_is_no_list_of_ranges_is_refused() {
        for text in ["a", "3-1", "0-5,5", "0-5,6", "1-2-3", "-1", "4294967295"] {
            assert!(text.parse::<Ranges>().is_err(), "{text}");
        }
    }
}
