//! An invented price that moves like a market: calm and wild hours, bursts, a spread that widens with the noise.
//!
//! Always holds: whole numbers only; the same chance gives the same path; the ask stays above the bid.
//! Never does: touch the book. It says where the crowd would stand and what it would take; `crowd` carries that out.

use super::chance::Chance;
use crate::domain::order::Side;

const LEVELS: i64 = 8;
/// Of the crowd on one level and of a usual take, in quote currency.
const LEVEL_WORTH: i64 = 20_000;
const TAKE_WORTH: i64 = 500;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Regime {
    Calm,
    Usual,
    Wild,
}

impl Regime {
    /// Standard deviation of a step, in millionths of the price.
    fn sigma_ppm(self) -> i64 {
        match self {
            Regime::Calm => 10,
            Regime::Usual => 30,
            Regime::Wild => 100,
        }
    }

    /// Where half the spread tends to, in millionths of the price.
    fn half_spread_ppm(self) -> i64 {
        match self {
            Regime::Calm => 8,
            Regime::Usual => 15,
            Regime::Wild => 60,
        }
    }

    fn next(self, chance: &mut Chance) -> Regime {
        let draw = chance.below(1_000);
        match self {
            Regime::Calm if draw < 6 => Regime::Usual,
            Regime::Usual if draw < 4 => Regime::Calm,
            Regime::Usual if draw < 7 => Regime::Wild,
            Regime::Wild if draw < 20 => Regime::Usual,
            same => same,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Burst {
    steps_left: i64,
    side: Side,
}

/// Someone of the crowd who will not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Take {
    pub(super) side: Side,
    pub(super) limit: i64,
    pub(super) lots: i64,
}

/// What the crowd does at a step.
#[derive(Clone, Debug, Default)]
pub(super) struct Step {
    /// Best prices the crowd would stand at; entries beyond them go.
    pub(super) bid: i64,
    pub(super) ask: i64,
    /// Entries further away than this go, too.
    pub(super) reach: i64,
    pub(super) takes: Vec<Take>,
    /// Where the crowd would stand: side, ticks, lots.
    pub(super) posts: Vec<(Side, i64, i64)>,
}

/// The price of one instrument. Counted in thousandths of a tick, to move by less than one.
#[derive(Clone, Debug)]
pub(super) struct Market {
    fair: i64,
    start: i64,
    half_spread: i64,
    regime: Regime,
    burst: Option<Burst>,
    level_lots: i64,
    take_lots: i64,
    chance: Chance,
}

impl Market {
    /// A market that begins at this price; `lots_per_money` is how many lots 1,000 of the quote currency buy there.
    pub(super) fn new(start_ticks: i64, lots_per_thousand: i64, chance: Chance) -> Market {
        let start = start_ticks.max(20).saturating_mul(1_000);
        let lots_for = |worth: i64| (lots_per_thousand.saturating_mul(worth) / 1_000).max(2);
        Market {
            fair: start,
            start,
            half_spread: ppm(start, Regime::Usual.half_spread_ppm()),
            regime: Regime::Usual,
            burst: None,
            level_lots: lots_for(LEVEL_WORTH),
            take_lots: lots_for(TAKE_WORTH),
            chance,
        }
    }

    /// The fair price, in whole ticks.
    pub(super) fn fair_ticks(&self) -> i64 {
        self.fair / 1_000
    }

    /// Puts the price somewhere.
    pub(super) fn set_fair_ticks(&mut self, ticks: i64) {
        self.fair = ticks.max(10).saturating_mul(1_000);
    }

    /// Best bid and ask of the crowd, and what stands there in a painted market.
    pub(super) fn painted(&self) -> ((i64, i64), (i64, i64)) {
        let (bid, ask) = self.touch();
        ((bid, self.level_lots), (ask, self.level_lots))
    }

    fn touch(&self) -> (i64, i64) {
        let bid = ((self.fair - self.half_spread).div_euclid(1_000)).max(1);
        let ask = (self.fair + self.half_spread + 999).div_euclid(1_000);
        (bid, ask.max(bid + 1))
    }

    /// The next step.
    pub(super) fn step(&mut self) -> Step {
        self.regime = self.regime.next(&mut self.chance);
        self.walk();
        let (bid, ask) = self.touch();
        let gap = (ppm(self.fair, 25) / 1_000).max(1);
        Step { bid, ask, reach: gap * LEVELS * 2, takes: self.takes(bid, ask), posts: self.posts(bid, ask, gap) }
    }

    fn walk(&mut self) {
        let mut moved = ppm(self.fair, self.regime.sigma_ppm()).saturating_mul(self.chance.bell()) / 1_000;
        if let Some(burst) = &mut self.burst {
            let drift = ppm(self.fair, 60);
            moved += if burst.side == Side::Buy { drift } else { -drift };
            burst.steps_left -= 1;
        } else {
            let rate = if self.regime == Regime::Wild { 10 } else { 2 };
            if self.chance.per_thousand(rate) {
                let side = self.either_side();
                let steps_left = self.chance.between(5, 25);
                self.burst = Some(Burst { steps_left, side });
            }
        }
        self.burst = self.burst.filter(|burst| burst.steps_left > 0);
        // A faint pull home keeps a year of this within sight of where it began.
        moved += (self.start - self.fair) / 200_000;
        let floor = (self.start / 20).max(10_000);
        self.fair = (self.fair + moved).clamp(floor, self.start.saturating_mul(20));
        let tends_to = ppm(self.fair, self.regime.half_spread_ppm());
        let noise = self.chance.between(-tends_to / 4, tends_to / 4);
        self.half_spread = (self.half_spread + (tends_to - self.half_spread) / 8 + noise).max(ppm(self.fair, 2));
    }

    fn takes(&mut self, bid: i64, ask: i64) -> Vec<Take> {
        let through = (ppm(self.fair, 80) / 1_000).max(1);
        let count = match (self.burst, self.regime) {
            (Some(_), _) => 4,
            (None, Regime::Calm) => self.chance.below(2),
            (None, _) => self.chance.below(3),
        };
        let mut takes = Vec::new();
        for _ in 0..count {
            let with_burst = self.burst.filter(|_| self.chance.per_thousand(850));
            let side = match with_burst {
                Some(burst) => burst.side,
                None => self.either_side(),
            };
            let large = if self.chance.per_thousand(30) { 20 } else { 1 };
            let lots = self.chance.between(1, self.take_lots.saturating_mul(2 * large));
            let limit = match side {
                Side::Buy => ask + through,
                Side::Sell => (bid - through).max(1),
            };
            takes.push(Take { side, limit, lots });
        }
        takes
    }

    fn posts(&mut self, bid: i64, ask: i64, gap: i64) -> Vec<(Side, i64, i64)> {
        let mut posts = Vec::new();
        for level in 0..LEVELS {
            let away = level * gap + if level == 0 { 0 } else { self.chance.between(0, gap - 1) };
            for (side, ticks) in [(Side::Buy, bid - away), (Side::Sell, ask + away)] {
                let lots = self.chance.between(self.level_lots / 8 + 1, self.level_lots * 2);
                // Less stands at the touch than behind it.
                let lots = if level == 0 { lots / 3 + 1 } else { lots };
                if ticks > 0 {
                    posts.push((side, ticks, lots));
                }
            }
        }
        posts
    }

    /// A few lots, for someone whose price has moved into a resting order.
    pub(super) fn small_lots(&mut self) -> i64 {
        self.chance.between(1, self.take_lots)
    }

    pub(super) fn chance(&mut self) -> &mut Chance {
        &mut self.chance
    }

    fn either_side(&mut self) -> Side {
        if self.chance.below(2) == 0 { Side::Buy } else { Side::Sell }
    }
}

fn ppm(amount: i64, millionths: i64) -> i64 {
    let exact = i128::from(amount) * i128::from(millionths) / 1_000_000;
    i64::try_from(exact).unwrap_or(i64::MAX / 4).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn market(seed: u64) -> Market {
        Market::new(640_000, 15_625, Chance::new(seed, 1))
    }

    #[test]
    fn the_path_is_the_seeds() {
        let path = |seed| {
            let mut market = market(seed);
            (0..500).map(|_| market.step().bid).collect::<Vec<i64>>()
        };
        assert_eq!(path(1), path(1));
        assert_ne!(path(1), path(2));
    }

    #[test]
    fn it_looks_like_a_market() {
        let mut market = market(5);
        let (mut widest, mut narrowest, mut calmest, mut wildest) = (0, i64::MAX, i64::MAX, 0);
        let mut busiest = 0;
        for _ in 0..500 {
            let before = market.fair_ticks();
            let mut travelled = 0;
            let mut last = before;
            for _ in 0..100 {
                let step = market.step();
                assert!(step.ask > step.bid && step.bid > 0);
                widest = widest.max(step.ask - step.bid);
                narrowest = narrowest.min(step.ask - step.bid);
                busiest = busiest.max(step.takes.len());
                travelled += (market.fair_ticks() - last).abs();
                last = market.fair_ticks();
            }
            calmest = calmest.min(travelled);
            wildest = wildest.max(travelled);
        }
        assert!(widest >= narrowest * 4, "the spread breathes: {narrowest}..{widest}");
        assert!(wildest >= calmest * 4, "volatility comes in regimes: {calmest}..{wildest}");
        assert!(busiest >= 4, "bursts take more");
        let home = market.fair_ticks();
        assert!((640_000 / 3..640_000 * 3).contains(&home), "5,000 seconds do not lose the price: {home}");
    }

    #[test]
    fn a_cheap_and_coarse_instrument_still_has_two_sides() {
        let mut market = Market::new(20, 1, Chance::new(1, 1));
        for _ in 0..10_000 {
            let step = market.step();
            assert!(step.ask > step.bid && step.bid > 0);
        }
    }
}
