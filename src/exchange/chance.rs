//! Chance for the model: small, seeded, the same everywhere. For simulation, not for secrets.
//!
//! Always holds: the same seed gives the same draws on every machine; no float takes part.
//! Never does: reads a clock or the system's randomness.

/// A seeded generator (xoshiro256** fed by SplitMix64).
#[derive(Clone, Debug)]
pub(super) struct Chance {
    state: [u64; 4],
}

impl Chance {
    /// From a seed and the purpose it serves, so that two purposes never share a sequence.
    pub(super) fn new(seed: u64, purpose: u64) -> Chance {
        let mut mixer = seed ^ purpose.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let state = std::array::from_fn(|_| split_mix(&mut mixer));
        Chance { state }
    }

    /// 64 bits.
    pub(super) fn next(&mut self) -> u64 {
        let result = self.state[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = self.state[1] << 17;
        self.state[2] ^= self.state[0];
        self.state[3] ^= self.state[1];
        self.state[1] ^= self.state[2];
        self.state[0] ^= self.state[3];
        self.state[2] ^= shifted;
        self.state[3] = self.state[3].rotate_left(45);
        result
    }

    /// A number below `limit`; 0 for a limit of 0.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        let wide = u128::from(self.next()) * u128::from(limit);
        // The high half of a product of two 64-bit numbers is below the second one.
        (wide >> 64) as u64
    }

    /// A number from `low` to `high`, both included; `low` when they are the wrong way round.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        let span = u64::try_from(high.saturating_sub(low)).unwrap_or(0);
        low.saturating_add(i64::try_from(self.below(span.saturating_add(1))).unwrap_or(0))
    }

    /// True `rate` times in a thousand. Draws nothing at a rate of 0, so that an unused fault does not shift the others.
    pub(super) fn per_thousand(&mut self, rate: u32) -> bool {
        rate > 0 && self.below(1_000) < u64::from(rate)
    }

    /// A bell curve around 0, in thousandths of its standard deviation, never beyond six of them.
    pub(super) fn bell(&mut self) -> i64 {
        (0..12).map(|_| self.between(0, 1_000)).sum::<i64>() - 6_000
    }
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_itself_and_a_purpose_does_not_share() {
        let draw = |seed, purpose| {
            let mut chance = Chance::new(seed, purpose);
            [chance.next(), chance.next(), chance.next()]
        };
        assert_eq!(draw(7, 1), draw(7, 1));
        assert_ne!(draw(7, 1), draw(7, 2));
        assert_ne!(draw(7, 1), draw(8, 1));
    }

    #[test]
    fn draws_stay_in_range_and_reach_both_ends() {
        let mut chance = Chance::new(1, 1);
        let draws: Vec<i64> = (0..1_000).map(|_| chance.between(-3, 3)).collect();
        assert_eq!((draws.iter().min(), draws.iter().max()), (Some(&-3), Some(&3)));
        assert_eq!(chance.below(0), 0);
        assert!(!chance.per_thousand(0));
        assert!(chance.per_thousand(1_000));
    }

    #[test]
    fn the_bell_is_centred_and_as_wide_as_it_says() {
        let mut chance = Chance::new(3, 1);
        let draws: Vec<i64> = (0..20_000).map(|_| chance.bell()).collect();
        let mean = draws.iter().sum::<i64>() / 20_000;
        let variance = draws.iter().map(|draw| draw * draw).sum::<i64>() / 20_000;
        assert!(mean.abs() < 30, "{mean}");
        assert!((900_000..1_100_000).contains(&variance), "{variance}");
    }
}
