//! Proof that nothing of ours is left at a venue: a value that only the venue's own answers can make.

use crate::domain::ids::{ClientOrderId, VenueId};
use crate::domain::time::Wall;

/// How strong the proof is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// A create left shortly before: the listings waited until it could no longer arrive unseen.
    ByListing,
    /// No create left lately: every order was shown to have ended, and two listings back to back lack them all.
    ByOrder,
}

impl Grade {
    /// The word in report and log.
    pub fn word(self) -> &'static str {
        match self {
            Grade::ByListing => "by_listing",
            Grade::ByOrder => "by_order",
        }
    }
}

/// A venue showed that none of our orders is left. Only `Sweep` makes one:
///
/// ```compile_fail
/// use lastorders::domain::{ids::VenueId, time::Wall};
/// use lastorders::orders::proof::{Grade, Proof};
/// let forged = Proof { venue: VenueId(0), grade: Grade::ByOrder, n_listings: 2, at: Wall::from_millis(0) };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    venue: VenueId,
    grade: Grade,
    n_listings: u32,
    at: Wall,
}

impl Proof {
    /// For `Sweep` alone, once design 5.2 (a) to (d) hold.
    pub(super) fn mint(venue: VenueId, grade: Grade, n_listings: u32, at: Wall) -> Proof {
        Proof { venue, grade, n_listings, at }
    }

    /// Of which venue.
    pub fn venue(&self) -> VenueId {
        self.venue
    }

    /// How strong.
    pub fn grade(&self) -> Grade {
        self.grade
    }

    /// Complete listings read for it.
    pub fn n_listings(&self) -> u32 {
        self.n_listings
    }

    /// When the last listing came.
    pub fn at(&self) -> Wall {
        self.at
    }
}

/// What is missing for a proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// We know it as open.
    LocalOpen(ClientOrderId),
    /// The venue lists it.
    VenueLists(ClientOrderId),
    /// Fills of it are not all booked.
    FillsOwed(ClientOrderId),
    /// The venue gave no complete listing (or not two).
    NoListing,
    /// The venue gave no complete list of fills.
    NoFills,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Missing::LocalOpen(id) => write!(out, "{id} has no end that the venue showed"),
            Missing::VenueLists(id) => write!(out, "the venue lists {id}"),
            Missing::FillsOwed(id) => write!(out, "fills of {id} are not all booked"),
            Missing::NoListing => write!(out, "the venue gave no two complete listings"),
            Missing::NoFills => write!(out, "the venue gave no complete list of fills"),
        }
    }
}
