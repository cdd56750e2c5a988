//! Exact numbers. `Decimal` is what a venue, a file or a person says; `PriceTicks` and `Lots` are what we choose.
//!
//! Always holds: every operation is checked and answers `None` or an error instead of wrapping; parsing and
//! printing are exact inverses; there is no float in this file and no way to make one.
//! Never does: rounding that the name of the function does not announce.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Digits kept after the point.
pub const DECIMAL_PLACES: u32 = 18;
const ONE: i128 = 1_000_000_000_000_000_000;

/// An exact decimal number with 18 places, held as one integer. Prices, quantities and money on the wire and on disk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Decimal(i128);

/// Why a text is not a number we accept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadNumber {
    /// Nothing there, or something that is no plain decimal number.
    #[error("`{0}` is not a plain decimal number")]
    NotANumber(String),
    /// More than 18 places that matter, or more digits than fit.
    #[error("`{0}` has more digits than can be kept exactly")]
    TooFine(String),
}

impl Decimal {
    /// Zero.
    pub const ZERO: Decimal = Decimal(0);
    /// One.
    pub const ONE: Decimal = Decimal(ONE);

    /// The number from its count of 10^-18 units.
    pub const fn from_units(units_e18: i128) -> Decimal {
        Decimal(units_e18)
    }

    /// The count of 10^-18 units.
    pub const fn units(self) -> i128 {
        self.0
    }

    /// A whole number.
    pub const fn whole(number: i64) -> Decimal {
        Decimal(number as i128 * ONE)
    }

    /// Sum, or `None` when it does not fit.
    pub fn checked_add(self, other: Decimal) -> Option<Decimal> {
        self.0.checked_add(other.0).map(Decimal)
    }

    /// Difference, or `None` when it does not fit.
    pub fn checked_sub(self, other: Decimal) -> Option<Decimal> {
        self.0.checked_sub(other.0).map(Decimal)
    }

    /// Product with a whole number, or `None` when it does not fit.
    pub fn checked_mul_int(self, factor: i64) -> Option<Decimal> {
        self.0.checked_mul(i128::from(factor)).map(Decimal)
    }

    /// Product, rounded towards zero at the 18th place, or `None` when it does not fit.
    pub fn checked_mul(self, other: Decimal) -> Option<Decimal> {
        self.mul_ratio(other.0, ONE)
    }

    /// `self * numerator / denominator`, rounded towards zero at the 18th place. `None` for a zero denominator or overflow.
    pub fn mul_ratio(self, numerator: i128, denominator: i128) -> Option<Decimal> {
        if denominator == 0 {
            return None;
        }
        // Quantities are multiples of a lot, so cutting the common factor leaves numbers that fit comfortably.
        let divisor = gcd(numerator.unsigned_abs(), denominator.unsigned_abs()).max(1);
        let divisor = i128::try_from(divisor).ok()?;
        let (n, d) = (numerator / divisor, denominator / divisor);
        if let Some(product) = self.0.checked_mul(n) {
            return Some(Decimal(product / d));
        }
        let head = (self.0 / d).checked_mul(n)?;
        let tail = (self.0 % d).checked_mul(n)? / d;
        head.checked_add(tail).map(Decimal)
    }

    /// `self / other`, rounded towards zero at the 18th place.
    pub fn checked_div(self, other: Decimal) -> Option<Decimal> {
        self.mul_ratio(ONE, other.0)
    }

    /// How many whole times `step` goes into `self`, and whether nothing is left over. `None` for a step that is not positive.
    pub fn steps_of(self, step: Decimal) -> Option<(i64, bool)> {
        if step.0 <= 0 {
            return None;
        }
        let count = i64::try_from(self.0.div_euclid(step.0)).ok()?;
        Some((count, self.0.rem_euclid(step.0) == 0))
    }

    /// The distance from zero.
    pub fn abs(self) -> Decimal {
        Decimal(self.0.saturating_abs())
    }

    /// Whether it is exactly zero.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Whether it is above zero.
    pub fn is_positive(self) -> bool {
        self.0 > 0
    }

    /// Whether it is below zero.
    pub fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// Printed with at least `places` digits after the point (never fewer than are needed to be exact).
    pub fn with_places(self, places: usize) -> String {
        let text = self.to_string();
        let have = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        if have >= places {
            return text;
        }
        let point = if have == 0 { "." } else { "" };
        format!("{text}{point}{}", "0".repeat(places - have))
    }

    /// Rounded towards zero to `places` digits after the point: for screens, never for books.
    pub fn truncated(self, places: u32) -> Decimal {
        let keep = 10_i128.pow(DECIMAL_PLACES.saturating_sub(places));
        Decimal(self.0 / keep * keep)
    }
}

