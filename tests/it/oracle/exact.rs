//! Exact decimal numbers, small and plain: digits and how many of them stand behind the point.

use std::cmp::Ordering;
use std::fmt;

/// The places that are kept when a product needs more; the rest is cut off.
const PLACES_MAX: u32 = 18;

/// A decimal number: `digits` / 10^`places`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Exact {
    digits: i128,
    places: u32,
}

impl Exact {
    pub(crate) const ZERO: Exact = Exact { digits: 0, places: 0 };

    pub(crate) fn parse(text: &str) -> Option<Exact> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let unsigned = whole.strip_prefix('-').unwrap_or(whole);
        let plain = |part: &str| part.bytes().all(|digit| digit.is_ascii_digit());
        if unsigned.is_empty() || !plain(unsigned) || !plain(fraction) || text.ends_with('.') {
            return None;
        }
        let digits = format!("{whole}{fraction}").parse().ok()?;
        let number = Exact { digits, places: u32::try_from(fraction.len()).ok()? };
        Some(number.shortened())
    }

    fn shortened(mut self) -> Exact {
        while self.places > 0 && self.digits % 10 == 0 {
            self.digits /= 10;
            self.places -= 1;
        }
        self
    }

    /// The digits when written with at least its own places.
    fn widened(self, places: u32) -> i128 {
        let factor = 10_i128.checked_pow(places - self.places).expect("amounts of a test are small");
        self.digits.checked_mul(factor).expect("amounts of a test are small")
    }

    pub(crate) fn plus(self, other: Exact) -> Exact {
        let places = self.places.max(other.places);
        Exact { digits: self.widened(places) + other.widened(places), places }.shortened()
    }

    pub(crate) fn times(self, other: Exact) -> Exact {
        let digits = self.digits.checked_mul(other.digits).expect("amounts of a test are small");
        let mut product = Exact { digits, places: self.places + other.places };
        while product.places > PLACES_MAX {
            product.digits /= 10;
            product.places -= 1;
        }
        product.shortened()
    }

    pub(crate) fn negated(self) -> Exact {
        Exact { digits: -self.digits, ..self }
    }
}

impl PartialEq for Exact {
    fn eq(&self, other: &Exact) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Exact {}

impl PartialOrd for Exact {
    fn partial_cmp(&self, other: &Exact) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Exact {
    fn cmp(&self, other: &Exact) -> Ordering {
        let places = self.places.max(other.places);
        self.widened(places).cmp(&other.widened(places))
    }
}

impl fmt::Display for Exact {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.digits < 0 { "-" } else { "" };
        let places = self.places as usize;
        let digits = format!("{:0>1$}", self.digits.unsigned_abs(), places + 1);
        let (whole, fraction) = digits.split_at(digits.len() - places);
        let point = if places == 0 { "" } else { "." };
        write!(out, "{sign}{whole}{point}{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(text: &str) -> Exact {
        Exact::parse(text).unwrap()
    }

    #[test]
    fn sums_and_products_are_exact() {
        assert_eq!(exact("0.1").plus(exact("0.2")), exact("0.3"));
        assert_eq!(exact("64000.5").times(exact("0.003")), exact("192.0015"));
        assert_eq!(exact("-0.5").plus(exact("0.50")), Exact::ZERO);
        assert_eq!(exact("1.5").negated().to_string(), "-1.5");
        assert_eq!(exact("-0.05").to_string(), "-0.05");
        assert_eq!(exact("1200").to_string(), "1200");
        assert_eq!(
            exact("0.000000001").times(exact("0.0000000019")),
            exact("0.000000000000000001"),
            "cut, not rounded"
        );
        assert!(exact("0.10") < exact("0.2"));
        assert!(exact("-1") < exact("-0.9"));
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in ["", "-", "1.", ".5", "1e5", "+1", "1,0", "1.2.3", "--1", "0x1"] {
            assert!(Exact::parse(text).is_none(), "{text}");
        }
    }
}
