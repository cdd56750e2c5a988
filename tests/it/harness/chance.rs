//! Numbers drawn from a seed. The seed is the whole cause: print it, and a run can be repeated.

use super::wait;

/// Replays a set: `LASTORDERS_TEST_SEED=7 cargo test`.
const SEED_VARIABLE: &str = "LASTORDERS_TEST_SEED";

/// The seed of this set: the given one, or a new one.
pub(crate) fn seed() -> u64 {
    given().unwrap_or_else(|| wait::wall_us().unsigned_abs() % 1_000_000_000)
}

/// The given seed, if there is one.
pub(crate) fn given() -> Option<u64> {
    #[allow(clippy::disallowed_methods, reason = "a test's own switch")]
    let given = std::env::var(SEED_VARIABLE).ok()?;
    Some(given.parse().unwrap_or_else(|_| panic!("{SEED_VARIABLE} is a whole number, not `{given}`")))
}

/// SplitMix64: small, and good enough to choose moments.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// A stream of its own for each (seed, number).
    pub(crate) fn new(seed: u64, number: u64) -> Chance {
        let mut chance = Chance(seed ^ number.wrapping_mul(0xd134_2543_de82_ef95));
        chance.next();
        chance
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 up to, but not including, `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }
}