impl std::ops::Neg for Decimal {
    type Output = Decimal;
    fn neg(self) -> Decimal {
        Decimal(self.0.saturating_neg())
    }
}

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

impl FromStr for Decimal {
    type Err = BadNumber;

    fn from_str(text: &str) -> Result<Decimal, BadNumber> {
        let refuse = || BadNumber::NotANumber(clipped(text));
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !plain(whole) || !plain(fraction) || (digits.contains('.') && fraction.is_empty()) {
            return Err(refuse());
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > DECIMAL_PLACES as usize {
            return Err(BadNumber::TooFine(clipped(text)));
        }
        let too_fine = || BadNumber::TooFine(clipped(text));
        let mut units: i128 = 0;
        for byte in whole.bytes().chain(fraction.bytes()) {
            units = units.checked_mul(10).and_then(|u| u.checked_add(i128::from(byte - b'0'))).ok_or_else(too_fine)?;
        }
        let missing = DECIMAL_PLACES - fraction.len() as u32;
        units = units.checked_mul(10_i128.pow(missing)).ok_or_else(too_fine)?;
        Ok(Decimal(if negative { -units } else { units }))
    }
}

fn clipped(text: &str) -> String {
    text.chars().take(40).collect()
}

impl fmt::Display for Decimal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let units = self.0.unsigned_abs();
        let (whole, fraction) = (units / ONE as u128, units % ONE as u128);
        if fraction == 0 {
            return out.pad(&format!("{sign}{whole}"));
        }
        let fraction = format!("{fraction:018}");
        out.pad(&format!("{sign}{whole}.{}", fraction.trim_end_matches('0')))
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A price as a count of the instrument's ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PriceTicks(i64);

impl PriceTicks {
    /// From a count of ticks.
    pub const fn new(ticks: i64) -> PriceTicks {
        PriceTicks(ticks)
    }

    /// The count of ticks.
    pub const fn count(self) -> i64 {
        self.0
    }

    /// Moved by a number of ticks (negative: down).
    pub fn checked_add(self, ticks: i64) -> Option<PriceTicks> {
        self.0.checked_add(ticks).map(PriceTicks)
    }
}

/// A quantity as a count of the instrument's lots; never negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lots(i64);

impl Lots {
    /// None.
    pub const ZERO: Lots = Lots(0);

    /// From a count; `None` when it is negative.
    pub const fn new(lots: i64) -> Option<Lots> {
        if lots < 0 { None } else { Some(Lots(lots)) }
    }

    /// The count of lots.
    pub const fn count(self) -> i64 {
        self.0
    }

    /// Sum, or `None` when it does not fit.
    pub fn checked_add(self, other: Lots) -> Option<Lots> {
        self.0.checked_add(other.0).map(Lots)
    }

    /// What is left after taking `other`; nothing when `other` is as large or larger.
    pub fn less(self, other: Lots) -> Lots {
        Lots(self.0.saturating_sub(other.0).max(0))
    }

    /// Whether there is nothing.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn numbers_are_kept_to_the_last_digit() {
        for text in ["0", "1", "-1", "0.000000000000000001", "64000.5", "-0.1", "99999999999.123456789012345678"] {
            assert_eq!(decimal(text).to_string(), text);
        }
        assert_eq!(decimal("1.500").to_string(), "1.5");
        assert_eq!(decimal("1.5").with_places(3), "1.500");
        assert_eq!(decimal("2").with_places(1), "2.0");
    }

    #[test]
    fn what_is_no_plain_number_is_refused() {
        for text in ["", "-", ".", "1.", ".5", "1e5", "NaN", "inf", "+1", "1,0", " 1", "0x1", "--1", "1.2.3"] {
            assert!(matches!(text.parse::<Decimal>(), Err(BadNumber::NotANumber(_))), "{text}");
        }
        assert!(matches!("0.0000000000000000001".parse::<Decimal>(), Err(BadNumber::TooFine(_))));
        assert!(matches!("9".repeat(40).parse::<Decimal>(), Err(BadNumber::TooFine(_))));
    }

    proptest! {
        #[test]
        fn printing_and_parsing_are_inverse(units in any::<i64>()) {
            let number = Decimal::from_units(i128::from(units) * 1_000);
            prop_assert_eq!(number.to_string().parse::<Decimal>().unwrap(), number);
        }

        #[test]
        fn a_part_and_the_rest_make_the_whole(cost in 0_i64..1_000_000_000, part in 0_i128..1000, whole in 1_i128..1000) {
            let cost = Decimal::whole(cost);
            let part = part.min(whole);
            let taken = cost.mul_ratio(part * ONE, whole * ONE).unwrap();
            prop_assert!(taken <= cost);
            prop_assert!(cost.checked_sub(taken).unwrap() >= Decimal::ZERO);
        }
    }
}
