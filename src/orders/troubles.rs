//! What a venue will not do, told once: a start and a stop ask again and again, and the operator must know why nothing
//! comes of it without reading the same line a hundred times.
//!
//! Always holds: each trouble of a venue is new once; what was last is known.
//! Never does: grow without end. Some troubles name a moment and are never the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::ids::VenueId;

/// Different troubles of a venue that are told.
const TOLD_MAX: usize = 8;

/// The troubles of all venues.
#[derive(Clone, Debug, Default)]
pub struct Troubles {
    told: BTreeMap<VenueId, BTreeSet<String>>,
    last: BTreeMap<VenueId, String>,
}

impl Troubles {
    /// Remembers a trouble; whether it is to be told.
    pub fn is_new(&mut self, venue: VenueId, why: &str) -> bool {
        self.last.insert(venue, why.to_owned());
        let told = self.told.entry(venue).or_default();
        told.len() < TOLD_MAX && told.insert(why.to_owned())
    }

    /// What was last.
    pub fn last(&self, venue: VenueId) -> Option<&str> {
        self.last.get(&venue).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trouble_of_a_venue_is_told_once_and_not_without_end() {
        let (one, other) = (VenueId(0), VenueId(1));
        let mut troubles = Troubles::default();
        assert_eq!(troubles.last(one), None);
        assert!(troubles.is_new(one, "refused") && !troubles.is_new(one, "refused"));
        assert!(troubles.is_new(other, "refused"));
        let told = (0..100).filter(|number| troubles.is_new(one, &format!("late by {number}"))).count();
        assert_eq!(told, TOLD_MAX - 1);
        assert_eq!((troubles.last(one), troubles.last(other)), (Some("late by 99"), Some("refused")));
    }
}
